//! How each legal event changes the state. Knows nothing of legality: [`legal`](super::legal) has checked it.

use serde_json::Value;

use super::progress::{Asked, Attempt, Check, Intent, Progress, RecordedCall, Waiting};
use super::{Cancel, End, INTERRUPTED, LockLoss, State, Undoing};
use crate::event::{CallId, Event, Outcome, SkipReason, Wait};
use words::ids::{Section, StepPath};

/// Applies a legal event.
pub(super) fn fold(state: &mut State, at_ms: u64, event: &Event) {
    match event {
        Event::Accepted(accepted) => state.accepted = Some((at_ms, accepted.clone())),
        Event::Started { .. } => state.started_ms = Some(at_ms),
        Event::Resumed { by_person, .. } => resumed(state, at_ms, *by_person),
        Event::Paused { missed_ms } => state.pauses.missed(at_ms, *missed_ms),
        Event::LeaveRequested { reason } => state.leaving = Some(reason.clone()),
        Event::Left { reason } => left(state, at_ms, reason),
        Event::CancelRequested { reason, undo } => {
            state.cancel = Some(Cancel { at_ms, reason: reason.clone(), undo: *undo });
        }
        Event::LockTaken { by, reason } => {
            state.lock_loss = Some(LockLoss { by: by.clone(), reason: reason.clone() });
            // It ends, also if a person had left it.
            if state.left.take().is_some() {
                state.pauses.end(at_ms);
            }
        }
        Event::UndoStarted { paths } => state.undoing = Some(Undoing { at_ms, paths: paths.clone() }),
        Event::Finished { status, outputs, message } => {
            let end = End { at_ms, status: *status, outputs: outputs.clone(), message: message.clone() };
            state.end = Some(end);
        }
        Event::CallIntended { .. }
        | Event::CallFinished { .. }
        | Event::CallDoubted { .. }
        | Event::CallSettled { .. } => call(state, at_ms, event),
        Event::Items { .. }
        | Event::Skipped { .. }
        | Event::AttemptStarted { .. }
        | Event::AttemptFinished { .. }
        | Event::WaitStarted { .. }
        | Event::Answered { .. }
        | Event::ChildStarted { .. }
        | Event::UndoChecked { .. } => step(state, at_ms, event),
    }
    if let Some(path) = event.path() {
        reopen_or_close(state, path);
    }
    state.waits_for_turn = match event {
        Event::Resumed { by_person, .. } => *by_person,
        // What people may ask of it meanwhile.
        Event::Left { .. }
        | Event::CancelRequested { .. }
        | Event::Answered { .. }
        | Event::CallSettled { .. } => state.waits_for_turn,
        _ => false,
    };
    state.version += 1;
    state.last_ms = state.last_ms.max(at_ms);
}

/// Keeps the index of open paths true.
fn reopen_or_close(state: &mut State, path: &StepPath) {
    let open = state.progress.get(path).is_some_and(|p| p.unfinished().is_some() || p.question().is_some());
    if open {
        state.open.insert(path.clone());
    } else {
        state.open.remove(path);
    }
}

/// What the engine that leaves a run did not carry on, nobody has carried on since its last sign of life.
fn left(state: &mut State, at_ms: u64, reason: &str) {
    let interrupted = reason.starts_with(INTERRUPTED);
    state.left = Some(reason.to_owned());
    state.leaving = None;
    state.pauses.begin(if interrupted { state.last_ms } else { at_ms });
}

/// The time since the last sign of life does not count against deadlines.
fn resumed(state: &mut State, at_ms: u64, by_person: bool) {
    state.left = None;
    if by_person {
        state.leaving = None;
    }
    let last_ms = state.last_ms;
    state.pauses.begin(last_ms);
    state.pauses.end(at_ms);
    if state.has_doubt() {
        state.pauses.begin(at_ms);
    }
}

fn entry<'a>(state: &'a mut State, at_ms: u64, path: &StepPath) -> &'a mut Progress {
    if path.section == Section::Finally {
        state.finally_ms.get_or_insert(at_ms);
    }
    let order = state.version;
    if let Some(item) = path.item
        && let Some(step) = state.progress.get_mut(&StepPath { item: None, ..path.clone() })
    {
        step.items_named = step.items_named.max(item.saturating_add(1));
    }
    state.progress.entry(path.clone()).or_insert_with(|| Progress { order, ..Progress::default() })
}

fn step(state: &mut State, at_ms: u64, event: &Event) {
    match event {
        Event::Items { path, items } => entry(state, at_ms, path).items = Some(items.clone()),
        Event::Skipped { path, reason } => {
            let forsaken = path.section == Section::Steps && matches!(reason, SkipReason::Failed(_));
            state.forsaken |= forsaken;
            entry(state, at_ms, path).skipped = Some(reason.clone());
        }
        Event::AttemptStarted { path, uses, with, plugin, deadline_ms, .. } => {
            let attempt = Attempt {
                began: true,
                uses: uses.clone(),
                with: with.clone(),
                plugin: plugin.clone(),
                deadline_ms: *deadline_ms,
                ..blank(at_ms)
            };
            entry(state, at_ms, path).attempts.push(attempt);
        }
        Event::AttemptFinished { path, attempt, outcome, met, lines } => {
            state.failed_attempts += u32::from(matches!(outcome, Outcome::Error(_)));
            let order = state.version;
            let progress = entry(state, at_ms, path);
            if progress.attempt(*attempt).is_none() {
                progress.attempts.push(blank(at_ms));
            }
            if let Some(attempt) = progress.attempt_mut(*attempt) {
                attempt.outcome = Some(outcome.clone());
                attempt.finished_ms = Some(at_ms);
                attempt.finished_order = order;
                attempt.met = *met;
                attempt.lines.clone_from(lines);
            }
        }
        Event::WaitStarted { path, attempt, wait } => wait_started(state, at_ms, path, *attempt, wait),
        Event::Answered { path, answer } => {
            let progress = entry(state, at_ms, path);
            let asked = match progress.attempts.last_mut() {
                None => progress.confirm.as_mut(),
                Some(attempt) => attempt.waiting.as_mut().and_then(Waiting::asked_mut),
            };
            if let Some(asked) = asked {
                asked.answer = Some(answer.clone());
            }
        }
        Event::ChildStarted { path, attempt, run } => {
            if let Some(attempt) = entry(state, at_ms, path).attempt_mut(*attempt) {
                attempt.child = Some(run.clone());
            }
        }
        Event::UndoChecked { path, holds, message } => {
            entry(state, at_ms, path).check = Some(Check { holds: *holds, message: message.clone() });
        }
        _ => unreachable!("`{}` does not belong to a step", event.kind()),
    }
}

fn wait_started(state: &mut State, at_ms: u64, path: &StepPath, number: u32, wait: &Wait) {
    let progress = entry(state, at_ms, path);
    if let Wait::Confirm(question) = wait {
        let asked = Asked { at_ms, attempt: number, question: question.clone(), answer: None };
        progress.confirm = Some(asked);
    } else if let Some(attempt) = progress.attempt_mut(number) {
        attempt.waiting = Some(Waiting::new(at_ms, number, wait));
    }
}

fn blank(at_ms: u64) -> Attempt {
    Attempt {
        started_ms: at_ms,
        began: false,
        uses: String::new(),
        with: Value::Null,
        plugin: None,
        deadline_ms: at_ms,
        calls: Vec::new(),
        waiting: None,
        child: None,
        finished_ms: None,
        finished_order: 0,
        outcome: None,
        met: None,
        lines: Vec::new(),
    }
}

fn call(state: &mut State, at_ms: u64, event: &Event) {
    match event {
        Event::CallIntended { call, function, arguments, effect, before } => {
            let intent = Intent { effect: *effect, before: before.clone(), at_ms };
            push(state, call, RecordedCall { intent: Some(intent), ..recorded(at_ms, function, arguments) });
        }
        Event::CallFinished { call, function, arguments, outcome, .. } => {
            let order = state.version;
            if let Some(open) = recorded_mut(state, call) {
                open.outcome = Some(outcome.clone());
                (open.order, open.at_ms) = (order, at_ms);
            } else {
                let arguments = arguments.as_ref().unwrap_or(&Value::Null);
                let outcome = Some(outcome.clone());
                push(state, call, RecordedCall { outcome, ..recorded(at_ms, function, arguments) });
            }
        }
        Event::CallDoubted { call, message } => {
            if let Some(open) = recorded_mut(state, call) {
                open.doubted = Some(message.clone());
                open.settled = None;
            }
            state.pauses.begin(at_ms);
        }
        Event::CallSettled { call, decision } => {
            if let Some(open) = recorded_mut(state, call) {
                open.settled = Some(decision.clone());
            }
            if state.left.is_none() && !state.has_doubt() {
                state.pauses.end(at_ms);
            }
        }
        _ => unreachable!("`{}` does not belong to a call", event.kind()),
    }
}

fn recorded(at_ms: u64, function: &str, arguments: &Value) -> RecordedCall {
    RecordedCall {
        function: function.to_owned(),
        arguments: arguments.clone(),
        intent: None,
        outcome: None,
        doubted: None,
        settled: None,
        order: 0,
        at_ms,
    }
}

fn attempt_mut<'a>(state: &'a mut State, call: &CallId) -> Option<&'a mut Attempt> {
    state.progress.get_mut(&call.path)?.attempt_mut(call.attempt)
}

fn push(state: &mut State, call: &CallId, recorded: RecordedCall) {
    let order = state.version;
    if let Some(attempt) = attempt_mut(state, call) {
        attempt.calls.push(RecordedCall { order, ..recorded });
    }
}

fn recorded_mut<'a>(state: &'a mut State, call: &CallId) -> Option<&'a mut RecordedCall> {
    attempt_mut(state, call)?.calls.get_mut(usize::try_from(call.ordinal).ok()?)
}
