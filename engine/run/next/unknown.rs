//! What a decision of a plan rests on that cannot be known before the run.

use super::InFlight;
use super::moment::Moment;
use super::scope::{scope, with_effects, with_item, with_output};
use crate::event::{Event, Outcome, SkipReason};
use crate::state::State;
use model::expression::Expression;
use model::runbook::{Runbook, Step};
use model::unknown::holds_unknown;
use words::ids::{Section, StepPath};

/// What an event of a plan rests on.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Resting {
    /// One clause each, as after "unknown:".
    pub on: Vec<String>,
    /// Whether the step runs at all, or for which items, cannot be known.
    pub fate: bool,
    /// The items of the step cannot be known.
    pub items: bool,
}

/// What this event, which the plan is about to take in, rests on. Nothing in a run.
pub fn resting(runbook: &Runbook, state: &State, event: &Event) -> Resting {
    let mut resting = Resting::default();
    if !state.supposing() {
        return resting;
    }
    let in_flight = InFlight::default();
    let moment = Moment { runbook, state, now_ms: 0, in_flight: &in_flight, hold: false };
    match event {
        Event::AttemptStarted { path, attempt: 1, .. } | Event::WaitStarted { path, .. } => {
            begun(&moment, path, &mut resting);
        }
        Event::Items { path, .. } | Event::Skipped { path, reason: SkipReason::NoItems } => {
            begun(&moment, path, &mut resting);
            listed(&moment, path, &mut resting);
        }
        Event::AttemptFinished { path, outcome: Outcome::Ok(output), met: Some(_), .. } => {
            let until = step(&moment, path).and_then(|step| step.until.as_ref());
            if let Some(until) = until.filter(|until| unknown(&moment, path, &until.condition, Some(output)))
            {
                resting.on.push(format!("that `{}` comes to hold at step `{path}`", until.condition.text()));
            }
        }
        Event::UndoChecked { path, .. } => {
            let output = state.progress(path).and_then(|progress| match &progress.last()?.1.outcome {
                Some(Outcome::Ok(output)) => Some(output),
                _ => None,
            });
            let holds = step(&moment, path).and_then(|step| step.undo.as_ref()?.holds.as_ref());
            if let Some(holds) = holds.filter(|holds| unknown(&moment, path, holds, output)) {
                resting.on.push(format!("that `{}` holds after `{path}`", holds.text()));
            }
        }
        Event::Finished { outputs, .. } => {
            let outputs = outputs.as_object().into_iter().flatten();
            let unknown = outputs.filter(|(_, value)| holds_unknown(value));
            resting.on.extend(unknown.map(|(name, _)| format!("what output `{name}` is")));
        }
        _ => {}
    }
    resting
}

fn step<'a>(moment: &Moment<'a>, path: &StepPath) -> Option<&'a Step> {
    moment.steps(path.section).iter().find(|step| step.id == path.id)
}

/// A step or its first item begins, so that its condition was taken to hold.
fn begun(moment: &Moment<'_>, path: &StepPath, resting: &mut Resting) {
    let condition = step(moment, path).and_then(|step| step.condition.as_ref());
    let condition = condition.filter(|_| path.item.is_none() && path.section != Section::Undo);
    if let Some(condition) = condition.filter(|condition| unknown(moment, path, condition, None)) {
        resting.fate = true;
        resting.on.push(format!("that `if: {}` of step `{path}` holds", condition.text()));
    }
}

fn listed(moment: &Moment<'_>, path: &StepPath, resting: &mut Resting) {
    let for_each = step(moment, path).and_then(|step| step.for_each.as_ref());
    if let Some(items) = for_each.map(|each| &each.items).filter(|items| unknown(moment, path, items, None)) {
        (resting.fate, resting.items) = (true, true);
        resting.on.push(format!("what items step `{path}` has: `{}`", items.text()));
    }
}

fn unknown(
    moment: &Moment<'_>,
    path: &StepPath,
    expression: &Expression,
    output: Option<&serde_json::Value>,
) -> bool {
    let status = moment.status_word(path.section);
    let mut names = with_item(scope(moment.runbook, moment.state, status, &[expression]), moment.item(path));
    if let Some(output) = output {
        names = with_output(names, output);
    }
    if path.section == Section::Undo {
        names = with_effects(names, moment.progress(&path.in_section(Section::Steps)));
    }
    expression.is_unknown(&names)
}
