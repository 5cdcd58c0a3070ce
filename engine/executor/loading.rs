//! What an engine does when it begins: it takes every unfinished run of the data directory into its hands.

use std::sync::{Arc, PoisonError};

use super::acceptance;
use super::engine::Engine;
use super::journal::{Journal, unfinished};
use super::refusal::Refusal;
use crate::audit::{self, Reader, RunRow};
use crate::model::ids::RunId;
use crate::model::parse::parse_accepted;
use crate::run::state::State;

impl Engine {
    /// Takes every unfinished run into its hands: first those that had their locks, then those that waited, each oldest
    /// first, so that locks are queued for as they were.
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
                // What is not as it was signed is not acted upon; the other runs go on.
                Err(Refusal::Audit(error @ audit::Error::Damaged { .. })) => {
                    cannot_go_on(run, &Refusal::Audit(error.clone()));
                    let mut aside = self.inner().aside.lock().unwrap_or_else(PoisonError::into_inner);
                    aside.insert(run.clone(), error);
                }
                Err(Refusal::Audit(error)) => return Err(Refusal::Audit(error)),
                Err(error) => cannot_go_on(run, &error),
            }
        }
        for (row, state) in begun.into_iter().chain(waiting) {
            let run = row.run.clone();
            if let Err(error) = self.load_run(reader, row, state) {
                cannot_go_on(&run, &error);
            }
        }
        Ok(())
    }

    fn load_run(&self, reader: &Reader, row: RunRow, state: State) -> Result<(), Refusal> {
        let accepted =
            state.accepted().cloned().ok_or_else(|| Refusal::Internal("it was never accepted".to_owned()))?;
        let mut texts = Vec::new();
        for (name, digest) in &accepted.texts {
            let missing = || Refusal::Internal(format!("the text of runbook `{name}` is no longer kept"));
            let bytes = reader.blob(digest)?.ok_or_else(missing)?;
            texts.push((name.clone(), String::from_utf8_lossy(&bytes).into_owned()));
        }
        let others: Vec<_> =
            texts.iter().skip(1).map(|(n, t)| (n.clone(), n.to_string(), t.clone())).collect();
        let text = texts.first().map(|(_, text)| text.clone()).unwrap_or_default();
        let runbook = acceptance::read_runbook(
            parse_accepted,
            (&accepted.file, &text),
            &others,
            self.inner().plugins.catalogue(),
        )?;
        let parent = accepted.parent.clone();
        let journal = Journal::new(self.inner().audit.clone(), row.actor.clone(), row, state);
        self.inner().locks.enter(
            journal.run(),
            &accepted.locks,
            self.inner().ancestors(parent.as_ref()),
            false,
        );
        self.inner().begin(journal, self.inner().shelf.share(Arc::new(runbook), texts), parent);
        Ok(())
    }
}

/// One damaged run does not keep the others from going on.
fn cannot_go_on(run: &RunId, error: &Refusal) {
    tracing::error!(%run, %error, "an unfinished run cannot be carried on");
}
