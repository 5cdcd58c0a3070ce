//! From the text of a runbook to a [`Runbook`] that is valid by construction, or to everything that is wrong with it.
//!
//! Responsible for strictness: unknown and missing keys, wrong types, names that do not exist where they are used, inputs that
//! a step type does not take, and steps that need what no grant gives. Runs nothing and reads no file.

mod builtin;
mod grant;
mod habit;
mod header;
mod kinds;
mod names;
mod order;
mod parameter;
mod reader;
mod secrets;
mod step;
mod trigger;
mod uses;

use std::collections::BTreeMap;

use super::runbook::{Parameter, Risk, Runbook};
use super::step_type::{Catalogue, StepType};
use super::trouble::{Trouble, Troubles};
use super::yaml;
use reader::{Field, Reader};
use words::ids::RunbookName;

pub use builtin::step_types as builtin_step_types;
pub use header::{DEFAULT_RESUME_WITHIN, DEFAULT_RUN_TIMEOUT};
pub use step::{DEFAULT_EVERY, DEFAULT_STEP_TIMEOUT, MAX_STEPS};

/// The most troubles told of one text.
pub const MAX_TROUBLES: usize = 100;

/// What a runbook may refer to.
#[derive(Debug, Clone, Copy)]
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
    /// The names of its outputs.
    pub outputs: Vec<String>,
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
    let (runbook, reader) = read(file, text, known);
    runbook.filter(|_| reader.troubles.is_empty()).ok_or_else(|| troubles(file, text, reader))
}

/// Reads a runbook that was checked when its run was accepted, maybe by an older version: what this one would find fault
/// with is no reason to leave the run where it stands.
pub fn parse_accepted(file: &str, text: &str, known: &Known<'_>) -> Result<Runbook, Troubles> {
    let (runbook, reader) = read(file, text, known);
    runbook.filter(|_| reader.unreadable == 0).ok_or_else(|| troubles(file, text, reader))
}

fn troubles(file: &str, text: &str, reader: Reader) -> Troubles {
    Troubles { file: file.to_owned(), text: text.to_owned(), troubles: sorted(reader.troubles) }
}

fn read(file: &str, text: &str, known: &Known<'_>) -> (Option<Runbook>, Reader) {
    let (root, troubles) = yaml::read(text);
    let mut reader = Reader { troubles, ..Reader::default() };
    let runbook = match &root {
        Some(root) if !reader::is_null(root) => {
            let field = Field { path: String::new(), key: root.place, node: root };
            header::runbook(&mut reader, &field, text, known)
        }
        _ => {
            if reader.troubles.is_empty() {
                let hint = "a runbook begins with `format: 1`, `runbook: NAME` and `steps:`".to_owned();
                reader.note(yaml::Place { line: 1, column: 1 }, "the file is empty".to_owned(), Some(hint));
            }
            None
        }
    };
    if let Some(trouble) = runbook.as_ref().and_then(|runbook| library_name(file, runbook)) {
        reader.troubles.push(trouble);
    }
    (runbook, reader)
}

fn sorted(mut troubles: Vec<Trouble>) -> Vec<Trouble> {
    troubles.sort_by_key(|trouble| (trouble.line, trouble.column));
    troubles.dedup();
    if troubles.len() > MAX_TROUBLES {
        let more = troubles.len() - MAX_TROUBLES;
        troubles.truncate(MAX_TROUBLES);
        let line = troubles.last().map_or(0, |last| last.line);
        troubles.push(Trouble {
            line,
            column: 1,
            message: format!("{more} more troubles"),
            hint: Some("mend these first".to_owned()),
        });
    }
    troubles
}

/// A runbook of the library is found by its file's name, so the two must not differ.
fn library_name(file: &str, runbook: &Runbook) -> Option<Trouble> {
    let name = file.strip_prefix("library/")?;
    (name != runbook.name.as_str()).then(|| Trouble {
        line: 1,
        column: 1,
        message: format!("the library calls it `{name}` and it calls itself `{}`", runbook.name),
        hint: Some("name the file after the runbook".to_owned()),
    })
}

/// What is not wrong and yet worth a second look, for `validate`.
pub fn lints(file: &str, runbook: &Runbook) -> Vec<Trouble> {
    let mut lints = header::lints(file, runbook);
    lints.extend(trigger::lints(runbook));
    lints.extend(step::lints(runbook));
    lints.extend(grant::lints(runbook));
    lints.extend(secrets::lints(runbook));
    sorted(lints)
}

/// Reads the name and the summary of a runbook; `None` if the text has no legal name.
pub fn peek(text: &str) -> Option<Peek> {
    let root = yaml::read(text).0?;
    let text = |key: &str| root.get(key).and_then(yaml::Node::as_text);
    let name = RunbookName::new(text("runbook")?).ok()?;
    Some(Peek { name, summary: text("summary").unwrap_or_default().trim_end().to_owned() })
}

/// Reads what others need to know of a runbook, as far as it can be read.
pub fn signature(text: &str) -> Option<ChildSignature> {
    let root = yaml::read(text).0?;
    let mut reader = Reader::default();
    let field = Field { path: String::new(), key: root.place, node: &root };
    Some(header::signature(&mut reader, &field))
}

/// The risk of a runbook: what is written, or more where its grants make it more. As far as the text can be read.
pub fn risk(text: &str) -> Risk {
    let Some(root) = yaml::read(text).0 else { return Risk::Low };
    let field = Field { path: String::new(), key: root.place, node: &root };
    header::risk_of(&mut Reader::default(), &field)
}

/// Every step type `uses` can name: those of the plugins and those of the run machine, by their full names.
pub fn step_types(catalogue: &Catalogue) -> Vec<(String, StepType)> {
    let of_plugins = catalogue.plugins().flat_map(|plugin| {
        plugin.steps.iter().map(|step| (format!("{}.{}", plugin.name, step.name), step.clone()))
    });
    let mut all: Vec<(String, StepType)> = of_plugins.chain(builtin::step_types()).collect();
    all.sort_by(|a, b| a.0.cmp(&b.0));
    all
}

#[cfg(test)]
mod tests;
