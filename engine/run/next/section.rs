//! Drives the steps of a section, `steps` or `finally`: which may begin, which are skipped, which ask before they begin.

use std::cmp::Ordering;

use super::Over;
use super::agenda::Agenda;
use super::attempt::{self, evaluation_failure};
use super::fate::{StepFate, step_fate};
use super::items::{self, Ended};
use super::moment::{Moment, Unit};
use super::scope::scope;
use super::stop::Stop;
use crate::event::{Event, SkipReason, Wait};
use crate::question::Question;
use model::expression::{EvaluationError, Expression, Scope};
use model::runbook::{ForEach, Step};
use words::effect::{Failure, FailureKind};
use words::ids::{Section, StepId, StepPath};

/// The most items of a `for_each`.
pub const MAX_ITEMS: usize = 1000;

/// Carries on with a section; true once all of it is over.
pub(super) fn drive(moment: &Moment<'_>, section: Section, agenda: &mut Agenda) -> bool {
    let steps = moment.steps(section);
    let path = |step: &Step| StepPath { section, id: step.id.clone(), item: None };
    let known = if section == Section::Steps { moment.in_flight.over } else { Over::default() };
    let fate = |(index, step): (usize, &Step)| match index.cmp(&known.steps) {
        // Which kind of over it is makes no difference here.
        Ordering::Less => StepFate::Succeeded,
        Ordering::Equal if known.items.all > 0 => StepFate::Active,
        _ => step_fate(moment.state, step, &path(step)),
    };
    let fates: Vec<StepFate> = steps.iter().enumerate().map(fate).collect();
    if fates.iter().all(|fate| fate.over()) {
        return true;
    }
    let why = moment.stop(section);
    for (index, (step, fate)) in steps.iter().zip(&fates).enumerate() {
        match fate {
            StepFate::Pending => match &why {
                Some(stop) if !moment.hold => skip(moment, path(step), stop, agenda),
                None if !moment.hold && step.needs.iter().all(|id| has_ended(steps, &fates, index, id)) => {
                    admit(moment, step, path(step), agenda);
                }
                _ => {}
            },
            StepFate::Active => {
                let ended = if index == known.steps { known.items } else { Ended::default() };
                carry_on(moment, (step, &path(step), ended), why.as_ref(), agenda);
            }
            StepFate::Succeeded | StepFate::Failed | StepFate::Skipped => {}
        }
    }
    if moment.hold {
        agenda.wait_for_person();
    } else if section == Section::Steps && why.is_none() {
        agenda.limit(moment.section_deadline_ms(section));
    }
    false
}

/// Whether a needed step is over; what is needed is nearly always the step before.
fn has_ended(steps: &[Step], fates: &[StepFate], index: usize, needed: &StepId) -> bool {
    let before = index.checked_sub(1).filter(|before| steps[*before].id == *needed);
    let found = before.or_else(|| steps.iter().position(|step| step.id == *needed));
    found.is_none_or(|found| fates[found].over())
}

fn skip(moment: &Moment<'_>, path: StepPath, stop: &Stop, agenda: &mut Agenda) {
    agenda.skip(Event::Skipped { path, reason: stop.skip_reason(moment) });
}

fn carry_on(
    moment: &Moment<'_>,
    (step, path, ended): (&Step, &StepPath, Ended),
    why: Option<&Stop>,
    agenda: &mut Agenda,
) {
    if moment.progress(path).is_some_and(|progress| progress.items.is_some()) {
        items::drive(moment, (step, path, ended), why, agenda);
    } else {
        attempt::advance(moment, &Unit::step(step, path.clone()), why, agenda);
    }
}

/// Lets a step begin whose turn has come: unless its condition or a person says no.
fn admit(moment: &Moment<'_>, step: &Step, path: StepPath, agenda: &mut Agenda) {
    let asked = moment.progress(&path).and_then(|progress| progress.confirm.as_ref());
    match asked {
        None => {
            match applies(moment, step, path.section) {
                Err(error) => {
                    let failure = evaluation_failure(&error);
                    return agenda.decide(Unit::step(step, path).not_begun(1, failure));
                }
                Ok(false) => {
                    return agenda.decide(Event::Skipped { path, reason: SkipReason::Condition });
                }
                Ok(true) => {}
            }
            let confirm = moment.state.accepted().is_some_and(|accepted| accepted.step_by_step);
            if confirm && path.section == Section::Steps {
                return agenda.decide(Event::WaitStarted { path, attempt: 1, wait: confirmation(step) });
            }
        }
        Some(asked) => match &asked.answer {
            None => return agenda.wait_for_person(),
            Some(answer) if !answer.yes => {
                return agenda.decide(Event::Skipped { path, reason: SkipReason::Person });
            }
            Some(_) => {}
        },
    }
    match &step.for_each {
        Some(for_each) => list(moment, step, path, for_each, agenda),
        None => attempt::begin(moment, &Unit::step(step, path), 1, agenda),
    }
}

fn applies(moment: &Moment<'_>, step: &Step, section: Section) -> Result<bool, EvaluationError> {
    step.condition.as_ref().map_or(Ok(true), |condition| condition.holds(&names(moment, section, condition)))
}

fn names(moment: &Moment<'_>, section: Section, expression: &Expression) -> Scope {
    scope(moment.runbook, moment.state, moment.status_word(section), &[expression])
}

fn confirmation(step: &Step) -> Wait {
    let text = format!("run step `{}` ({})? {}", step.id, step.uses, step.summary);
    Wait::Confirm(Question { text, ..Question::default() })
}

/// Evaluates the items of a step, once.
fn list(moment: &Moment<'_>, step: &Step, path: StepPath, for_each: &ForEach, agenda: &mut Agenda) {
    let refuse = |failure| Unit::step(step, path.clone()).not_begun(1, failure);
    agenda.decide(match for_each.items.items(&names(moment, path.section, &for_each.items)) {
        Err(error) => refuse(evaluation_failure(&error)),
        Ok(items) if items.len() > MAX_ITEMS => refuse(Failure::new(
            FailureKind::Exhausted,
            "for-each.too-many",
            format!(
                "`{}` gives {} items, at most {MAX_ITEMS} are allowed",
                for_each.items.text(),
                items.len()
            ),
        )),
        Ok(items) if items.is_empty() => Event::Skipped { path, reason: SkipReason::NoItems },
        Ok(items) => Event::Items { path, items },
    });
}
