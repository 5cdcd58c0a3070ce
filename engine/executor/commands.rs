//! What people may ask of a run under way, turned into events of its journal.

use super::journal::{Journal, into_refusal};
use super::refusal::Refusal;
use super::request::Command;
use host::{Control, Stop};
use run::event::{Event, Settlement};
use run::question::{self, Answer};
use run::state::RunStatus;
use words::ids::{RunId, StepPath};

/// Obeys, or says why not. What was obeyed is durable.
pub(super) async fn obey(
    journal: &Journal,
    control: &Control,
    command: Command,
    actor: &str,
) -> Result<(), Refusal> {
    match command {
        Command::Cancel { reason, undo } => {
            let (rests, undoing) = journal.with(|state| {
                (state.left().is_some() || state.leaving().is_some(), state.undoing().is_some())
            });
            if undoing && !undo {
                return Err(Refusal::Conflict(undoing_already(journal.run())));
            }
            if rests {
                resume(journal, control, actor).await?;
            }
            // What is asked for is under way then.
            if undoing {
                return Ok(());
            }
            append(journal, Event::CancelRequested { reason, undo }, actor).await?;
            control.cancel();
            Ok(())
        }
        Command::Leave { reason } => {
            if let Some(by) = journal.with(|state| state.lock_loss().map(|loss| loss.by.clone())) {
                let words = format!("run `{}` ends, since run `{by}` was given its locks", journal.run());
                return Err(Refusal::Conflict(words));
            }
            // An attempt may have something down: it is left once all of them are at their safe points.
            let (left, busy) = journal.with(|state| {
                (state.left().is_some() || state.leaving().is_some(), !state.performing().is_empty())
            });
            if !left {
                let reason = reason.clone();
                let event = if busy { Event::LeaveRequested { reason } } else { Event::Left { reason } };
                append(journal, event, actor).await?;
            }
            control.stop(Stop::Left(reason));
            Ok(())
        }
        Command::Resume => match journal.with(|state| (state.status(), state.leaving().is_some())) {
            (RunStatus::Left, _) | (_, true) => resume(journal, control, actor).await,
            // It is under way already, or in doubt: then it rests, and whoever follows it is told how to decide.
            _ => Ok(()),
        },
        Command::Answer { path, answer } => answered(journal, path, answer, actor).await,
        Command::Settle(decision) => settle(journal, control, decision, actor).await,
    }
}

/// Half of an undo helps nobody.
fn undoing_already(run: &RunId) -> String {
    format!(
        "run `{run}` takes back what it did, and that is not broken off: `runbook runs cancel {run} --undo` lets it finish"
    )
}

async fn append(journal: &Journal, event: Event, actor: &str) -> Result<(), Refusal> {
    journal.append(&event, Some(actor)).await.map_err(into_refusal)
}

async fn resume(journal: &Journal, control: &Control, actor: &str) -> Result<(), Refusal> {
    let engine = actor.to_owned();
    append(journal, Event::Resumed { engine, by_person: true }, actor).await?;
    control.carry_on();
    Ok(())
}

async fn answered(
    journal: &Journal,
    path: Option<StepPath>,
    answer: Answer,
    actor: &str,
) -> Result<(), Refusal> {
    let asked = journal.with(|state| {
        let all = state.questions();
        let found: Vec<_> = all.iter().filter(|(at, _)| path.as_ref().is_none_or(|p| p == *at)).collect();
        match found.as_slice() {
            [] => Err(format!("run `{}` asks nothing{}", journal.run(), at_step(path.as_ref()))),
            [(at, asked)] => {
                let uses = state.attempt(at, asked.attempt).map(|attempt| attempt.uses.clone());
                Ok(((*at).clone(), asked.question.clone(), uses.unwrap_or_default()))
            }
            several => {
                let steps: Vec<_> = several.iter().map(|(at, _)| format!("`{at}`")).collect();
                Err(format!("several steps ask: name one of {} with --step", steps.join(", ")))
            }
        }
    });
    let (path, question, uses) = asked.map_err(Refusal::Conflict)?;
    if let Some(why) = question.refusal(actor) {
        let run = journal.run();
        let how = match question.answerers() {
            Some(may) if may.is_empty() => format!("`runbook runs cancel {run}` ends it"),
            _ => format!("with `{}`", question::commands(run, Some(&path), &uses).yes),
        };
        return Err(Refusal::Conflict(format!("step `{path}`: {why} ({how})")));
    }
    if question.evidence && answer.yes && answer.text.as_deref().is_none_or(str::is_empty) {
        return Err(Refusal::Conflict(format!(
            "step `{path}` wants evidence with the answer: give it with --text"
        )));
    }
    let answer = Answer { by: actor.to_owned(), ..answer };
    append(journal, Event::Answered { path, answer }, actor).await
}

fn at_step(path: Option<&StepPath>) -> String {
    path.map(|path| format!(" at step `{path}`")).unwrap_or_default()
}

async fn settle(
    journal: &Journal,
    control: &Control,
    decision: Settlement,
    actor: &str,
) -> Result<(), Refusal> {
    let doubts = journal.with(run::state::State::doubts);
    if doubts.is_empty() {
        return Err(Refusal::Conflict(format!("no call of run `{}` is in doubt", journal.run())));
    }
    for call in doubts {
        append(journal, Event::CallSettled { call, decision: decision.clone() }, actor).await?;
    }
    if journal.with(|state| state.left().is_some() || state.leaving().is_some()) {
        resume(journal, control, actor).await?;
    }
    Ok(())
}
