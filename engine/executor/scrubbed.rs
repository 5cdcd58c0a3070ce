//! Events without the values of secrets: what people, plugins and the world put into them is scrubbed before the run's
//! state and its journal take it in, so that both hold the same.
//!
//! Names, ids and digests are the engine's own and stay.

use std::borrow::Cow;

use audit::StateChange;
use host::LocalChanges;
use run::event::{Accepted, Event, Outcome, Settlement, SkipReason, Wait};
use secrets::scrub;
use words::effect::Failure;

/// The event as it may be written down.
pub(super) fn event(event: &Event) -> Cow<'_, Event> {
    if !scrub::active() {
        return Cow::Borrowed(event);
    }
    let mut event = event.clone();
    clean(&mut event);
    Cow::Owned(event)
}

/// What is kept with an event. Artifacts and texts are known by their digest, and were scrubbed before it was taken.
pub(super) fn local(local: LocalChanges) -> LocalChanges {
    LocalChanges { state: changes(local.state), ..local }
}

/// Changes of state as they may be kept.
pub(super) fn changes(mut changes: Vec<StateChange>) -> Vec<StateChange> {
    for change in &mut changes {
        if let StateChange::Set { value, .. } = change {
            scrub::json(value);
        }
    }
    changes
}

/// The first value that stands where a change of state goes, which cannot be taken out there.
pub(super) fn in_place(changes: &[StateChange]) -> Option<String> {
    let found = changes.iter().find_map(|change| {
        let (StateChange::Set { bucket, key, .. } | StateChange::Delete { bucket, key }) = change;
        scrub::first(bucket).or_else(|| scrub::first(key))
    });
    found.map(|(_, words)| words)
}

/// What came of a call or an attempt.
pub(super) fn outcome(outcome: &mut Outcome) {
    match outcome {
        Outcome::Ok(value) => scrub::json(value),
        Outcome::Error(Failure { message, code, .. }) => {
            text(message);
            text(code);
        }
    }
}

fn text(text: &mut String) {
    if let Cow::Owned(scrubbed) = scrub::text(text) {
        *text = scrubbed;
    }
}

fn clean(event: &mut Event) {
    match event {
        Event::Accepted(accepted) => {
            let Accepted { parameters, trigger_data, reason, .. } = &mut **accepted;
            scrub::json(parameters);
            scrub::json(trigger_data);
            reason.iter_mut().for_each(text);
        }
        Event::Left { reason }
        | Event::LeaveRequested { reason }
        | Event::CancelRequested { reason, .. }
        | Event::LockTaken { reason, .. } => {
            text(reason);
        }
        Event::Items { items, .. } => items.iter_mut().for_each(scrub::json),
        Event::Skipped { reason: SkipReason::Failed(why), .. } => text(why),
        Event::AttemptStarted { with, .. } => scrub::json(with),
        Event::CallIntended { arguments, before, .. } => {
            scrub::json(arguments);
            scrub::json(before);
        }
        Event::CallFinished { arguments, outcome: came, .. } => {
            arguments.iter_mut().for_each(scrub::json);
            outcome(came);
        }
        Event::CallDoubted { message, .. } | Event::UndoChecked { message: Some(message), .. } => {
            text(message);
        }
        Event::CallSettled { decision: Settlement::Done(answer), .. } => scrub::json(answer),
        Event::AttemptFinished { outcome: came, lines, .. } => {
            outcome(came);
            lines.iter_mut().for_each(text);
        }
        Event::WaitStarted { wait, .. } => match wait {
            Wait::Approval(question) | Wait::Manual(question) | Wait::Confirm(question) => {
                text(&mut question.text);
            }
            Wait::Until(_) => {}
        },
        Event::Answered { answer, .. } => answer.text.iter_mut().for_each(text),
        Event::Finished { outputs, message, .. } => {
            scrub::json(outputs);
            text(message);
        }
        Event::Started { .. }
        | Event::Resumed { .. }
        | Event::Paused { .. }
        | Event::Skipped { .. }
        | Event::CallSettled { .. }
        | Event::ChildStarted { .. }
        | Event::UndoStarted { .. }
        | Event::UndoChecked { .. } => {}
    }
}

/// Whether two outcomes are the same, though the first may have been written down before a secret was known.
pub(super) fn same(then: &Outcome, now: &Outcome) -> bool {
    let scrubbed = |came: &Outcome| {
        let mut came = came.clone();
        outcome(&mut came);
        came
    };
    then == now || scrub::active() && scrubbed(then) == scrubbed(now)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use run::event::CallId;
    use words::effect::FailureKind;
    use words::ids::StepPath;
    use words::secret::{SecretName, SecretValue};

    #[test]
    fn content_is_scrubbed_and_ids_stay() {
        let value = SecretValue::new("scrubbed_of_events".to_owned()).unwrap();
        scrub::learn(&SecretName::new("test/events").unwrap(), &value);
        let path = StepPath::try_from("scrubbed_of_events".to_owned()).unwrap();
        let call = CallId { path, attempt: 1, ordinal: 0 };
        let mut written = Event::CallFinished {
            call: call.clone(),
            function: "http.send".to_owned(),
            arguments: Some(json!({ "url": "http://a/?k=scrubbed_of_events" })),
            outcome: Outcome::Error(Failure::new(FailureKind::Invalid, "a.b", "no scrubbed_of_events")),
            established: None,
        };
        written = event(&written).into_owned();
        let wanted = Event::CallFinished {
            call,
            function: "http.send".to_owned(),
            arguments: Some(json!({ "url": "http://a/?k=[secret test/events]" })),
            outcome: Outcome::Error(Failure::new(FailureKind::Invalid, "a.b", "no [secret test/events]")),
            established: None,
        };
        assert_eq!(written, wanted);
        assert_eq!(*event(&written), written, "twice is the same as once");
        let (then, now) = (json!(["scrubbed_of_events"]), json!(["[secret test/events]"]));
        assert!(same(&Outcome::Ok(then), &Outcome::Ok(now)));
    }
}
