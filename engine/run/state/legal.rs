//! Which events may follow which: the one place that says so. Does not change the state.

use super::State;
use super::progress::{Attempt, Progress, RecordedCall};
use crate::event::{CallId, EndStatus, Event, Outcome, Wait};
use crate::question::Answer;
use words::ids::{Section, StepPath};

type Legal = Result<(), String>;

fn ensure(legal: bool, reason: impl FnOnce() -> String) -> Legal {
    if legal { Ok(()) } else { Err(reason()) }
}

/// Whether the event may follow; else one clause that says what stands against it.
pub(super) fn check(state: &State, event: &Event) -> Legal {
    if let Event::Accepted(_) = event {
        return ensure(state.accepted.is_none(), || "it was accepted already".to_owned());
    }
    ensure(state.accepted.is_some(), || "it was not accepted".to_owned())?;
    ensure(state.end.is_none(), || "it is over".to_owned())?;
    match event {
        Event::Accepted(_) => unreachable!("handled above"),
        Event::Started { .. } => {
            ensure(state.started_ms.is_none(), || "it was started already".to_owned())?;
            ensure(state.cancel.is_none(), || "it is to be cancelled".to_owned())
        }
        Event::Resumed { by_person, .. } => ensure(*by_person || state.left.is_none(), || {
            "a person left it, so a person resumes it".to_owned()
        }),
        Event::Left { .. } => ensure(state.left.is_none(), || "it was left already".to_owned()),
        Event::LeaveRequested { .. } => {
            ensure(state.started_ms.is_some(), || "it was not started".to_owned())?;
            ensure(state.left.is_none(), || "it was left already".to_owned())?;
            ensure(state.leaving.is_none(), || "it is being left already".to_owned())
        }
        Event::CancelRequested { .. } => cancel(state),
        Event::Finished { status, .. } => finished(state, *status),
        _ => {
            ensure(state.started_ms.is_some(), || "it was not started".to_owned())?;
            under_way(state, event)
        }
    }
}

fn under_way(state: &State, event: &Event) -> Legal {
    match event {
        Event::Paused { .. } => Ok(()),
        Event::LockTaken { .. } => {
            ensure(state.lock_loss.is_none(), || "its locks were taken already".to_owned())
        }
        Event::Items { path, .. } => items(state, path),
        Event::Skipped { path, .. } => skipped(state, path),
        Event::AttemptStarted { path, attempt, .. } => {
            new_attempt(state, path, *attempt)?;
            confirmed(state, path)?;
            ensure(state.stopping(path).is_none(), || format!("no attempt of `{path}` may begin any more"))?;
            ensure(state.left.is_none(), || "a person left it".to_owned())?;
            ensure(state.leaving.is_none(), || "a person leaves it".to_owned())?;
            ensure(!state.has_doubt(), || "a call is in doubt".to_owned())
        }
        Event::CallIntended { call, effect, .. } => {
            ensure(effect.writes(), || format!("{} changes nothing", name(call)))?;
            next_call(state, call)
        }
        Event::CallFinished { call, function, arguments, .. } => {
            call_finished(state, call, function, arguments.is_some())
        }
        Event::CallDoubted { call, .. } => {
            let open = open_call(state, call)?;
            ensure(!open.in_doubt(), || format!("{} is in doubt already", name(call)))
        }
        Event::CallSettled { call, .. } => {
            let open = open_call(state, call)?;
            ensure(open.in_doubt(), || format!("{} is not in doubt", name(call)))
        }
        Event::AttemptFinished { path, attempt, outcome, .. } => {
            attempt_finished(state, path, *attempt, outcome)
        }
        Event::WaitStarted { path, attempt, wait } => wait_started(state, path, *attempt, wait),
        Event::Answered { path, answer } => answered(state, path, answer),
        Event::ChildStarted { path, attempt, .. } => {
            let open = open_attempt(state, path, *attempt)?;
            ensure(open.child.is_none(), || format!("attempt {attempt} of `{path}` has a child already"))?;
            decision(open, path)
        }
        Event::UndoStarted { paths } => undo_started(state, paths),
        Event::UndoChecked { path, .. } => undo_checked(state, path),
        _ => unreachable!("`{}` is checked before", event.kind()),
    }
}

fn cancel(state: &State) -> Legal {
    ensure(state.undoing.is_none(), || "it is being undone already".to_owned())?;
    ensure(state.finally_ms.is_none(), || "it is ending already".to_owned())
}

fn finished(state: &State, status: EndStatus) -> Legal {
    if let Some(open) = state.open_calls().first() {
        return Err(format!("{} has no outcome", name(open)));
    }
    if status == EndStatus::Stuck {
        return Ok(());
    }
    if state.started_ms.is_none() {
        let possible = matches!(status, EndStatus::Cancelled | EndStatus::Failed);
        return ensure(possible, || "it was not started".to_owned());
    }
    match state.open().find_map(|(path, progress)| Some((path, progress.unfinished()?))) {
        Some((path, (attempt, _))) => Err(format!("attempt {attempt} of `{path}` is under way")),
        None => Ok(()),
    }
}

/// Whether the part of the runbook in which the path stands is the one under way.
fn section(state: &State, path: &StepPath) -> Legal {
    let over = |what: &str| Err(format!("`{path}` comes too late: {what} began"));
    match path.section {
        Section::Finally => Ok(()),
        _ if state.finally_ms.is_some() => over("`finally`"),
        Section::Undo => {
            let announced = state.undoing.as_ref().is_some_and(|undoing| undoing.paths.contains(path));
            ensure(announced, || format!("`{path}` is not among what is undone"))
        }
        Section::Steps if state.undoing.is_some() => over("the undo"),
        Section::Steps => Ok(()),
    }
}

fn fresh(state: &State, path: &StepPath) -> Legal {
    section(state, path)?;
    let Some(progress) = state.progress(path) else { return Ok(()) };
    ensure(progress.skipped.is_none(), || format!("`{path}` was skipped"))?;
    ensure(progress.attempts.is_empty(), || format!("`{path}` was begun already"))?;
    ensure(progress.items.is_none(), || format!("`{path}` has its items already"))
}

fn items(state: &State, path: &StepPath) -> Legal {
    ensure(path.item.is_none(), || format!("`{path}` is an item itself"))?;
    confirmed(state, path)?;
    fresh(state, path)
}

/// With `--step`: what a person is asked about begins with a yes.
fn confirmed(state: &State, path: &StepPath) -> Legal {
    let confirmed = state.progress(path).is_none_or(Progress::confirmed);
    ensure(confirmed, || format!("nobody has confirmed `{path}`"))
}

/// An item exists only once its step's items were evaluated.
fn item(state: &State, path: &StepPath) -> Legal {
    let (Some(index), Section::Steps | Section::Finally) = (path.item, path.section) else { return Ok(()) };
    let parent = StepPath { item: None, ..path.clone() };
    let items = state.progress(&parent).and_then(|parent| parent.items.as_ref());
    let exists = items.is_some_and(|items| usize::try_from(index).is_ok_and(|index| index < items.len()));
    ensure(exists, || format!("`{parent}` has no item {index}"))
}

fn skipped(state: &State, path: &StepPath) -> Legal {
    item(state, path)?;
    fresh(state, path)
}

fn new_attempt(state: &State, path: &StepPath, attempt: u32) -> Legal {
    item(state, path)?;
    section(state, path)?;
    let blank = Progress::default();
    let progress = state.progress(path).unwrap_or(&blank);
    ensure(progress.skipped.is_none(), || format!("`{path}` was skipped"))?;
    ensure(progress.items.is_none(), || format!("`{path}` runs once per item"))?;
    if let Some((number, _)) = progress.unfinished() {
        return Err(format!("attempt {number} of `{path}` is under way"));
    }
    let next = progress.attempt_count().saturating_add(1);
    ensure(attempt == next, || format!("the next attempt of `{path}` is {next}, not {attempt}"))
}

fn open_attempt<'a>(state: &'a State, path: &StepPath, attempt: u32) -> Result<&'a Attempt, String> {
    let found = state.attempt(path, attempt).ok_or_else(|| format!("`{path}` has no attempt {attempt}"))?;
    ensure(found.outcome.is_none(), || format!("attempt {attempt} of `{path}` has ended"))?;
    Ok(found)
}

fn decision(attempt: &Attempt, path: &StepPath) -> Legal {
    ensure(attempt.plugin.is_none() && attempt.calls.is_empty(), || {
        format!("`{path}` is performed by a plugin")
    })?;
    ensure(attempt.waiting.is_none(), || format!("`{path}` waits already"))
}

fn attempt_finished(state: &State, path: &StepPath, attempt: u32, outcome: &Outcome) -> Legal {
    if state.attempt(path, attempt).is_none() {
        new_attempt(state, path, attempt)?;
        return ensure(matches!(outcome, Outcome::Error(_)), || {
            format!("attempt {attempt} of `{path}` never began, so it can only have failed")
        });
    }
    let open = open_attempt(state, path, attempt)?;
    let unanswered = open.calls.last().is_some_and(|call| call.outcome.is_none());
    ensure(!unanswered, || format!("the last call of attempt {attempt} of `{path}` has no outcome"))
}

fn name(call: &CallId) -> String {
    format!("call {} of attempt {} of `{}`", call.ordinal, call.attempt, call.path)
}

fn next_call(state: &State, call: &CallId) -> Legal {
    let attempt = open_attempt(state, &call.path, call.attempt)?;
    if let Some(last) = attempt.calls.last() {
        ensure(last.outcome.is_some(), || format!("the call before {} has no outcome", name(call)))?;
    }
    let next = attempt.calls.len();
    ensure(usize::try_from(call.ordinal) == Ok(next), || format!("{} should be call {next}", name(call)))?;
    ensure(attempt.waiting.is_none() && attempt.child.is_none(), || format!("`{}` waits", call.path))
}

fn open_call<'a>(state: &'a State, call: &CallId) -> Result<&'a RecordedCall, String> {
    let attempt = open_attempt(state, &call.path, call.attempt)?;
    let found = usize::try_from(call.ordinal).ok().and_then(|ordinal| attempt.calls.get(ordinal));
    let found = found.ok_or_else(|| format!("{} was not announced", name(call)))?;
    ensure(found.outcome.is_none(), || format!("{} has its outcome already", name(call)))?;
    Ok(found)
}

fn call_finished(state: &State, call: &CallId, function: &str, arguments: bool) -> Legal {
    if state.calls(&call.path, call.attempt).len() <= usize::try_from(call.ordinal).unwrap_or(usize::MAX) {
        next_call(state, call)?;
        return ensure(arguments, || format!("{} was not announced and names no arguments", name(call)));
    }
    let open = open_call(state, call)?;
    ensure(open.function == function, || format!("{} was announced as `{}`", name(call), open.function))?;
    ensure(!open.in_doubt(), || format!("{} is in doubt and nobody decided", name(call)))
}

fn wait_started(state: &State, path: &StepPath, attempt: u32, wait: &Wait) -> Legal {
    if let Wait::Confirm(_) = wait {
        fresh(state, path)?;
        let asked = state.progress(path).is_some_and(|progress| progress.confirm.is_some());
        return ensure(!asked, || format!("the confirmation of `{path}` was asked for already"));
    }
    let open = open_attempt(state, path, attempt)?;
    ensure(open.child.is_none(), || format!("`{path}` waits for a child run"))?;
    decision(open, path)
}

fn answered(state: &State, path: &StepPath, answer: &Answer) -> Legal {
    let progress = state.progress(path);
    let asked = progress.and_then(Progress::question).ok_or_else(|| format!("`{path}` asks nothing"))?;
    // In a plan nobody answers.
    let refusal = if state.supposing { None } else { asked.question.refusal(&answer.by) };
    if let Some(why) = refusal {
        return Err(format!("`{path}`: {why}"));
    }
    let evidence = answer.text.as_ref().is_some_and(|text| !text.trim().is_empty());
    ensure(!answer.yes || !asked.question.evidence || evidence, || {
        format!("`{path}` asks for evidence with the answer")
    })
}

fn undo_started(state: &State, paths: &[StepPath]) -> Legal {
    ensure(state.undoing.is_none(), || "it is being undone already".to_owned())?;
    ensure(state.finally_ms.is_none(), || "`finally` began".to_owned())?;
    ensure(state.lock_loss.is_none(), || "its locks were taken".to_owned())?;
    ensure(!paths.is_empty(), || "there is nothing to undo".to_owned())?;
    if let Some(path) = state.open().find_map(|(path, p)| p.unfinished().map(|_| path)) {
        return Err(format!("`{path}` is under way"));
    }
    for (path, index) in paths.iter().zip(0..) {
        let step = path.in_section(Section::Steps);
        let wrote = state.progress(&step).is_some_and(Progress::wrote);
        ensure(path.section == Section::Undo && wrote, || format!("`{path}` has nothing to undo"))?;
        ensure(!paths[..index].contains(path), || format!("`{path}` is named twice"))?;
    }
    Ok(())
}

fn undo_checked(state: &State, path: &StepPath) -> Legal {
    section(state, path)?;
    ensure(path.section == Section::Undo, || format!("`{path}` is no undo"))?;
    let progress = state.progress(path).ok_or_else(|| format!("`{path}` has not run"))?;
    ensure(progress.check.is_none(), || format!("`{path}` was checked already"))?;
    let succeeded = progress.last().is_some_and(|(_, last)| matches!(last.outcome, Some(Outcome::Ok(_))));
    ensure(succeeded, || format!("`{path}` has not succeeded"))
}
