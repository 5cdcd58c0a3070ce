//! Takes back what was written, newest first. An undo that fails does not keep the others from being tried.

use super::agenda::Agenda;
use super::attempt::{self, evaluation_failure};
use super::fate::Fate;
use super::moment::{Moment, Unit};
use super::scope::{scope, with_effects, with_item, with_output};
use crate::event::{Event, Outcome};
use crate::state::{Attempt, Check, Progress};
use model::expression::Expression;
use model::runbook::{OnFailure, Undo};
use words::ids::{Section, StepPath};

/// How the undoing went.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(super) struct Undone {
    /// The steps and items that wrote and whose writes stand.
    pub(super) remaining: Vec<StepPath>,
    /// How many were undone.
    pub(super) taken_back: usize,
    /// The undos that failed, and why.
    pub(super) failed: Vec<(StepPath, String)>,
    /// The undos that succeeded and wrote nothing.
    pub(super) idle: Vec<StepPath>,
}

/// Carries on with the undo; true once it is over or there is none.
pub(super) fn drive(moment: &Moment<'_>, agenda: &mut Agenda) -> bool {
    if moment.state.finally_ms().is_some() {
        return true;
    }
    let Some(undoing) = moment.state.undoing() else {
        let paths = if wanted(moment) { candidates(moment) } else { Vec::new() };
        if paths.is_empty() {
            return true;
        }
        if !moment.hold {
            agenda.decide(Event::UndoStarted { paths });
        }
        return false;
    };
    for path in &undoing.paths {
        let Some((unit, undo)) = unit(moment, path) else { continue };
        match moment.fate(&unit) {
            Fate::Succeeded(attempt) => match (&undo.holds, check(moment, path)) {
                (None, _) | (Some(_), Some(_)) => {}
                (Some(holds), None) => {
                    agenda.decide(judge(moment, &unit, holds, attempt));
                    return false;
                }
            },
            Fate::Failed(..) => {}
            Fate::Pending if moment.state.lock_loss().is_some() => return true,
            Fate::Pending | Fate::UnderWay(..) | Fate::Again(_) | Fate::Skipped(_) => {
                attempt::advance(moment, &unit, None, agenda);
                return false;
            }
        }
    }
    true
}

/// Whether what was done is to be undone: the run failed, or a person who ended it wants it so.
fn wanted(moment: &Moment<'_>) -> bool {
    if moment.state.lock_loss().is_some() {
        return false;
    }
    match moment.state.cancel() {
        Some(cancel) => cancel.undo,
        None => moment.failed(Section::Steps, OnFailure::Stop).is_some() || moment.ran_out_of_time(),
    }
}

/// The steps and items that wrote, newest first.
fn writers<'a>(moment: &Moment<'a>) -> Vec<&'a StepPath> {
    let mut found: Vec<_> = moment
        .state
        .paths()
        .filter(|(path, progress)| path.section == Section::Steps && progress.wrote())
        .map(|(path, progress)| (progress.order, path))
        .collect();
    found.sort_by(|a, b| b.cmp(a));
    found.into_iter().map(|(_, path)| path).collect()
}

fn candidates(moment: &Moment<'_>) -> Vec<StepPath> {
    let undos = writers(moment).into_iter().map(|path| path.in_section(Section::Undo));
    undos.filter(|path| unit(moment, path).is_some()).collect()
}

fn unit<'a>(moment: &Moment<'a>, path: &StepPath) -> Option<(Unit<'a>, &'a Undo)> {
    let step = moment.steps(Section::Steps).iter().find(|step| step.id == path.id)?;
    let undo = step.undo.as_ref()?;
    let item = moment.item(path);
    Some((Unit { path: path.clone(), step, uses: &undo.uses, with: &undo.with, item }, undo))
}

fn check<'a>(moment: &Moment<'a>, path: &StepPath) -> Option<&'a Check> {
    moment.progress(path)?.check.as_ref()
}

fn judge(moment: &Moment<'_>, unit: &Unit<'_>, holds: &Expression, attempt: &Attempt) -> Event {
    let output = match &attempt.outcome {
        Some(Outcome::Ok(output)) => output,
        _ => &serde_json::Value::Null,
    };
    let names = scope(moment.runbook, moment.state, moment.status_word(Section::Undo), &[holds]);
    let names = with_output(with_item(names, unit.item), output);
    let undone = moment.progress(&unit.path.in_section(Section::Steps));
    let (holds, message) = match holds.holds(&with_effects(names, undone)) {
        Ok(true) => (true, None),
        Ok(false) => (false, Some(format!("`{}` does not hold", holds.text()))),
        Err(error) => (false, Some(evaluation_failure(&error).message)),
    };
    Event::UndoChecked { path: unit.path.clone(), holds, message }
}

/// What was undone and what stands, read from the journal.
pub(super) fn undone(moment: &Moment<'_>) -> Undone {
    let mut result = Undone::default();
    for step in writers(moment) {
        let path = step.in_section(Section::Undo);
        let announced = moment.state.undoing().is_some_and(|undoing| undoing.paths.contains(&path));
        let Some((unit, undo)) = unit(moment, &path).filter(|_| announced) else {
            if moment.progress(step).is_some_and(Progress::changed) {
                result.remaining.push(step.clone());
            }
            continue;
        };
        match (failure(moment, &unit, undo), moment.fate(&unit)) {
            (None, Fate::Succeeded(attempt)) => {
                result.taken_back += 1;
                if !attempt.wrote() {
                    result.idle.push(path);
                }
            }
            (failure, _) => {
                result.remaining.push(step.clone());
                let lost = || "it was not begun, since the run has lost its locks".to_owned();
                let over = failure.or_else(|| moment.state.lock_loss().map(|_| lost()));
                result.failed.extend(over.map(|message| (path, message)));
            }
        }
    }
    result
}

fn failure(moment: &Moment<'_>, unit: &Unit<'_>, undo: &Undo) -> Option<String> {
    match moment.fate(unit) {
        Fate::Failed(_, failure) => Some(failure.message.clone()),
        Fate::Succeeded(_) if undo.holds.is_some() => {
            let check = check(moment, &unit.path).filter(|check| !check.holds)?;
            Some(check.message.clone().unwrap_or_else(|| "what it promised does not hold".to_owned()))
        }
        _ => None,
    }
}
