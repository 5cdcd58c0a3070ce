//! Runs that cannot be read: set aside, told, and ended by a person. They never keep another run from going on, and keep their
//! locks until they are ended, since nobody knows what they left half done.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

use serde_json::json;

use super::engine::{Engine, Inner};
use super::journal::fold;
use super::loading;
use super::refusal::Refusal;
use super::request::Command;
use audit::{self, Draft, Reader, RunRow};
use model::step_type::Catalogue;
use run::event::{EndStatus, Event, Outcome};
use run::next::child_outcome;
use run::state::End;
use words::clock;
use words::ids::RunId;

/// Why a run is set aside.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Aside {
    /// One clause.
    pub why: String,
    /// Whether something of it is not what was written.
    pub damaged: bool,
}

impl Aside {
    pub(super) fn of(refusal: &Refusal) -> Self {
        use audit::Error::{Damaged, Unreadable};
        let damaged = matches!(refusal, Refusal::Audit(Damaged { .. } | Unreadable { changed: true, .. }));
        Self { why: refusal.to_string(), damaged }
    }
}

/// Why an engine sets, or would set, this unfinished run aside; none if it can be carried on, or is over.
pub fn why_set_aside(reader: &Reader, row: &RunRow, catalogue: &Catalogue) -> Option<Aside> {
    if row.finished_ms.is_some() {
        return None;
    }
    let state = fold(reader, &row.run);
    let read = state.and_then(|state| loading::read(reader, &state, catalogue).map(drop));
    read.err().map(|refusal| Aside::of(&refusal))
}

/// Those of this engine.
#[derive(Default)]
pub(super) struct SetAside {
    runs: Mutex<BTreeMap<RunId, Aside>>,
    closed: AtomicBool,
}

impl SetAside {
    fn runs(&self) -> MutexGuard<'_, BTreeMap<RunId, Aside>> {
        self.runs.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn put(&self, run: RunId, aside: Aside) {
        self.runs().insert(run, aside);
    }

    pub(super) fn why(&self, run: &RunId) -> Option<Aside> {
        self.runs().get(run).cloned()
    }

    /// The engine ends: nobody waits for one of them any more.
    pub(super) fn close(&self) {
        self.closed.store(true, Ordering::SeqCst);
    }
}

impl Engine {
    /// The runs that this engine could not read when it began, with the reason.
    pub fn set_aside(&self) -> Vec<(RunId, Aside)> {
        self.inner().aside.runs().iter().map(|(run, aside)| (run.clone(), aside.clone())).collect()
    }

    /// The only thing that can be done with a run that cannot be read is to end it.
    pub(super) async fn command_aside(
        &self,
        run: &RunId,
        command: Command,
        actor: &str,
        aside: Aside,
    ) -> Result<(), Refusal> {
        let Command::Cancel { reason, undo: false } = command.printable() else {
            return Err(Refusal::SetAside { run: run.clone(), aside });
        };
        let reader = Reader::open(&self.inner().config.data_dir)?;
        let mut row = reader.run(run)?.ok_or_else(|| Refusal::UnknownRun(run.clone()))?;
        let message = format!("ended unread: {} ({actor}: {reason})", aside.why);
        EndStatus::Stuck.word().clone_into(&mut row.status);
        row.finished_ms = Some(clock::now_ms());
        row.message = super::telling::shortened(&message, super::journal::MAX_ROW_MESSAGE_BYTES);
        let event = Event::Finished { status: EndStatus::Stuck, outputs: json!({}), message };
        let draft = Draft { row: Some(row), ..Draft::event(actor, run.clone(), &event)? };
        let version = reader.version(run)?;
        self.inner().audit.append(vec![draft], Some((run.clone(), version))).await?;
        self.inner().aside.runs().remove(run);
        self.inner().forget(run);
        Ok(())
    }
}

impl Inner {
    /// Until a run that was set aside is ended, or this engine is.
    pub(super) async fn until_not_aside(&self, run: &RunId) {
        let mut changed = self.changed();
        while self.aside.why(run).is_some() && !self.aside.closed.load(Ordering::SeqCst) {
            if changed.changed().await.is_err() {
                return;
            }
        }
    }

    /// What came of a child that ended under an earlier engine, or that nobody could read.
    pub(super) fn ended_child(&self, run: &RunId) -> Option<Outcome> {
        let reader = Reader::open(&self.config.data_dir).ok()?;
        if let Ok(state) = fold(&reader, run) {
            return state.end().map(|end| child_outcome(run, end));
        }
        let row = reader.run(run).ok()??;
        let at_ms = row.finished_ms?;
        let end = End { at_ms, status: EndStatus::Stuck, outputs: json!({}), message: row.message };
        Some(child_outcome(run, &end))
    }
}
