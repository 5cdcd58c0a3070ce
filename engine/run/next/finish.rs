//! How an attempt's end is recorded: what a plugin or a child run answered, seen in the light of the step.

use super::super::event::{EndStatus, Event, MAX_KEPT_LINES, Outcome};
use super::super::state::{End, State};
use crate::model::effect::{Failure, FailureKind};
use crate::model::ids::{RunId, StepPath};
use crate::model::runbook::Runbook;

/// An attempt that has ended.
#[derive(Debug, Clone, PartialEq)]
pub struct Ended {
    /// The step or item.
    pub path: StepPath,
    /// From 1.
    pub attempt: u32,
    /// What the plugin answered, or [`child_outcome`].
    pub outcome: Outcome,
    /// What it logged; the last [`MAX_KEPT_LINES`] are kept.
    pub lines: Vec<String>,
}

/// The event that records the end of an attempt; with `until`, whether its condition held. Every attempt that the
/// executor performed must be recorded through this.
pub fn finish(_runbook: &Runbook, _state: &State, ended: Ended) -> Event {
    let Ended { path, attempt, outcome, mut lines } = ended;
    lines.drain(..lines.len().saturating_sub(MAX_KEPT_LINES));
    Event::AttemptFinished { path, attempt, outcome, met: None, lines }
}

/// What a child run's end means for the step that waits for it: its outputs, or a failure that names it.
pub fn child_outcome(run: &RunId, end: &End) -> Outcome {
    let kind = match end.status {
        EndStatus::Succeeded | EndStatus::Skipped => return Outcome::Ok(end.outputs.clone()),
        EndStatus::Cancelled => FailureKind::Cancelled,
        EndStatus::Failed | EndStatus::RolledBack => FailureKind::Conflict,
        EndStatus::Stuck => FailureKind::OutcomeUnknown,
    };
    let word = end.status.word();
    let message = format!("run `{run}` ended as {word}: {}", end.message);
    Outcome::Error(Failure::new(kind, format!("child.{word}"), message))
}
