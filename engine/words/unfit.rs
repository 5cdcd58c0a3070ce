//! A text or a value that cannot be used, and what to write instead.

/// See the module.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct Unfit {
    /// One sentence: what is wrong with it.
    pub message: String,
    /// What to write instead.
    pub hint: Option<String>,
}

impl Unfit {
    /// One with a hint.
    pub fn new(message: impl Into<String>, hint: impl Into<String>) -> Self {
        Self { message: message.into(), hint: Some(hint.into()) }
    }
}
