//! The life of one unit of work: beginning an attempt, carrying on the one under way, making another when it is due.

use serde_json::Value;

use super::agenda::Agenda;
use super::fate::Fate;
use super::moment::{Moment, Unit};
use super::scope::{scope, with_effects, with_item};
use super::stop::Stop;
use super::{Action, Perform, wait};
use crate::event::{Event, Outcome};
use crate::state::Attempt;
use model::expression::{EvaluationError, Scope};
use model::runbook::Uses;
use words::duration::format_duration;
use words::effect::{Failure, FailureKind};
use words::ids::{Digest, Section};

/// Carries on with a unit that is neither over nor forbidden to begin.
pub(super) fn advance(moment: &Moment<'_>, unit: &Unit<'_>, why: Option<&Stop>, agenda: &mut Agenda) {
    match moment.fate(unit) {
        Fate::Pending => {
            if !moment.hold {
                begin(moment, unit, 1, agenda);
            }
        }
        Fate::UnderWay(attempt) => under_way(moment, unit, attempt, why, agenda),
        Fate::Again(due_ms) => again(moment, unit, due_ms, why, agenda),
        Fate::Succeeded(_) | Fate::Failed(..) | Fate::Skipped(_) => {}
    }
}

fn under_way(
    moment: &Moment<'_>,
    unit: &Unit<'_>,
    attempt: &Attempt,
    why: Option<&Stop>,
    agenda: &mut Agenda,
) {
    if attempt.in_doubt() {
        agenda.wait_for_person();
        return;
    }
    let number = moment.attempts(unit);
    let under_way = wait::UnderWay { unit, number, attempt, why };
    match unit.uses {
        Uses::Plugin { .. } if moment.is_in_flight(&unit.path, number) => agenda.busy(),
        Uses::Plugin { .. } => agenda.begin(Action::Perform(Perform {
            path: unit.path.clone(),
            attempt: number,
            uses: attempt.uses.clone(),
            with: attempt.with.clone(),
            plugin: attempt.plugin.clone(),
            deadline_ms: moment.state.extended(attempt.deadline_ms, attempt.started_ms),
        })),
        Uses::Sleep => wait::sleep(moment, &under_way, agenda),
        Uses::AskPerson | Uses::ManualStep => wait::person(moment, &under_way, agenda),
        Uses::Runbook(name) => wait::child(moment, &under_way, name, agenda),
    }
}

/// Another attempt, when it is due; or the record that there will be none.
fn again(moment: &Moment<'_>, unit: &Unit<'_>, due_ms: u64, why: Option<&Stop>, agenda: &mut Agenda) {
    let number = moment.attempts(unit).saturating_add(1);
    if let Some(stop) = why {
        let kind = if *stop == Stop::TimeUp { FailureKind::TimedOut } else { FailureKind::Cancelled };
        let message = format!("no further attempt, since {}; {}", stop.clause(moment), so_far(moment, unit));
        agenda.decide(unit.not_begun(number, Failure::new(kind, "run.stopping", message)));
        return;
    }
    let deadline_ms = if unit.has_until() {
        moment.deadline_ms(unit)
    } else {
        moment.section_deadline_ms(unit.path.section)
    };
    if moment.hold {
        return;
    }
    if due_ms.max(moment.now_ms) >= deadline_ms {
        agenda.decide(unit.not_begun(number, out_of_time(moment, unit)));
    } else if due_ms > moment.now_ms {
        agenda.wait_until(due_ms);
    } else {
        begin(moment, unit, number, agenda);
    }
}

fn out_of_time(moment: &Moment<'_>, unit: &Unit<'_>) -> Failure {
    let so_far = so_far(moment, unit);
    match unit.step.until.as_ref().filter(|_| unit.has_until()) {
        Some(until) => Failure::new(
            FailureKind::TimedOut,
            "until.timed-out",
            format!(
                "`{}` did not hold within {}; {so_far}",
                until.condition.text(),
                format_duration(unit.timeout())
            ),
        ),
        None => Failure::new(
            FailureKind::TimedOut,
            "retry.timed-out",
            format!("no time is left for another attempt; {so_far}"),
        ),
    }
}

/// The most characters of an output that a message repeats.
const MAX_QUOTED_CHARS: usize = 300;

/// What the last attempt came to, in words.
fn so_far(moment: &Moment<'_>, unit: &Unit<'_>) -> String {
    let progress = moment.progress(&unit.path);
    match progress.and_then(|progress| progress.last()?.1.outcome.as_ref()) {
        None => "it never ran".to_owned(),
        Some(Outcome::Error(failure)) => format!("the last attempt failed: {}", failure.message),
        Some(Outcome::Ok(output)) => {
            let text = output.to_string();
            let mut shown: String = text.chars().take(MAX_QUOTED_CHARS).collect();
            if shown.len() < text.len() {
                shown.push('…');
            }
            format!("the last output was {shown}")
        }
    }
}

/// Begins an attempt, or records why it cannot begin.
pub(super) fn begin(moment: &Moment<'_>, unit: &Unit<'_>, attempt: u32, agenda: &mut Agenda) {
    let deadline_ms = moment.deadline_ms(unit);
    if deadline_ms <= moment.now_ms {
        let failure = Failure::new(FailureKind::TimedOut, "step.timed-out", "no time is left to begin");
        agenda.decide(unit.not_begun(attempt, failure));
        return;
    }
    match input(moment, unit) {
        Err(error) => agenda.decide(unit.not_begun(attempt, evaluation_failure(&error))),
        Ok(with) => {
            agenda.decide(Event::AttemptStarted {
                path: unit.path.clone(),
                attempt,
                uses: unit.uses.to_string(),
                with,
                plugin: plugin(moment, unit),
                deadline_ms,
            });
        }
    }
}

/// The input: evaluated for the first attempt, then taken from it.
fn input(moment: &Moment<'_>, unit: &Unit<'_>) -> Result<Value, EvaluationError> {
    let first = moment.progress(&unit.path).and_then(|progress| progress.attempts.first());
    if let Some(first) = first {
        return Ok(first.with.clone());
    }
    let expressions = unit.with.expressions();
    if expressions.is_empty() {
        return unit.with.evaluate(&Scope::default());
    }
    let status = moment.status_word(unit.path.section);
    let mut scope = with_item(scope(moment.runbook, moment.state, status, &expressions), unit.item);
    if unit.path.section == Section::Undo {
        scope = with_effects(scope, moment.progress(&unit.path.in_section(Section::Steps)));
    }
    unit.with.evaluate(&scope)
}

fn plugin(moment: &Moment<'_>, unit: &Unit<'_>) -> Option<Digest> {
    let Uses::Plugin { plugin, .. } = unit.uses else { return None };
    let accepted = moment.state.accepted()?;
    let pinned = accepted.plugins.iter().find(|(name, _)| name == plugin);
    pinned.map(|(_, digest)| digest.clone())
}

/// A failure to evaluate, as the failure of a step.
pub(super) fn evaluation_failure(error: &EvaluationError) -> Failure {
    Failure::new(FailureKind::Invalid, "expression.failed", error.to_string())
}
