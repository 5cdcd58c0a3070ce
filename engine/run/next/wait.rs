//! The step types that are decisions of the run machine: `core.sleep`, `ask.person`, `manual.step` and `runbook.<name>`.
//! They wait as rows of the journal; no instance and no thread is kept for them.

use serde_json::{Value, json};

use super::agenda::Agenda;
use super::fate::millis;
use super::moment::{Moment, Unit};
use super::stop::Stop;
use super::{Action, StartChild};
use crate::event::{Event, Outcome, Wait};
use crate::question::Question;
use crate::state::{Asked, Attempt, Waiting};
use model::runbook::Uses;
use words::duration::parse_duration;
use words::effect::{Failure, FailureKind};
use words::ids::{RunId, RunbookName};

/// An attempt under way that is decided here.
pub(super) struct UnderWay<'a> {
    pub(super) unit: &'a Unit<'a>,
    pub(super) number: u32,
    pub(super) attempt: &'a Attempt,
    pub(super) why: Option<&'a Stop>,
}

impl UnderWay<'_> {
    fn deadline_ms(&self, moment: &Moment<'_>) -> u64 {
        moment.state.extended(self.attempt.deadline_ms, self.attempt.started_ms)
    }

    fn wait(&self, wait: Wait) -> Event {
        Event::WaitStarted { path: self.unit.path.clone(), attempt: self.number, wait }
    }

    fn end(&self, outcome: Outcome) -> Event {
        self.unit.ended(self.number, outcome)
    }

    fn fail(&self, kind: FailureKind, code: &str, message: impl Into<String>) -> Event {
        self.end(Outcome::Error(Failure::new(kind, code, message)))
    }

    /// Ends a wait whose run stops; the end of the time is left to the attempt's own deadline.
    fn stopped(&self, moment: &Moment<'_>) -> Option<Event> {
        let stop = self.why.filter(|stop| **stop != Stop::TimeUp)?;
        let message = format!("it waits no longer, since {}", stop.clause(moment));
        Some(self.fail(FailureKind::Cancelled, "wait.cancelled", message))
    }
}

/// `core.sleep`: input `for`, a duration; answers `slept_ms`.
pub(super) fn sleep(moment: &Moment<'_>, here: &UnderWay<'_>, agenda: &mut Agenda) {
    if let Some(event) = here.stopped(moment) {
        return agenda.decide(event);
    }
    let started_ms = here.attempt.started_ms;
    let Some(Waiting::Until(until_ms)) = here.attempt.waiting else {
        return agenda.decide(match duration(&here.attempt.with, "for") {
            Ok(Some(length_ms)) => here.wait(Wait::Until(started_ms.saturating_add(length_ms))),
            Ok(None) => {
                here.fail(FailureKind::Invalid, "sleep.invalid", "`for` is missing: a duration like `30s`")
            }
            Err(message) => here.fail(FailureKind::Invalid, "sleep.invalid", message),
        });
    };
    let deadline_ms = here.deadline_ms(moment);
    if moment.now_ms >= until_ms {
        let slept_ms = until_ms.saturating_sub(started_ms);
        agenda.decide(here.end(Outcome::Ok(json!({ "slept_ms": slept_ms }))));
    } else if moment.now_ms >= deadline_ms {
        agenda.decide(here.fail(FailureKind::TimedOut, "step.timed-out", "its time was over while it slept"));
    } else {
        agenda.wait_until(until_ms.min(deadline_ms));
    }
}

/// `ask.person`: input `question`, optionally `who` and `timeout`; answers `by` and `text`, and fails if rejected.
/// `manual.step`: input `instruction`, optionally `who` and `evidence`; answers the same.
pub(super) fn person(moment: &Moment<'_>, here: &UnderWay<'_>, agenda: &mut Agenda) {
    if let Some(event) = here.stopped(moment) {
        return agenda.decide(event);
    }
    let Some(asked) = here.attempt.waiting.as_ref().and_then(Waiting::asked) else {
        return agenda.decide(match question(moment, here) {
            Ok(wait) => here.wait(wait),
            Err(message) => here.fail(FailureKind::Invalid, "ask.invalid", message),
        });
    };
    if let Some(answer) = &asked.answer {
        let by = &answer.by;
        let outcome = if answer.yes {
            Outcome::Ok(json!({ "by": by, "text": answer.text }))
        } else {
            let words = answer.text.as_ref().map(|text| format!(": {text}")).unwrap_or_default();
            let (code, verb) = match here.unit.uses {
                Uses::ManualStep => ("manual.not-done", "said that it is not done"),
                _ => ("ask.rejected", "rejected it"),
            };
            Outcome::Error(Failure::new(FailureKind::Conflict, code, format!("`{by}` {verb}{words}")))
        };
        return agenda.decide(here.end(outcome));
    }
    let deadline_ms = question_deadline_ms(moment, here, asked);
    if moment.now_ms >= deadline_ms {
        agenda.decide(here.fail(FailureKind::TimedOut, "ask.timed-out", "nobody answered in time"));
    } else {
        agenda.wait_until(deadline_ms);
        agenda.wait_for_person();
    }
}

fn question_deadline_ms(moment: &Moment<'_>, here: &UnderWay<'_>, asked: &Asked) -> u64 {
    let own_ms = asked.question.deadline_ms.map_or(u64::MAX, |ms| moment.state.extended(ms, asked.at_ms));
    own_ms.min(here.deadline_ms(moment))
}

fn question(moment: &Moment<'_>, here: &UnderWay<'_>) -> Result<Wait, String> {
    let with = &here.attempt.with;
    let manual = *here.unit.uses == Uses::ManualStep;
    let name = if manual { "instruction" } else { "question" };
    let text =
        with.get(name).and_then(Value::as_str).ok_or_else(|| format!("`{name}` is missing: a text"))?;
    let timeout_ms = duration(with, "timeout")?;
    let limit_ms = here.deadline_ms(moment);
    let deadline_ms = timeout_ms.map_or(limit_ms, |ms| moment.now_ms.saturating_add(ms).min(limit_ms));
    let who = who(with)?;
    let may_self = with.get("self").and_then(Value::as_bool).unwrap_or(false);
    let asked_by = moment.state.accepted().and_then(|accepted| accepted.asked_by.clone());
    let question = Question {
        text: text.to_owned(),
        not_by: asked_by.filter(|_| !may_self && !who.is_empty()),
        who,
        evidence: with.get("evidence").and_then(Value::as_bool).unwrap_or(false),
        deadline_ms: Some(deadline_ms),
    };
    Ok(if manual { Wait::Manual(question) } else { Wait::Approval(question) })
}

/// A login name, or a list of them.
fn who(with: &Value) -> Result<Vec<String>, String> {
    let wrong = || "`who` must be a login name or a list of them".to_owned();
    match with.get("who") {
        None | Some(Value::Null) => Ok(Vec::new()),
        Some(Value::String(name)) => Ok(vec![name.clone()]),
        Some(Value::Array(names)) => {
            names.iter().map(|name| name.as_str().map(str::to_owned).ok_or_else(wrong)).collect()
        }
        Some(_) => Err(wrong()),
    }
}

fn duration(with: &Value, name: &str) -> Result<Option<u64>, String> {
    match with.get(name) {
        None | Some(Value::Null) => Ok(None),
        Some(Value::String(text)) => match parse_duration(text) {
            Ok(length) => Ok(Some(millis(length))),
            Err(error) => Err(format!("`{name}`: {error}")),
        },
        Some(_) => Err(format!("`{name}` must be a duration like `30s`")),
    }
}

/// `runbook.<name>`: input its parameters; answers its outputs. A child is always started before it is told to end, since
/// it may have been accepted just before a crash.
pub(super) fn child(moment: &Moment<'_>, here: &UnderWay<'_>, name: &RunbookName, agenda: &mut Agenda) {
    let path = here.unit.path.clone();
    let attempt = here.number;
    let in_flight = moment.is_in_flight(&path, attempt);
    let deadline_ms = here.deadline_ms(moment);
    match &here.attempt.child {
        None if in_flight => agenda.busy(),
        None => agenda.begin(Action::StartChild(StartChild {
            path,
            attempt,
            runbook: name.clone(),
            with: here.attempt.with.clone(),
            deadline_ms,
        })),
        Some(run) => {
            cancel_child(moment, here, run, agenda);
            if in_flight {
                agenda.busy();
            } else {
                agenda.begin(Action::AwaitChild { path, attempt, run: run.clone() });
            }
        }
    }
}

fn cancel_child(moment: &Moment<'_>, here: &UnderWay<'_>, run: &RunId, agenda: &mut Agenda) {
    let deadline_ms = here.deadline_ms(moment);
    let (reason, undo) = match here.why {
        Some(stop @ Stop::Cancelled { .. }) => (
            stop.clause(moment),
            moment.state.lock_loss().is_none() && moment.state.cancel().is_some_and(|c| c.undo),
        ),
        _ if moment.now_ms >= deadline_ms => {
            ("the time of the step that waits for it is over".to_owned(), true)
        }
        _ => return agenda.wait_until(deadline_ms),
    };
    if !moment.in_flight.told.contains(run) {
        agenda.begin(Action::CancelChild { run: run.clone(), reason, undo });
    }
}
