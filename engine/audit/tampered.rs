//! What a verifier finds: something is not what was written, or it cannot be read.

use super::error::Error;

/// Something is not what was written.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{place}: {what}")]
pub struct Tampered {
    /// Where, for example `entry 17`.
    pub place: String,
    /// What is wrong with it.
    pub what: String,
}

/// Why a log is not verified.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum VerifyError {
    /// It is not what was written.
    #[error(transparent)]
    Tampered(#[from] Tampered),
    /// It could not be read.
    #[error(transparent)]
    Unreadable(Error),
}

impl From<Error> for VerifyError {
    /// Bytes that no longer are a database are as changed as a changed entry.
    fn from(error: Error) -> Self {
        match error {
            Error::Damaged { what } => tampered("audit.db", what),
            Error::Behind { entries, trace, known } => {
                tampered(format!("entry {}", entries + 1), format!("is missing: `{trace}` tells of {known}"))
            }
            Error::Lost { state, trace, .. } => {
                tampered("audit.db", format!("{state}, but `{trace}` tells of entries"))
            }
            other => Self::Unreadable(other),
        }
    }
}

impl From<rusqlite::Error> for VerifyError {
    fn from(error: rusqlite::Error) -> Self {
        Error::from(error).into()
    }
}

pub(super) fn tampered(place: impl Into<String>, what: impl Into<String>) -> VerifyError {
    VerifyError::Tampered(Tampered { place: place.into(), what: what.into() })
}
