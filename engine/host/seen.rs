//! How a container was last seen, and in what it differs now: the trace of somebody else's hand.

use docker::types::{Container, Limits, State};

/// Every way in which one container was seen.
#[derive(Debug, Clone)]
pub(super) struct Sights {
    all: Vec<Seen>,
    /// As it was seen last.
    pub(super) last: Container,
}

impl Sights {
    pub(super) fn of(container: &Container) -> Self {
        Self { all: vec![Seen::of(container)], last: container.clone() }
    }

    pub(super) fn add(&mut self, container: &Container) {
        let seen = Seen::of(container);
        self.all.retain(|sight| *sight != seen);
        self.all.push(seen);
        self.last = container.clone();
    }

    /// In what it differs now from how it was last seen, if it never was seen like this. One that the run itself made may
    /// have ended by itself: what it was made for was done. One that crashed may have been started again by its restart
    /// policy.
    pub(super) fn difference(&self, now: &Container, made_by_run: bool) -> Option<String> {
        let looped = now.looped_since(&self.last);
        let now = Seen::of(now);
        let ended = |then: &Seen| Seen { life: Life::Stopped, ..then.clone() } == now;
        let looping = |then: &Seen| looped && then.name == now.name && then.limits == now.limits;
        let known = self.all.iter().any(|then| *then == now || made_by_run && ended(then) || looping(then));
        let then = self.all.last().filter(|_| !known)?;
        Some(then.difference(&now))
    }
}

/// What is known of a container from one recorded call. Health is not part of it: it comes and goes by itself.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Seen {
    life: Life,
    started_at: String,
    name: String,
    limits: Limits,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Life {
    Running,
    Paused,
    Stopped,
}

impl Life {
    fn word(self) -> &'static str {
        match self {
            Self::Running => "running",
            Self::Paused => "paused",
            Self::Stopped => "stopped",
        }
    }
}

impl Seen {
    fn of(container: &Container) -> Self {
        let life = match container.state {
            State::Running | State::Restarting => Life::Running,
            State::Paused => Life::Paused,
            State::Created | State::Removing | State::Exited | State::Dead => Life::Stopped,
        };
        Self {
            life,
            started_at: container.started_at.clone(),
            name: container.name.clone(),
            limits: container.limits,
        }
    }

    /// How it was and how it is now, of the first thing that differs.
    fn difference(&self, now: &Self) -> String {
        if self.life != now.life || self.started_at != now.started_at {
            format!("it was {}, and is {} now", self.stand(), now.stand())
        } else if self.name != now.name {
            format!("its name was `{}`, and is `{}` now", self.name, now.name)
        } else {
            format!("its limits were {}, and are {} now", words(&self.limits), words(&now.limits))
        }
    }

    fn stand(&self) -> String {
        if self.started_at.is_empty() {
            return self.life.word().to_owned();
        }
        format!("{} since {}", self.life.word(), self.started_at)
    }
}

fn words(limits: &Limits) -> String {
    let Limits { cpu_millis, memory_bytes, memory_swap_bytes } = limits;
    format!(
        "{cpu_millis} thousandths of a core, {memory_bytes} bytes of memory, {memory_swap_bytes} with swap"
    )
}
