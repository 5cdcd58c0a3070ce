//! What can go wrong with the audit log, and what it means for the one who asked.

use std::io::ErrorKind as IoKind;
use std::path::Path;

use rusqlite::{ErrorCode, ffi};

use words::ids::RunId;

use super::unmet::Unmet;

/// What to do where this user may not.
pub(super) const NOT_ALLOWED: &str =
    "run it as the owner of the data directory, or name another with `--data-dir`";

/// What to do about a disk that does not do its work.
const BAD_DISK: &str = "`runbook doctor` looks at the disk, `dmesg` tells what the kernel saw; what is urgent: `run --emergency --reason WHY`";

/// What to do where something stands in the way.
const IN_THE_WAY: &str = "nothing that exists is overwritten: name another place, or move it away";

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
    /// There were entries, and the database that held them is not there any more.
    #[error("the audit log is gone: `{database}` {state}, but `{trace}` tells of entries")]
    Lost {
        /// The database.
        database: String,
        /// What is found in its place: "is missing", "is empty".
        state: &'static str,
        /// The file from which it is known that there were entries.
        trace: String,
    },
    /// It holds fewer entries than were durable.
    #[error("the audit log has lost its end: it holds {entries} entries, but `{trace}` tells of {known}")]
    Behind {
        /// How many there are.
        entries: u64,
        /// The file from which it is known that there were more.
        trace: String,
        /// How many there were.
        known: u64,
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
        /// What to do, where that is known.
        way: Option<&'static str>,
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
    /// An entry could be written, and nobody could read it; nothing was written.
    #[error("an entry `{kind}` could not be read back, so it was not written: {why}")]
    Unwritable {
        /// Its kind.
        kind: String,
        /// Why the reader refuses it.
        why: String,
    },
    /// An entry that was written and cannot be read.
    #[error("entry {entry} cannot be read: {why}")]
    Unreadable {
        /// Its sequence.
        entry: u64,
        /// Why.
        why: String,
        /// Whether it is not what was written.
        changed: bool,
    },
    /// A condition of the append does not hold; nothing was written.
    #[error(transparent)]
    Unmet(#[from] Unmet),
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
            Self::Newer { .. }
            | Self::Damaged { .. }
            | Self::Lost { .. }
            | Self::Behind { .. }
            | Self::Unreadable { .. }
            | Self::Busy => ErrorKind::BusyOrDamaged,
            Self::Absent { .. } | Self::Full | Self::Environment { .. } => ErrorKind::Environment,
            Self::Stale { .. } | Self::Unmet(_) => ErrorKind::Stale,
            Self::TooLarge { .. } | Self::Invalid { .. } | Self::Unwritable { .. } => ErrorKind::Invalid,
            Self::Failed { cause } => cause.kind(),
        }
    }

    /// What to do next.
    pub fn hint(&self) -> Option<&'static str> {
        match self {
            Self::Absent { .. } => Some("nothing was run with this data directory yet; check `--data-dir`"),
            Self::Newer { .. } => Some("use the newer `runbook`, or another `--data-dir`"),
            Self::Damaged { .. } | Self::Unreadable { changed: true, .. } => {
                Some("run `runbook audit verify`; until it is clear what happened use `run --emergency`")
            }
            Self::Lost { .. } => Some(
                "put `audit.db` back from a backup, or move the whole data directory away to begin anew; what is urgent: `run --emergency --reason WHY`",
            ),
            Self::Behind { .. } => Some(
                "put `audit.db` and `audit.db-wal` back as they were; to go on without what is lost, keep a copy of the data directory and move the file that tells of more away; what is urgent: `run --emergency --reason WHY`",
            ),
            Self::Busy => {
                Some("close the program that has `audit.db` open for writing, for example `sqlite3`")
            }
            Self::Full => Some("free some space, or use `run --emergency` with a data directory elsewhere"),
            Self::Failed { cause } => cause.hint(),
            Self::Environment { way, .. } => *way,
            Self::Unreadable { .. } => Some(
                "was it written by another version of `runbook`? `runbook audit verify` tells whether it was changed",
            ),
            Self::Stale { .. }
            | Self::TooLarge { .. }
            | Self::Invalid { .. }
            | Self::Unwritable { .. }
            | Self::Unmet(_) => None,
        }
    }

    /// Whether what was handed in cannot be kept, ever: the log itself is well and takes other entries.
    pub fn is_about_the_draft(&self) -> bool {
        self.kind() == ErrorKind::Invalid
    }

    pub(super) fn damaged(what: impl Into<String>) -> Self {
        Self::Damaged { what: what.into() }
    }

    pub(super) fn environment(what: impl Into<String>, why: impl Into<String>) -> Self {
        Self::Environment { what: what.into(), why: why.into(), way: None }
    }

    pub(super) fn io(what: &str, path: &Path, error: &std::io::Error) -> Self {
        let way = match error.kind() {
            IoKind::StorageFull | IoKind::QuotaExceeded => return Self::Full,
            IoKind::PermissionDenied | IoKind::ReadOnlyFilesystem => Some(NOT_ALLOWED),
            IoKind::AlreadyExists | IoKind::NotADirectory => Some(IN_THE_WAY),
            _ => None,
        };
        Self::Environment { what: format!("{what} `{}`", path.display()), why: error.to_string(), way }
    }
}

impl From<rusqlite::Error> for Error {
    fn from(error: rusqlite::Error) -> Self {
        // Without room for the shared memory of the WAL SQLite speaks of an I/O error, not of a full disk.
        if error.sqlite_error().is_some_and(|code| code.extended_code == ffi::SQLITE_IOERR_SHMSIZE) {
            return Self::Full;
        }
        let what = "use `audit.db`".to_owned();
        match error.sqlite_error_code() {
            Some(ErrorCode::DiskFull) => Self::Full,
            Some(ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked) => Self::Busy,
            // The SQL is always the same: where it makes no sense to SQLite a table or a column is missing. Without a
            // code of SQLite's a column is of a type that was never written.
            Some(ErrorCode::DatabaseCorrupt | ErrorCode::NotADatabase | ErrorCode::Unknown) | None => {
                Self::damaged(error.to_string())
            }
            Some(ErrorCode::PermissionDenied | ErrorCode::ReadOnly | ErrorCode::CannotOpen) => {
                Self::Environment { what, why: error.to_string(), way: Some(NOT_ALLOWED) }
            }
            Some(ErrorCode::SystemIoFailure) => {
                Self::Environment { what, why: error.to_string(), way: Some(BAD_DISK) }
            }
            Some(_) => Self::environment(what, error.to_string()),
        }
    }
}
