//! The state of a run: a fold over its events. Responsible for which events may follow which; the same
//! [`State::apply`] records and recovers. Does not know the runbook: what to do next is [`next`](super::next)'s.

mod fold;
mod legal;
mod pauses;
mod progress;
#[cfg(test)]
mod tests;

use std::collections::{BTreeSet, HashMap};

use serde_json::Value;

use super::event::{Accepted, CallId, EndStatus, Event};
use pauses::Pauses;
use words::ids::{RunId, Section, StepPath};

pub use progress::{Asked, Attempt, Check, Intent, Progress, RecordedCall, Waiting};

/// An event that cannot follow what the journal already holds.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("cannot record `{event}` while the run is `{status}`: {reason}")]
pub struct IllegalEvent {
    /// The word of the event.
    pub event: &'static str,
    /// The word of the run's status.
    pub status: &'static str,
    /// What stands against it, one clause.
    pub reason: String,
}

/// How the reason begins for which an engine leaves a run that was interrupted too long ago. It stands in journals, and tells
/// since when nobody carried the run: it never changes.
pub const INTERRUPTED: &str = "it was interrupted ";

/// How a run is while it lives, or how it ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RunStatus {
    /// Accepted; waits for its locks or for room.
    Queued,
    /// Under way.
    Running,
    /// Nothing is under way but waiting for a time or a person.
    Waiting,
    /// A call could not be established: a person decides.
    InDoubt,
    /// A person left it; a person resumes it.
    Left,
    /// Over.
    Ended(EndStatus),
}

impl RunStatus {
    /// The word people see.
    pub fn word(self) -> &'static str {
        match self {
            Self::Queued => "queued",
            Self::Running => "running",
            Self::Waiting => "waiting",
            Self::InDoubt => "in-doubt",
            Self::Left => "left",
            Self::Ended(end) => end.word(),
        }
    }
}

/// A person's wish that the run end.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Cancel {
    /// When it was asked for.
    pub at_ms: u64,
    /// Why.
    pub reason: String,
    /// Whether what was done is to be undone.
    pub undo: bool,
}

/// Who has the run's locks now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LockLoss {
    /// The other run.
    pub by: RunId,
    /// Why a person gave them to it.
    pub reason: String,
}

/// How a run ended.
#[derive(Debug, Clone, PartialEq)]
pub struct End {
    /// When.
    pub at_ms: u64,
    /// How.
    pub status: EndStatus,
    /// The evaluated outputs.
    pub outputs: Value,
    /// One sentence.
    pub message: String,
}

/// The undoing of a run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Undoing {
    /// When it began.
    pub at_ms: u64,
    /// What is undone, in order; every path is in [`Section::Undo`].
    pub paths: Vec<StepPath>,
}

/// The state of a run.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct State {
    run: Option<RunId>,
    version: u32,
    last_ms: u64,
    accepted: Option<(u64, Box<Accepted>)>,
    started_ms: Option<u64>,
    left: Option<String>,
    leaving: Option<String>,
    waits_for_turn: bool,
    cancel: Option<Cancel>,
    lock_loss: Option<LockLoss>,
    undoing: Option<Undoing>,
    finally_ms: Option<u64>,
    pauses: Pauses,
    progress: HashMap<StepPath, Progress>,
    /// The paths with an attempt under way or a question: most looks at a state are about these few alone.
    open: BTreeSet<StepPath>,
    failed_attempts: u32,
    forsaken: bool,
    end: Option<End>,
    supposing: bool,
}

impl State {
    /// The empty state of this run, so that expressions can see `run.id`.
    pub fn of(run: RunId) -> Self {
        Self { run: Some(run), ..Self::default() }
    }

    /// The same for a plan: what cannot be known before the run stays unknown in its expressions.
    pub fn supposed(run: RunId) -> Self {
        Self { run: Some(run), supposing: true, ..Self::default() }
    }

    /// Whether it is a plan's.
    pub fn supposing(&self) -> bool {
        self.supposing
    }

    /// Takes one event, recorded at this time in milliseconds since 1970, or says why it cannot follow. A refused event
    /// changes nothing.
    pub fn apply(&mut self, at_ms: u64, event: &Event) -> Result<(), IllegalEvent> {
        self.check(event)?;
        fold::fold(self, at_ms, event);
        Ok(())
    }

    /// Whether this event may follow.
    pub fn check(&self, event: &Event) -> Result<(), IllegalEvent> {
        legal::check(self, event).map_err(|reason| IllegalEvent {
            event: event.kind(),
            status: self.status().word(),
            reason,
        })
    }

    /// The run's id, if it was told.
    pub fn run(&self) -> Option<&RunId> {
        self.run.as_ref()
    }

    /// How many events were applied.
    pub fn version(&self) -> u32 {
        self.version
    }

    /// When the newest event was recorded.
    pub fn last_ms(&self) -> u64 {
        self.last_ms
    }

    /// What was fixed at acceptance.
    pub fn accepted(&self) -> Option<&Accepted> {
        self.accepted.as_ref().map(|(_, accepted)| accepted.as_ref())
    }

    /// When it was accepted.
    pub fn accepted_ms(&self) -> Option<u64> {
        self.accepted.as_ref().map(|(at_ms, _)| *at_ms)
    }

    /// When it got its locks.
    pub fn started_ms(&self) -> Option<u64> {
        self.started_ms
    }

    /// Why a person left it unfinished; none once it was resumed.
    pub fn left(&self) -> Option<&str> {
        self.left.as_deref()
    }

    /// Why a person wants to leave it, while attempts still bring back what they took down.
    pub fn leaving(&self) -> Option<&str> {
        self.leaving.as_deref()
    }

    /// The attempts of plugins that are under way, those left out in which a person has to decide about a call.
    pub fn performing(&self) -> Vec<(&StepPath, u32, &Attempt)> {
        self.open()
            .filter_map(|(path, progress)| {
                let (number, attempt) = progress.unfinished()?;
                (attempt.plugin.is_some() && !attempt.in_doubt()).then_some((path, number, attempt))
            })
            .collect()
    }

    /// Whether a person resumed it and it has done nothing since: it may have to stand in line for its locks.
    pub fn waits_for_turn(&self) -> bool {
        self.waits_for_turn
    }

    /// The wish that it end.
    pub fn cancel(&self) -> Option<&Cancel> {
        self.cancel.as_ref()
    }

    /// Who has its locks now: it must not write any more.
    pub fn lock_loss(&self) -> Option<&LockLoss> {
        self.lock_loss.as_ref()
    }

    /// The undoing, once it began.
    pub fn undoing(&self) -> Option<&Undoing> {
        self.undoing.as_ref()
    }

    /// When `finally` began.
    pub fn finally_ms(&self) -> Option<u64> {
        self.finally_ms
    }

    /// How it ended.
    pub fn end(&self) -> Option<&End> {
        self.end.as_ref()
    }

    /// Why the next host call of this step is to be answered with a recorded `cancelled`; none while it may go on.
    /// A cancelled run still undoes and tidies up; one that lost its locks undoes nothing more.
    pub fn stopping(&self, path: &StepPath) -> Option<String> {
        if path.section != Section::Finally
            && let Some(loss) = &self.lock_loss
        {
            return Some(format!("run `{}` was given the locks: {}", loss.by, loss.reason));
        }
        let cancel = self.cancel.as_ref()?;
        (path.section == Section::Steps).then(|| format!("the run is being cancelled: {}", cancel.reason))
    }

    /// What is known of one step or item.
    pub fn progress(&self, path: &StepPath) -> Option<&Progress> {
        self.progress.get(path)
    }

    /// Everything that was begun, skipped or asked for, by path.
    pub fn paths(&self) -> impl Iterator<Item = (&StepPath, &Progress)> {
        let mut all: Vec<_> = self.progress.iter().collect();
        all.sort_unstable_by_key(|(path, _)| *path);
        all.into_iter()
    }

    /// One attempt, from 1.
    pub fn attempt(&self, path: &StepPath, attempt: u32) -> Option<&Attempt> {
        self.progress.get(path)?.attempt(attempt)
    }

    /// The recorded host calls of one attempt, by ordinal: what a replay is answered from.
    pub fn calls(&self, path: &StepPath, attempt: u32) -> &[RecordedCall] {
        self.attempt(path, attempt).map_or(&[], |attempt| &attempt.calls)
    }

    /// Calls that were announced and have no outcome yet, doubted or not.
    pub fn open_calls(&self) -> Vec<CallId> {
        self.calls_where(|call| call.outcome.is_none())
    }

    /// Calls in doubt that no person has decided yet.
    pub fn doubts(&self) -> Vec<CallId> {
        self.calls_where(RecordedCall::in_doubt)
    }

    fn calls_where(&self, wanted: impl Fn(&RecordedCall) -> bool) -> Vec<CallId> {
        let mut found = Vec::new();
        for (path, progress) in self.open() {
            let Some((attempt, last)) = progress.last() else { continue };
            for (call, ordinal) in last.calls.iter().zip(0..) {
                if wanted(call) {
                    found.push(CallId { path: path.clone(), attempt, ordinal });
                }
            }
        }
        found
    }

    /// Whether a person has yet to decide about a call.
    pub fn has_doubt(&self) -> bool {
        self.open().any(|(_, progress)| progress.in_doubt())
    }

    /// What is under way or asks; an attempt ends only with all its calls, so no call is open anywhere else.
    fn open(&self) -> impl Iterator<Item = (&StepPath, &Progress)> {
        self.open.iter().filter_map(|path| Some((path, self.progress.get(path)?)))
    }

    /// The steps and items that wait for a person, with what is asked.
    pub fn questions(&self) -> Vec<(&StepPath, &Asked)> {
        self.open().filter_map(|(path, progress)| Some((path, progress.question()?))).collect()
    }

    /// When the first of its sleeps ends; none if nothing sleeps.
    pub fn wakes_ms(&self) -> Option<u64> {
        let wakes_ms = |progress: &Progress| match progress.unfinished()?.1.waiting {
            Some(Waiting::Until(at_ms)) => Some(at_ms),
            _ => None,
        };
        self.open().filter_map(|(_, progress)| wakes_ms(progress)).min()
    }

    /// How many attempts ended with a failure: while there are none, nobody need look for failed steps.
    pub fn failed_attempts(&self) -> u32 {
        self.failed_attempts
    }

    /// Whether a step under `steps` was skipped because the run had failed or its time was over.
    pub fn forsaken(&self) -> bool {
        self.forsaken
    }

    /// Whether anything was written that an undo could take back; see [`Attempt::wrote`].
    pub fn wrote(&self) -> bool {
        self.progress.values().any(Progress::wrote)
    }

    /// A deadline set at `since_ms`, moved by the time during which no engine, or only a person, could go on.
    pub fn extended(&self, deadline_ms: u64, since_ms: u64) -> u64 {
        deadline_ms.saturating_add(self.pauses.since(since_ms))
    }

    /// When the whole run must have ended, `undo` and `finally` apart.
    pub fn deadline_ms(&self) -> Option<u64> {
        let started_ms = self.started_ms?;
        let timeout_ms = self.accepted()?.timeout_ms;
        Some(self.extended(started_ms.saturating_add(timeout_ms), started_ms))
    }

    /// How the run is, as far as its journal tells.
    pub fn status(&self) -> RunStatus {
        if let Some(end) = &self.end {
            return RunStatus::Ended(end.status);
        }
        if self.started_ms.is_none() {
            return if self.left.is_some() { RunStatus::Left } else { RunStatus::Queued };
        }
        if self.has_doubt() {
            return RunStatus::InDoubt;
        }
        if self.left.is_some() {
            return RunStatus::Left;
        }
        let working = self.open().any(|(_, progress)| progress.working());
        let waiting = self.open().any(|(_, progress)| progress.waiting());
        if waiting && !working { RunStatus::Waiting } else { RunStatus::Running }
    }
}
