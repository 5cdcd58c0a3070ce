//! What goes wrong with a daemon, as a value, and whether it can have changed anything.
//!
//! Knows how bollard and the daemon fail; does not know what the caller wants to do about it.

use std::error::Error as StdError;
use std::io;
use std::time::Duration;

use crate::connection::Connection;
use crate::wire::TooLarge;
use words::effect::{Failure, FailureKind};

/// The longest text of a daemon that goes into a message, in characters.
const MAX_DAEMON_TEXT_CHARS: usize = 400;

/// The code of an answer that was cut off or cannot be read.
const DAMAGED_ANSWER: &str = "containers.daemon-cut";

/// The code of a daemon that cannot be reached.
const UNREACHABLE: &str = "containers.daemon-unreachable";

/// The code of a daemon that gives no answer in time.
pub const SILENT: &str = "containers.daemon-silent";

/// The code of an answer by which the daemon says that it fails itself (5xx).
const DAEMON_ERROR: &str = "containers.daemon-error";

/// Words of a 5xx that are about the one container and not about the daemon: asking again gives the same answer.
const ABOUT_THE_CONTAINER: [&str; 4] =
    ["port is already allocated", "address already in use", "OCI runtime create failed", "not supported"];

/// Whether the failure tells of a daemon in trouble and not of what it was asked: it may be well again in a moment.
pub fn is_away(failure: &Failure) -> bool {
    [UNREACHABLE, DAMAGED_ANSWER, SILENT, DAEMON_ERROR].contains(&failure.code.as_str())
}

/// Whether the daemon answered that it fails itself.
pub fn is_daemon_error(failure: &Failure) -> bool {
    failure.code == DAEMON_ERROR
}

/// The code of a failure that says there is no such container.
pub const NOT_FOUND: &str = "containers.not-found";

/// A failed request to a daemon.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{failure}")]
pub struct Error {
    /// What went wrong, for people and plugins.
    pub failure: Failure,
    /// It is proven that nothing was changed: the request was refused before acting, never sent, or only read.
    pub certain: bool,
}

impl Error {
    /// A failure that changed nothing.
    pub(crate) fn certain(kind: FailureKind, code: &str, message: impl Into<String>) -> Self {
        Self { failure: Failure::new(kind, code, message), certain: true }
    }

    /// A failure after which the world must be read again.
    pub(crate) fn uncertain(kind: FailureKind, code: &str, message: impl Into<String>) -> Self {
        Self { failure: Failure::new(kind, code, message), certain: false }
    }

    /// The request itself is wrong; the daemon was not asked.
    pub(crate) fn invalid(code: &str, message: impl Into<String>) -> Self {
        Self::certain(FailureKind::Invalid, code, message)
    }

    /// The thing is not in a state that allows it; nothing was changed.
    pub(crate) fn conflict(code: &str, message: impl Into<String>) -> Self {
        Self::certain(FailureKind::Conflict, code, message)
    }

    /// Whether the thing does not exist.
    pub fn is_not_found(&self) -> bool {
        self.failure.kind == FailureKind::NotFound
    }

    /// Whether there was an answer, cut off or not to be read.
    pub(crate) fn is_damaged_answer(&self) -> bool {
        self.failure.code == DAMAGED_ANSWER
    }

    /// What fails from here on happens after something was changed.
    pub(crate) fn after_change(self) -> Self {
        Self { certain: false, ..self }
    }
}

/// One request, for its error message.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Call<'a> {
    /// What was asked, for example `stop container`.
    pub(crate) verb: &'static str,
    /// Of whom.
    pub(crate) name: &'a str,
    /// Whether it may change something.
    pub(crate) writes: bool,
    /// How long it may take.
    pub(crate) deadline: Duration,
}

impl Call<'_> {
    /// The daemon gave no whole answer in time.
    pub(crate) fn timed_out(&self, connection: &Connection) -> Error {
        let message = format!(
            "cannot {} `{}`: the daemon at `{connection}` gave no answer within {} s; see whether it hangs \
             (`docker ps`), restart it if so",
            self.verb,
            self.name,
            self.deadline.as_secs()
        );
        let failure = Failure::new(FailureKind::TimedOut, SILENT, message);
        Error { failure, certain: !self.writes }
    }

    /// What bollard's error means for this request.
    pub(crate) fn failed(&self, connection: &Connection, error: &bollard::errors::Error) -> Error {
        match error {
            bollard::errors::Error::DockerResponseServerError { status_code, message } => {
                self.refused(*status_code, message)
            }
            bollard::errors::Error::HyperLegacyError { err } if err.is_connect() => {
                unreachable_daemon(connection, find_io_error(error), &chain(error))
            }
            bollard::errors::Error::RequestTimeoutError => self.timed_out(connection),
            other => self.cut(connection, other),
        }
    }

    /// The answer was cut off here, because it is larger than any daemon's that means well.
    pub(super) fn too_large(&self, connection: &Connection, limit: TooLarge) -> Error {
        let message = format!(
            "cannot {} `{}`: the answer of the daemon at `{connection}` is too large: {limit}",
            self.verb, self.name
        );
        let failure = Failure::new(FailureKind::Exhausted, "containers.answer-too-large", message);
        Error { failure, certain: !self.writes }
    }

    fn cut(&self, connection: &Connection, error: &bollard::errors::Error) -> Error {
        let message = format!(
            "cannot {} `{}`: the answer of the daemon at `{connection}` was cut or unreadable ({})",
            self.verb,
            self.name,
            tidy(&chain(error))
        );
        let failure = Failure::new(FailureKind::Unavailable, DAMAGED_ANSWER, message);
        Error { failure, certain: !self.writes }
    }

    fn refused(&self, status: u16, words: &str) -> Error {
        let (kind, code) = match status {
            404 => (FailureKind::NotFound, NOT_FOUND),
            409 if words.contains("already in use") => (FailureKind::AlreadyExists, "containers.name-taken"),
            409 => (FailureKind::Conflict, "containers.conflict"),
            401 | 403 => (FailureKind::Denied, "containers.daemon-denied"),
            400..=499 => (FailureKind::Invalid, "containers.refused"),
            _ if ABOUT_THE_CONTAINER.iter().any(|about| words.contains(about)) => {
                (FailureKind::Conflict, "containers.impossible")
            }
            _ => (FailureKind::Unavailable, DAEMON_ERROR),
        };
        let message = format!("cannot {} `{}`: {}", self.verb, self.name, tidy(words));
        // A 4xx is an answer before acting; a 5xx may come from half way through.
        Error { failure: Failure::new(kind, code, message), certain: status < 500 || !self.writes }
    }
}

/// No connection at all: nothing was sent.
pub(crate) fn unreachable_daemon(connection: &Connection, kind: Option<io::ErrorKind>, words: &str) -> Error {
    let code = match kind {
        // Nobody mends that within moments.
        Some(io::ErrorKind::PermissionDenied) => "containers.daemon-forbidden",
        _ => UNREACHABLE,
    };
    let (what, hint) = match kind {
        Some(io::ErrorKind::NotFound) => {
            ("does not exist".to_owned(), "start Docker, or name its socket in `runbook.toml`")
        }
        Some(io::ErrorKind::PermissionDenied) => (
            "may not be used by this user".to_owned(),
            "run as root, or add the user to the group that owns the socket (`usermod -aG docker USER`)",
        ),
        Some(io::ErrorKind::ConnectionRefused) => (
            "has nobody listening".to_owned(),
            "start Docker (`systemctl start docker`, or `dockerd` as root)",
        ),
        _ => (
            format!("cannot be reached ({})", tidy(words)),
            "see that the daemon runs and the address is right",
        ),
    };
    let message = format!("the container daemon's address `{connection}` {what}; {hint}");
    Error::certain(FailureKind::Unavailable, code, message)
}

fn find_io_error(error: &bollard::errors::Error) -> Option<io::ErrorKind> {
    let mut next: Option<&(dyn StdError + 'static)> = Some(error);
    while let Some(error) = next {
        if let Some(io) = error.downcast_ref::<io::Error>() {
            return Some(io.kind());
        }
        next = error.source();
    }
    None
}

fn chain(error: &bollard::errors::Error) -> String {
    let mut text = error.to_string();
    let mut next = error.source();
    while let Some(error) = next {
        let words = error.to_string();
        if !text.contains(&words) {
            text.push_str(": ");
            text.push_str(&words);
        }
        next = error.source();
    }
    text
}

/// Words of others, on one line and of bounded length.
pub(crate) fn tidy(text: &str) -> String {
    let mut tidy = String::new();
    for word in text.trim().chars().take(MAX_DAEMON_TEXT_CHARS) {
        if word.is_control() {
            tidy.push(' ');
        } else {
            tidy.push(word);
        }
    }
    if text.trim().chars().count() > MAX_DAEMON_TEXT_CHARS {
        tidy.push('…');
    }
    tidy
}
