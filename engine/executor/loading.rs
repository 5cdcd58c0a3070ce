//! What an engine does when it begins: it takes every unfinished run of the data directory into its hands.

use std::sync::Arc;

use super::acceptance;
use super::engine::Engine;
use super::journal::{Journal, unfinished};
use super::refusal::Refusal;
use super::set_aside::Aside;
use super::turn::stands_aside;
use audit::{self, EntryFilter, Reader, RunRow};
use model::parse::parse_accepted;
use model::runbook::Runbook;
use model::step_type::Catalogue;
use run::event::Event;
use run::state::State;
use words::ids::{RunId, RunbookName};

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

/// Locks that a run was given, and who had them.
struct Taken {
    losers: Vec<RunId>,
    by: RunId,
    reason: String,
    actor: String,
}

impl Engine {
    /// Takes every unfinished run into its hands: first those that had their locks, then those that were given them by a
    /// person, then those that were resumed, then those that waited, each oldest first, so that locks are queued for as
    /// they were. One that cannot be read is set aside and keeps its locks.
    pub(super) fn load(&self, reader: &Reader) -> Result<(), Refusal> {
        let (mut begun, mut taking, mut resumed, mut waiting) =
            (Vec::new(), Vec::new(), Vec::new(), Vec::new());
        for (run, version) in self.inner().audit.found_unfinished() {
            match unfinished(reader, run, version) {
                Ok((row, state)) => {
                    if !matches!(reader.run(run), Ok(Some(found)) if found == row) {
                        tracing::error!(%run, "lists show this run otherwise than its entries tell: `runbook audit verify`");
                    }
                    let kind = match (state.started_ms(), state.accepted().is_some_and(|a| a.takes_locks)) {
                        (Some(_), _) if state.waits_for_turn() => &mut resumed,
                        (Some(_), _) => &mut begun,
                        (None, true) => &mut taking,
                        (None, false) => &mut waiting,
                    };
                    kind.push((row, state));
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
        let mut taken = Vec::new();
        for (row, state) in begun.into_iter().chain(taking).chain(resumed).chain(waiting) {
            match read(reader, &state, self.inner().reach.plugins.catalogue()) {
                Ok(kept) => taken.extend(self.take_over(row, state, kept)),
                Err(refusal) => self.put_aside(reader, &row.run, row.parent.as_ref(), &refusal),
            }
        }
        self.tell_those_who_lost(taken);
        Ok(())
    }

    /// Takes one over. It stands in line unless it gave its locks back, or another run has them now. Gives who lost a lock
    /// to it: the engine that accepted it may not have come to telling them.
    fn take_over(&self, row: RunRow, state: State, (runbook, texts): Kept) -> Option<Taken> {
        let accepted = state.accepted();
        let locks = accepted.map(|accepted| accepted.locks.clone()).unwrap_or_default();
        let parent = accepted.and_then(|accepted| accepted.parent.clone());
        let first = state.started_ms().is_none() && accepted.is_some_and(|accepted| accepted.takes_locks);
        let reason = accepted.and_then(|accepted| accepted.reason.clone()).unwrap_or_default();
        let in_line = state.lock_loss().is_none() && !stands_aside(&state);
        let journal = Journal::new(self.inner(), row.actor.clone(), row, state);
        let ancestors = self.inner().ancestors(parent.as_ref());
        let losers = if in_line {
            self.inner().locks.enter(journal.run(), &locks, ancestors, first)
        } else {
            Vec::new()
        };
        let (by, actor) = (journal.run().clone(), journal.actor().to_owned());
        self.inner().begin(journal, self.inner().shelf.share(Arc::new(runbook), texts), parent);
        (!losers.is_empty()).then_some(Taken { losers, by, reason, actor })
    }

    fn tell_those_who_lost(&self, taken: Vec<Taken>) {
        if taken.is_empty() {
            return;
        }
        let engine = self.clone();
        let tell = async move {
            for Taken { losers, by, reason, actor } in taken {
                engine.tell_losers(losers.iter(), &by, &reason, &actor).await;
            }
        };
        self.inner().tasks.begin("losers", tell, || {});
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
    match entries.first().map(audit::Entry::event) {
        Some(Ok(Event::Accepted(accepted))) => accepted.locks.clone(),
        _ => Vec::new(),
    }
}
