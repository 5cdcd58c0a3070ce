//! A run as lines, one per thing that happened, where nothing can be redrawn.

use std::collections::HashMap;
use std::time::Duration;

use serde_json::{Map, Value};

use crate::cli::output::paint::Paint;
use crate::cli::output::table::cut;
use crate::cli::output::time;
use run::event::{CallId, Event, Outcome, Settlement, SkipReason, Wait};
use words::duration::format_duration;
use words::ids::StepPath;

/// The most characters of what came of a step.
const MAX_OUTPUT: usize = 160;

/// Remembers what was announced, so that what came of it can name its target.
#[derive(Debug, Default)]
pub(crate) struct Story {
    announced: HashMap<CallId, String>,
}

impl Story {
    /// The line of an event, if people should see it: `12:03:04 restart running service.restart`.
    pub(crate) fn line(&mut self, at_ms: u64, event: &Event, paint: Paint) -> Option<String> {
        let (who, word, rest) = self.words(event)?;
        Some(joined(at_ms, &who, (paint.like(word, word), &rest), paint))
    }

    /// What a call did, if the event is the end of one that changed something: the step, and words.
    pub(crate) fn deed(&mut self, event: &Event) -> Option<(String, String)> {
        match event {
            Event::CallIntended { .. } | Event::CallFinished { .. } => {
                self.words(event).map(|(who, _, rest)| (who, rest))
            }
            _ => None,
        }
    }

    fn words(&mut self, event: &Event) -> Option<Words> {
        match event {
            Event::CallIntended { call, before, .. } => {
                if let Some(name) = before.get("name").and_then(Value::as_str) {
                    self.announced.insert(call.clone(), name.to_owned());
                }
                None
            }
            Event::CallFinished { call, function, outcome, arguments, .. } => {
                let name = self.announced.remove(call);
                called(&call.path, (function, name.as_deref()), outcome, arguments.is_none())
            }
            other => words(other),
        }
    }
}

/// Who, a status word, and the rest.
type Words = (String, &'static str, String);

/// The line of something a step said.
pub(crate) fn note(at_ms: u64, path: &str, text: &str, paint: Paint) -> String {
    joined(at_ms, path, (paint.dim("says"), &crate::error::printable(text)), paint)
}

fn joined(at_ms: u64, who: &str, (word, rest): (String, &str), paint: Paint) -> String {
    let line = format!(
        "{} {} {word} {}",
        paint.dim(&time::of_day(at_ms)),
        paint.bold(who),
        crate::error::printable(rest)
    );
    line.trim_end().to_owned()
}

fn words(event: &Event) -> Option<Words> {
    let run = || "run".to_owned();
    Some(match event {
        Event::Accepted(accepted) => (run(), "queued", accepted.runbook.to_string()),
        Event::Started { engine } => (run(), "running", format!("on {engine}")),
        Event::Resumed { engine, .. } => (run(), "running", format!("again, on {engine}")),
        Event::Paused { missed_ms } => {
            let missed = format_duration(Duration::from_secs(missed_ms.div_ceil(1_000)));
            (run(), "running", format!("again; the engine was stopped or the machine slept for {missed}"))
        }
        Event::LeaveRequested { reason } => {
            (run(), "running", format!("stops at the next safe point: {reason}"))
        }
        Event::Left { reason } => (run(), "left", reason.clone()),
        Event::CancelRequested { reason, undo } => {
            let undoing = if *undo { "with undo: " } else { "" };
            (run(), "cancelled", format!("{undoing}{reason}"))
        }
        Event::LockTaken { by, reason } => {
            (run(), "waiting", format!("its locks were given to {by}: {reason}"))
        }
        Event::Items { path, items } => (path.to_string(), "running", format!("for {} items", items.len())),
        Event::Skipped { path, reason } => (path.to_string(), "skipped", skipped(reason)),
        Event::AttemptStarted { path, attempt, uses, .. } => {
            let again = if *attempt > 1 { format!(", attempt {attempt}") } else { String::new() };
            (path.to_string(), "running", format!("{uses}{again}"))
        }
        Event::CallIntended { .. } | Event::CallFinished { .. } | Event::Finished { .. } => return None,
        Event::CallDoubted { call, message } => (call.path.to_string(), "in-doubt", message.clone()),
        Event::CallSettled { call, decision } => {
            (call.path.to_string(), "running", settled(decision).to_owned())
        }
        Event::AttemptFinished { path, outcome, met, .. } => attempted(path, outcome, *met),
        Event::WaitStarted { path, wait, .. } => (path.to_string(), "waiting", waits(wait)),
        Event::Answered { path, answer } => {
            let word = if answer.yes { "yes" } else { "no" };
            let text = answer.text.as_deref().map(|text| format!(": {text}")).unwrap_or_default();
            (path.to_string(), "running", format!("{word}, says {}{text}", answer.by))
        }
        Event::ChildStarted { path, run, .. } => (path.to_string(), "running", format!("as run {run}")),
        Event::UndoStarted { paths } => {
            let paths: Vec<_> = paths.iter().map(ToString::to_string).collect();
            (run(), "running", format!("undo of {}", paths.join(", ")))
        }
        Event::UndoChecked { path, holds, message } => checked(path, *holds, message.as_deref()),
    })
}

/// Only writes are told: they are announced first, so their arguments are not repeated; and whatever was refused.
fn called(
    path: &StepPath,
    (function, name): (&str, Option<&str>),
    outcome: &Outcome,
    announced: bool,
) -> Option<Words> {
    let target = name.map(|name| format!(" {name}")).unwrap_or_default();
    match outcome {
        Outcome::Ok(_) if announced => Some((path.to_string(), "did", format!("{function}{target}"))),
        Outcome::Ok(_) => None,
        Outcome::Error(failure) => {
            Some((path.to_string(), "failed", format!("{function}{target}: {}", failure.message)))
        }
    }
}

/// What came of a step in few words: what is nested is in `runs show`.
fn brief(output: &Map<String, Value>) -> String {
    let flat = |value: &Value| match value {
        Value::Array(items) => {
            !items.is_empty() && items.iter().all(|item| !item.is_object() && !item.is_array())
        }
        Value::Object(_) | Value::Null => false,
        _ => true,
    };
    let flat: Map<String, Value> = output
        .iter()
        .filter(|(_, value)| flat(value))
        .map(|(name, value)| (name.clone(), value.clone()))
        .collect();
    cut(&super::value::pairs(&flat), MAX_OUTPUT)
}

fn attempted(path: &StepPath, outcome: &Outcome, met: Option<bool>) -> Words {
    match outcome {
        Outcome::Ok(_) if met == Some(false) => (path.to_string(), "waiting", "not yet".to_owned()),
        Outcome::Ok(Value::Object(output)) => (path.to_string(), "succeeded", brief(output)),
        Outcome::Ok(_) => (path.to_string(), "succeeded", String::new()),
        Outcome::Error(failure) => (path.to_string(), "failed", failure.message.clone()),
    }
}

fn checked(path: &StepPath, holds: bool, message: Option<&str>) -> Words {
    if holds {
        return (path.to_string(), "succeeded", "what it promised holds".to_owned());
    }
    let why = message.map(|message| format!(": {message}")).unwrap_or_default();
    (path.to_string(), "failed", format!("what it promised does not hold{why}"))
}

fn settled(decision: &Settlement) -> &'static str {
    match decision {
        Settlement::Done(_) => "settled: it happened",
        Settlement::Retry => "settled: do it",
        Settlement::Fail => "settled: let it fail",
    }
}

fn skipped(reason: &SkipReason) -> String {
    match reason {
        SkipReason::Condition => "its condition does not hold".to_owned(),
        SkipReason::NoItems => "there are no items".to_owned(),
        SkipReason::Failed(why) => why.clone(),
        SkipReason::StopAfter => "enough items failed".to_owned(),
        SkipReason::Cancelled => "the run is being cancelled".to_owned(),
        SkipReason::Person => "a person said so".to_owned(),
    }
}

fn waits(wait: &Wait) -> String {
    match wait {
        Wait::Until(ms) => format!("until {}", time::of_day(*ms)),
        Wait::Approval(question) | Wait::Manual(question) | Wait::Confirm(question) => {
            format!("{} (may answer: {})", question.text, question.answerers_in_words())
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;
    use words::effect::{Failure, FailureKind};

    fn told(event: &Event) -> Option<String> {
        Story::default()
            .line(1_000, event, Paint(false))
            .map(|line| line.split_once(' ').unwrap().1.to_owned())
    }

    #[test]
    fn a_skipped_step_says_why_once() {
        let reason = SkipReason::Failed("step `r` failed".to_owned());
        let skipped = Event::Skipped { path: "b".parse().unwrap(), reason };
        assert_eq!(told(&skipped).unwrap(), "b skipped step `r` failed");
    }

    fn call() -> CallId {
        CallId { path: "restart".parse().unwrap(), attempt: 1, ordinal: 0 }
    }

    fn finished(arguments: Option<Value>, outcome: Outcome) -> Event {
        Event::CallFinished {
            call: call(),
            function: "containers.stop".to_owned(),
            arguments,
            outcome,
            established: None,
        }
    }

    #[test]
    fn an_attempt_begins_and_ends_in_a_line_each() {
        let path: StepPath = "restart".parse().unwrap();
        let started = Event::AttemptStarted {
            path: path.clone(),
            attempt: 2,
            uses: "service.restart".to_owned(),
            with: json!({}),
            plugin: None,
            deadline_ms: 0,
        };
        assert_eq!(told(&started).unwrap(), "restart running service.restart, attempt 2");
        let outcome = Outcome::Ok(json!({"restarted": ["a"]}));
        let ended = Event::AttemptFinished { path, attempt: 2, outcome, met: None, lines: Vec::new() };
        assert_eq!(told(&ended).unwrap(), r#"restart succeeded restarted = ["a"]"#);
    }

    #[test]
    fn a_write_names_its_target() {
        let mut story = Story::default();
        let intended = Event::CallIntended {
            call: call(),
            function: "containers.stop".to_owned(),
            arguments: json!({}),
            effect: words::effect::Effect::Idempotent,
            before: json!({"name": "shop-web-1"}),
        };
        assert_eq!(story.line(1_000, &intended, Paint(false)), None);
        let deed = story.deed(&finished(None, Outcome::Ok(json!(null)))).unwrap();
        assert_eq!(deed, ("restart".to_owned(), "containers.stop shop-web-1".to_owned()));
    }

    #[test]
    fn writes_are_told_and_reads_are_not() {
        let ok = || Outcome::Ok(json!(null));
        assert_eq!(told(&finished(None, ok())).unwrap(), "restart did containers.stop");
        assert_eq!(told(&finished(Some(json!({})), ok())), None);
        let denied = Outcome::Error(Failure::new(FailureKind::Denied, "denied", "not granted\nforged"));
        let line = told(&finished(Some(json!({})), denied)).unwrap();
        assert_eq!(line, "restart failed containers.stop: not granted forged");
    }
}
