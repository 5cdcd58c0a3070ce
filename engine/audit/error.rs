//! What can go wrong with the audit log, and what it means for the one who asked.

use std::path::Path;

use rusqlite::ErrorCode;

use crate::model::ids::RunId;

/// Why the audit log could not do what was asked. Cheap to clone, since everyone waiting for one commit gets the same.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// Nothing was ever written here.
    #[error("there is no audit log in `{dir}`")]
    Absent {
        /// The data directory.
        dir: String,
    },
    /// A later version of the program wrote it.
    #[error("the audit log has format {found}, this version of `runbook` knows formats up to {known}")]
    Newer {
        /// What the database says.
        found: u32,
        /// What this program knows.
        known: u32,
    },
    /// Its bytes are not what was written.
    #[error("the audit log is damaged: {what}")]
    Damaged {
        /// What was found, and where.
        what: String,
    },
    /// Another program holds the database's own lock.
    #[error("the audit log is locked by another program")]
    Busy,
    /// The disk is full.
    #[error("the disk of the audit log is full")]
    Full,
    /// The operating system refused.
    #[error("cannot {what}: {why}")]
    Environment {
        /// What was tried, with the file's name.
        what: String,
        /// The system's words.
        why: String,
    },
    /// The run moved on since the caller looked.
    #[error("run `{run}` is at version {found}, not {expected}")]
    Stale {
        /// The run.
        run: RunId,
        /// What the caller expected.
        expected: u32,
        /// What the log holds.
        found: u32,
    },
    /// Over a limit; nothing was written.
    #[error("{what} has {bytes} bytes, at most {limit} are kept")]
    TooLarge {
        /// What.
        what: String,
        /// Its size.
        bytes: usize,
        /// The limit.
        limit: usize,
    },
    /// Not something the log can hold; nothing was written.
    #[error("{what}")]
    Invalid {
        /// What is wrong with it.
        what: String,
    },
    /// An earlier commit failed; no retry is safe, so the log takes nothing more until it is opened again.
    #[error("the audit log takes no more entries: {cause}")]
    Failed {
        /// The first error.
        cause: Box<Error>,
    },
}

/// What an [`Error`] means to the program's exit code.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ErrorKind {
    /// The data directory is busy or damaged.
    BusyOrDamaged,
    /// Disk, permissions.
    Environment,
    /// The caller handed in something that cannot be kept.
    Invalid,
    /// The caller's knowledge of a run is old.
    Stale,
}

impl Error {
    /// What it means to the program's exit code.
    pub fn kind(&self) -> ErrorKind {
        match self {
            Self::Newer { .. } | Self::Damaged { .. } | Self::Busy => ErrorKind::BusyOrDamaged,
            Self::Absent { .. } | Self::Full | Self::Environment { .. } => ErrorKind::Environment,
            Self::Stale { .. } => ErrorKind::Stale,
            Self::TooLarge { .. } | Self::Invalid { .. } => ErrorKind::Invalid,
            Self::Failed { cause } => cause.kind(),
        }
    }

    /// What to do next.
    pub fn hint(&self) -> Option<&'static str> {
        match self {
            Self::Absent { .. } => Some("nothing was run with this data directory yet; check `--data-dir`"),
            Self::Newer { .. } => Some("use the newer `runbook`, or another `--data-dir`"),
            Self::Damaged { .. } => {
                Some("run `runbook audit verify`; until it is clear what happened use `run --emergency`")
            }
            Self::Busy => {
                Some("close the program that has `audit.db` open for writing, for example `sqlite3`")
            }
            Self::Full => Some("free some space, or use `run --emergency` with a data directory elsewhere"),
            Self::Failed { cause } => cause.hint(),
            Self::Environment { .. } | Self::Stale { .. } | Self::TooLarge { .. } | Self::Invalid { .. } => {
                None
            }
        }
    }

    pub(super) fn damaged(what: impl Into<String>) -> Self {
        Self::Damaged { what: what.into() }
    }

    pub(super) fn io(what: &str, path: &Path, error: &std::io::Error) -> Self {
        if error.kind() == std::io::ErrorKind::StorageFull {
            return Self::Full;
        }
        Self::Environment { what: format!("{what} `{}`", path.display()), why: error.to_string() }
    }
}

impl From<rusqlite::Error> for Error {
    fn from(error: rusqlite::Error) -> Self {
        match error.sqlite_error_code() {
            Some(ErrorCode::DiskFull) => Self::Full,
            Some(ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked) => Self::Busy,
            // Without a code of SQLite's a column is missing or of a type that was never written.
            Some(ErrorCode::DatabaseCorrupt | ErrorCode::NotADatabase) | None => {
                Self::damaged(error.to_string())
            }
            Some(_) => Self::Environment { what: "use `audit.db`".to_owned(), why: error.to_string() },
        }
    }
}
