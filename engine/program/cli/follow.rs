//! Following a run by reading its journal: the same for the one who carries it out and for any other process.

use std::path::Path;

use serde_json::Value;

use super::render::run::Told;
use crate::error::Error;
use crate::error::exit::{self, Cause};
use audit::{Entry, EntryFilter, KeptNote, Reader};
use executor::library;
use model::parse::{Known, parse_accepted};
use model::runbook::Runbook;
use model::step_type::Catalogue;
use run::event::{Accepted, Event};
use run::state::{RunStatus, State};
use run::view::{RunView, view};
use words::clock;
use words::effect::FailureKind;
use words::ids::RunId;

/// Entries read at once.
const PAGE: usize = 1_000;

/// Notes read at once.
const NOTES: usize = 200;

/// In the code of a failure, and at the beginning of why a run was left: the halt switch was on.
pub(crate) const HALTED: &str = "halted";

/// A run as far as it has been read.
pub(crate) struct Follower {
    reader: Reader,
    run: RunId,
    seq: u64,
    note: u64,
    state: State,
    runbook: Option<Runbook>,
    parameters: Value,
}

/// Something that happened.
#[derive(Debug)]
pub(crate) enum Happening {
    /// An entry of the journal.
    Entry(Box<Entry>, Box<Event>),
    /// A line a step said.
    Note(KeptNote),
}

/// How a run stands, as far as it matters to those who wait for it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Standing {
    /// It goes on by itself.
    Moving,
    /// A person is asked something.
    Asking,
    /// A person must decide about a call.
    InDoubt,
    /// A person left it.
    Left,
    /// It is over.
    Over,
}

impl Follower {
    /// From the beginning of the run.
    pub(crate) fn new(data_dir: &Path, run: RunId) -> Result<Self, Error> {
        let reader = Reader::open(data_dir)?;
        let state = State::of(run.clone());
        Ok(Self { reader, run, seq: 0, note: 0, state, runbook: None, parameters: Value::Null })
    }

    /// What happened since the last time, in order.
    pub(crate) fn read(&mut self, catalogue: &Catalogue) -> Result<Vec<Happening>, Error> {
        let mut happenings = Vec::new();
        self.reader.renew()?;
        // What a step says comes after the entries that stand before it.
        let _snapshot = self.reader.snapshot()?;
        loop {
            let filter = EntryFilter {
                run: Some(self.run.clone()),
                after_seq: self.seq,
                limit: PAGE,
                ..EntryFilter::default()
            };
            let entries = self.reader.entries(&filter)?;
            let whole = entries.len() < PAGE;
            for entry in entries {
                self.seq = entry.seq;
                let event = entry.event()?;
                self.state.apply(entry.time_ms, &event).map_err(|error| {
                    Error::internal(format!("entry {} cannot follow: {error}", entry.seq))
                })?;
                if let Event::Accepted(accepted) = &event {
                    self.parameters = accepted.parameters.clone();
                    self.runbook = self.kept_runbook(catalogue)?;
                }
                happenings.push(Happening::Entry(Box::new(entry), Box::new(event)));
            }
            if whole {
                break;
            }
        }
        let notes = self.reader.notes(&self.run, self.note, NOTES)?;
        if let Some(last) = notes.last() {
            self.note = last.id;
            happenings.extend(notes.into_iter().map(Happening::Note));
            happenings.sort_by_key(Happening::time_ms);
        }
        Ok(happenings)
    }

    /// The runbook as it was accepted; none if its text was pruned.
    fn kept_runbook(&self, catalogue: &Catalogue) -> Result<Option<Runbook>, Error> {
        let Some(accepted) = self.state.accepted() else { return Ok(None) };
        let mut texts = Vec::new();
        for (name, digest) in &accepted.texts {
            let Some(bytes) = self.reader.blob(digest)? else { return Ok(None) };
            texts.push((name, String::from_utf8_lossy(&bytes).into_owned()));
        }
        let runbooks = library::signatures(texts.iter().map(|(name, text)| (*name, text.as_str())));
        let known = Known { catalogue, runbooks: &runbooks };
        Ok(texts.first().and_then(|(_, text)| parse_accepted(&accepted.file, text, &known).ok()))
    }

    /// What people are shown.
    pub(crate) fn view(&self) -> RunView {
        view(self.runbook.as_ref(), &self.state)
    }

    /// The view with what goes around it.
    pub(crate) fn told<'a>(&'a self, view: &'a RunView) -> Told<'a> {
        let file = self.accepted().map_or("", |accepted| accepted.file.as_str());
        Told { view, parameters: &self.parameters, file, given: self.given(), now_ms: clock::now_ms() }
    }

    /// The parameters that are not what they are by default.
    fn given(&self) -> Vec<(&str, &Value)> {
        let declared = self.runbook.as_ref().map(|runbook| runbook.parameters.as_slice()).unwrap_or_default();
        let default = |name: &str| declared.iter().find(|one| one.name.as_str() == name)?.default.as_ref();
        let all = self.parameters.as_object().into_iter().flatten();
        all.map(|(name, value)| (name.as_str(), value))
            .filter(|(name, value)| default(name) != Some(*value))
            .collect()
    }

    /// What it was fixed to when it was accepted.
    pub(crate) fn accepted(&self) -> Option<&Accepted> {
        self.state.accepted()
    }

    /// Its runbook as it was accepted, if its text is still kept.
    pub(crate) fn runbook(&self) -> Option<&Runbook> {
        self.runbook.as_ref()
    }

    /// How it stands.
    pub(crate) fn standing(&self) -> Standing {
        match self.state.status() {
            RunStatus::Ended(_) => Standing::Over,
            RunStatus::Left => Standing::Left,
            RunStatus::InDoubt => Standing::InDoubt,
            _ if !self.state.questions().is_empty() => Standing::Asking,
            _ => Standing::Moving,
        }
    }

    /// The exit code of those who waited for it.
    pub(crate) fn exit_code(&self) -> u8 {
        match self.state.status() {
            RunStatus::Ended(status) => exit::of_end(status, cause(&self.view())),
            RunStatus::InDoubt => exit::IN_DOUBT,
            RunStatus::Left if self.state.left().is_some_and(|reason| reason.starts_with(HALTED)) => {
                exit::HALTED
            }
            RunStatus::Left => exit::CANCELLED,
            _ => exit::SUCCEEDED,
        }
    }
}

impl Happening {
    fn time_ms(&self) -> u64 {
        match self {
            Self::Entry(entry, _) => entry.time_ms,
            Self::Note(note) => note.time_ms,
        }
    }
}

/// Why it failed: what the first failed step says.
fn cause(view: &RunView) -> Cause {
    let mut failures =
        view.steps.iter().filter(|step| step.status == "failed").filter_map(|step| step.failure.as_ref());
    match failures.next() {
        Some(failure) if failure.code.split('.').any(|part| part == HALTED) => Cause::Halted,
        Some(failure) if failure.kind == FailureKind::Denied => Cause::Denied,
        _ => Cause::Other,
    }
}

#[cfg(test)]
mod tests {
    use super::super::render::run::tests::{run, step};
    use super::*;
    use run::view::StepView;
    use words::effect::Failure;

    fn failed(kind: FailureKind, code: &str) -> RunView {
        let failure = Some(Failure::new(kind, code, "no"));
        run("failed", vec![step("before", "succeeded"), StepView { failure, ..step("restart", "failed") }])
    }

    #[test]
    fn the_first_failure_is_the_cause() {
        assert_eq!(cause(&failed(FailureKind::Denied, "grants.missing")), Cause::Denied);
        assert_eq!(cause(&failed(FailureKind::Denied, "engine.halted")), Cause::Halted);
        assert_eq!(cause(&failed(FailureKind::TimedOut, "service.unhealthy")), Cause::Other);
        assert_eq!(cause(&run("succeeded", Vec::new())), Cause::Other);
    }
}
