//! What the attempts of a run share when an engine begins or carries it on: what an earlier engine recorded is recalled.

use std::sync::Arc;

use super::engine::Inner;
use super::journal::Journal;
use host::{Mode, RunContext, RunParts, Stop};
use run::event::{CallId, Outcome};
use run::state::{RecordedCall, State};

/// What the run's attempts share. What an earlier engine recorded is recalled, so that its containers are looked at again
/// before they are written to.
pub(super) fn context(inner: &Arc<Inner>, journal: &Journal) -> RunContext {
    journal.with(|state| {
        let Some(accepted) = state.accepted() else { unreachable!("a run is accepted before it is begun") };
        let daemon = if accepted.grants.containers.is_empty() {
            None
        } else {
            inner.reach.daemon(&accepted.target).ok()
        };
        let context = RunContext::new(RunParts {
            run: journal.run().clone(),
            file: accepted.file.clone(),
            target: accepted.target.clone(),
            grants: accepted.grants.clone(),
            mode: Mode::Live,
            halt: inner.halt.clone(),
            ledger: Arc::new(journal.clone()),
            world: inner.reach.world(daemon),
            planned: accepted.plan.as_ref().map(|plan| plan.writes.clone()),
            is_child: accepted.parent.is_some(),
        });
        recall(&context, state);
        if state.cancel().is_some() {
            context.control.cancel();
        }
        if let Some(reason) = state.leaving() {
            context.control.stop(Stop::Left(reason.to_owned()));
        }
        if state.lock_loss().is_some() {
            context.control.cancel_writes();
        }
        if state.failed_attempts() > 0 {
            context.control.fail();
        }
        context
    })
}

fn recall(context: &RunContext, state: &State) {
    let mut calls: Vec<(CallId, &RecordedCall)> = Vec::new();
    for (path, progress) in state.paths() {
        for (attempt, number) in progress.attempts.iter().zip(1..) {
            let id = |ordinal| CallId { path: path.clone(), attempt: number, ordinal };
            calls.extend(attempt.calls.iter().zip(0..).map(|(call, ordinal)| (id(ordinal), call)));
        }
    }
    // What one step stopped another may have started.
    calls.sort_by_key(|(_, call)| call.order);
    for (id, call) in calls {
        if let Some(intent) = &call.intent {
            context.recall_announced(&call.function, &call.arguments, &intent.before);
        }
        if let Some(Outcome::Ok(answer)) = &call.outcome {
            context.recall(&id, &call.function, answer);
        }
        if call.writes() {
            context.recall_write(&id, (&call.function, &call.arguments), call.outcome.as_ref());
        }
    }
}
