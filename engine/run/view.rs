//! What people are shown of a run: computed from its state, never the truth. Knows no journal and no clock.

use serde::Serialize;
use serde_json::Value;

use super::event::Question;
use super::state::State;
use crate::model::effect::Failure;
use crate::model::ids::{RunId, RunbookName, StepPath};
use crate::model::runbook::Runbook;

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
    /// One sentence about its end.
    pub message: Option<String>,
    /// Its evaluated outputs, once it ended.
    pub outputs: Option<Value>,
    /// Services it locks.
    pub locks: Vec<String>,
    /// The run that has its locks now, if a person gave them away.
    pub locks_taken_by: Option<RunId>,
    /// Calls in doubt.
    pub in_doubt: Vec<DoubtView>,
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

/// What people are shown; with the runbook at hand also the steps that were not begun, and its words.
pub fn view(_runbook: Option<&Runbook>, state: &State) -> RunView {
    let end = state.end();
    RunView {
        run: state.run().cloned(),
        runbook: state.accepted().map(|accepted| accepted.runbook.clone()),
        status: state.status().word().to_owned(),
        accepted_ms: state.accepted_ms(),
        started_ms: state.started_ms(),
        finished_ms: end.map(|end| end.at_ms),
        message: end.map(|end| end.message.clone()),
        outputs: end.map(|end| end.outputs.clone()),
        locks: state.accepted().map(|accepted| accepted.locks.clone()).unwrap_or_default(),
        locks_taken_by: state.lock_loss().map(|loss| loss.by.clone()),
        in_doubt: Vec::new(),
        steps: Vec::new(),
    }
}
