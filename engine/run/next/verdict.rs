//! How a run stands or ends, in a word and a sentence, and its outputs.

use serde_json::{Map, Value};

use super::fate::{StepFate, step_fate};
use super::moment::Moment;
use super::scope::scope;
use super::stop::FailedStep;
use super::undo::{Undone, undone};
use crate::differences::{differences, words};
use crate::event::{EndStatus, Event, Settlement, SkipReason};
use crate::state::State;
use model::runbook::OnFailure;
use words::ids::{Section, StepPath};

/// How a run stands.
#[derive(Debug, Clone, PartialEq)]
struct Verdict {
    status: EndStatus,
    message: String,
}

impl Moment<'_> {
    /// What expressions see as `run.status`.
    pub(super) fn status_word(&self, section: Section) -> &'static str {
        match section {
            Section::Steps | Section::Undo => "running",
            Section::Finally => so_far(self).status.word(),
        }
    }
}

/// The event that ends a run whose sections are all over.
pub(super) fn finish(moment: &Moment<'_>) -> Event {
    let Verdict { mut status, mut message } = so_far(moment);
    let failed = [OnFailure::Stop, OnFailure::Continue]
        .into_iter()
        .find_map(|treat| moment.failed(Section::Finally, treat))
        .map(|failed| (failed.path, failed.message))
        .or_else(|| late(moment));
    if let Some((path, why)) = failed {
        message = format!("step `{path}` failed: {why}; before that: {message}");
        if status != EndStatus::Stuck {
            status = EndStatus::Failed;
        }
    }
    let (outputs, wrong) = outputs(moment, status);
    if status == EndStatus::Succeeded
        && let Some(wrong) = wrong
    {
        message = format!("{message}; {wrong}");
    }
    Event::Finished { status, outputs, message }
}

/// A step of `finally` that its time did not suffice for.
fn late(moment: &Moment<'_>) -> Option<(StepPath, String)> {
    moment.state.paths().find_map(|(path, progress)| match &progress.skipped {
        Some(SkipReason::Failed(_)) if path.section == Section::Finally => {
            Some((path.clone(), "no time was left for it".to_owned()))
        }
        _ => None,
    })
}

/// The end of a run that is cancelled before it began.
pub(super) fn never_started(reason: &str) -> Event {
    let message = format!("cancelled before it began: {reason}");
    Event::Finished { status: EndStatus::Cancelled, outputs: Value::Object(Map::new()), message }
}

/// How the run stands once its steps and its undo are over, `finally` apart.
fn so_far(moment: &Moment<'_>) -> Verdict {
    let undone = undone(moment);
    let why = why(moment);
    if !undone.failed.is_empty() {
        let message = format!("{}; {}{}", failures(&undone), why.unwrap_or_default(), left(moment, &undone));
        return Verdict { status: EndStatus::Stuck, message };
    }
    if undone.taken_back > 0 && undone.remaining.is_empty() {
        let left = left(moment, &undone);
        let done = if left.is_empty() { "what it had done was undone" } else { "every undo ran" };
        let message = format!("{}; {done}{left}", why.unwrap_or_default());
        return Verdict { status: EndStatus::RolledBack, message };
    }
    if let Some(why) = why {
        let cancelled = moment.cancel_reason().is_some();
        let status = if cancelled { EndStatus::Cancelled } else { EndStatus::Failed };
        return Verdict { status, message: format!("{why}{}", left(moment, &undone)) };
    }
    let [succeeded, skipped] = counts(moment);
    if let Some(FailedStep { path, message, .. }) = moment.failed(Section::Steps, OnFailure::Continue) {
        let message = format!("step `{path}` failed and the run went on: {message}");
        return Verdict { status: EndStatus::Failed, message };
    }
    if succeeded == 0 {
        return Verdict {
            status: EndStatus::Skipped,
            message: "no step applied; nothing was done".to_owned(),
        };
    }
    let steps = if succeeded == 1 { "1 step".to_owned() } else { format!("{succeeded} steps") };
    let skipped = if skipped == 0 { String::new() } else { format!(", {skipped} skipped") };
    Verdict { status: EndStatus::Succeeded, message: format!("{steps} succeeded{skipped}") }
}

/// Why the run did not go through, if it did not.
fn why(moment: &Moment<'_>) -> Option<String> {
    let failed = moment.failed(Section::Steps, OnFailure::Stop);
    let failed = failed.map(|failed| format!("step `{}` failed: {}", failed.path, failed.message));
    if let Some(reason) = moment.cancel_reason() {
        let failed = failed.map(|failed| format!("; {failed}")).unwrap_or_default();
        return Some(format!("cancelled: {reason}{failed}"));
    }
    failed.or_else(|| {
        moment.state.paths().find_map(|(path, progress)| match &progress.skipped {
            Some(SkipReason::Failed(why)) if path.section == Section::Steps => {
                Some(format!("step `{path}` did not run, since {why}"))
            }
            _ => None,
        })
    })
}

/// Every undo that failed, and why.
fn failures(undone: &Undone) -> String {
    let all = undone.failed.iter().map(|(path, message)| format!("`{path}` failed: {message}"));
    all.collect::<Vec<_>>().join("; ")
}

/// What is not as it was, as far as the journal tells: writes that stand, undos that did nothing, containers that differ.
/// Whoever reads the end must know what does not serve.
fn left(moment: &Moment<'_>, undone: &Undone) -> String {
    let names = |paths: &[StepPath]| {
        let names: Vec<String> = paths.iter().map(|path| format!("`{path}`")).collect();
        names.join(", ")
    };
    let mut left = String::new();
    if !undone.remaining.is_empty() {
        left.push_str(&format!("; what was written by {} was not undone", names(&undone.remaining)));
    }
    if !undone.idle.is_empty() {
        left.push_str(&format!("; {} changed nothing", names(&undone.idle)));
    }
    let differences = differences(moment.state);
    if !differences.is_empty() {
        left.push_str(&format!("; {}", words(&differences)));
    }
    for call in unknown(moment.state) {
        left.push_str(&format!("; whether {call} happened is unknown"));
    }
    left
}

/// The calls in doubt that nobody decided about, since the run had to give up its locks.
fn unknown(state: &State) -> Vec<String> {
    if state.lock_loss().is_none() {
        return Vec::new();
    }
    let attempts =
        state.paths().flat_map(|(path, progress)| progress.attempts.iter().map(move |one| (path, one)));
    let calls = attempts.flat_map(|(path, attempt)| attempt.calls.iter().map(move |call| (path, call)));
    calls
        .filter(|(_, call)| call.doubted.is_some() && call.settled == Some(Settlement::Fail))
        .map(|(path, call)| format!("`{}` at step `{path}`", call.function))
        .collect()
}

/// How many steps succeeded, and how many were skipped.
fn counts(moment: &Moment<'_>) -> [usize; 2] {
    let fates = moment.runbook.steps.iter().map(|step| {
        let path = StepPath::step(step.id.clone());
        step_fate(moment.state, step, &path)
    });
    let fates: Vec<StepFate> = fates.collect();
    [StepFate::Succeeded, StepFate::Skipped]
        .map(|wanted| fates.iter().filter(|fate| **fate == wanted).count())
}

/// The evaluated outputs; one that cannot be evaluated, for example because its step was skipped, is null. The second
/// value says which, for people.
fn outputs(moment: &Moment<'_>, status: EndStatus) -> (Value, Option<String>) {
    let mut outputs = Map::new();
    let mut wrong = None;
    for (name, template) in &moment.runbook.outputs {
        let names = scope(moment.runbook, moment.state, status.word(), &template.expressions());
        let value = template.evaluate(&names).unwrap_or_else(|error| {
            wrong.get_or_insert_with(|| format!("output `{name}` is missing: {error}"));
            Value::Null
        });
        outputs.insert(name.clone(), value);
    }
    (Value::Object(outputs), wrong)
}
