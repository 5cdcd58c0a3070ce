//! What can go wrong with secrets. No message holds a value or anything derived from one.

use std::path::Path;

use words::secret::InvalidValue;

/// What sort of thing went wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ErrorKind {
    /// There is no such secret, version or store.
    NotFound,
    /// A name, a value or a document is wrong.
    Invalid,
    /// It does not fit what is there already.
    Conflict,
    /// There is no key, it is another one, or the passphrase is wrong.
    Locked,
    /// A file of the store is missing or is not what it should be.
    Damaged,
    /// Others can read a file that only its owner may.
    TooOpen,
    /// The disk, permissions.
    Io,
}

/// An error and the way out.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct Error {
    kind: ErrorKind,
    message: String,
    hint: Option<String>,
}

impl Error {
    pub(super) fn new(kind: ErrorKind, message: impl Into<String>) -> Self {
        Self { kind, message: message.into(), hint: None }
    }

    #[must_use]
    pub(super) fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }

    #[must_use]
    pub(super) fn maybe(mut self, hint: Option<String>) -> Self {
        self.hint = hint.or(self.hint);
        self
    }

    pub(super) fn io(doing: &str, path: &Path, error: &std::io::Error) -> Self {
        let text = error.to_string();
        let reason = text.split(" (os error").next().unwrap_or_default().to_lowercase();
        let told = Self::new(ErrorKind::Io, format!("cannot {doing} `{}`: {reason}", path.display()));
        match error.kind() {
            std::io::ErrorKind::StorageFull => {
                told.hint("nothing was changed; free some space, `runbook doctor` shows what is left")
            }
            std::io::ErrorKind::PermissionDenied => told.hint("run it as the owner of the data directory"),
            _ => told,
        }
    }

    /// What sort it is.
    pub fn kind(&self) -> ErrorKind {
        self.kind
    }

    /// What to do next.
    pub fn way_out(&self) -> Option<&str> {
        self.hint.as_deref()
    }
}

impl From<InvalidValue> for Error {
    fn from(error: InvalidValue) -> Self {
        let kind = if error.unread { ErrorKind::Io } else { ErrorKind::Invalid };
        Self::new(kind, error.message).maybe(error.hint.map(str::to_owned))
    }
}
