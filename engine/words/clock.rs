//! The only place that asks for the time.
//!
//! Two times: that of the day ([`now_ms`]), which stands in entries and which people mean, and the time that this process
//! lived through ([`lived_ms`]), which is how long it waits for something. A process that is stopped (`SIGSTOP`, Ctrl-Z), or
//! whose machine sleeps, can take no answer meanwhile: that time is counted against nobody.

use std::future::Future;
use std::sync::{Mutex, MutexGuard, Once, PoisonError};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

/// Between two looks at the clocks by which a gap is noticed.
const TICK: Duration = Duration::from_millis(200);
/// The most that counts between two looks: more means that this process did not run.
const LONGEST_TICK: Duration = Duration::from_secs(1);
/// What whoever is waited for gets after a gap, at least: its answer may have come meanwhile, and is not read yet.
const AFTER_A_GAP: Duration = Duration::from_secs(5);

/// What is known of this process's life.
struct Life {
    lived: Duration,
    /// When the clocks were last looked at: that which only goes forward, and that of the day in milliseconds.
    looked: Option<(Instant, u64)>,
    /// By how much the time of the day ran ahead of `lived`, milliseconds.
    missed_ms: u64,
    /// The `lived` at which the last gap was noticed.
    gap: Option<Duration>,
}

static LIFE: Mutex<Life> = Mutex::new(Life { lived: Duration::ZERO, looked: None, missed_ms: 0, gap: None });
static TICKER: Once = Once::new();

impl Life {
    /// Takes in what the clocks show now. Whoever asks does so itself, so that nobody who wakes is ahead of the ticker.
    fn look(&mut self, now: Instant, day_ms: u64) {
        if let Some((before, day_before_ms)) = self.looked {
            let passed = now.saturating_duration_since(before);
            let counted = passed.min(LONGEST_TICK);
            // The clock of the day also goes on while the machine sleeps. It may be set back.
            let day = Duration::from_millis(day_ms.saturating_sub(day_before_ms));
            let missed = passed.max(day).saturating_sub(counted);
            self.lived += counted;
            if missed > LONGEST_TICK {
                self.missed_ms = self.missed_ms.saturating_add(millis(missed));
                self.gap = Some(self.lived);
            }
        }
        self.looked = Some((now, day_ms));
    }
}

/// The life so far, as of now.
fn life() -> MutexGuard<'static, Life> {
    TICKER.call_once(|| {
        // Without it, time in which nobody asked would count as time in which the process did not run.
        let ticker = std::thread::Builder::new().name("clock".to_owned());
        let _ = ticker.spawn(|| {
            loop {
                std::thread::sleep(TICK);
                drop(life());
            }
        });
    });
    let mut life = LIFE.lock().unwrap_or_else(PoisonError::into_inner);
    life.look(Instant::now(), now_ms());
    life
}

/// For how long this process has run since this was first asked, milliseconds. Time in which it was stopped, and time that the
/// clock of the day leapt over, does not count.
pub fn lived_ms() -> u64 {
    millis(life().lived)
}

/// How much time this process missed since it began, milliseconds: for how long it was stopped, and what the clock of the day
/// leapt over.
pub fn missed_ms() -> u64 {
    life().missed_ms
}

/// When something must have ended, as this process lives: time in which it did not run is not counted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Deadline {
    began: Duration,
    /// None: never.
    at: Option<Duration>,
}

impl Deadline {
    /// In so long.
    pub fn after(limit: Duration) -> Self {
        let began = life().lived;
        Self { began, at: began.checked_add(limit) }
    }

    /// In so many milliseconds.
    pub fn after_ms(limit_ms: u64) -> Self {
        Self::after(Duration::from_millis(limit_ms))
    }

    /// When the clock of the day will show this, milliseconds since 1970, if this process runs until then.
    pub fn at_ms(at_ms: u64) -> Self {
        Self::after_ms(at_ms.saturating_sub(now_ms()))
    }

    /// How much time is left. After a gap there is a little for answers that came meanwhile.
    pub fn left(self) -> Duration {
        let Some(at) = self.at else { return Duration::MAX };
        let life = life();
        let after_gap = life.gap.filter(|gap| *gap > self.began).map(|gap| gap + AFTER_A_GAP);
        let at = after_gap.map_or(at, |after_gap| at.max(after_gap.min(at + AFTER_A_GAP)));
        at.saturating_sub(life.lived)
    }

    /// The same in milliseconds.
    pub fn left_ms(self) -> u64 {
        millis(self.left())
    }

    /// Whether no time is left.
    pub fn passed(self) -> bool {
        self.left().is_zero()
    }
}

/// Something that did not end in time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Elapsed;

/// Waits for the end of something, as long as there is time.
pub async fn until<F: Future>(deadline: Deadline, work: F) -> Result<F::Output, Elapsed> {
    tokio::pin!(work);
    loop {
        let left = deadline.left();
        tokio::select! {
            biased;
            done = &mut work => return Ok(done),
            () = tokio::time::sleep(left), if !left.is_zero() => {}
            () = std::future::ready(()), if left.is_zero() => return Err(Elapsed),
        }
    }
}

/// Waits for the end of something at most so long.
pub async fn within<F: Future>(limit: Duration, work: F) -> Result<F::Output, Elapsed> {
    until(Deadline::after(limit), work).await
}

fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

/// Milliseconds since 1970 (UTC).
#[expect(clippy::disallowed_methods, reason = "this is the clock that everything else asks")]
pub fn now_ms() -> u64 {
    SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .map_or(0, |since| u64::try_from(since.as_millis()).unwrap_or(u64::MAX))
}

/// The milliseconds since 1970 of an RFC 3339 text; none before 1970.
pub fn milliseconds(text: &str) -> Option<u64> {
    u64::try_from(chrono::DateTime::parse_from_rfc3339(text).ok()?.timestamp_millis()).ok()
}

/// RFC 3339 in UTC with milliseconds, for people and documents.
pub fn rfc3339(ms: u64) -> String {
    i64::try_from(ms)
        .ok()
        .and_then(chrono::DateTime::from_timestamp_millis)
        .map_or_else(|| "-".to_owned(), |at| at.to_rfc3339_opts(chrono::SecondsFormat::Millis, true))
}

/// The instant that a daemon printed, milliseconds since 1970; none for what is no instant.
pub fn from_rfc3339(text: &str) -> Option<u64> {
    let at = chrono::DateTime::parse_from_rfc3339(text).ok()?;
    u64::try_from(at.timestamp_millis()).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn newborn() -> Life {
        Life { lived: Duration::ZERO, looked: None, missed_ms: 0, gap: None }
    }

    #[test]
    fn a_gap_counts_as_one_second_at_most() {
        let (mut life, began) = (newborn(), Instant::now());
        let mut look = |monotonic_ms: u64, day_ms: u64| {
            life.look(began + Duration::from_millis(monotonic_ms), day_ms);
            (life.lived.as_millis(), life.missed_ms, life.gap.is_some())
        };
        assert_eq!(look(0, 1_000_000), (0, 0, false));
        assert_eq!(look(200, 1_000_200), (200, 0, false));
        assert_eq!(look(1_900, 1_001_900), (1_200, 0, false), "a busy machine is no gap worth telling");
        assert_eq!(look(41_900, 1_041_900), (2_200, 39_000, true), "stopped for 40 s");
    }

    #[test]
    fn a_machine_that_sleeps_is_a_gap_and_a_clock_that_is_set_back_is_none() {
        let (mut life, began) = (newborn(), Instant::now());
        life.look(began, 1_000_000);
        life.look(began + Duration::from_millis(200), 400_000);
        assert_eq!((life.lived.as_millis(), life.missed_ms), (200, 0));
        life.look(began + Duration::from_millis(400), 4_000_400);
        assert_eq!((life.lived.as_millis(), life.missed_ms), (400, 3_600_200));
    }

    #[tokio::test]
    async fn what_ends_in_time_is_given_back() {
        assert_eq!(within(Duration::from_mins(1), async { 7 }).await, Ok(7));
        assert_eq!(within(Duration::ZERO, async { 7 }).await, Ok(7), "it is there");
        let never = within(Duration::from_millis(20), std::future::pending::<()>()).await;
        assert_eq!(never, Err(Elapsed));
    }

    #[test]
    fn a_deadline_passes_and_the_last_one_never_does() {
        assert!(Deadline::after_ms(0).passed() && Deadline::at_ms(now_ms()).passed());
        let soon = Deadline::at_ms(now_ms() + 60_000);
        assert!(!soon.passed() && soon.left_ms() <= 60_000);
        assert_eq!(Deadline::after(Duration::MAX).left(), Duration::MAX);
    }
}
