//! What the kernel tells of a process: `/proc/PID/stat` (proc(5)).

/// A process, as it is now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Process {
    /// The name of its program, cut off by the kernel.
    pub name: String,
    /// `R`, `S`, `T`, `Z` and others.
    pub state: char,
    /// The number of the process that began it.
    pub parent: u32,
    /// The number of its session's leader.
    pub session: u32,
    /// When it began, in ticks since the machine did: another process with the same number began later.
    pub began: u64,
}

impl Process {
    /// None if it cannot be seen from here.
    pub fn of(pid: u32) -> Option<Self> {
        Self::parse(&std::fs::read_to_string(format!("/proc/{pid}/stat")).ok()?)
    }

    /// `4711 (name) S …`: the name may hold any character, parentheses too.
    pub fn parse(stat: &str) -> Option<Self> {
        let (head, rest) = stat.rsplit_once(')')?;
        let (_, name) = head.split_once('(')?;
        let fields: Vec<&str> = rest.split_whitespace().collect();
        // The third is the first after the name.
        let field = |number: usize| fields.get(number - 3).copied();
        Some(Self {
            name: name.to_owned(),
            state: field(3)?.chars().next()?,
            parent: field(4)?.parse().ok()?,
            session: field(6)?.parse().ok()?,
            began: field(22)?.parse().ok()?,
        })
    }

    /// Whether it is stopped, by a signal or a debugger: then it does nothing until someone lets it go on.
    pub fn is_stopped(&self) -> bool {
        matches!(self.state, 'T' | 't')
    }

    /// Whether it has not ended.
    pub fn is_alive(&self) -> bool {
        !matches!(self.state, 'Z' | 'X' | 'x')
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_process_is_read_whatever_it_calls_itself() {
        let stat = "18327 (a) S 1 (b) Z 18321 18321 18320 0 -1 4194560 0 0 0 0 0 0 0 0 20 0 1 0 5417233 0 0";
        let found = Process::parse(stat).unwrap();
        let name = "a) S 1 (b".to_owned();
        let wanted = Process { name, state: 'Z', parent: 18_321, session: 18_320, began: 5_417_233 };
        assert_eq!(found, wanted);
        assert!(!found.is_alive() && !found.is_stopped());
        assert_eq!(Process::parse("1 (x"), None);
        assert!(Process::of(std::process::id()).is_some_and(|own| own.is_alive()));
    }
}
