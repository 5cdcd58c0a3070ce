//! Failures as values: short ways to say them.

use crate::{Error, ErrorKind};

macro_rules! kinds {
    ($($(#[$doc:meta])* $name:ident => $kind:ident;)*) => {
        impl Error {
            $($(#[$doc])*
            pub fn $name(code: &str, message: impl Into<String>) -> Self {
                Self::new(ErrorKind::$kind, code, message)
            })*
        }
    };
}

impl Error {
    /// `code` is dotted and open; `message` is one sentence that names the thing and the way out.
    pub fn new(kind: ErrorKind, code: &str, message: impl Into<String>) -> Self {
        Self { kind, code: code.to_owned(), message: message.into(), retry_after_ms: None }
    }

    /// The same failure with words before its own that tell where it stopped. Kind and code stay, so that a denial
    /// remains a denial.
    #[must_use]
    pub fn because(mut self, words: impl std::fmt::Display) -> Self {
        self.message = format!("{words}: {}", self.message);
        self
    }
}

kinds! {
    /// The request itself is wrong.
    invalid => Invalid;
    /// The thing does not exist.
    not_found => NotFound;
    /// The thing is not in a state that allows it.
    conflict => Conflict;
    /// A limit was reached.
    exhausted => Exhausted;
    /// The deadline passed.
    timed_out => TimedOut;
    /// The other side does not answer.
    unavailable => Unavailable;
    /// Our own fault.
    internal => Internal;
}
