//! Waiting for a container to be as wished.
//!
//! One call with one outcome. Asks the daemon again and again, at first often, since most waits are short; asking
//! survives a daemon's restart and missed events, which a stream of events does not.

use std::time::Duration;

use tokio::time::Instant;

use crate::crashes;
use crate::daemon::Daemon;
use crate::error::{Error, is_away, tidy};
use crate::types::{Condition, Container, Health, State};
use words::clock::{self, Deadline};
use words::effect::FailureKind;

/// The longest wait.
const MAX_WAIT: Duration = Duration::from_hours(1);
/// The pause before the second look.
const FIRST_PAUSE: Duration = Duration::from_millis(100);
/// The pause after many looks.
const LONGEST_PAUSE: Duration = Duration::from_millis(500);
/// How long a daemon may be away in the middle of a wait; a restart of it takes a few seconds.
const MAX_ABSENCE: Duration = Duration::from_secs(30);

/// What one look says of a condition.
enum Verdict {
    Holds,
    NotYet,
    Never(String),
}

/// Since when a container has been available, in one life.
#[derive(Default)]
struct Streak {
    since: Option<(Instant, String, u32)>,
}

impl Streak {
    /// For how long it has been available by now; none if it is not.
    fn length(&mut self, container: &Container, now: Instant) -> Option<Duration> {
        if !container.available() {
            self.since = None;
            return None;
        }
        match &self.since {
            Some((since, life, restarts))
                if *life == container.started_at && *restarts == container.restart_count =>
            {
                Some(now.duration_since(*since))
            }
            _ => {
                self.since = Some((now, container.started_at.clone(), container.restart_count));
                Some(Duration::ZERO)
            }
        }
    }
}

/// For how long a container must hold that has crashed before, and what it did during the wait.
struct Steadiness {
    hold_ms: u64,
    /// The longest hold that is asked for: that of the wait itself.
    most_ms: u64,
    started_ms: Option<u64>,
    lives: u32,
}

impl Steadiness {
    fn new(hold_ms: u64, timeout: Duration) -> Self {
        let most_ms = u64::try_from(timeout.as_millis()).unwrap_or(u64::MAX);
        Self { hold_ms: hold_ms.min(most_ms), most_ms, started_ms: None, lives: 0 }
    }

    /// One that begins a new life during the wait has crashed: the time from start to start is a gap as well.
    fn see(&mut self, container: &Container) {
        let Some(started_ms) = clock::from_rfc3339(&container.started_at) else { return };
        match self.started_ms {
            Some(before) if before != started_ms => {
                self.lives += 1;
                let hold_ms = crashes::hold_ms(started_ms.saturating_sub(before));
                self.hold_ms = self.hold_ms.max(hold_ms).min(self.most_ms);
            }
            _ => {}
        }
        self.started_ms = Some(started_ms);
    }

    fn held(&self, container: &Container) -> bool {
        self.hold_ms == 0 || container.life_ms(clock::now_ms()).is_none_or(|life_ms| life_ms >= self.hold_ms)
    }

    /// What it did, for a wait that was too short.
    fn words(&self, container: &Container) -> String {
        let mut words = String::new();
        if self.lives > 0 {
            words.push_str(&format!(
                "; it crashed and was started again {} times during the wait",
                self.lives
            ));
        }
        if container.available() && !self.held(container) {
            let hold = Duration::from_millis(self.hold_ms).as_secs_f64();
            words.push_str(&format!(
                "; it counts as well after {hold:.1} s without a crash: the longest time between two crashes, and 2 s"
            ));
        }
        words
    }
}

impl Daemon {
    /// Waits until the condition holds: the container as it then is. `timed-out` when it does not in time,
    /// `conflict` as soon as it no longer can. One that crashed in the last ten minutes is healthy only after it has
    /// held for the longest time between two of its crashes and 2 s more, at most for as long as the wait.
    pub async fn wait_until(
        &self,
        id: &str,
        condition: Condition,
        timeout: Duration,
    ) -> Result<Container, Error> {
        if timeout > MAX_WAIT {
            let most = MAX_WAIT.as_secs();
            return Err(Error::invalid("containers.wait", format!("a wait is at most {most} s")));
        }
        let deadline = Deadline::after(timeout);
        let mut streak = Streak::default();
        let mut steadiness: Option<Steadiness> = None;
        let mut pause = FIRST_PAUSE;
        let mut absence = Deadline::after(MAX_ABSENCE);
        loop {
            let looked = self.inspect(id).await;
            let now = Instant::now();
            let container = match looked {
                Ok(container) => container,
                Err(error) if !deadline.passed() && !absence.passed() && is_away(&error.failure) => {
                    tokio::time::sleep(LONGEST_PAUSE).await;
                    continue;
                }
                Err(error) => return Err(error),
            };
            absence = Deadline::after(MAX_ABSENCE);
            let steadiness = match &mut steadiness {
                Some(known) => known,
                unknown => unknown.insert(self.steadiness(&container, condition, timeout).await),
            };
            steadiness.see(&container);
            match judge(&container, condition, &mut streak, now) {
                Verdict::Holds if steadiness.held(&container) => return Ok(container),
                Verdict::Never(why) => return Err(Error::conflict("containers.cannot-become", why)),
                Verdict::Holds | Verdict::NotYet if deadline.passed() => {
                    let words = steadiness.words(&container);
                    return Err(self.too_late(&container, condition, timeout, &words).await);
                }
                Verdict::Holds | Verdict::NotYet => {}
            }
            let next = wake(now, pause, &streak, condition).saturating_duration_since(Instant::now());
            tokio::time::sleep(next.min(deadline.left())).await;
            pause = (pause * 5 / 4).min(LONGEST_PAUSE);
        }
    }

    async fn steadiness(&self, container: &Container, condition: Condition, timeout: Duration) -> Steadiness {
        let hold_ms = match condition {
            Condition::HealthyFor(_) => self.hold_ms(container).await,
            Condition::Running | Condition::Exited => 0,
        };
        Steadiness::new(hold_ms, timeout)
    }

    async fn too_late(
        &self,
        container: &Container,
        condition: Condition,
        timeout: Duration,
        more: &str,
    ) -> Error {
        let mut message = format!(
            "container `{}` is not {} after {} s: it is {}{more}",
            container.name,
            wish(condition),
            timeout.as_secs_f64(),
            being(container)
        );
        if matches!(container.health, Health::Unhealthy | Health::Starting)
            && let Some(words) = self.last_check(&container.id).await
        {
            message.push_str("; its last health check said: ");
            message.push_str(&words);
        }
        Error::certain(FailureKind::TimedOut, "containers.not-in-time", message)
    }

    /// The code and the output of the last health check.
    async fn last_check(&self, id: &str) -> Option<String> {
        let raw = self.raw(id).await.ok()?;
        let check = raw.state?.health?.log?.pop()?;
        let code = check.exit_code.unwrap_or(-1);
        let output = tidy(&check.output.unwrap_or_default());
        Some(if output.is_empty() {
            format!("exit code {code}")
        } else {
            format!("exit code {code}, {output}")
        })
    }
}

/// When to look again: after the pause, or just when the streak may be long enough.
fn wake(now: Instant, pause: Duration, streak: &Streak, condition: Condition) -> Instant {
    match (condition, &streak.since) {
        (Condition::HealthyFor(ms), Some((since, ..))) => {
            (now + pause).min((*since + Duration::from_millis(ms)).max(now + Duration::from_millis(1)))
        }
        _ => now + pause,
    }
}

fn judge(container: &Container, condition: Condition, streak: &mut Streak, now: Instant) -> Verdict {
    let ended = matches!(container.state, State::Exited | State::Dead | State::Removing);
    let holds = match condition {
        Condition::HealthyFor(ms) => {
            streak.length(container, now).is_some_and(|length| length >= Duration::from_millis(ms))
        }
        Condition::Running => container.state == State::Running,
        Condition::Exited => ended || container.state == State::Created,
    };
    if holds {
        return Verdict::Holds;
    }
    // A policy that restarts it says `restarting` in between; `exited` is for good.
    if ended && condition != Condition::Exited {
        return Verdict::Never(format!(
            "container `{}` cannot become {}: it is {}",
            container.name,
            wish(condition),
            being(container)
        ));
    }
    Verdict::NotYet
}

fn wish(condition: Condition) -> String {
    match condition {
        Condition::HealthyFor(0) => "healthy".to_owned(),
        Condition::HealthyFor(ms) => format!("healthy for {} s", Duration::from_millis(ms).as_secs_f64()),
        Condition::Running => "running".to_owned(),
        Condition::Exited => "stopped".to_owned(),
    }
}

fn being(container: &Container) -> String {
    let state = match container.state {
        State::Created => "created and never started",
        State::Running => match container.health {
            Health::None => "running",
            Health::Starting => "running, its health not known yet",
            Health::Healthy => "running and healthy",
            Health::Unhealthy => "running and unhealthy",
        },
        State::Paused => "paused",
        State::Restarting => "restarting again and again",
        State::Removing => "being removed",
        State::Exited => return format!("exited with code {}{}", container.exit_code, memory(container)),
        State::Dead => "dead",
    };
    format!("{state}{}", memory(container))
}

fn memory(container: &Container) -> &'static str {
    if container.out_of_memory { ", killed by the kernel for want of memory" } else { "" }
}
