//! Waiting for another process, counted in time in which this one ran: nobody is given up because a person pressed Ctrl-Z.

use std::future::Future;
use std::time::{Duration, Instant};

/// How often a wait looks at the time that has passed.
const TICK: Duration = Duration::from_millis(500);

/// Waits for an answer as long as `patience` says; none after that.
pub async fn patiently<T>(patience: Duration, answer: impl Future<Output = T>) -> Option<T> {
    let mut ran = Ran::default();
    tokio::pin!(answer);
    loop {
        let rest = patience.saturating_sub(ran.so_far());
        if rest.is_zero() {
            return None;
        }
        tokio::select! {
            biased;
            answer = &mut answer => return Some(answer),
            () = tokio::time::sleep(rest.min(TICK)) => ran.look(),
        }
    }
}

/// For how long this process ran, for one who looks often.
#[derive(Debug)]
pub struct Ran {
    so_far: Duration,
    last: Instant,
}

impl Default for Ran {
    fn default() -> Self {
        Self { so_far: Duration::ZERO, last: Instant::now() }
    }
}

impl Ran {
    /// So much of the time between two looks is believed: more than that, and this process was stopped.
    const LONGEST: Duration = Duration::from_secs(1);

    /// Up to the last look.
    pub fn so_far(&self) -> Duration {
        self.so_far
    }

    /// Adds the time since the last look.
    pub fn look(&mut self) {
        self.look_at(Instant::now());
    }

    fn look_at(&mut self, now: Instant) {
        self.so_far += (now - self.last).min(Self::LONGEST);
        self.last = now;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn time_in_which_a_process_did_not_run_does_not_count() {
        let mut ran = Ran::default();
        let woken = ran.last + Duration::from_hours(1);
        ran.look_at(woken);
        assert_eq!(ran.so_far(), Ran::LONGEST);
        ran.look_at(woken + Duration::from_millis(20));
        assert_eq!(ran.so_far(), Ran::LONGEST + Duration::from_millis(20));
    }

    #[tokio::test]
    async fn whoever_does_not_answer_is_given_up() {
        let never = std::future::pending::<()>();
        assert_eq!(patiently(Duration::from_millis(30), never).await, None);
        assert_eq!(patiently(Duration::from_mins(1), async { 1 }).await, Some(1));
    }
}
