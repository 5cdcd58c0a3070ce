//! Who asks: the login user, also behind `sudo`. Knows no roles and grants nothing.

use std::path::Path;

/// The longest name kept.
const MAX_ACTOR_CHARACTERS: usize = 64;

/// What the kernel says of a process that no login started.
const NO_LOGIN: u32 = u32::MAX;

/// What is known about who started this process.
#[derive(Debug, Clone)]
pub(super) struct Clues {
    /// The user who logged in, set by the kernel once per session and out of reach of its programs.
    pub(super) login_uid: Option<u32>,
    /// The user this process runs as.
    pub(super) uid: u32,
    /// `SUDO_USER`; believed only from root, who could claim anything anyway.
    pub(super) sudo_user: Option<String>,
}

impl Clues {
    /// Of this process.
    pub(super) fn of_process(sudo_user: Option<String>) -> Self {
        let login_uid = std::fs::read_to_string("/proc/self/loginuid")
            .ok()
            .and_then(|text| text.trim().parse().ok())
            .filter(|uid| *uid != NO_LOGIN);
        Self { login_uid, uid: rustix::process::getuid().as_raw(), sudo_user }
    }

    /// The name to write into entries.
    pub(super) fn actor(&self, passwd: &str) -> String {
        let behind_sudo = || self.sudo_user.clone().filter(|_| self.uid == 0);
        let name = match self.login_uid {
            Some(uid) if uid != 0 => name_of(passwd, uid),
            _ => behind_sudo().unwrap_or_else(|| name_of(passwd, self.uid)),
        };
        clean(&name)
    }
}

/// The login user of this process.
pub(super) fn of_process(sudo_user: Option<String>) -> String {
    let passwd = std::fs::read_to_string(Path::new("/etc/passwd")).unwrap_or_default();
    Clues::of_process(sudo_user).actor(&passwd)
}

/// The name behind a user id, or `uid:N`.
pub(crate) fn name_of(passwd: &str, uid: u32) -> String {
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

    fn clues(login_uid: Option<u32>, uid: u32, sudo_user: Option<&str>) -> String {
        Clues { login_uid, uid, sudo_user: sudo_user.map(str::to_owned) }.actor(PASSWD)
    }

    #[test]
    fn the_actor_is_the_login_user_also_behind_sudo() {
        assert_eq!(clues(None, 1000, None), "alice");
        assert_eq!(clues(Some(1000), 0, None), "alice");
        assert_eq!(clues(Some(1000), 0, Some("mallory")), "alice");
        assert_eq!(clues(None, 0, Some("alice")), "alice");
        assert_eq!(clues(Some(0), 0, Some("alice")), "alice");
        assert_eq!(clues(Some(0), 0, None), "root");
    }

    #[test]
    fn only_root_may_speak_for_another() {
        assert_eq!(clues(None, 1000, Some("root")), "alice");
    }

    #[test]
    fn an_unknown_user_keeps_the_number() {
        assert_eq!(clues(None, 4711, None), "uid:4711");
    }

    #[test]
    fn names_hold_no_control_characters() {
        assert_eq!(clues(None, 0, Some("al\u{1b}[31mice\n")), "al[31mice");
        assert_eq!(clues(None, 0, Some("\n")), "unknown");
    }
}
