//! How a run can end. On disk like the events: a word, once released, stays.

use serde::{Deserialize, Serialize};

/// How a run ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum EndStatus {
    /// Every step that applied did its work.
    Succeeded,
    /// A step failed, and what was written was not all undone.
    Failed,
    /// A step failed or a person chose it, and every write was undone.
    RolledBack,
    /// A person ended it.
    Cancelled,
    /// No step applied; nothing was done.
    Skipped,
    /// An undo failed or replay diverged: a person is needed.
    Stuck,
}

impl EndStatus {
    /// All there are.
    pub const ALL: [Self; 6] =
        [Self::Succeeded, Self::Failed, Self::RolledBack, Self::Cancelled, Self::Skipped, Self::Stuck];

    /// The word people see.
    pub fn word(self) -> &'static str {
        match self {
            Self::Succeeded => "succeeded",
            Self::Failed => "failed",
            Self::RolledBack => "rolled-back",
            Self::Cancelled => "cancelled",
            Self::Skipped => "skipped",
            Self::Stuck => "stuck",
        }
    }
}
