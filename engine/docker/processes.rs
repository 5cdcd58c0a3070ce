//! The processes of a container, as the kernel of this machine shows them: only where the daemon runs on the same kernel, in
//! a namespace of processes that this process sees. Looks only; signals nobody.

use std::collections::BTreeSet;

use words::process::Process;

/// A process that was seen.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Member {
    pid: u32,
    process: Process,
    /// Its number inside its container.
    inner: u32,
}

impl Member {
    /// What tells it from every other process.
    fn key(&self) -> (u32, u64) {
        (self.pid, self.process.began)
    }
}

/// The processes of one command in one container, as far as they were seen.
#[derive(Debug, Clone)]
pub(super) struct Family {
    container: String,
    /// The command's own process, the leader of a session.
    leader: (u32, u64),
    /// Every member that was ever seen, with its beginning.
    known: BTreeSet<(u32, u64)>,
}

impl Family {
    /// That of the command with this process number; none if no such process of this container can be seen from here. Of a
    /// command that has ended it is what it left in its session.
    pub(super) fn of(pid: u32, running: bool, container: &str) -> Option<Self> {
        let container = container.to_owned();
        match look(pid).filter(|found| found.process.is_alive()) {
            Some(found) if running && belongs(pid, &container) => {
                let leader = found.key();
                Some(Self { container, leader, known: BTreeSet::from([leader]) })
            }
            // The number is another process's.
            Some(_) => None,
            None => {
                let mut family = Self { container, leader: (pid, 0), known: BTreeSet::new() };
                (!family.living().is_empty()).then_some(family)
            }
        }
    }

    /// The numbers that its living members have inside the container: the command, what it began, and what those began, also
    /// where whoever began it has ended.
    pub(super) fn living(&mut self) -> Vec<u32> {
        let mut all = all();
        all.retain(|one| one.process.is_alive());
        self.take_in(&all);
        let members = all.iter().filter(|one| self.known.contains(&one.key()));
        members.filter(|one| belongs(one.pid, &self.container)).map(|one| one.inner).collect()
    }

    fn take_in(&mut self, all: &[Member]) {
        let (leader, began) = self.leader;
        // A session keeps its number as long as one of its members lives, so that no process gets it meanwhile.
        let of_session = |one: &&Member| one.process.session == leader && one.process.began >= began;
        self.known.extend(all.iter().filter(of_session).map(Member::key));
        loop {
            let parents: BTreeSet<u32> =
                all.iter().filter(|one| self.known.contains(&one.key())).map(|one| one.pid).collect();
            let children = all.iter().filter(|one| parents.contains(&one.process.parent));
            let before = self.known.len();
            self.known.extend(children.map(Member::key));
            if self.known.len() == before {
                return;
            }
        }
    }
}

fn all() -> Vec<Member> {
    let Ok(entries) = std::fs::read_dir("/proc") else { return Vec::new() };
    entries.filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok()).filter_map(look).collect()
}

fn look(pid: u32) -> Option<Member> {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
    Some(Member { pid, process: Process::of(pid)?, inner: inner(&status)? })
}

/// The last of the numbers that a process has in its namespaces; an old kernel tells none.
fn inner(status: &str) -> Option<u32> {
    let numbers = status.lines().find_map(|line| line.strip_prefix("NSpid:"))?;
    numbers.split_whitespace().next_back()?.parse().ok()
}

/// Whether the process is one of this container: its control group names the container.
fn belongs(pid: u32, container: &str) -> bool {
    let groups = std::fs::read_to_string(format!("/proc/{pid}/cgroup"));
    !container.is_empty() && groups.is_ok_and(|groups| groups.contains(container))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn process(pid: u32, parent: u32, session: u32, began: u64) -> Member {
        let process = Process { name: String::new(), state: 'S', parent, session, began };
        Member { pid, process, inner: pid }
    }

    fn family(leader: (u32, u64)) -> Family {
        Family { container: "c".to_owned(), leader, known: BTreeSet::from([leader]) }
    }

    #[test]
    fn the_inner_number_is_the_last() {
        assert_eq!(inner("Name:\ta\nState:\tS (sleeping)\nNSpid:\t18327\t32\nThreads:\t1\n"), Some(32));
        assert_eq!(inner("Name:\ta\n"), None, "an old kernel tells none");
    }

    #[test]
    fn a_family_is_the_session_and_all_descendants() {
        let mut family = family((10, 100));
        let before = [
            process(10, 2, 10, 100),
            process(11, 10, 10, 101),
            process(12, 11, 12, 102), // it made a session of its own
            process(20, 2, 20, 90),   // the container's own
            process(30, 2, 10, 99),   // older than the leader: another session that had the number
        ];
        family.take_in(&before);
        let pids = |family: &Family| family.known.iter().map(|(pid, _)| *pid).collect::<Vec<_>>();
        assert_eq!(pids(&family), [10, 11, 12]);
        // The parents have ended; the number 11 is another process's now.
        family.take_in(&[process(12, 1, 12, 102), process(13, 12, 12, 110), process(11, 2, 11, 120)]);
        assert_eq!(pids(&family), [10, 11, 12, 13]);
        assert!(!family.known.contains(&(11, 120)));
    }

    #[test]
    fn a_number_that_is_not_of_the_container_is_nobody() {
        let me = std::process::id();
        assert!(look(me).is_some());
        let nowhere = "30f3dbde03d3f784d6a8b7b8aa5b9cd8e88f21bb86f090634053777c2890e859";
        assert!(Family::of(me, true, nowhere).is_none());
        assert!(Family::of(me, true, "").is_none());
        assert!(Family::of(0, true, nowhere).is_none());
    }
}
