//! What is wrong with a runbook's text, and where: a list of troubles, shown with the line and a hint.

use serde::Serialize;

/// One thing that is wrong.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Trouble {
    /// From 1; 0 where no place can be given.
    pub line: u32,
    /// From 1, in characters.
    pub column: u32,
    /// One sentence, lower case, names in backticks.
    pub message: String,
    /// What to do about it.
    pub hint: Option<String>,
}

/// All that is wrong with one text, in order of place.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, thiserror::Error)]
#[error("{} in `{file}`", if troubles.len() == 1 { "1 trouble".to_owned() } else { format!("{} troubles", troubles.len()) })]
pub struct Troubles {
    /// The file's name as the person wrote it, or `library/NAME`.
    pub file: String,
    /// The text.
    #[serde(skip)]
    pub text: String,
    /// What is wrong.
    pub troubles: Vec<Trouble>,
}
