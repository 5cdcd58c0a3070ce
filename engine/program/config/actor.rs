//! Who asks: the login user as the kernel knows it, else the user of the process. Believes nothing that the environment or a
//! client says (`USER`, `SUDO_USER`, a name in a request). Knows no roles and grants nothing.

use std::path::Path;

use words::process::Process;

/// The longest name kept.
const MAX_ACTOR_CHARACTERS: usize = 64;

/// What the kernel says of a process that no login started.
const NO_LOGIN: u32 = u32::MAX;

/// Stands behind the name where users have other numbers than those of the machine: whoever made that namespace chose them.
const NAMESPACE: &str = "@user-namespace";

/// What the kernel knows of a process.
#[derive(Debug, Clone, Copy)]
pub(super) struct Clues {
    /// The user who logged in. The kernel keeps it through `su` and `sudo`; a program without the right to set it (`pam_loginuid`
    /// has it) cannot.
    login_uid: Option<u32>,
    /// The user the process runs as.
    uid: u32,
}

impl Clues {
    /// Of this process.
    fn of_process() -> Self {
        Self { login_uid: login_uid("self"), uid: rustix::process::getuid().as_raw() }
    }

    /// Of the process at the other end of a socket, as the kernel named it when it connected. Where its number is another's by
    /// now, only the user counts.
    fn of_peer(pid: Option<i32>, uid: u32) -> Self {
        let login_uid = pid.and_then(|pid| u32::try_from(pid).ok()).filter(|pid| *pid > 0).and_then(|pid| {
            let began = Process::of(pid)?.began;
            let login = login_uid(&pid.to_string())?;
            (Process::of(pid)?.began == began).then_some(login)
        });
        Self { login_uid, uid }
    }

    /// The name to write into entries.
    fn actor(self, passwd: &str) -> String {
        clean(&name_of(passwd, self.login_uid.unwrap_or(self.uid)))
    }
}

/// The person behind this process.
pub(super) fn of_process() -> String {
    told(&Clues::of_process().actor(&passwd()))
}

/// The person behind the process at the other end of a socket.
pub fn of_peer(pid: Option<i32>, uid: u32) -> String {
    told(&Clues::of_peer(pid, uid).actor(&passwd()))
}

/// A name as it can be believed where this process runs.
fn told(name: &str) -> String {
    let map = std::fs::read_to_string("/proc/self/uid_map").unwrap_or_default();
    if is_of_the_machine(&map) { name.to_owned() } else { format!("{name}{NAMESPACE}") }
}

/// Whether numbers of users are the machine's own, as the map of a process's user namespace tells (`user_namespaces(7)`). A
/// kernel without such namespaces has no map.
fn is_of_the_machine(map: &str) -> bool {
    map.trim().is_empty() || map.split_whitespace().eq(["0", "0", "4294967295"])
}

/// What `SUDO_USER` says, where it is not the person that the kernel knows: a remark, since anybody may set it.
pub(super) fn remark(sudo_user: Option<&str>, actor: &str) -> Option<String> {
    sudo_user.map(clean).filter(|name| name != actor)
}

fn passwd() -> String {
    std::fs::read_to_string(Path::new("/etc/passwd")).unwrap_or_default()
}

fn login_uid(process: &str) -> Option<u32> {
    let text = std::fs::read_to_string(format!("/proc/{process}/loginuid")).ok()?;
    text.trim().parse().ok().filter(|uid| *uid != NO_LOGIN)
}

/// The name of a user of this machine, or `uid:N`.
pub fn name_of_user(uid: u32) -> String {
    clean(&name_of(&passwd(), uid))
}

/// The name behind a user id, or `uid:N`.
fn name_of(passwd: &str, uid: u32) -> String {
    let matching = passwd.lines().find_map(|line| {
        let mut fields = line.split(':');
        let name = fields.next()?;
        (fields.nth(1)?.parse() == Ok(uid)).then(|| name.to_owned())
    });
    matching.unwrap_or_else(|| format!("uid:{uid}"))
}

fn clean(name: &str) -> String {
    let clean: String =
        name.chars().filter(|c| !c.is_control() && !c.is_whitespace()).take(MAX_ACTOR_CHARACTERS).collect();
    if clean.is_empty() { "unknown".to_owned() } else { clean }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PASSWD: &str = "root:x:0:0:root:/root:/bin/bash\nalice:x:1000:1000::/home/alice:/bin/sh\nbroken\n";

    fn actor(login_uid: Option<u32>, uid: u32) -> String {
        Clues { login_uid, uid }.actor(PASSWD)
    }

    #[test]
    fn the_actor_is_the_login_user_also_behind_sudo() {
        assert_eq!(actor(None, 1000), "alice");
        assert_eq!(actor(Some(1000), 0), "alice");
        assert_eq!(actor(Some(0), 1000), "root", "root logged in and became someone else");
        assert_eq!(actor(None, 0), "root");
    }

    #[test]
    fn a_namespace_of_users_is_named() {
        assert!(is_of_the_machine("         0          0 4294967295\n") && is_of_the_machine(""));
        for chosen in ["0 1000 1\n", "1002 1000 1\n", "0 1000 1\n1 100000 65536\n"] {
            assert!(!is_of_the_machine(chosen), "{chosen}");
        }
    }

    #[test]
    fn an_unknown_user_keeps_the_number() {
        assert_eq!(actor(None, 4711), "uid:4711");
    }

    #[test]
    fn what_the_environment_says_is_a_remark_where_it_differs() {
        assert_eq!(remark(Some("alice"), "root").as_deref(), Some("alice"));
        assert_eq!(remark(Some("alice"), "alice"), None);
        assert_eq!(remark(None, "root"), None);
        assert_eq!(remark(Some("al\u{1b}[31mice\n"), "root").as_deref(), Some("al[31mice"));
    }

    #[test]
    fn a_peer_is_known_by_its_process_and_else_by_its_user() {
        let own = i32::try_from(std::process::id()).unwrap();
        let clues = Clues::of_peer(Some(own), 47_110);
        assert_eq!(
            clues.login_uid,
            login_uid("self"),
            "the kernel says the same of this process by its number"
        );
        for nobody in [None, Some(0), Some(-1), Some(i32::MAX)] {
            assert_eq!(of_peer(nobody, 47_110), "uid:47110");
        }
    }
}
