//! What a signal may yet do to a container that still looks well after it was sent.

use std::time::Duration;

/// How long a signal that ends a process may take to do so: as long as the longest grace of a stop.
const ENDING: Duration = Duration::from_millis(super::limits::MAX_GRACE_MS);

/// Signals that are mostly used to make a process read its configuration again; one that does not handle them ends at once.
const RELOADING: Duration = Duration::from_secs(10);

/// See the module.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Aftermath {
    /// Nothing: by default it is ignored.
    None,
    /// It may be down within this time.
    Within(Duration),
    /// Its processes stand still until they are told to go on, and the daemon does not see it.
    Stopped,
    /// What stood still goes on.
    Continued,
}

/// What this signal may do, by any of the names the daemon takes: `TERM`, `SIGTERM`, `15`.
pub(super) fn aftermath(signal: &str) -> Aftermath {
    let upper = signal.trim().to_ascii_uppercase();
    match upper.strip_prefix("SIG").unwrap_or(&upper) {
        "CHLD" | "17" | "URG" | "23" | "WINCH" | "28" => Aftermath::None,
        "CONT" | "18" => Aftermath::Continued,
        "STOP" | "19" | "TSTP" | "20" | "TTIN" | "21" | "TTOU" | "22" => Aftermath::Stopped,
        "HUP" | "1" | "USR1" | "10" | "USR2" | "12" => Aftermath::Within(RELOADING),
        _ => Aftermath::Within(ENDING),
    }
}
