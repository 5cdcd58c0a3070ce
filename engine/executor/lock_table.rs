//! Who may write to which service: at most one run, its descendants apart; first come, first served.
//!
//! A run asks for all its locks at once, so that every queue has the same order and no two runs wait for each other. Its
//! children ask later: they go before those who only wait, since these may wait for their parent; and where two families
//! hold what the other needs, the youngest who waits gives up.

use std::collections::{BTreeMap, HashMap, HashSet, VecDeque};
use std::sync::{Mutex, MutexGuard, PoisonError};

use tokio::sync::Notify;
use tokio::sync::futures::Notified;

use words::ids::RunId;

/// See the module.
#[derive(Debug, Default)]
pub(super) struct LockTable {
    queues: Mutex<Queues>,
    changed: Notify,
}

#[derive(Debug, Default)]
struct Queues {
    by_lock: BTreeMap<String, VecDeque<RunId>>,
    members: HashMap<RunId, Member>,
}

/// A run that stands in queues.
#[derive(Debug, Default)]
struct Member {
    /// The runs whose locks it shares.
    ancestors: HashSet<RunId>,
    locks: Vec<String>,
    /// It has them all, and acts.
    holds: bool,
    /// Another run was given a lock of it: it never has its turn again.
    lost: bool,
}

/// Those who wait for each other, the one who asked among them: nobody of them would ever go on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Deadlock {
    /// Who is in the way of the one who gives up.
    pub(super) holder: RunId,
    /// Where.
    pub(super) lock: String,
}

/// How a run stands in its queues.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Turn {
    /// It holds all of its locks.
    Held,
    /// One of them was given to another run.
    Lost,
    /// It would wait for ever.
    Deadlock(Deadlock),
    /// Somebody else holds one of them.
    Waits {
        /// Who: the run, then those of its steps' runs that share the lock.
        family: Vec<RunId>,
        /// Which.
        lock: String,
    },
}

impl Queues {
    /// The run, and its descendants in this queue: they stand right behind it.
    fn family(&self, head: &RunId, lock: &str) -> Vec<RunId> {
        let queue = self.by_lock.get(lock).into_iter().flatten();
        let of_family = |run: &&RunId| {
            *run == head || self.members.get(*run).is_some_and(|member| member.ancestors.contains(head))
        };
        queue.skip_while(|run| *run != head).take_while(of_family).cloned().collect()
    }

    /// Where a run stands in a queue: children before those who wait, but behind their ancestors and one another.
    fn place(&self, queue: &VecDeque<RunId>, ancestors: &HashSet<RunId>) -> usize {
        if ancestors.is_empty() {
            return queue.len();
        }
        let start = queue.iter().rposition(|run| ancestors.contains(run)).map_or(0, |last| last + 1);
        let waits = |run: &RunId| self.members.get(run).is_none_or(|m| !m.holds && m.ancestors.is_empty());
        queue.iter().skip(start).position(waits).map_or(queue.len(), |index| start + index)
    }

    /// Who is in the way of a run, and where.
    fn in_the_way<'a>(&'a self, run: &'a RunId) -> impl Iterator<Item = (&'a RunId, &'a String)> {
        let locks = self.members.get(run).map(|member| member.locks.as_slice()).unwrap_or_default();
        locks.iter().filter_map(|lock| Some((self.holder(run, lock)?, lock)))
    }

    /// The runs that must end or go on before this one can: of a holder, every descendant that waits, and itself.
    fn waiting_for<'a>(&'a self, holder: &'a RunId) -> impl Iterator<Item = &'a RunId> {
        let family =
            move |(run, member): &(&RunId, &Member)| *run == holder || member.ancestors.contains(holder);
        self.members.iter().filter(|(_, member)| !member.holds).filter(family).map(|(run, _)| run)
    }

    /// Whether the run waits, over others, for itself or its ancestors, and is the youngest of those who do.
    fn deadlock(&self, run: &RunId) -> Option<Deadlock> {
        let member = self.members.get(run)?;
        let ends = |holder: &RunId| holder == run || member.ancestors.contains(holder);
        let (mut seen, mut open) = (HashSet::new(), vec![run]);
        while let Some(waiting) = open.pop() {
            for (holder, _) in self.in_the_way(waiting) {
                if ends(holder) {
                    let (holder, lock) = self.in_the_way(run).next()?;
                    let youngest = seen.iter().all(|other: &&RunId| *other <= run);
                    return youngest.then(|| Deadlock { holder: holder.clone(), lock: lock.clone() });
                }
                open.extend(self.waiting_for(holder).filter(|next| *next != run && seen.insert(*next)));
            }
        }
        None
    }

    fn holder<'a>(&'a self, run: &RunId, lock: &str) -> Option<&'a RunId> {
        let member = self.members.get(run);
        self.by_lock
            .get(lock)?
            .iter()
            .take_while(|waiting| *waiting != run)
            .find(|ahead| !member.is_some_and(|m| m.ancestors.contains(*ahead)))
    }

    /// Who holds, or waits for, one of these locks, other than the run's ancestors.
    fn taken(&self, locks: &[String], ancestors: &[RunId]) -> Option<(String, RunId)> {
        locks.iter().find_map(|lock| {
            let ahead = self.by_lock.get(lock)?.iter().find(|run| !ancestors.contains(run))?;
            Some((lock.clone(), ahead.clone()))
        })
    }

    fn enter(&mut self, run: &RunId, locks: &[String], ancestors: Vec<RunId>, first: bool) -> Vec<RunId> {
        let mut losers = Vec::new();
        let ancestors: HashSet<RunId> = ancestors.into_iter().collect();
        for lock in locks {
            let mut queue = self.by_lock.remove(lock).unwrap_or_default();
            if !queue.contains(run) {
                if first {
                    losers.extend(self.holders(&queue));
                    queue.retain(|other| !losers.contains(other));
                }
                let place = if first { 0 } else { self.place(&queue, &ancestors) };
                queue.insert(place, run.clone());
            }
            self.by_lock.insert(lock.clone(), queue);
        }
        let member = Member { ancestors, locks: locks.to_vec(), ..Member::default() };
        self.members.insert(run.clone(), member);
        losers.sort();
        losers.dedup();
        for loser in &losers {
            if let Some(member) = self.members.get_mut(loser) {
                member.lost = true;
            }
        }
        losers
    }

    /// Who has its turn in a queue: the first, and those who share its lock or hold it themselves.
    fn holders(&self, queue: &VecDeque<RunId>) -> Vec<RunId> {
        let Some(front) = queue.front() else { return Vec::new() };
        let shares = |run: &&RunId| {
            *run == front || self.members.get(*run).is_some_and(|m| m.holds || m.ancestors.contains(front))
        };
        queue.iter().filter(shares).cloned().collect()
    }
}

impl LockTable {
    fn queues(&self) -> MutexGuard<'_, Queues> {
        self.queues.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Stands in line for all of them; with `first`, in the place of those who hold one of them.
    /// Returns who lost a lock that way: they never hold it again.
    pub(super) fn enter(
        &self,
        run: &RunId,
        locks: &[String],
        ancestors: Vec<RunId>,
        first: bool,
    ) -> Vec<RunId> {
        let mut queues = self.queues();
        let losers = queues.enter(run, locks, ancestors, first);
        drop(queues);
        self.changed.notify_waiters();
        losers
    }

    /// The same, unless anyone but its ancestors holds or waits for one of them; then says who, and where.
    pub(super) fn enter_if_free(
        &self,
        run: &RunId,
        locks: &[String],
        ancestors: Vec<RunId>,
    ) -> Result<(), (String, RunId)> {
        let mut queues = self.queues();
        if let Some(taken) = queues.taken(locks, &ancestors) {
            return Err(taken);
        }
        queues.enter(run, locks, ancestors, false);
        drop(queues);
        self.changed.notify_waiters();
        Ok(())
    }

    /// How a run stands in its queues; it holds its locks if nobody is in the way. With `may_give_up` it is told where it
    /// would wait for ever.
    pub(super) fn turn(&self, run: &RunId, may_give_up: bool) -> Turn {
        if self.queues().members.get(run).is_some_and(|member| member.lost) {
            return Turn::Lost;
        }
        let Some((holder, lock)) = self.try_hold(run) else { return Turn::Held };
        let queues = self.queues();
        if may_give_up && let Some(deadlock) = queues.deadlock(run) {
            return Turn::Deadlock(deadlock);
        }
        Turn::Waits { family: queues.family(&holder, &lock), lock }
    }

    /// A run, and the runs of its steps that share this lock of it.
    pub(super) fn family(&self, head: &RunId, lock: &str) -> Vec<RunId> {
        let family = self.queues().family(head, lock);
        if family.is_empty() { vec![head.clone()] } else { family }
    }

    /// Ends when a turn may have come, or those who hold a lock stand otherwise.
    pub(super) fn changed(&self) -> Notified<'_> {
        self.changed.notified()
    }

    /// A run that may hold locks stands otherwise: whoever waits for it looks again.
    pub(super) fn tell(&self) {
        self.changed.notify_waiters();
    }

    /// Takes them if nobody is in the way; else says who, and where.
    fn try_hold(&self, run: &RunId) -> Option<(RunId, String)> {
        let mut queues = self.queues();
        let ahead = queues.in_the_way(run).next().map(|(holder, lock)| (holder.clone(), lock.clone()));
        if let (None, Some(member)) = (&ahead, queues.members.get_mut(run)) {
            member.holds = true;
        }
        ahead
    }

    /// Gives up every place.
    pub(super) fn leave(&self, run: &RunId) {
        let mut queues = self.queues();
        queues.by_lock.retain(|_, queue| {
            queue.retain(|waiting| waiting != run);
            !queue.is_empty()
        });
        queues.members.remove(run);
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

    /// Stands in line for locks `a b`, as a child of `parents`; whether it has them at once.
    fn enter(table: &LockTable, who: u32, locks: &str, parents: &[u32]) -> bool {
        let locks: Vec<String> = locks.split(' ').map(str::to_owned).collect();
        table.enter(&run(who), &locks, parents.iter().copied().map(run).collect(), false);
        table.try_hold(&run(who)).is_none()
    }

    #[test]
    fn a_child_goes_before_those_who_wait_for_its_parent() {
        let table = LockTable::default();
        assert!(enter(&table, 1, "web", &[]));
        assert!(!enter(&table, 2, "web db", &[]));
        assert!(enter(&table, 3, "db", &[1]), "run 2 does nothing before run 1 has ended");
        assert!(!enter(&table, 4, "db web", &[1]), "its sibling was first");
        for n in [3, 4, 1] {
            assert!(table.try_hold(&run(n)).is_none());
            table.leave(&run(n));
        }
        assert!(table.try_hold(&run(2)).is_none());
    }

    #[test]
    fn a_child_does_not_stand_before_its_own_parent() {
        let (table, locks) = (LockTable::default(), ["web".to_owned()]);
        table.enter(&run(1), &locks, Vec::new(), false);
        table.enter(&run(2), &locks, vec![run(1)], false);
        assert!(held(&table, 1, "web"), "carried on after a crash, and not asked yet");
    }

    #[test]
    fn of_two_families_that_need_each_others_locks_the_youngest_gives_up() {
        let table = LockTable::default();
        assert!(enter(&table, 1, "web", &[]) && enter(&table, 2, "db", &[]));
        assert!(!enter(&table, 3, "db", &[1]));
        assert_eq!(table.queues().deadlock(&run(3)), None, "run 2 may still end");
        assert!(!enter(&table, 4, "web", &[2]));
        assert_eq!(table.queues().deadlock(&run(3)), None, "a younger one gives up");
        let deadlock = Deadlock { holder: run(1), lock: "web".to_owned() };
        assert_eq!(table.queues().deadlock(&run(4)), Some(deadlock));
        table.leave(&run(4));
        table.leave(&run(2));
        assert!(table.try_hold(&run(3)).is_none());
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
        assert_eq!(table.queues().taken(&locks, &[run(1), run(2)]), None);
    }

    #[test]
    fn of_two_who_do_not_wait_one_stands_in_line() {
        let (table, locks) = (LockTable::default(), ["web".to_owned()]);
        assert_eq!(table.enter_if_free(&run(1), &locks, Vec::new()), Ok(()));
        assert_eq!(table.enter_if_free(&run(2), &locks, Vec::new()), Err(("web".to_owned(), run(1))));
        assert_eq!(table.enter_if_free(&run(3), &locks, vec![run(1)]), Ok(()), "a child of the holder");
        table.leave(&run(1));
        table.leave(&run(3));
        assert!(enter(&table, 4, "web", &[]), "who was turned away does not stand in line");
    }

    #[test]
    fn a_taken_lock_names_its_loser() {
        let (table, locks) = (LockTable::default(), ["a".to_owned(), "b".to_owned()]);
        table.enter(&run(1), &locks, Vec::new(), false);
        assert_eq!(table.enter(&run(2), &locks, Vec::new(), true), vec![run(1)]);
        assert!(held(&table, 2, "a") && held(&table, 2, "b"));
    }
}
