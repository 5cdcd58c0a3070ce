//! Legal and illegal journals, one refusal after the other.

use serde_json::{Value, json};

use super::{INTERRUPTED, State};
use crate::event::{CallId, EndStatus, Event, Outcome, Settlement, SkipReason, Wait};
use crate::question::{Answer, Question};
use crate::simulator::{accepted, answer, book, cancel, path, run_id};
use words::effect::{Effect, Failure, FailureKind};

fn started(name: &str, attempt: u32) -> Event {
    Event::AttemptStarted {
        path: path(name),
        attempt,
        uses: "test.act".to_owned(),
        with: Value::Null,
        plugin: None,
        deadline_ms: 1000,
    }
}

fn ended(name: &str, attempt: u32, outcome: Outcome) -> Event {
    Event::AttemptFinished { path: path(name), attempt, outcome, met: None, lines: Vec::new() }
}

fn well(name: &str, attempt: u32) -> Event {
    ended(name, attempt, Outcome::Ok(Value::Null))
}

fn badly(name: &str, attempt: u32) -> Event {
    ended(name, attempt, Outcome::Error(Failure::new(FailureKind::Internal, "x", "broken")))
}

fn call(name: &str, ordinal: u32) -> CallId {
    CallId { path: path(name), attempt: 1, ordinal }
}

fn intended(name: &str, ordinal: u32) -> Event {
    Event::CallIntended {
        call: call(name, ordinal),
        function: "containers.stop".to_owned(),
        arguments: json!({}),
        effect: Effect::Idempotent,
        before: Value::Null,
    }
}

fn answered(name: &str, ordinal: u32, function: &str) -> Event {
    Event::CallFinished {
        call: call(name, ordinal),
        function: function.to_owned(),
        arguments: None,
        outcome: Outcome::Ok(Value::Null),
        established: None,
    }
}

fn read(name: &str, ordinal: u32) -> Event {
    Event::CallFinished {
        call: call(name, ordinal),
        function: "containers.inspect".to_owned(),
        arguments: Some(json!({})),
        outcome: Outcome::Ok(Value::Null),
        established: None,
    }
}

fn doubted(name: &str, ordinal: u32) -> Event {
    Event::CallDoubted { call: call(name, ordinal), message: "gone".to_owned() }
}

fn settled(name: &str, ordinal: u32) -> Event {
    Event::CallSettled { call: call(name, ordinal), decision: Settlement::Retry }
}

fn skipped(name: &str) -> Event {
    Event::Skipped { path: path(name), reason: SkipReason::Condition }
}

fn items(name: &str) -> Event {
    Event::Items { path: path(name), items: vec![json!(1), json!(2)] }
}

fn finished(status: EndStatus) -> Event {
    Event::Finished { status, outputs: json!({}), message: "over".to_owned() }
}

fn asks(name: &str) -> Event {
    let question =
        Question { text: "?".to_owned(), who: vec!["kim".to_owned()], evidence: true, ..Question::default() };
    Event::WaitStarted { path: path(name), attempt: 1, wait: Wait::Approval(question) }
}

fn begin() -> Vec<Event> {
    let runbook = book(|book| {
        book.step("a");
    });
    let accepted = Event::Accepted(Box::new(accepted(&runbook)));
    vec![accepted, Event::Started { engine: "test:1".to_owned() }]
}

fn undoing(names: &[&str]) -> Event {
    Event::UndoStarted { paths: names.iter().map(|name| path(name)).collect() }
}

/// Applies all but the last, which must be refused for this reason and change nothing.
fn refused(events: &[Event], reason: &str) {
    let mut state = State::default();
    let (last, legal) = events.split_last().unwrap();
    for (event, at_ms) in legal.iter().zip(1..) {
        state.apply(at_ms, event).unwrap_or_else(|error| panic!("{error}: {event:?}"));
    }
    let before = state.clone();
    let error = state.apply(99, last).expect_err(reason);
    assert_eq!(error.reason, reason);
    assert_eq!(error.event, last.kind());
    assert_eq!(state, before);
}

fn after_begin(events: &[Event], reason: &str) {
    refused(&[begin(), events.to_vec()].concat(), reason);
}

#[test]
fn a_run_begins_and_ends_once() {
    let begin = begin();
    refused(&begin[1..], "it was not accepted");
    refused(&[begin[0].clone(), begin[0].clone()], "it was accepted already");
    after_begin(&[begin[1].clone()], "it was started already");
    refused(&[begin[0].clone(), started("a", 1)], "it was not started");
    refused(&[begin[0].clone(), cancel(false), begin[1].clone()], "it is to be cancelled");
    refused(&[begin[0].clone(), finished(EndStatus::Succeeded)], "it was not started");
    after_begin(&[finished(EndStatus::Failed), started("a", 1)], "it is over");
    after_begin(&[finished(EndStatus::Failed), finished(EndStatus::Failed)], "it is over");
}

#[test]
fn attempts_follow_each_other() {
    after_begin(&[started("a", 2)], "the next attempt of `a` is 1, not 2");
    after_begin(&[started("a", 1), started("a", 2)], "attempt 1 of `a` is under way");
    after_begin(&[well("a", 1)], "attempt 1 of `a` never began, so it can only have failed");
    after_begin(&[badly("a", 1), badly("a", 1)], "attempt 1 of `a` has ended");
    after_begin(&[started("a", 1), well("a", 1), well("a", 1)], "attempt 1 of `a` has ended");
    after_begin(&[started("a", 1), skipped("a")], "`a` was begun already");
    after_begin(&[skipped("a"), started("a", 1)], "`a` was skipped");
    after_begin(&[started("a", 1), finished(EndStatus::Succeeded)], "attempt 1 of `a` is under way");
    after_begin(&[cancel(false), started("a", 1)], "no attempt of `a` may begin any more");
    after_begin(&[Event::Left { reason: "x".to_owned() }, started("a", 1)], "a person left it");
}

#[test]
fn items_come_from_their_step() {
    after_begin(&[started("a[0]", 1)], "`a` has no item 0");
    after_begin(&[items("a"), started("a[2]", 1)], "`a` has no item 2");
    after_begin(&[items("a"), started("a", 1)], "`a` runs once per item");
    after_begin(&[items("a"), items("a")], "`a` has its items already");
    after_begin(&[items("a"), items("a[0]")], "`a[0]` is an item itself");
}

#[test]
fn every_call_has_one_intent_and_one_outcome() {
    let begun = |events: &[Event], reason: &str| after_begin(&[&[started("a", 1)], events].concat(), reason);
    after_begin(&[intended("a", 0)], "`a` has no attempt 1");
    begun(&[intended("a", 1)], "call 1 of attempt 1 of `a` should be call 0");
    begun(&[intended("a", 0), intended("a", 1)], "the call before call 1 of attempt 1 of `a` has no outcome");
    begun(&[intended("a", 0), intended("a", 0)], "the call before call 0 of attempt 1 of `a` has no outcome");
    begun(
        &[intended("a", 0), answered("a", 0, "containers.start")],
        "call 0 of attempt 1 of `a` was announced as `containers.stop`",
    );
    begun(
        &[intended("a", 0), answered("a", 0, "containers.stop"), answered("a", 0, "containers.stop")],
        "call 0 of attempt 1 of `a` has its outcome already",
    );
    begun(
        &[answered("a", 0, "containers.stop")],
        "call 0 of attempt 1 of `a` was not announced and names no arguments",
    );
    begun(&[intended("a", 0), well("a", 1)], "the last call of attempt 1 of `a` has no outcome");
    for status in [EndStatus::Failed, EndStatus::Stuck] {
        begun(&[intended("a", 0), finished(status)], "call 0 of attempt 1 of `a` has no outcome");
    }
    begun(&[well("a", 1), read("a", 0)], "attempt 1 of `a` has ended");
    let note = Event::CallIntended {
        call: call("a", 0),
        function: "log.info".to_owned(),
        arguments: json!({}),
        effect: Effect::Read,
        before: Value::Null,
    };
    begun(&[note], "call 0 of attempt 1 of `a` changes nothing");
}

#[test]
fn a_doubt_is_for_a_person() {
    let doubt = [started("a", 1), read("a", 0), intended("a", 1), doubted("a", 1)];
    let doubted_and = |events: &[Event], reason: &str| after_begin(&[&doubt[..], events].concat(), reason);
    doubted_and(&[doubted("a", 1)], "call 1 of attempt 1 of `a` is in doubt already");
    doubted_and(
        &[answered("a", 1, "containers.stop")],
        "call 1 of attempt 1 of `a` is in doubt and nobody decided",
    );
    doubted_and(&[started("b", 1)], "a call is in doubt");
    doubted_and(&[settled("a", 0)], "call 0 of attempt 1 of `a` has its outcome already");
    doubted_and(&[settled("a", 1), settled("a", 1)], "call 1 of attempt 1 of `a` is not in doubt");
    after_begin(&[started("a", 1), doubted("a", 0)], "call 0 of attempt 1 of `a` was not announced");
    let again = [doubted("a", 1), settled("a", 1), answered("a", 1, "containers.stop"), well("a", 1)];
    doubted_and(&[&[settled("a", 1)], &again[..], &[well("a", 1)]].concat(), "attempt 1 of `a` has ended");
}

#[test]
fn only_who_is_asked_may_answer() {
    let asked = [started("a", 1), asks("a")];
    let asked_and = |event: Event, reason: &str| after_begin(&[&asked[..], &[event]].concat(), reason);
    let by = |by: &str, text: Option<&str>| Event::Answered {
        path: path("a"),
        answer: Answer { yes: true, text: text.map(str::to_owned), by: by.to_owned() },
    };
    asked_and(by("lee", Some("x")), "`a`: kim must answer, not `lee`");
    asked_and(by("kim", Some(" ")), "`a` asks for evidence with the answer");
    asked_and(asks("a"), "`a` waits already");
    asked_and(intended("a", 0), "`a` waits");
    after_begin(&[started("a", 1), answer("a", true)], "`a` asks nothing");
    after_begin(&[&asked[..], &[answer("a", true), answer("a", true)]].concat(), "`a` asks nothing");
    let question = Question { text: "?".to_owned(), ..Question::default() };
    let confirm = Event::WaitStarted { path: path("a"), attempt: 1, wait: Wait::Confirm(question) };
    after_begin(&[confirm.clone(), started("a", 1)], "nobody has confirmed `a`");
    after_begin(&[confirm.clone(), answer("a", false), started("a", 1)], "nobody has confirmed `a`");
    after_begin(&[confirm, items("a")], "nobody has confirmed `a`");
    let child = Event::ChildStarted { path: path("a"), attempt: 1, run: run_id(3) };
    asked_and(child.clone(), "`a` waits already");
    after_begin(&[started("a", 1), child.clone(), child], "attempt 1 of `a` has a child already");
}

#[test]
fn the_undo_follows_the_steps_and_precedes_finally() {
    let wrote = [started("a", 1), intended("a", 0), answered("a", 0, "containers.stop"), badly("a", 1)];
    let wrote_and = |events: &[Event], reason: &str| after_begin(&[&wrote[..], events].concat(), reason);
    after_begin(&[undoing(&[])], "there is nothing to undo");
    after_begin(&[undoing(&["undo:a"])], "`undo:a` has nothing to undo");
    after_begin(&[&wrote[..3], &[undoing(&["undo:a"])]].concat(), "`a` is under way");
    wrote_and(&[started("undo:a", 1)], "`undo:a` is not among what is undone");
    wrote_and(&[undoing(&["a"])], "`a` has nothing to undo");
    wrote_and(&[undoing(&["undo:a", "undo:a"])], "`undo:a` is named twice");
    wrote_and(&[undoing(&["undo:a"]), undoing(&["undo:a"])], "it is being undone already");
    wrote_and(&[undoing(&["undo:a"]), started("b", 1)], "`b` comes too late: the undo began");
    wrote_and(&[undoing(&["undo:a"]), cancel(true)], "it is being undone already");
    wrote_and(&[skipped("finally:z"), started("b", 1)], "`b` comes too late: `finally` began");
    wrote_and(&[skipped("finally:z"), cancel(true)], "it is ending already");
    let checked = Event::UndoChecked { path: path("undo:a"), holds: true, message: None };
    wrote_and(&[undoing(&["undo:a"]), checked.clone()], "`undo:a` has not run");
    let undone = [undoing(&["undo:a"]), started("undo:a", 1), well("undo:a", 1), checked.clone()];
    wrote_and(&[&undone[..], &[checked]].concat(), "`undo:a` was checked already");
}

#[test]
fn what_was_recorded_can_be_asked_for() {
    let mut state = State::of(run_id(5));
    let events = [begin(), vec![started("a", 1), read("a", 0), intended("a", 1)]].concat();
    for (event, at_ms) in events.iter().zip(10..) {
        state.apply(at_ms, event).unwrap();
    }
    assert_eq!(state.version(), 5);
    assert_eq!(state.last_ms(), 14);
    assert_eq!(state.run(), Some(&run_id(5)));
    let calls = state.calls(&path("a"), 1);
    assert_eq!(calls.len(), 2);
    assert!(!calls[0].writes() && calls[0].outcome.is_some());
    assert!(calls[1].writes() && calls[1].outcome.is_none());
    assert_eq!(calls[1].intent.as_ref().unwrap().at_ms, 14);
    assert_eq!(state.open_calls(), [call("a", 1)]);
    assert!(state.wrote());
    assert_eq!(state.calls(&path("b"), 1), []);
    assert_eq!(state.stopping(&path("a")), None);
    state.apply(20, &cancel(false)).unwrap();
    assert_eq!(state.stopping(&path("a")).unwrap(), "the run is being cancelled: enough");
    assert_eq!(state.stopping(&path("finally:z")), None);
}

/// A run that was killed at 2 000, found and left by an engine at 50 000, and resumed by a person at 90 000.
#[test]
fn the_time_before_an_engine_left_it_does_not_count() {
    let resumed = Event::Resumed { engine: "x:2".to_owned(), by_person: true };
    for (reason, pause_ms) in [(format!("{INTERRUPTED}48 s ago"), 88_000), ("lunch".to_owned(), 40_000)] {
        let mut state = State::default();
        for event in &begin() {
            state.apply(1_000, event).unwrap();
        }
        state.apply(2_000, &started("a", 1)).unwrap();
        state.apply(50_000, &Event::Left { reason }).unwrap();
        state.apply(90_000, &resumed).unwrap();
        assert_eq!(state.extended(10_000, 1_000), 10_000 + pause_ms);
    }
}
