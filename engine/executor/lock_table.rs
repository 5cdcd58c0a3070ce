//! Who may write to which service: at most one run, its descendants apart; first come, first served.
//!
//! A run asks for all its locks at once, so that every queue has the same order and no two runs wait for each other.

use std::collections::{BTreeMap, HashMap, HashSet, VecDeque};
use std::sync::{Mutex, PoisonError};

use tokio::sync::Notify;

use crate::model::ids::RunId;

/// See the module.
#[derive(Debug, Default)]
pub(super) struct LockTable {
    queues: Mutex<Queues>,
    changed: Notify,
}

#[derive(Debug, Default)]
struct Queues {
    by_lock: BTreeMap<String, VecDeque<RunId>>,
    /// Run → the runs whose locks it shares.
    ancestors: HashMap<RunId, HashSet<RunId>>,
}

impl Queues {
    fn holder<'a>(&'a self, run: &RunId, lock: &str) -> Option<&'a RunId> {
        let ancestors = self.ancestors.get(run);
        self.by_lock
            .get(lock)?
            .iter()
            .take_while(|waiting| *waiting != run)
            .find(|ahead| !ancestors.is_some_and(|a| a.contains(*ahead)))
    }
}

impl LockTable {
    fn queues(&self) -> std::sync::MutexGuard<'_, Queues> {
        self.queues.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Who holds, or waits for, one of these locks, other than the run's ancestors.
    pub(super) fn holder(&self, locks: &[String], ancestors: &[RunId]) -> Option<(String, RunId)> {
        let queues = self.queues();
        locks.iter().find_map(|lock| {
            let ahead = queues.by_lock.get(lock)?.iter().find(|run| !ancestors.contains(run))?;
            Some((lock.clone(), ahead.clone()))
        })
    }

    /// Stands in line for all of them; with `first`, before everyone else, whose places are given up.
    /// Returns who lost a lock that way.
    pub(super) fn enter(
        &self,
        run: &RunId,
        locks: &[String],
        ancestors: Vec<RunId>,
        first: bool,
    ) -> Vec<RunId> {
        let mut losers = Vec::new();
        let mut queues = self.queues();
        queues.ancestors.insert(run.clone(), ancestors.into_iter().collect());
        for lock in locks {
            let queue = queues.by_lock.entry(lock.clone()).or_default();
            if queue.contains(run) {
                continue;
            }
            if first {
                losers.extend(queue.front().cloned());
                queue.pop_front();
                queue.push_front(run.clone());
            } else {
                queue.push_back(run.clone());
            }
        }
        drop(queues);
        self.changed.notify_waiters();
        losers.sort();
        losers.dedup();
        losers
    }

    /// Waits until all are held. Says who is in the way whenever that changes.
    pub(super) async fn hold(&self, run: &RunId, locks: &[String], mut in_the_way: impl FnMut(&RunId, &str)) {
        let mut told = None;
        loop {
            let changed = self.changed.notified();
            tokio::pin!(changed);
            changed.as_mut().enable();
            let ahead = {
                let queues = self.queues();
                locks
                    .iter()
                    .find_map(|lock| queues.holder(run, lock).map(|holder| (holder.clone(), lock.clone())))
            };
            let Some((holder, lock)) = ahead else { return };
            if told.as_ref() != Some(&holder) {
                in_the_way(&holder, &lock);
                told = Some(holder);
            }
            changed.await;
        }
    }

    /// Gives up every place.
    pub(super) fn leave(&self, run: &RunId) {
        let mut queues = self.queues();
        queues.by_lock.retain(|_, queue| {
            queue.retain(|waiting| waiting != run);
            !queue.is_empty()
        });
        queues.ancestors.remove(run);
        drop(queues);
        self.changed.notify_waiters();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn run(n: u32) -> RunId {
        RunId::from_parts(1, n)
    }

    fn held(table: &LockTable, who: u32, lock: &str) -> bool {
        table.queues().holder(&run(who), lock).is_none()
    }

    #[test]
    fn first_come_first_served() {
        let (table, locks) = (LockTable::default(), ["local/shop/web".to_owned()]);
        for n in 1..=3 {
            table.enter(&run(n), &locks, Vec::new(), false);
        }
        assert!(held(&table, 1, &locks[0]) && !held(&table, 2, &locks[0]));
        table.leave(&run(1));
        assert!(held(&table, 2, &locks[0]) && !held(&table, 3, &locks[0]));
    }

    #[test]
    fn a_child_shares_its_parents_lock() {
        let (table, locks) = (LockTable::default(), ["local/shop/web".to_owned()]);
        table.enter(&run(1), &locks, Vec::new(), false);
        table.enter(&run(2), &locks, vec![run(1)], false);
        assert!(held(&table, 2, &locks[0]));
        assert_eq!(table.holder(&locks, &[run(1), run(2)]), None);
    }

    #[test]
    fn a_taken_lock_names_its_loser() {
        let (table, locks) = (LockTable::default(), ["a".to_owned(), "b".to_owned()]);
        table.enter(&run(1), &locks, Vec::new(), false);
        assert_eq!(table.enter(&run(2), &locks, Vec::new(), true), vec![run(1)]);
        assert!(held(&table, 2, "a") && held(&table, 2, "b"));
    }
}
