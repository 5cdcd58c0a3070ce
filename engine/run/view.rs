//! What people are shown of a run: computed from its state, never the truth. Knows no journal and no clock.

use serde::Serialize;
use serde_json::Value;

use super::differences::{Difference, differences};
use super::event::{CallId, EndStatus, Outcome, SkipReason};
use super::next::fate::{StepFate, fate, step_fate};
use super::question::Question;
use super::state::{Asked, Attempt, Check, Progress, RunStatus, State, Waiting};
use model::runbook::{Runbook, Step};
use words::effect::{Failure, FailureKind};
use words::ids::{RunId, RunbookName, Section, StepPath};

/// A run.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct RunView {
    /// Its id.
    pub run: Option<RunId>,
    /// Its runbook.
    pub runbook: Option<RunbookName>,
    /// The word of its status.
    pub status: String,
    /// When it was accepted, milliseconds since 1970.
    pub accepted_ms: Option<u64>,
    /// When it got its locks.
    pub started_ms: Option<u64>,
    /// When it ended.
    pub finished_ms: Option<u64>,
    /// One sentence about its end, or why it was left.
    pub message: Option<String>,
    /// Its evaluated outputs, once it ended.
    pub outputs: Option<Value>,
    /// Services it locks.
    pub locks: Vec<String>,
    /// The run that has its locks now, if a person gave them away.
    pub locks_taken_by: Option<RunId>,
    /// Calls in doubt.
    pub in_doubt: Vec<DoubtView>,
    /// What is not as it was before, as far as the run has looked; a run that succeeded left what it was asked to.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub not_as_before: Vec<Difference>,
    /// What people are asked: who may answer, and how.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub asked: Vec<Answering>,
    /// Its steps, as far as they are known.
    pub steps: Vec<StepView>,
}

/// A call in doubt.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct DoubtView {
    /// The step or item.
    pub path: StepPath,
    /// From 1.
    pub attempt: u32,
    /// From 0.
    pub ordinal: u32,
    /// For example `containers.stop`.
    pub function: String,
    /// Its arguments.
    pub arguments: Value,
    /// What was expected and what was seen.
    pub message: String,
}

/// A step or an item.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct StepView {
    /// The step or item.
    pub path: StepPath,
    /// `service.restart`; empty if it is not known yet.
    pub uses: String,
    /// `pending`, `running`, `waiting`, `in-doubt`, `succeeded`, `failed` or `skipped`.
    pub status: String,
    /// How many attempts were begun.
    pub attempts: u32,
    /// When the first began.
    pub started_ms: Option<u64>,
    /// When the last ended, if the step is over.
    pub finished_ms: Option<u64>,
    /// What it answered.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub output: Option<Value>,
    /// Why it failed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub failure: Option<Failure>,
    /// Why it was skipped, in words.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub skipped: Option<String>,
    /// What a person is asked.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub waiting: Option<Question>,
    /// Until when it waits, milliseconds since 1970.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub waiting_until_ms: Option<u64>,
    /// The child run it waits for or waited for.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub child: Option<RunId>,
    /// The last lines it logged.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub lines: Vec<String>,
    /// What it does, from the runbook.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub summary: Option<String>,
    /// What should be seen, from the runbook.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub expect: Option<String>,
    /// What a person does when it fails, from the runbook.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub if_it_fails: Option<String>,
}

/// Who may answer a question, and how.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Answering {
    /// The step or item that asks.
    pub path: StepPath,
    /// The people who may; none: anyone; empty: nobody.
    pub by: Option<Vec<String>>,
    /// In words.
    pub who: String,
    /// The commands: yes, then no.
    pub with: [String; 2],
}

impl Answering {
    /// What is asked now. A question of `--step` comes before the attempt.
    fn all(state: &State) -> Vec<Self> {
        let run = state.run().map(RunId::as_str).unwrap_or_default();
        let one = |(path, asked): (&StepPath, &Asked)| {
            let attempt = state.attempt(path, asked.attempt);
            let manual = attempt.is_some_and(|attempt| matches!(attempt.waiting, Some(Waiting::Manual(_))));
            let (yes, no) = if manual {
                (("answer", " --done"), ("answer", " --no"))
            } else {
                (("approve", ""), ("reject", ""))
            };
            let command = |(verb, flag)| format!("runbook runs {verb} {run} --step {path}{flag}");
            let by = asked.question.answerers().map(|may| may.into_iter().map(str::to_owned).collect());
            let who = asked.question.answerers_in_words();
            Self { path: path.clone(), by, who, with: [command(yes), command(no)] }
        };
        state.questions().into_iter().map(one).collect()
    }
}

/// What people are shown; with the runbook at hand also the steps that were not begun, and its words.
pub fn view(runbook: Option<&Runbook>, state: &State) -> RunView {
    let end = state.end();
    RunView {
        run: state.run().cloned(),
        runbook: state.accepted().map(|accepted| accepted.runbook.clone()),
        status: state.status().word().to_owned(),
        accepted_ms: state.accepted_ms(),
        started_ms: state.started_ms(),
        finished_ms: end.map(|end| end.at_ms),
        message: end.map(|end| end.message.clone()).or_else(|| state.left().map(str::to_owned)),
        outputs: end.map(|end| end.outputs.clone()),
        locks: state.accepted().map(|accepted| accepted.locks.clone()).unwrap_or_default(),
        locks_taken_by: state.lock_loss().map(|loss| loss.by.clone()),
        in_doubt: state.doubts().into_iter().filter_map(|call| doubt(state, call)).collect(),
        not_as_before: not_as_before(state),
        asked: Answering::all(state),
        steps: paths(runbook, state).into_iter().map(|path| step_view(runbook, state, path)).collect(),
    }
}

fn not_as_before(state: &State) -> Vec<Difference> {
    match state.status() {
        RunStatus::Left
        | RunStatus::InDoubt
        | RunStatus::Ended(
            EndStatus::Failed | EndStatus::RolledBack | EndStatus::Stuck | EndStatus::Cancelled,
        ) => differences(state),
        RunStatus::Queued
        | RunStatus::Running
        | RunStatus::Waiting
        | RunStatus::Ended(EndStatus::Succeeded | EndStatus::Skipped) => Vec::new(),
    }
}

fn doubt(state: &State, call: CallId) -> Option<DoubtView> {
    let recorded = state.calls(&call.path, call.attempt).get(usize::try_from(call.ordinal).ok()?)?;
    Some(DoubtView {
        path: call.path,
        attempt: call.attempt,
        ordinal: call.ordinal,
        function: recorded.function.clone(),
        arguments: recorded.arguments.clone(),
        message: recorded.doubted.clone().unwrap_or_default(),
    })
}

/// Every step and item in the order people read them: as written, the undo before `finally`; without the runbook, in the
/// order in which they began.
fn paths(runbook: Option<&Runbook>, state: &State) -> Vec<StepPath> {
    let Some(runbook) = runbook else {
        let mut known: Vec<_> = state.paths().map(|(path, progress)| (progress.order, path)).collect();
        known.sort();
        return known.into_iter().map(|(_, path)| path.clone()).collect();
    };
    let with_items = |section, steps: &[Step]| {
        let mut paths = Vec::new();
        for step in steps {
            let path = StepPath { section, id: step.id.clone(), item: None };
            let items =
                state.progress(&path).and_then(|progress| progress.items.as_ref()).map_or(0, Vec::len);
            let items: Vec<StepPath> = (0..).map(|index| path.at(index)).take(items).collect();
            paths.push(path);
            paths.extend(items);
        }
        paths
    };
    let mut paths = with_items(Section::Steps, &runbook.steps);
    paths.extend(state.undoing().map(|undoing| undoing.paths.clone()).unwrap_or_default());
    paths.extend(with_items(Section::Finally, &runbook.finally));
    paths
}

fn step_view(runbook: Option<&Runbook>, state: &State, path: StepPath) -> StepView {
    let step = runbook.and_then(|runbook| find(runbook, &path));
    let blank = Progress::default();
    let progress = state.progress(&path).unwrap_or(&blank);
    let last = progress.last().map(|(_, last)| last);
    let items = items(state, &path, progress);
    let status = status(step, state, &path, progress);
    let over = matches!(status, "succeeded" | "failed" | "skipped");
    let uses = last.map(|last| last.uses.clone()).filter(|uses| !uses.is_empty());
    let (output, failure) = match last.and_then(|last| last.outcome.as_ref()) {
        Some(Outcome::Ok(output)) if over => (Some(output.clone()), None),
        Some(Outcome::Error(failure)) => (None, Some(failure.clone())),
        _ if progress.skipped == Some(SkipReason::NoItems) => (Some(Value::Array(Vec::new())), None),
        _ => (None, progress.check.as_ref().filter(|check| !check.holds).map(unheld)),
    };
    let all = || std::iter::once(progress).chain(items.iter().copied());
    StepView {
        uses: uses.or_else(|| step.map(|step| uses_of(step, &path))).unwrap_or_default(),
        status: status.to_owned(),
        attempts: progress.attempt_count(),
        started_ms: all().filter_map(|unit| unit.attempts.first()).map(|first| first.started_ms).min(),
        finished_ms: all().filter(|_| over).filter_map(|unit| unit.last()?.1.finished_ms).max(),
        output,
        failure,
        skipped: progress.skipped.as_ref().map(ToString::to_string),
        waiting: progress.question().map(|asked| asked.question.clone()),
        waiting_until_ms: waiting_until(last),
        child: last.and_then(|last| last.child.clone()),
        lines: last.map(|last| last.lines.clone()).unwrap_or_default(),
        summary: step.map(|step| step.summary.clone()).filter(|summary| !summary.is_empty()),
        expect: step.and_then(|step| step.expect.clone()),
        if_it_fails: step.and_then(|step| step.if_it_fails.clone()),
        path,
    }
}

/// What is known of the items of a `for_each`; its times are theirs.
fn items<'a>(state: &'a State, path: &StepPath, progress: &Progress) -> Vec<&'a Progress> {
    let count = progress.items.as_ref().map_or(0, Vec::len);
    (0..).take(count).filter_map(|index| state.progress(&path.at(index))).collect()
}

fn find<'a>(runbook: &'a Runbook, path: &StepPath) -> Option<&'a Step> {
    let steps = if path.section == Section::Finally { &runbook.finally } else { &runbook.steps };
    steps.iter().find(|step| step.id == path.id)
}

fn uses_of(step: &Step, path: &StepPath) -> String {
    match &step.undo {
        Some(undo) if path.section == Section::Undo => undo.uses.to_string(),
        _ => step.uses.to_string(),
    }
}

fn unheld(check: &Check) -> Failure {
    let message = check.message.clone().unwrap_or_else(|| "what the undo promised does not hold".to_owned());
    Failure::new(FailureKind::Conflict, "undo.does-not-hold", message)
}

fn waiting_until(last: Option<&Attempt>) -> Option<u64> {
    match last.filter(|last| last.outcome.is_none())?.waiting {
        Some(Waiting::Until(until_ms)) => Some(until_ms),
        _ => None,
    }
}

/// Without the runbook a failed attempt counts as the end of its step.
fn status(step: Option<&Step>, state: &State, path: &StepPath, progress: &Progress) -> &'static str {
    if progress.check.as_ref().is_some_and(|check| !check.holds) {
        return "failed";
    }
    let fate = match step.filter(|_| path.section != Section::Undo) {
        Some(step) if path.item.is_none() => step_fate(state, step, path),
        step => fate(step, Some(progress)).into(),
    };
    match (fate, progress.unfinished()) {
        (StepFate::Active, Some((_, attempt))) if attempt.in_doubt() => "in-doubt",
        (StepFate::Active, Some((_, attempt))) if attempt.waiting.is_some() => "waiting",
        (StepFate::Active, None) if progress.items.is_none() => "waiting",
        (StepFate::Pending, _) if progress.question().is_some() => "waiting",
        (fate, _) => fate.word(),
    }
}

#[cfg(test)]
mod tests {
    use crate::simulator::{Simulator, ok};

    #[test]
    fn a_step_with_items_takes_as_long_as_they_do() {
        let mut simulator = Simulator::new(crate::simulator::book(|book| {
            let items = crate::simulator::expr("[1, 2]");
            let for_each = model::runbook::ForEach { items, max_parallel: 1, canary: false, stop_after: 1 };
            book.step("a").for_each = Some(for_each);
        }));
        simulator.run();
        let view = super::view(Some(&simulator.runbook), &simulator.state);
        let paths: Vec<_> = view.steps.iter().map(|step| step.path.to_string()).collect();
        assert_eq!(paths, ["a", "a[0]", "a[1]"]);
        assert_eq!(view.steps[0].status, "succeeded");
        let took = view.steps[0].finished_ms.unwrap() - view.steps[0].started_ms.unwrap();
        assert_eq!(took, 20);
    }

    #[test]
    fn people_see_every_step_in_the_order_written() {
        let mut simulator = Simulator::new(crate::simulator::book(|book| {
            book.step("a").summary = "First.".to_owned();
            book.step("b");
        }));
        simulator.script("a", [ok(1)]);
        simulator.script("b", [ok(2)]);
        simulator.run();
        let view = super::view(Some(&simulator.runbook), &simulator.state);
        let seen: Vec<_> = view.steps.iter().map(|s| (s.path.to_string(), s.status.as_str())).collect();
        assert_eq!(seen, [("a".to_owned(), "succeeded"), ("b".to_owned(), "succeeded")]);
        assert_eq!(view.steps[0].summary.as_deref(), Some("First."));
        assert_eq!(view.status, "succeeded");
        let json = serde_json::to_value(&view).unwrap();
        assert_eq!(json["steps"][1]["output"], 2);
    }
}
