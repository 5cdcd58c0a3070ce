//! What may be asked for by name: checked before the daemon sees it, since it ends in a path of its HTTP interface.

use crate::error::{Error, tidy};
use words::container_text;
pub(crate) use words::container_text::{is_name, is_service};

/// A whole container id: 64 lower-case hex digits.
pub(crate) fn is_id(text: &str) -> bool {
    text.len() == 64 && text.bytes().all(|byte| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte))
}

/// An id or a name of a container.
pub(crate) fn check_container(text: &str) -> Result<(), Error> {
    if is_name(text) {
        return Ok(());
    }
    Err(illegal(
        text,
        "a container id or name",
        "letters, digits, `_`, `.` and `-`, starting with a letter or digit",
    ))
}

/// An id of an exec.
pub(crate) fn check_exec(text: &str) -> Result<(), Error> {
    if is_id(text) { Ok(()) } else { Err(illegal(text, "an exec id", "64 hex digits")) }
}

/// `project/service` or a bare service.
pub(crate) fn check_service(text: &str) -> Result<(), Error> {
    if is_service(text) {
        return Ok(());
    }
    Err(illegal(text, "a service", "`service` or `project/service`, of letters, digits, `_`, `.` and `-`"))
}

/// The signal's whole name, `SIGHUP` for `HUP` and `SIGHUP` alike.
pub(crate) fn signal(text: &str) -> Result<String, Error> {
    if let Some(name) = container_text::signal(text) {
        return Ok(name);
    }
    Err(illegal(text, "a signal", "a name such as `HUP`, `TERM`, `USR1` or `KILL`"))
}

fn illegal(text: &str, what: &str, rule: &str) -> Error {
    let shown = tidy(&text.escape_default().to_string());
    Error::invalid("containers.name", format!("`{shown}` is not {what}: {rule}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_could_leave_its_place_in_a_path_is_refused() {
        for text in [
            "",
            "../x",
            "a/b",
            "a\nb",
            "a b",
            "wеb", /* a Cyrillic е */
            "-a",
            "a?b",
            "a%2e",
            "a#b",
            &"a".repeat(300),
        ] {
            assert!(check_container(text).is_err(), "{text}");
        }
        for text in ["web", "shop-web-1", "shop_web.1", &"0".repeat(64)] {
            assert!(check_container(text).is_ok(), "{text}");
        }
    }

    #[test]
    fn services_have_at_most_one_slash() {
        for text in ["a/b/c", "/a", "a/", "a/../b", "a/b\n"] {
            assert!(check_service(text).is_err(), "{text}");
        }
        assert!(check_service("shop/web").is_ok());
    }

    #[test]
    fn signals_have_names() {
        assert_eq!(signal("HUP").unwrap(), "SIGHUP");
        assert_eq!(signal("SIGKILL").unwrap(), "SIGKILL");
        for text in ["9", "SIGSIGHUP", "hup", "HUP;ls"] {
            assert!(signal(text).is_err(), "{text}");
        }
    }
}
