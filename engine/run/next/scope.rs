//! The names expressions see: `parameters`, `steps`, `run`, `trigger`, `alert`, `item`, and where it applies `output` and
//! `effects`.

use std::collections::BTreeSet;

use serde_json::{Map, Value, json};

use super::fate::step_fate;
use crate::event::{Accepted, Outcome, SkipReason};
use crate::state::{Progress, State};
use model::expression::{Expression, Scope};
use model::runbook::{Runbook, Step};
use words::ids::{Section, StepPath};
use words::trigger::TriggerKind;

/// The names that these expressions of a run see; of the steps only those they ask for, since outputs can be large.
/// `status` is the run's so far.
pub(super) fn scope(runbook: &Runbook, state: &State, status: &str, expressions: &[&Expression]) -> Scope {
    let mut names = Map::new();
    if let Some(accepted) = state.accepted() {
        let alert =
            if accepted.trigger == TriggerKind::Alert { accepted.trigger_data.clone() } else { Value::Null };
        names.insert("parameters".to_owned(), accepted.parameters.clone());
        names.insert("alert".to_owned(), alert);
        names.insert("trigger".to_owned(), trigger(accepted));
        names.insert("run".to_owned(), run(state, accepted, status));
    }
    names.insert("steps".to_owned(), steps(runbook, state, asked_for(expressions).as_ref()));
    Scope { names, supposing: state.supposing() }
}

/// The same names, and the item.
pub(super) fn with_item(mut scope: Scope, item: Option<&Value>) -> Scope {
    if let Some(item) = item {
        scope.names.insert("item".to_owned(), item.clone());
    }
    scope
}

/// The same names, and the output that `until` or `holds` judges.
pub(super) fn with_output(mut scope: Scope, output: &Value) -> Scope {
    scope.names.insert("output".to_owned(), output.clone());
    scope
}

/// The same names, and the writes that an undo takes back.
pub(super) fn with_effects(mut scope: Scope, undone: Option<&Progress>) -> Scope {
    scope.names.insert("effects".to_owned(), undone.map_or_else(|| json!([]), effects));
    scope
}

fn run(state: &State, accepted: &Accepted, status: &str) -> Value {
    json!({
        "id": state.run().map(ToString::to_string),
        "name": accepted.runbook.as_str(),
        "status": status,
        "target": accepted.target.as_str(),
        "reason": accepted.reason,
    })
}

/// The facts of the trigger, and its kind.
fn trigger(accepted: &Accepted) -> Value {
    let mut facts = accepted.trigger_data.as_object().cloned().unwrap_or_default();
    facts.insert("kind".to_owned(), json!(accepted.trigger));
    Value::Object(facts)
}

/// The ids of the steps that are asked for; none if that cannot be told.
fn asked_for<'e>(expressions: &[&'e Expression]) -> Option<BTreeSet<&'e str>> {
    let references = expressions.iter().flat_map(|expression| expression.references());
    let steps = references.filter(|reference| reference.path.first().is_some_and(|word| word == "steps"));
    steps.map(|reference| reference.path.get(1).map(String::as_str)).collect()
}

fn steps(runbook: &Runbook, state: &State, asked_for: Option<&BTreeSet<&str>>) -> Value {
    let all = [(Section::Steps, &runbook.steps), (Section::Finally, &runbook.finally)];
    let mut seen = Map::new();
    for (section, steps) in all {
        for step in steps.iter().filter(|step| asked_for.is_none_or(|ids| ids.contains(step.id.as_str()))) {
            let path = StepPath { section, id: step.id.clone(), item: None };
            let status = step_fate(state, step, &path).word();
            let value = json!({ "status": status, "output": output(state, step, &path) });
            seen.insert(step.id.to_string(), value);
        }
    }
    Value::Object(seen)
}

/// What a step answered; of a `for_each`, the list of what its items answered, in their order: an empty one if it had none.
fn output(state: &State, step: &Step, path: &StepPath) -> Value {
    let Some(progress) = state.progress(path) else { return Value::Null };
    if progress.skipped == Some(SkipReason::NoItems) {
        return json!([]);
    }
    match &progress.items {
        None => answer(progress),
        Some(_) if !step_fate(state, step, path).over() => Value::Null,
        Some(items) => {
            let answers = (0..).zip(items).map(|(index, _)| state.progress(&path.at(index)));
            answers.map(|item| item.map_or(Value::Null, answer)).collect()
        }
    }
}

fn answer(progress: &Progress) -> Value {
    match progress.last() {
        Some((_, last)) if last.met != Some(false) => match &last.outcome {
            Some(Outcome::Ok(output)) => output.clone(),
            _ => Value::Null,
        },
        _ => Value::Null,
    }
}

/// Every write of every attempt, in order; a child run is one, named by its `runbook.<name>`.
fn effects(undone: &Progress) -> Value {
    let mut found = Vec::new();
    for attempt in &undone.attempts {
        if attempt.child.is_some() {
            found.push(json!({
                "function": attempt.uses,
                "arguments": attempt.with,
                "before": null,
                "outcome": attempt.outcome,
            }));
        }
        for call in &attempt.calls {
            if call.changes() {
                found.push(json!({
                    "function": call.function,
                    "arguments": call.arguments,
                    "before": call.intent.as_ref().map(|intent| &intent.before),
                    "outcome": call.outcome,
                }));
            }
        }
    }
    Value::Array(found)
}
