//! A run's turn: it holds all of its locks before it does anything.

use std::sync::Arc;

use serde_json::json;

use super::lock_table::Deadlock;
use super::runner::{Quit, Runner};
use crate::host::Ledger as _;
use crate::model::ids::{RunId, StepPath};
use crate::run::event::{EndStatus, Event};

impl Runner {
    /// Holds all locks before anything is done; commands are obeyed meanwhile.
    pub(super) async fn take_locks(&mut self) -> Result<(), Quit> {
        let locks = self.journal.with(|state| state.accepted().map(|a| a.locks.clone()).unwrap_or_default());
        let (inner, journal) = (Arc::clone(&self.inner), self.journal.clone());
        let first = self
            .journal
            .with(|state| state.paths().next().is_none())
            .then(|| self.reading.runbook.steps[0].id.clone());
        let tell = move |holder: &RunId, lock: &str| {
            if let Some(id) = &first {
                let path = StepPath::step(id.clone());
                journal.note(
                    &path,
                    1,
                    "info",
                    format!("waiting for run {holder}, which holds the lock on {lock}"),
                );
            }
        };
        let run = self.journal.run().clone();
        let fresh = self.journal.with(|state| state.started_ms().is_none());
        let held = async { inner.locks.hold(&run, fresh, tell).await };
        tokio::pin!(held);
        loop {
            if self.journal.with(|state| state.started_ms().is_none() && state.left().is_some()) {
                self.step_aside(&locks).await?;
            }
            if self.draining {
                return Err(Quit::Drained);
            }
            if self.journal.with(|state| state.cancel().is_some() || state.end().is_some()) {
                return Ok(());
            }
            tokio::select! {
                held = &mut held => return match held {
                    Ok(()) => Ok(()),
                    Err(deadlock) => self.give_up(&deadlock).await,
                },
                Some(message) = self.inbox.recv() => self.hear(message).await?,
            }
        }
    }

    /// A run that has done nothing yet ends rather than wait for ever.
    async fn give_up(&self, deadlock: &Deadlock) -> Result<(), Quit> {
        let Deadlock { holder, lock } = deadlock;
        let message = format!(
            "gave up before it began: run {holder} holds the lock on {lock} and itself waits for what this run's parents hold"
        );
        let event = Event::Finished { status: EndStatus::Failed, outputs: json!({}), message };
        Ok(self.journal.append(&event, None).await?)
    }

    /// A run that was left while it waited gives up its place until a person resumes or ends it: it has done nothing, so
    /// nobody need wait for it.
    async fn step_aside(&mut self, locks: &[String]) -> Result<(), Quit> {
        let run = self.journal.run().clone();
        self.inner.locks.leave(&run);
        self.tell_rest(None);
        while !self.draining && self.journal.with(|state| state.left().is_some()) {
            match self.inbox.recv().await {
                Some(message) => self.hear(message).await?,
                None => return Err(Quit::Drained),
            }
        }
        let parent = self.inner.handle(&run).and_then(|handle| handle.parent);
        let ancestors = self.inner.ancestors(parent.as_ref());
        self.inner.locks.enter(&run, locks, ancestors, false);
        self.tell_rest(None);
        Ok(())
    }
}
