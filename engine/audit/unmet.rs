//! Why an append was not committed though nothing is wrong with it: a condition of it does not hold.

use serde_json::Value;

use words::ids::RunId;

/// What a claim could not take.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Taken {
    /// What.
    pub what: String,
    /// Who has it.
    pub by: RunId,
}

/// A condition that does not hold; nothing was written.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Unmet {
    /// The key of state holds something else.
    #[error("`{bucket}/{key}` was changed meanwhile")]
    State {
        /// The bucket.
        bucket: String,
        /// The key in it.
        key: String,
        /// What it holds; none if nothing.
        found: Option<Value>,
    },
    /// Too many runs have not ended.
    #[error("{found} runs are unfinished, at most {limit} may be")]
    Unfinished {
        /// How many there are.
        found: u64,
        /// How many there may be.
        limit: u64,
    },
    /// Somebody has what the append needs.
    #[error("run `{}` has `{}`", .0.by, .0.what)]
    Taken(Taken),
}
