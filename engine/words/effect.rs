//! How an effect behaves when its outcome is unknown, and what a failure looks like as a value.

use serde::{Deserialize, Serialize};

/// What may be done about a host call that was announced and not answered.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Effect {
    /// Told to people; no ordinal and no entry of its own.
    Note,
    /// Changes nothing: do it again.
    Read,
    /// Commits in the same transaction as its entry: never in doubt.
    Local,
    /// Converges on a state that can be read: so already → adopt; as before → do; else in doubt.
    Idempotent,
    /// Leaves a mark that can be looked for: found → adopt; not there → do.
    Probe,
    /// Cannot be established: a person decides.
    Once,
}

impl Effect {
    /// Whether the call must be announced before it acts.
    pub fn writes(self) -> bool {
        matches!(self, Self::Local | Self::Idempotent | Self::Probe | Self::Once)
    }
}

/// Why a call or a step failed. Closed; the specifics are in [`Failure::code`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum FailureKind {
    /// The request itself is wrong.
    Invalid,
    /// The thing does not exist.
    NotFound,
    /// The name is taken.
    AlreadyExists,
    /// The thing is not in a state that allows it.
    Conflict,
    /// No grant covers it, or a budget is used up.
    Denied,
    /// A limit was reached.
    Exhausted,
    /// The deadline passed.
    TimedOut,
    /// The other side does not answer.
    Unavailable,
    /// The run was cancelled.
    Cancelled,
    /// It may or may not have happened.
    OutcomeUnknown,
    /// Our own fault.
    Internal,
}

/// A failure as a value, as plugins see it and as the journal keeps it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
#[error("{message}")]
pub struct Failure {
    /// The closed kind.
    pub kind: FailureKind,
    /// Dotted and open, for example `containers.not-running`.
    pub code: String,
    /// One sentence that names the thing and the way out.
    pub message: String,
    /// When it may work again, in milliseconds from now.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub retry_after_ms: Option<u64>,
}

impl Failure {
    /// A failure without a time to wait.
    pub fn new(kind: FailureKind, code: impl Into<String>, message: impl Into<String>) -> Self {
        Self { kind, code: code.into(), message: message.into(), retry_after_ms: None }
    }
}
