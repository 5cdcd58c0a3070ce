//! The processes of a container, as the kernel of this machine shows them: only where the daemon runs on the same kernel, in
//! a namespace of processes that this process sees. Looks only; signals nobody.

use std::collections::BTreeSet;
use std::path::Path;

/// A process that was seen.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Process {
    pid: u32,
    parent: u32,
    session: u32,
    /// When it began, in ticks since the machine did: another process with the same number began later.
    began: u64,
    alive: bool,
    /// Its number inside its container.
    inner: u32,
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
        let proc = Path::new(PROC);
        let container = container.to_owned();
        match look(proc, pid).filter(|found| found.alive) {
            Some(found) if running && belongs(proc, pid, &container) => {
                let leader = (pid, found.began);
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
        let proc = Path::new(PROC);
        let mut all = all(proc);
        all.retain(|one| one.alive);
        self.take_in(&all);
        let members = all.iter().filter(|one| self.known.contains(&(one.pid, one.began)));
        members.filter(|one| belongs(proc, one.pid, &self.container)).map(|one| one.inner).collect()
    }

    fn take_in(&mut self, all: &[Process]) {
        let (leader, began) = self.leader;
        // A session keeps its number as long as one of its members lives, so that no process gets it meanwhile.
        let of_session = |one: &&Process| one.session == leader && one.began >= began;
        self.known.extend(all.iter().filter(of_session).map(|one| (one.pid, one.began)));
        loop {
            let parents: BTreeSet<u32> = all
                .iter()
                .filter(|one| self.known.contains(&(one.pid, one.began)))
                .map(|one| one.pid)
                .collect();
            let children = all.iter().filter(|one| parents.contains(&one.parent));
            let before = self.known.len();
            self.known.extend(children.map(|one| (one.pid, one.began)));
            if self.known.len() == before {
                return;
            }
        }
    }
}

const PROC: &str = "/proc";

fn all(proc: &Path) -> Vec<Process> {
    let Ok(entries) = std::fs::read_dir(proc) else { return Vec::new() };
    entries
        .filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok())
        .filter_map(|pid| look(proc, pid))
        .collect()
}

fn look(proc: &Path, pid: u32) -> Option<Process> {
    let at = proc.join(pid.to_string());
    let stat = std::fs::read_to_string(at.join("stat")).ok()?;
    let status = std::fs::read_to_string(at.join("status")).ok()?;
    parse(pid, &stat, &status)
}

fn parse(pid: u32, stat: &str, status: &str) -> Option<Process> {
    // The name of the program stands in parentheses and may hold any character.
    let fields: Vec<&str> = stat[stat.rfind(')')? + 1..].split_whitespace().collect();
    let field = |number: usize| fields.get(number - 3).copied();
    let inner = status.lines().find_map(|line| line.strip_prefix("NSpid:"))?;
    Some(Process {
        pid,
        parent: field(4)?.parse().ok()?,
        session: field(6)?.parse().ok()?,
        began: field(22)?.parse().ok()?,
        alive: !matches!(field(3)?, "Z" | "X" | "x"),
        inner: inner.split_whitespace().next_back()?.parse().ok()?,
    })
}

/// Whether the process is one of this container: its control group names the container.
fn belongs(proc: &Path, pid: u32, container: &str) -> bool {
    let groups = std::fs::read_to_string(proc.join(pid.to_string()).join("cgroup"));
    !container.is_empty() && groups.is_ok_and(|groups| groups.contains(container))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn process(pid: u32, parent: u32, session: u32, began: u64) -> Process {
        Process { pid, parent, session, began, alive: true, inner: pid }
    }

    fn family(leader: (u32, u64)) -> Family {
        Family { container: "c".to_owned(), leader, known: BTreeSet::from([leader]) }
    }

    #[test]
    fn a_process_is_read_whatever_it_calls_itself() {
        let stat = "18327 (a) S 1 (b) Z 18321 18321 18320 0 -1 4194560 0 0 0 0 0 0 0 0 20 0 1 0 5417233 0 0";
        let status = "Name:\ta\nState:\tS (sleeping)\nNSpid:\t18327\t32\nThreads:\t1\n";
        let found = parse(18_327, stat, status).unwrap();
        let wanted = Process {
            pid: 18_327,
            parent: 18_321,
            session: 18_320,
            began: 5_417_233,
            alive: false,
            inner: 32,
        };
        assert_eq!(found, wanted);
        assert_eq!(parse(1, "1 (x", status), None);
        assert_eq!(parse(1, stat, "Name:\ta\n"), None, "an old kernel tells no inner number");
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
        assert!(look(Path::new(PROC), me).is_some());
        let nowhere = "30f3dbde03d3f784d6a8b7b8aa5b9cd8e88f21bb86f090634053777c2890e859";
        assert!(Family::of(me, true, nowhere).is_none());
        assert!(Family::of(me, true, "").is_none());
        assert!(Family::of(0, true, nowhere).is_none());
    }
}
