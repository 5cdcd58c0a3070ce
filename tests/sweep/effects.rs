//! What was done to the world, as counts: the same for a run that was cut off and one that was not.

use std::collections::BTreeMap;
use std::fmt;

use crate::support::docker_events::Event;

/// What happened, and how often: `start g1x1-web-1`.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Effects(pub(crate) BTreeMap<String, usize>);

/// How effects differ from those that were expected.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Difference {
    /// Something was not done.
    Lost(String),
    /// Something was done that should not have been, or more often.
    Doubled(String),
}

impl Effects {
    /// From the daemon's events; `run` is the id that containers may be named after.
    pub(crate) fn of(events: &[Event], run: &str) -> Self {
        let mut effects = Self::default();
        for event in events {
            let told = ["create", "start", "die", "destroy", "rename", "update", "pause", "unpause"];
            let kill = event.action.starts_with("kill ");
            let command = event.action.starts_with("exec_start") && !event.action.contains("/health");
            if told.contains(&event.action.as_str()) || kill || command {
                let name = if run.is_empty() { event.name.clone() } else { event.name.replace(run, "RUN") };
                effects.add(&format!("{} {name}", event.action), 1);
            }
        }
        effects
    }

    pub(crate) fn add(&mut self, what: &str, times: usize) {
        if times > 0 {
            *self.0.entry(what.to_owned()).or_default() += times;
        }
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// What is there of this, once.
    pub(crate) fn difference(&self, expected: &Self) -> Option<Difference> {
        for (what, times) in &self.0 {
            let wanted = expected.0.get(what).copied().unwrap_or(0);
            if *times > wanted {
                return Some(Difference::Doubled(format!("{what}: {times} times, not {wanted}")));
            }
        }
        for (what, wanted) in &expected.0 {
            let times = self.0.get(what).copied().unwrap_or(0);
            if times < *wanted {
                return Some(Difference::Lost(format!("{what}: {times} times, not {wanted}")));
            }
        }
        None
    }
}

impl fmt::Display for Effects {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let all: Vec<String> = self.0.iter().map(|(what, times)| format!("{times} x {what}")).collect();
        write!(f, "{}", all.join(", "))
    }
}
