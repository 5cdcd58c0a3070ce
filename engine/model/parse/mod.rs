//! From the text of a runbook to a [`Runbook`] that is valid by construction, or to everything that is wrong with it.

use std::collections::BTreeMap;

use super::ids::RunbookName;
use super::runbook::{Parameter, Runbook};
use super::step_type::Catalogue;
use super::trouble::{Trouble, Troubles};

/// What a runbook may refer to.
#[derive(Debug, Clone)]
pub struct Known<'k> {
    /// The plugins.
    pub catalogue: &'k Catalogue,
    /// The runbooks that `uses: runbook.NAME` can name.
    pub runbooks: &'k BTreeMap<RunbookName, ChildSignature>,
}

/// What a runbook needs to know of another one to use it.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct ChildSignature {
    /// In the order written.
    pub parameters: Vec<Parameter>,
}

/// What a list of runbooks shows, read without checking the rest.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Peek {
    /// Its name.
    pub name: RunbookName,
    /// One sentence; empty if there is none.
    pub summary: String,
}

/// Reads and checks a runbook; all troubles at once.
pub fn parse(file: &str, text: &str, known: &Known<'_>) -> Result<Runbook, Troubles> {
    let _ = known.catalogue;
    let trouble = Trouble { line: 0, column: 0, message: "skeleton".to_owned(), hint: None };
    Err(Troubles { file: file.to_owned(), text: text.to_owned(), troubles: vec![trouble] })
}

/// Reads the name and the summary of a runbook; `None` if the text has no legal name.
pub fn peek(text: &str) -> Option<Peek> {
    let _ = text;
    None
}

/// Reads what others need to know of a runbook; `None` if it cannot be read.
pub fn signature(text: &str) -> Option<ChildSignature> {
    let _ = text;
    None
}
