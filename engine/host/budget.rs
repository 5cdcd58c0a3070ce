//! How much may be out of service at once. Held against the live world, across all runs of this engine, whatever a plugin
//! tries: what another run is taking down right now counts as down.

use std::collections::HashMap;
use std::sync::Mutex;

use super::context::lock;
use crate::containers::types::{Container, State};
use crate::model::ids::TargetName;

/// Containers being taken down right now, by target and id, with how many calls are at it.
#[derive(Debug, Default)]
pub struct Budgets {
    leaving: Mutex<HashMap<(TargetName, String), usize>>,
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
}

/// The right to have one container out of service while a call is at it.
#[derive(Debug)]
pub(super) struct Leave<'a> {
    budgets: &'a Budgets,
    key: (TargetName, String),
}

impl Budgets {
    /// Admits taking `target` down, given all replicas of its service as they are now. One that is down or unhealthy
    /// already costs nothing.
    pub(super) fn admit<'a>(
        &'a self,
        daemon: &TargetName,
        container: &Container,
        replicas: &[Container],
        allowance: Allowance,
    ) -> Result<Leave<'a>, Exceeded> {
        let mut leaving = lock(&self.leaving);
        let others = replicas.iter().filter(|r| r.id != container.id && counts(r));
        let (mut down, mut up) = (0_u32, 0_u32);
        let mut names = Vec::new();
        for other in others {
            if other.available() && !leaving.contains_key(&(daemon.clone(), other.id.clone())) {
                up += 1;
            } else {
                down += 1;
                names.push(format!("`{}`", other.name));
            }
        }
        if container.available() {
            let total = down + up + 1;
            if down + 1 > allowance.max_unavailable {
                let also = if names.is_empty() { "none".to_owned() } else { names.join(", ") };
                return Err(Exceeded {
                    word: "max_unavailable",
                    why: format!(
                        "{down} of {total} replicas of `{}` already down or not healthy ({also}), and at most {} may be",
                        container.service, allowance.max_unavailable
                    ),
                });
            }
            if let Some(least) = allowance.min_healthy.filter(|least| up < *least) {
                return Err(Exceeded {
                    word: "min_healthy",
                    why: format!(
                        "{up} of {total} replicas of `{}` would stay healthy, {least} must",
                        container.service
                    ),
                });
            }
        }
        let key = (daemon.clone(), container.id.clone());
        *leaving.entry(key.clone()).or_default() += 1;
        Ok(Leave { budgets: self, key })
    }
}

/// A container that was created and never started is not a replica yet.
fn counts(replica: &Container) -> bool {
    replica.state != State::Created
}

impl Drop for Leave<'_> {
    fn drop(&mut self) {
        let mut leaving = lock(&self.budgets.leaving);
        if let Some(count) = leaving.get_mut(&self.key) {
            *count -= 1;
            if *count == 0 {
                leaving.remove(&self.key);
            }
        }
    }
}
