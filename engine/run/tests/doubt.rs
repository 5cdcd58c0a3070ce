//! A call that could not be established, and the person who decides.

use serde_json::json;

use crate::event::{CallId, EndStatus, Event, Settlement};
use crate::simulator::{Simulator, book, cancel, ok, path};
use crate::state::RunStatus;
use model::runbook::Retry;

fn doubtful() -> Simulator {
    let mut run = Simulator::new(book(|book| {
        let step = book.step("a");
        step.timeout = std::time::Duration::from_secs(5);
        step.retry = Retry { attempts: 3, ..step.retry.clone() };
        book.step("b").needs.clear();
        book.step("c").needs = vec![crate::simulator::id("b")];
    }));
    run.script("a", [ok(1).writes(2).in_doubt()]).script("b", [ok(1).takes(100)]);
    run
}

fn settle(decision: Settlement) -> Event {
    let call = CallId { path: path("a"), attempt: 1, ordinal: 1 };
    Event::CallSettled { call, decision }
}

#[test]
fn nothing_new_begins_while_in_doubt() {
    let mut run = doubtful();
    assert_eq!(run.run(), None);
    assert_eq!(run.state.status(), RunStatus::InDoubt);
    assert_eq!(run.order(), ["a#1", "b#1"]);
    assert_eq!(run.state.doubts().len(), 1);
    let view = crate::view::view(Some(&run.runbook), &run.state);
    assert_eq!(view.in_doubt[0].message, "it is gone");
    assert_eq!(view.in_doubt[0].function, "containers.stop");
    assert_eq!(view.steps[0].status, "in-doubt");
}

#[test]
fn a_settled_call_lets_the_attempt_go_on() {
    let decisions = [
        (Settlement::Done(json!("stopped")), EndStatus::Succeeded),
        (Settlement::Retry, EndStatus::Succeeded),
    ];
    for (decision, status) in decisions {
        let mut run = doubtful();
        run.person(3_600_000, settle(decision));
        assert_eq!(run.run(), Some(status));
        assert_eq!(run.order(), ["a#1", "b#1", "a#1", "c#1"]);
    }
}

#[test]
fn a_call_settled_as_failed_is_not_tried_again() {
    let mut run = doubtful();
    run.script("a", [crate::simulator::broken().writes(2).in_doubt()]);
    run.person(1000, settle(Settlement::Fail));
    assert_eq!(run.run(), Some(EndStatus::Failed));
    assert_eq!(run.order(), ["a#1", "b#1", "a#1", "c#1"]);
}

#[test]
fn a_run_that_is_given_up_accounts_for_its_open_calls() {
    let mut run = doubtful();
    assert_eq!(run.run(), None);
    let stuck =
        Event::Finished { status: EndStatus::Stuck, outputs: json!({}), message: "it diverged".to_owned() };
    assert!(run.state.check(&stuck).is_err());
    for event in crate::next::abandon(&run.state, "it diverged") {
        run.record(event);
    }
    run.record(stuck);
    assert_eq!(run.state.status(), RunStatus::Ended(EndStatus::Stuck));
}

#[test]
fn even_a_cancelled_run_waits_for_the_decision() {
    let mut run = doubtful();
    run.person(1000, cancel(false));
    assert_eq!(run.run(), None);
    assert_eq!(run.state.status(), RunStatus::InDoubt);
    run.person(2000, settle(Settlement::Fail));
    assert_eq!(run.run(), Some(EndStatus::Cancelled));
}

#[test]
fn a_doubt_does_not_keep_a_run_that_lost_its_locks() {
    let mut run = doubtful();
    run.script("a", [crate::simulator::broken().writes(2).in_doubt()]);
    run.person(1000, Event::LockTaken { by: crate::simulator::run_id(9), reason: "urgent".to_owned() });
    assert_eq!(run.run(), Some(EndStatus::Cancelled));
    let end = run.end_message();
    assert!(end.contains("was given its locks: urgent"), "{end}");
    assert!(end.contains("whether `containers.stop` at step `a` happened is unknown"), "{end}");
}
