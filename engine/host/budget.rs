//! How much may be out of service at once. Held against the live world, across all runs of this engine, whatever a plugin
//! tries: what another run is taking down right now counts as down.

use std::collections::HashMap;
use std::sync::Mutex;
use std::time::{Duration, Instant};

use super::context::lock;
use super::limits;
use super::signal::Aftermath;
use docker::types::{Container, State};
use words::ids::TargetName;

/// Containers that are down or about to be, whatever they look like.
#[derive(Debug, Default)]
pub struct Budgets {
    reserved: Mutex<Reserved>,
}

/// By target and id.
type Key = (TargetName, String);

#[derive(Debug, Default)]
struct Reserved {
    /// How many calls are at it right now.
    leaving: HashMap<Key, usize>,
    /// When the last call ended: who looked before that may not have seen what it did.
    left: HashMap<Key, Instant>,
    /// Those whose processes were sent a signal that may still take them down.
    signalled: HashMap<Key, Signalled>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
struct Signalled {
    /// A new life has not got the signal.
    started_at: String,
    /// By then it is down or is not going to be.
    until: Instant,
    /// Its processes stand still, for as long as this life lasts.
    stopped: bool,
}

/// Nobody decides by what was seen longer ago: a look is two reads.
const LONGEST_LOOK: Duration = Duration::from_millis(3 * limits::READ_DEADLINE_MS);

/// A container and all replicas of its service, as they were seen.
#[derive(Debug, Clone, Copy)]
pub(super) struct Sight<'a> {
    pub(super) container: &'a Container,
    pub(super) replicas: &'a [Container],
    /// The ids of those that crash again and again and look well for the moment.
    pub(super) unsteady: &'a [String],
    /// When looking began.
    pub(super) looked: Instant,
}

impl Sight<'_> {
    /// Whether it serves, and can be relied on to do so.
    fn well(&self, replica: &Container) -> bool {
        replica.available() && !self.unsteady.contains(&replica.id)
    }
}

/// What a grant allows of one service.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Allowance {
    /// Without `max_unavailable` in the grant it is one.
    pub(super) max_unavailable: u32,
    pub(super) min_healthy: Option<u32>,
}

/// A budget used up.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Exceeded {
    /// Which words of the grant: `max_unavailable` or `min_healthy`.
    pub(super) word: &'static str,
    /// How things stand, in words.
    pub(super) why: String,
    /// The replicas that are down or not healthy.
    pub(super) down: Vec<String>,
}

/// The right to have one container out of service while a call is at it.
#[derive(Debug)]
pub(super) struct Leave<'a> {
    budgets: &'a Budgets,
    key: Key,
    started_at: String,
    aftermath: Aftermath,
    acts: bool,
}

impl Leave<'_> {
    /// The call is made now; before, nothing can come of it.
    pub(super) fn acts(&mut self) {
        self.acts = true;
    }
}

impl Reserved {
    /// Whether it counts as down though it looks well.
    fn holds(&self, key: &Key, replica: &Container, looked: Instant) -> bool {
        self.leaving.contains_key(key)
            || self.left.get(key).is_some_and(|left| *left >= looked)
            || self.signalled.get(key).is_some_and(|signalled| signalled.started_at == replica.started_at)
    }

    /// Drops what is over.
    fn tidy(&mut self) {
        let now = Instant::now();
        self.left.retain(|_, left| now.duration_since(*left) < LONGEST_LOOK);
        self.signalled.retain(|_, signalled| signalled.stopped || now < signalled.until);
    }

    fn signal(&mut self, key: Key, started_at: &str, aftermath: Aftermath) {
        let now = Instant::now();
        let old = self.signalled.remove(&key).filter(|old| old.started_at == started_at);
        let mut signalled = old.unwrap_or_else(|| Signalled {
            started_at: started_at.to_owned(),
            until: now,
            stopped: false,
        });
        match aftermath {
            Aftermath::None => {}
            Aftermath::Continued => signalled.stopped = false,
            Aftermath::Stopped => signalled.stopped = true,
            Aftermath::Within(time) => signalled.until = signalled.until.max(now + time),
        }
        if signalled.stopped || signalled.until > now {
            self.signalled.insert(key, signalled);
        }
    }
}

impl Budgets {
    /// Admits taking a container down, given all replicas of its service. One that is not well costs nothing, since nobody
    /// loses anything; for the others it counts as down. `aftermath` is what may still happen to it when the call is over.
    pub(super) fn admit<'a>(
        &'a self,
        daemon: &TargetName,
        sight: &Sight<'_>,
        allowance: Allowance,
        aftermath: Aftermath,
    ) -> Result<Leave<'a>, Exceeded> {
        let Sight { container, replicas, looked, .. } = *sight;
        let mut reserved = lock(&self.reserved);
        reserved.tidy();
        let others = replicas.iter().filter(|r| r.id != container.id && counts(r));
        let (mut down, mut up) = (0_u32, 0_u32);
        let mut names = Vec::new();
        for other in others {
            let held = reserved.holds(&(daemon.clone(), other.id.clone()), other, looked);
            if sight.well(other) && !held {
                up += 1;
            } else {
                down += 1;
                names.push(other.name.clone());
            }
        }
        if sight.well(container) {
            if down + 1 > allowance.max_unavailable {
                return Err(Exceeded {
                    word: "max_unavailable",
                    why: format!(
                        "{}taking down `{}` makes {} (limit {})",
                        down_already(&names),
                        container.name,
                        down + 1,
                        allowance.max_unavailable
                    ),
                    down: names,
                });
            }
            if let Some(least) = allowance.min_healthy.filter(|least| up < *least) {
                return Err(Exceeded {
                    word: "min_healthy",
                    why: format!(
                        "{}without `{}`, {up} healthy {} left, and {least} must be",
                        down_already(&names),
                        container.name,
                        if up == 1 { "replica is" } else { "replicas are" },
                    ),
                    down: names,
                });
            }
        }
        let key = (daemon.clone(), container.id.clone());
        *reserved.leaving.entry(key.clone()).or_default() += 1;
        Ok(Leave { budgets: self, key, started_at: container.started_at.clone(), aftermath, acts: false })
    }

    /// A signal was sent to it by an engine that is no more.
    pub(super) fn signalled(&self, daemon: &TargetName, container: &Container, aftermath: Aftermath) {
        let key = (daemon.clone(), container.id.clone());
        lock(&self.reserved).signal(key, &container.started_at, aftermath);
    }
}

/// `web-1` and `web-2` are down or not healthy; none, nothing.
fn down_already(names: &[String]) -> String {
    let quoted: Vec<String> = names.iter().map(|name| format!("`{name}`")).collect();
    match quoted.as_slice() {
        [] => String::new(),
        [one] => format!("{one} is down or not healthy: "),
        [most @ .., last] => format!("{} and {last} are down or not healthy: ", most.join(", ")),
    }
}

/// A container that was created and never started is not a replica yet.
pub(super) fn counts(replica: &Container) -> bool {
    replica.state != State::Created
}

impl Drop for Leave<'_> {
    fn drop(&mut self) {
        let mut reserved = lock(&self.budgets.reserved);
        if let Some(count) = reserved.leaving.get_mut(&self.key) {
            *count -= 1;
            if *count == 0 {
                reserved.leaving.remove(&self.key);
            }
        }
        if self.acts {
            reserved.left.insert(self.key.clone(), Instant::now());
            reserved.signal(self.key.clone(), &self.started_at, self.aftermath);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::signal::aftermath;
    use docker::types::Health;

    const ONE: Allowance = Allowance { max_unavailable: 1, min_healthy: None };

    fn replica(number: u32) -> Container {
        serde_json::from_value(serde_json::json!({
            "id": format!("{number}"), "name": format!("web-{number}"), "service": "shop/web", "depends_on": [],
            "state": "running", "health": "none", "started_at": "a", "finished_at": "", "created_at": "",
            "image": "", "image_id": "", "exit_code": 0, "out_of_memory": false, "restart_count": 0,
            "limits": { "cpu_millis": 0, "memory_bytes": 0, "memory_swap_bytes": 0, "pids": 0 },
            "ports": [], "addresses": [], "auto_remove": false, "replica": number, "labels": [],
        }))
        .unwrap()
    }

    /// Asks to take a replica down by what was seen at some time.
    fn ask<'a>(
        budgets: &'a Budgets,
        number: usize,
        replicas: &[Container],
        looked: Instant,
        signal: &str,
    ) -> Result<Leave<'a>, Exceeded> {
        let sight = Sight { container: &replicas[number], replicas, unsteady: &[], looked };
        budgets.admit(&"local".parse().unwrap(), &sight, ONE, aftermath(signal))
    }

    #[test]
    fn the_sick_cost_nothing_and_count_as_down_for_the_others() {
        let sicken: [fn(&mut Container); 5] = [
            |c| c.state = State::Exited,
            |c| c.state = State::Paused,
            |c| c.state = State::Restarting,
            |c| c.health = Health::Unhealthy,
            |c| c.health = Health::Starting,
        ];
        for sicken in sicken {
            let (budgets, mut replicas) = (Budgets::default(), [replica(1), replica(2), replica(3)]);
            sicken(&mut replicas[1]);
            assert!(ask(&budgets, 1, &replicas, Instant::now(), "TERM").is_ok());
            let exceeded = ask(&budgets, 0, &replicas, Instant::now(), "TERM").unwrap_err();
            assert_eq!(exceeded.down, ["web-2"]);
            let why = "`web-2` is down or not healthy: taking down `web-1` makes 2 (limit 1)";
            assert_eq!(exceeded.why, why);
        }
        let (budgets, replicas) = (Budgets::default(), [replica(1), replica(2)]);
        let admit = |number: usize| {
            let unsteady = ["1".to_owned()];
            let (container, looked) = (&replicas[number], Instant::now());
            let sight = Sight { container, replicas: &replicas, unsteady: &unsteady, looked };
            let target = "local".parse().unwrap();
            budgets.admit(&target, &sight, ONE, Aftermath::None).map(drop)
        };
        assert!(admit(0).is_ok() && admit(1).is_err(), "one that crashes again and again is not well");
    }

    #[test]
    fn who_looked_before_a_call_ended_does_not_know_what_it_did() {
        let (budgets, replicas) = (Budgets::default(), [replica(1), replica(2)]);
        let looked = Instant::now();
        let mut leave = ask(&budgets, 0, &replicas, looked, "WINCH").unwrap();
        leave.acts();
        assert!(ask(&budgets, 1, &replicas, looked, "WINCH").is_err(), "under way");
        drop(leave);
        assert!(ask(&budgets, 1, &replicas, looked, "WINCH").is_err(), "seen before it ended");
        std::thread::sleep(Duration::from_millis(2));
        assert!(ask(&budgets, 1, &replicas, Instant::now(), "WINCH").is_ok(), "seen after it");
    }

    #[test]
    fn one_that_was_signalled_counts_as_down_until_it_lives_anew() {
        for signal in ["TERM", "sigint", "SIGSTOP", "HUP", "3", "RTMIN+1"] {
            let (budgets, mut replicas) = (Budgets::default(), [replica(1), replica(2)]);
            drop(ask(&budgets, 0, &replicas, Instant::now(), signal).unwrap());
            let mut leave =
                ask(&budgets, 1, &replicas, Instant::now(), signal).expect("the first was not sent");
            leave.acts();
            drop(leave);
            std::thread::sleep(Duration::from_millis(2));
            let exceeded = ask(&budgets, 0, &replicas, Instant::now(), signal).unwrap_err();
            assert!(exceeded.word == "max_unavailable" && exceeded.why.contains("`web-2`"), "{exceeded:?}");
            assert!(ask(&budgets, 1, &replicas, Instant::now(), signal).is_ok(), "the same one again");
            replicas[1].started_at = "b".to_owned();
            assert!(ask(&budgets, 0, &replicas, Instant::now(), signal).is_ok(), "{signal}: a new life");
        }
    }

    #[test]
    fn what_goes_on_again_is_not_down() {
        let (budgets, replicas) = (Budgets::default(), [replica(1), replica(2)]);
        for signal in ["STOP", "CONT"] {
            ask(&budgets, 0, &replicas, Instant::now(), signal).unwrap().acts();
        }
        std::thread::sleep(Duration::from_millis(2));
        assert!(ask(&budgets, 1, &replicas, Instant::now(), "STOP").is_ok());
        for signal in ["TERM", "STOP", "CONT"] {
            ask(&budgets, 0, &replicas, Instant::now(), signal).unwrap().acts();
        }
        std::thread::sleep(Duration::from_millis(2));
        assert!(ask(&budgets, 1, &replicas, Instant::now(), "TERM").is_err(), "it still ends");
    }
}
