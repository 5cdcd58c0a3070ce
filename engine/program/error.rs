//! What people and programs are told when something does not work: a closed kind, one sentence, a hint.
//! The kind decides exit code and HTTP status here and nowhere else. Knows no command and no route.

mod conversions;

use serde::{Deserialize, Serialize};

use words::text;

/// What sort of thing went wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Kind {
    /// Our own fault.
    Internal,
    /// The command line cannot be understood.
    Usage,
    /// A runbook, a parameter or a document is wrong.
    Invalid,
    /// There is no such runbook, run, service, plugin or key.
    NotFound,
    /// It does not fit what is so now: a lock is held, a run has ended, a plan no longer matches.
    Conflict,
    /// Docker, the disk, permissions, the network.
    Environment,
    /// The data directory is busy, its engine does not answer, or it is damaged.
    Directory,
    /// No grant covers it, or this person may not.
    Denied,
    /// The halt switch is on.
    Halted,
    /// Interrupted by a person.
    Interrupted,
    /// The command was told to end (`TERM`, `HUP`) before the run it followed did.
    Terminated,
}

impl Kind {
    /// The exit code of a command that ends with it.
    pub fn exit_code(self) -> u8 {
        match self {
            Self::Internal => exit::INTERNAL,
            Self::Usage => exit::USAGE,
            Self::Invalid | Self::NotFound => exit::INVALID,
            Self::Environment => exit::ENVIRONMENT,
            Self::Directory => exit::DIRECTORY,
            Self::Conflict => exit::FAILED,
            Self::Denied => exit::DENIED,
            Self::Halted => exit::HALTED,
            Self::Interrupted => exit::CANCELLED,
            Self::Terminated => exit::TERMINATED,
        }
    }

    /// The HTTP status of an answer that carries it.
    pub fn http_status(self) -> u16 {
        match self {
            Self::Internal => 500,
            Self::Usage | Self::Invalid => 400,
            Self::NotFound => 404,
            Self::Conflict | Self::Interrupted | Self::Terminated => 409,
            Self::Environment | Self::Directory | Self::Halted => 503,
            Self::Denied => 403,
        }
    }
}

/// Exit codes, as `runbook help` and the reference list them.
pub mod exit {
    use run::event::EndStatus;

    /// It worked.
    pub const SUCCEEDED: u8 = 0;
    /// Our own fault.
    pub const INTERNAL: u8 = 1;
    /// The command line cannot be understood.
    pub const USAGE: u8 = 2;
    /// Invalid runbook or input.
    pub const INVALID: u8 = 3;
    /// Docker, disk, permissions.
    pub const ENVIRONMENT: u8 = 4;
    /// The data directory is busy or damaged.
    pub const DIRECTORY: u8 = 5;
    /// The run failed, or what was asked for does not fit what is so now.
    pub const FAILED: u8 = 10;
    /// The run failed and everything it wrote was undone.
    pub const ROLLED_BACK: u8 = 11;
    /// A person has to decide.
    pub const IN_DOUBT: u8 = 12;
    /// No grant covers it.
    pub const DENIED: u8 = 13;
    /// The halt switch is on.
    pub const HALTED: u8 = 14;
    /// No step applied; nothing was done.
    pub const SKIPPED: u8 = 15;
    /// Cancelled, or left by its person.
    pub const CANCELLED: u8 = 130;
    /// The command was told to end before its run did, which goes on without it: 128 and the number of `TERM`.
    pub const TERMINATED: u8 = 143;

    /// Of a run that ended; `denied` and `halted` refine a failure whose cause they were.
    pub fn of_end(status: EndStatus, cause: Cause) -> u8 {
        match (status, cause) {
            (EndStatus::Succeeded, _) => SUCCEEDED,
            (EndStatus::Failed, Cause::Denied) => DENIED,
            (EndStatus::Failed, Cause::Halted) => HALTED,
            (EndStatus::Failed, Cause::Other) => FAILED,
            (EndStatus::RolledBack, _) => ROLLED_BACK,
            (EndStatus::Cancelled, _) => CANCELLED,
            (EndStatus::Skipped, _) => SKIPPED,
            (EndStatus::Stuck, _) => IN_DOUBT,
        }
    }

    /// Why a run failed, as far as the exit code tells.
    #[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
    pub enum Cause {
        /// A grant was missing.
        Denied,
        /// The halt switch was on.
        Halted,
        /// Anything else.
        #[default]
        Other,
    }
}

/// An error as people and programs see it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
#[error("{message}")]
pub struct Error {
    /// Decides exit code and HTTP status.
    pub kind: Kind,
    /// One sentence, lower case, names in backticks.
    pub message: String,
    /// What to do next.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hint: Option<String>,
    /// Several lines that show the places, printed before the sentence.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub detail: Option<String>,
}

impl Error {
    /// An error without a hint; control characters of quoted text are removed.
    pub fn new(kind: Kind, message: impl Into<String>) -> Self {
        Self { kind, message: printable(&message.into()), hint: None, detail: None }
    }

    /// The same with what to do next.
    #[must_use]
    pub fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(printable(&hint.into()));
        self
    }

    /// The same with what to do next, if there is something.
    #[must_use]
    pub fn maybe(self, hint: Option<impl Into<String>>) -> Self {
        match hint {
            Some(hint) => self.hint(hint),
            None => self,
        }
    }

    /// Our own fault.
    pub fn internal(message: impl Into<String>) -> Self {
        Self::new(Kind::Internal, message)
    }

    /// A wrong runbook, parameter or document.
    pub fn invalid(message: impl Into<String>) -> Self {
        Self::new(Kind::Invalid, message)
    }

    /// A command line that makes no sense.
    pub fn usage(message: impl Into<String>) -> Self {
        Self::new(Kind::Usage, message)
    }

    /// Something that does not exist.
    pub fn not_found(message: impl Into<String>) -> Self {
        Self::new(Kind::NotFound, message)
    }

    /// Docker, disk, permissions.
    pub fn environment(message: impl Into<String>) -> Self {
        Self::new(Kind::Environment, message)
    }

    /// An error about a path.
    pub fn file(path: &std::path::Path, doing: &str, error: &std::io::Error) -> Self {
        let shown = path.display();
        let hinted = Self::environment(format!("cannot {doing} `{shown}`: {}", reason(error)));
        match error.kind() {
            std::io::ErrorKind::PermissionDenied => {
                hinted.hint("run it as a user who may, or name another place")
            }
            std::io::ErrorKind::ReadOnlyFilesystem => {
                hinted.hint("it lies on a read-only file system: name another place")
            }
            std::io::ErrorKind::NotFound => hinted.hint("look at the path"),
            std::io::ErrorKind::StorageFull => {
                hinted.hint("free some space; `runbook doctor` shows what is left")
            }
            std::io::ErrorKind::AlreadyExists | std::io::ErrorKind::NotADirectory => {
                hinted.hint("something else is there already: name another place, or move it away")
            }
            _ => hinted,
        }
    }
}

/// What the operating system says, without its number.
pub fn reason(error: &std::io::Error) -> String {
    let text = error.to_string();
    let text = text.split(" (os error").next().unwrap_or_default();
    let mut letters = text.chars();
    letters.next().map_or_else(String::new, |first| first.to_lowercase().chain(letters).collect())
}

/// The text on one line with hidden characters written out, so that quoted input can neither move the cursor nor forge a
/// line nor look like something else.
pub fn printable(text: &str) -> String {
    text::one_line(text).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;
    use run::event::EndStatus;

    #[test]
    fn every_kind_has_its_exit_code() {
        let codes = [
            (Kind::Internal, 1),
            (Kind::Usage, 2),
            (Kind::Invalid, 3),
            (Kind::NotFound, 3),
            (Kind::Environment, 4),
            (Kind::Directory, 5),
            (Kind::Conflict, 10),
            (Kind::Denied, 13),
            (Kind::Halted, 14),
            (Kind::Interrupted, 130),
            (Kind::Terminated, 143),
        ];
        for (kind, code) in codes {
            assert_eq!(kind.exit_code(), code, "{kind:?}");
            assert!((400..600).contains(&kind.http_status()), "{kind:?}");
        }
    }

    #[test]
    fn every_end_has_its_exit_code() {
        use exit::{Cause, of_end};
        let ends = [
            (EndStatus::Succeeded, Cause::Other, 0),
            (EndStatus::Failed, Cause::Other, 10),
            (EndStatus::RolledBack, Cause::Denied, 11),
            (EndStatus::Stuck, Cause::Other, 12),
            (EndStatus::Failed, Cause::Denied, 13),
            (EndStatus::Failed, Cause::Halted, 14),
            (EndStatus::Skipped, Cause::Other, 15),
            (EndStatus::Cancelled, Cause::Other, 130),
        ];
        for (status, cause, code) in ends {
            assert_eq!(of_end(status, cause), code, "{status:?} {cause:?}");
        }
    }

    #[test]
    fn quoted_text_cannot_move_the_cursor() {
        let error = Error::invalid("no runbook `\u{1b}[2Jx\nerror: forged`");
        assert_eq!(error.message, "no runbook `\\u{1b}[2Jx error: forged`");
    }

    #[test]
    fn io_errors_are_sentences() {
        let error = std::fs::read("/does/not/exist").unwrap_err();
        let told = Error::file(std::path::Path::new("/does/not/exist"), "read", &error);
        assert_eq!(told.message, "cannot read `/does/not/exist`: no such file or directory");
        assert_eq!(told.kind, Kind::Environment);
    }
}
