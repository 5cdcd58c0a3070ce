//! What an engine does when it begins: it takes every unfinished run of the data directory into its hands.

use std::sync::Arc;

use super::acceptance;
use super::engine::Engine;
use super::journal::{Journal, unfinished};
use super::refusal::Refusal;
use super::set_aside::Aside;
use crate::audit::{self, EntryFilter, Reader, RunRow};
use crate::model::ids::{RunId, RunbookName};
use crate::model::parse::parse_accepted;
use crate::model::runbook::Runbook;
use crate::model::step_type::Catalogue;
use crate::run::event::Event;
use crate::run::state::State;

/// A runbook as it was accepted, and the texts of those that its steps may use, its own first.
pub(super) type Kept = (Runbook, Vec<(RunbookName, String)>);

/// Reads the runbook that a run was accepted with.
pub(super) fn read(reader: &Reader, state: &State, catalogue: &Catalogue) -> Result<Kept, Refusal> {
    let accepted = state.accepted().ok_or_else(|| Refusal::Internal("it was never accepted".to_owned()))?;
    let mut texts = Vec::new();
    for (name, digest) in &accepted.texts {
        let missing = || Refusal::Internal(format!("the text of runbook `{name}` is no longer kept"));
        let bytes = reader.blob(digest)?.ok_or_else(missing)?;
        texts.push((name.clone(), String::from_utf8_lossy(&bytes).into_owned()));
    }
    let others: Vec<_> = texts.iter().skip(1).map(|(n, t)| (n.clone(), n.to_string(), t.clone())).collect();
    let text = texts.first().map(|(_, text)| text.clone()).unwrap_or_default();
    let runbook = acceptance::read_runbook(parse_accepted, (&accepted.file, &text), &others, catalogue)?;
    Ok((runbook, texts))
}

impl Engine {
    /// Takes every unfinished run into its hands: first those that had their locks, then those that waited, each oldest
    /// first, so that locks are queued for as they were. One that cannot be read is set aside and keeps its locks.
    pub(super) fn load(&self, reader: &Reader) -> Result<(), Refusal> {
        let (mut begun, mut waiting) = (Vec::new(), Vec::new());
        for (run, version) in self.inner().audit.found_unfinished() {
            match unfinished(reader, run, version) {
                Ok((row, state)) => {
                    if !matches!(reader.run(run), Ok(Some(found)) if found == row) {
                        tracing::error!(%run, "lists show this run otherwise than its entries tell: `runbook audit verify`");
                    }
                    let begins = if state.started_ms().is_none() { &mut waiting } else { &mut begun };
                    begins.push((row, state));
                }
                // Where the database itself is damaged nothing is acted upon.
                Err(Refusal::Audit(error)) if !matches!(error, audit::Error::Unreadable { .. }) => {
                    return Err(Refusal::Audit(error));
                }
                Err(refusal) => {
                    let parent = reader.run(run).ok().flatten().and_then(|row| row.parent);
                    self.put_aside(reader, run, parent.as_ref(), &refusal);
                }
            }
        }
        for (row, state) in begun.into_iter().chain(waiting) {
            match read(reader, &state, self.inner().reach.plugins.catalogue()) {
                Ok(kept) => self.take_over(row, state, kept),
                Err(refusal) => self.put_aside(reader, &row.run, row.parent.as_ref(), &refusal),
            }
        }
        Ok(())
    }

    fn take_over(&self, row: RunRow, state: State, (runbook, texts): Kept) {
        let accepted = state.accepted();
        let locks = accepted.map(|accepted| accepted.locks.clone()).unwrap_or_default();
        let parent = accepted.and_then(|accepted| accepted.parent.clone());
        let journal = Journal::new(self.inner(), row.actor.clone(), row, state);
        let ancestors = self.inner().ancestors(parent.as_ref());
        self.inner().locks.enter(journal.run(), &locks, ancestors, false);
        self.inner().begin(journal, self.inner().shelf.share(Arc::new(runbook), texts), parent);
    }

    fn put_aside(&self, reader: &Reader, run: &RunId, parent: Option<&RunId>, refusal: &Refusal) {
        let aside = Aside::of(refusal);
        tracing::error!(%run, why = %aside.why, "an unfinished run cannot be read and is set aside");
        let ancestors = self.inner().ancestors(parent);
        self.inner().locks.enter(run, &locks_of(reader, run), ancestors, false);
        self.inner().aside.put(run.clone(), aside);
    }
}

/// The locks that a run was accepted with; none if not even that can be read.
fn locks_of(reader: &Reader, run: &RunId) -> Vec<String> {
    let first = EntryFilter { limit: 1, ..EntryFilter::journal(run) };
    let entries = reader.entries(&first).unwrap_or_default();
    match entries.first().map(crate::audit::Entry::event) {
        Some(Ok(Event::Accepted(accepted))) => accepted.locks.clone(),
        _ => Vec::new(),
    }
}
