//! Containers that end by themselves again and again: how long such a one must hold before it counts as well.
//!
//! Docker keeps its last 256 events, those of every health check of every container included. So this module also
//! remembers the deaths that it saw in the containers' own documents.

use std::collections::{BTreeSet, HashMap};
use std::sync::{Mutex, PoisonError};

use crate::daemon::Daemon;
use crate::types::{Container, ContainerEvent, State};
use words::clock;

/// For how long a death counts, milliseconds.
const MEMORY_MS: u64 = 600_000;
/// How much longer than the longest gap between two deaths a container must hold, milliseconds.
const MARGIN_MS: u64 = 2_000;
/// The gap that is assumed where only one death was seen and the restart policy has acted, milliseconds. After a life of
/// 10 s Docker itself starts to count its pauses anew.
const UNSEEN_GAP_MS: u64 = 10_000;
/// A `stop` event follows its `die` within this time, milliseconds.
const STOP_AFTER_DIE_MS: u64 = 2_000;
/// The newest deaths that are remembered of one container.
const MAX_DEATHS: usize = 64;
/// Containers whose deaths are remembered at once.
const MAX_CONTAINERS: usize = 10_000;
/// Signals that are mostly sent to make a process read its settings again, or that it ignores.
const HARMLESS_SIGNALS: [&str; 6] = ["1", "10", "12", "17", "18", "28"];
/// Exit codes of a container that was stopped: by itself, or by KILL or TERM.
const STOPPED_CODES: [i32; 3] = [0, 137, 143];

/// The deaths of every container of one daemon, as far as they were seen.
#[derive(Debug, Default)]
pub(crate) struct Crashes {
    seen: Mutex<HashMap<String, Deaths>>,
}

/// The deaths of one container, milliseconds since 1970.
#[derive(Debug, Clone, Default)]
struct Deaths {
    /// After which the restart policy started it again.
    at: BTreeSet<u64>,
    /// The gap of the container it was cloned from, and when that was noted.
    inherited: Option<(u64, u64)>,
}

impl Deaths {
    fn is_over(&self, now_ms: u64) -> bool {
        let last = self.at.last().copied().max(self.inherited.map(|(_, at_ms)| at_ms));
        last.is_none_or(|last| last.saturating_add(MEMORY_MS) < now_ms)
    }
}

impl Crashes {
    fn with<T>(&self, work: impl FnOnce(&mut HashMap<String, Deaths>) -> T) -> T {
        work(&mut self.seen.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Takes in what a container's document tells of its last death.
    pub(crate) fn note(&self, container: &Container) {
        let Some(died_ms) = container.crashed_ms() else { return };
        let now_ms = clock::now_ms();
        if died_ms.saturating_add(MEMORY_MS) < now_ms {
            return;
        }
        self.with(|seen| {
            seen.retain(|_, deaths| !deaths.is_over(now_ms));
            if seen.len() >= MAX_CONTAINERS && !seen.contains_key(&container.id) {
                return;
            }
            let deaths = seen.entry(container.id.clone()).or_default();
            deaths.at.insert(died_ms);
            while deaths.at.len() > MAX_DEATHS {
                deaths.at.pop_first();
            }
        });
    }

    fn inherit(&self, id: &str, gap_ms: u64) {
        let now_ms = clock::now_ms();
        self.with(|seen| seen.entry(id.to_owned()).or_default().inherited = Some((gap_ms, now_ms)));
    }

    fn of(&self, id: &str) -> Deaths {
        let now_ms = clock::now_ms();
        let mut deaths = self.with(|seen| seen.get(id).cloned()).unwrap_or_default();
        deaths.at.retain(|at| at.saturating_add(MEMORY_MS) >= now_ms);
        deaths.inherited = deaths.inherited.filter(|(_, at_ms)| at_ms.saturating_add(MEMORY_MS) >= now_ms);
        deaths
    }
}

/// How long a container must hold whose deaths were so far apart.
pub(crate) fn hold_ms(gap_ms: u64) -> u64 {
    gap_ms.saturating_add(MARGIN_MS)
}

impl Daemon {
    /// Takes in what an earlier engine saw of a container's crashes.
    pub fn remember(&self, container: &Container) {
        self.crashes().note(container);
    }

    /// How long this container must hold before it counts as well; 0 for one that did not crash lately.
    pub(crate) async fn hold_ms(&self, container: &Container) -> u64 {
        let seen = self.crashes().of(&container.id);
        let now_ms = clock::now_ms();
        // Without events there is still what the documents told.
        let events = self.events(Some(&container.id), now_ms.saturating_sub(MEMORY_MS), now_ms).await;
        let told = crashes(&events.unwrap_or_default());
        let inherited = seen.inherited.map(|(gap_ms, _)| gap_ms);
        gap(&seen.at, &told).max(inherited).map_or(0, hold_ms)
    }

    /// Those that look well and have not held for as long as they must.
    pub async fn unsteady(&self, containers: &[Container]) -> Vec<String> {
        let mut unsteady = Vec::new();
        for container in containers.iter().filter(|container| container.available()) {
            if self.crashes().of(&container.id).at.is_empty() {
                continue;
            }
            let hold_ms = self.hold_ms(container).await;
            if container.life_ms(clock::now_ms()).is_some_and(|life_ms| life_ms < hold_ms) {
                unsteady.push(container.id.clone());
            }
        }
        unsteady
    }

    /// A clone of a container that crashes again and again must hold as long as that one.
    pub(crate) async fn inherit(&self, from: &Container, made: &Container) {
        let seen = self.crashes().of(&from.id);
        if seen.at.is_empty() && seen.inherited.is_none() {
            return;
        }
        let hold_ms = self.hold_ms(from).await;
        self.crashes().inherit(&made.id, hold_ms.saturating_sub(MARGIN_MS));
    }
}

/// The longest gap between two deaths; what is assumed if there was but one.
fn gap(noted: &BTreeSet<u64>, told: &[u64]) -> Option<u64> {
    if noted.len() < 2 && told.len() < 2 {
        return (!noted.is_empty()).then_some(UNSEEN_GAP_MS);
    }
    let all: Vec<u64> =
        noted.iter().copied().chain(told.iter().copied()).collect::<BTreeSet<_>>().into_iter().collect();
    all.windows(2).map(|pair| pair[1] - pair[0]).max()
}

/// When the container ended though nobody asked for it.
fn crashes(events: &[ContainerEvent]) -> Vec<u64> {
    let mut ended: Vec<u64> = Vec::new();
    let mut asked = false;
    for event in events {
        match event.action.as_str() {
            "start" => asked = false,
            "kill" => asked = asked || ends(event),
            "die" if !asked => ended.push(event.time_ms),
            // A stop with a signal of the container's own.
            "stop"
                if ended
                    .last()
                    .is_some_and(|last| event.time_ms.saturating_sub(*last) < STOP_AFTER_DIE_MS) =>
            {
                ended.pop();
            }
            _ => {}
        }
    }
    ended
}

fn ends(event: &ContainerEvent) -> bool {
    let signal = event.attributes.iter().find(|(name, _)| name == "signal").map(|(_, value)| value.as_str());
    !signal.is_some_and(|signal| HARMLESS_SIGNALS.contains(&signal))
}

impl Container {
    /// When it ended last, if the restart policy has started it again since, or is about to.
    pub(crate) fn policy_restarted_ms(&self) -> Option<u64> {
        let lives = matches!(self.state, State::Running | State::Paused | State::Restarting);
        if self.restart_count == 0 || !lives {
            return None;
        }
        clock::from_rfc3339(&self.finished_at)
    }

    /// When it crashed last, if its restart policy has acted: it has started it again, or has given up.
    fn crashed_ms(&self) -> Option<u64> {
        let gave_up = self.restart_count > 0
            && matches!(self.state, State::Exited | State::Dead)
            && !STOPPED_CODES.contains(&self.exit_code);
        if gave_up { clock::from_rfc3339(&self.finished_at) } else { self.policy_restarted_ms() }
    }

    /// Whether it has crashed in the last ten minutes and was started again by its restart policy.
    pub fn crashed_lately(&self, now_ms: u64) -> bool {
        self.policy_restarted_ms().is_some_and(|died_ms| died_ms.saturating_add(MEMORY_MS) >= now_ms)
    }

    /// How long its present life has lasted.
    pub(crate) fn life_ms(&self, now_ms: u64) -> Option<u64> {
        clock::from_rfc3339(&self.started_at).map(|started_ms| now_ms.saturating_sub(started_ms))
    }

    /// Whether the restart policy alone made it differ from how it was then: it crashed and was started again.
    pub fn looped_since(&self, then: &Self) -> bool {
        self.id == then.id && self.restart_count > then.restart_count && self.policy_restarted_ms().is_some()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn event(time_ms: u64, action: &str, signal: &str) -> ContainerEvent {
        let attributes = vec![("signal".to_owned(), signal.to_owned())];
        ContainerEvent { time_ms, action: action.to_owned(), id: "1".to_owned(), attributes }
    }

    fn at(times: &[u64]) -> BTreeSet<u64> {
        times.iter().copied().collect()
    }

    #[test]
    fn what_was_asked_for_is_no_crash() {
        let stop = [event(1, "kill", "15"), event(2, "die", ""), event(3, "stop", ""), event(4, "start", "")];
        assert_eq!(crashes(&stop), [0_u64; 0]);
        let own_signal = [event(1, "kill", "28"), event(2, "die", ""), event(3, "stop", "")];
        assert_eq!(crashes(&own_signal), [0_u64; 0]);
        let killed = [event(1, "kill", "9"), event(2, "die", ""), event(3, "start", ""), event(9, "die", "")];
        assert_eq!(crashes(&killed), [9]);
        let reloaded = [event(1, "kill", "1"), event(5_000, "die", ""), event(90_000, "stop", "")];
        assert_eq!(crashes(&reloaded), [5_000]);
    }

    #[test]
    fn the_longest_gap_counts() {
        assert_eq!(gap(&at(&[]), &[]), None);
        assert_eq!(gap(&at(&[]), &[5]), None, "it ended once and nobody started it again");
        assert_eq!(gap(&at(&[5]), &[6]), Some(UNSEEN_GAP_MS), "the same death, told twice");
        assert_eq!(gap(&at(&[]), &[1_000, 5_000, 6_000]), Some(4_000));
        assert_eq!(gap(&at(&[1_000, 9_000]), &[9_010]), Some(8_000));
    }
}
