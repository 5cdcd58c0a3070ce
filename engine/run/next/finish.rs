//! How an attempt's end is recorded: what a plugin or a child run answered, seen in the light of the step.

use super::InFlight;
use super::attempt::evaluation_failure;
use super::moment::Moment;
use super::scope::{scope, with_item, with_output};
use crate::event::{EndStatus, Event, MAX_KEPT_LINES, Outcome, Settlement};
use crate::state::{End, State};
use model::runbook::{Runbook, Until};
use words::effect::{Failure, FailureKind};
use words::ids::{RunId, Section, StepPath};

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
pub fn finish(runbook: &Runbook, state: &State, ended: Ended) -> Event {
    let Ended { path, attempt, outcome, mut lines } = ended;
    lines.drain(..lines.len().saturating_sub(MAX_KEPT_LINES));
    let (outcome, met) = match until(runbook, &path) {
        None => (outcome, None),
        Some(until) => judge(runbook, state, &path, until, outcome),
    };
    Event::AttemptFinished { path, attempt, outcome, met, lines }
}

fn until<'a>(runbook: &'a Runbook, path: &StepPath) -> Option<&'a Until> {
    let steps = match path.section {
        Section::Steps => &runbook.steps,
        Section::Finally => &runbook.finally,
        Section::Undo => return None,
    };
    steps.iter().find(|step| step.id == path.id)?.until.as_ref()
}

/// Whether the condition held. A failure of the kind that passes with time is "not yet"; one to evaluate is a failure.
fn judge(
    runbook: &Runbook,
    state: &State,
    path: &StepPath,
    until: &Until,
    outcome: Outcome,
) -> (Outcome, Option<bool>) {
    match &outcome {
        Outcome::Ok(output) => {
            let parent = StepPath { item: None, ..path.clone() };
            let items = state.progress(&parent).and_then(|progress| progress.items.as_ref());
            let item = path.item.and_then(|index| items?.get(usize::try_from(index).ok()?));
            let in_flight = InFlight::default();
            let moment = Moment { runbook, state, now_ms: 0, in_flight: &in_flight, hold: false };
            let status = moment.status_word(path.section);
            let names = scope(runbook, state, status, &[&until.condition]);
            let names = with_output(with_item(names, item), output);
            match until.condition.holds(&names) {
                Ok(met) => (outcome, Some(met)),
                Err(error) => (Outcome::Error(evaluation_failure(&error)), None),
            }
        }
        Outcome::Error(failure) => {
            let passing = matches!(
                failure.kind,
                FailureKind::Conflict
                    | FailureKind::Unavailable
                    | FailureKind::TimedOut
                    | FailureKind::NotFound
            );
            (outcome, passing.then_some(false))
        }
    }
}

/// The events that give every open call the outcome "unknown", so that a run whose replay diverged can end as `stuck`:
/// append them before `run.finished`.
pub fn abandon(state: &State, why: &str) -> Vec<Event> {
    let doubts = state.doubts();
    let mut events = Vec::new();
    for call in state.open_calls() {
        let ordinal = usize::try_from(call.ordinal).unwrap_or(usize::MAX);
        let Some(open) = state.calls(&call.path, call.attempt).get(ordinal) else { continue };
        if doubts.contains(&call) {
            events.push(Event::CallSettled { call: call.clone(), decision: Settlement::Fail });
        }
        let failure = Failure::new(FailureKind::OutcomeUnknown, "run.abandoned", why);
        events.push(Event::CallFinished {
            call,
            function: open.function.clone(),
            arguments: None,
            outcome: Outcome::Error(failure),
            established: None,
        });
    }
    events
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
