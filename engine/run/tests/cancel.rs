//! A person ends a run, leaves it, or gives its locks away.

use crate::event::{EndStatus, Event};
use crate::next::{Action, InFlight, next};
use crate::simulator::{Simulator, book, broken, cancel, ok, path, plugin, run_id, text};
use crate::state::RunStatus;
use model::runbook::{Template, Undo};

#[test]
fn a_cancelled_run_tidies_up_and_ends() {
    let mut run = Simulator::new(book(|book| {
        book.step("a");
        book.step("b");
        book.finally("z").with = text("${{ run.status }}");
    }));
    run.script("a", [ok(1).takes(100).writes(1)]);
    run.person(50, cancel(false));
    assert_eq!(run.run(), Some(EndStatus::Cancelled));
    assert_eq!(run.times(), [(0, "a"), (100, "finally:z")]);
    assert_eq!(run.state.attempt(&path("finally:z"), 1).unwrap().with, "cancelled");
    assert_eq!(
        run.end_message(),
        "cancelled: enough; step `a` failed: it was cancelled; what was written by `a` was not undone"
    );
}

#[test]
fn a_cancel_comes_too_late_once_the_run_is_ending() {
    let mut run = Simulator::new(book(|book| {
        book.step("a");
        book.finally("z");
    }));
    run.script("a", [broken()]).script("finally:z", [ok(1).takes(100)]);
    run.person(50, cancel(true));
    assert_eq!(run.run(), Some(EndStatus::Failed));
    assert!(run.recorded("run.cancel-requested").is_empty());
}

#[test]
fn a_run_that_was_left_waits_for_a_person() {
    let mut run = Simulator::new(book(|book| {
        book.step("a").timeout = std::time::Duration::from_secs(5);
        book.step("b");
    }));
    run.script("a", [ok(1).takes(2000)]);
    run.person(1000, Event::Left { reason: "lunch".to_owned() });
    assert_eq!(run.run(), None);
    assert_eq!(run.state.status(), RunStatus::Left);
    assert_eq!(run.order(), ["a#1"]);
    let by_itself = Event::Resumed { engine: "x:1".to_owned(), by_person: false };
    let refused = run.state.check(&by_itself).unwrap_err().to_string();
    assert_eq!(
        refused,
        "cannot record `run.resumed` while the run is `left`: a person left it, so a person resumes it"
    );
    run.now_ms += 3_600_000;
    run.record(Event::Resumed { engine: "x:1".to_owned(), by_person: true });
    assert_eq!(run.run(), Some(EndStatus::Succeeded));
}

#[test]
fn a_pause_does_not_count_against_deadlines() {
    let mut run = Simulator::new(book(|book| {
        book.step("a").timeout = std::time::Duration::from_secs(5);
    }));
    run.record(Event::AttemptStarted {
        path: path("a"),
        attempt: 1,
        uses: "test.act".to_owned(),
        with: serde_json::Value::Null,
        plugin: None,
        deadline_ms: run.now_ms + 5000,
    });
    let deadline_ms = run.now_ms + 5000;
    run.now_ms += 60_000;
    run.record(Event::Resumed { engine: "x:1".to_owned(), by_person: false });
    let actions = next(&run.runbook, &run.state, run.now_ms, &InFlight::default());
    let [Action::Perform(perform)] = &actions[..] else { panic!("{actions:?}") };
    assert_eq!(perform.deadline_ms, deadline_ms + 60_000);
}

#[test]
fn a_run_that_lost_its_locks_writes_no_more() {
    let mut run = Simulator::new(book(|book| {
        book.step("a").undo = Some(Undo { uses: plugin(), with: Template::empty(), holds: None, line: 1 });
        book.step("b");
        book.step("c");
        book.finally("z");
    }));
    run.script("a", [ok(1).writes(1)]).script("b", [ok(1).takes(100)]);
    run.person(50, Event::LockTaken { by: run_id(9), reason: "urgent".to_owned() });
    assert_eq!(run.run(), Some(EndStatus::Cancelled));
    assert_eq!(run.order(), ["a#1", "b#1", "finally:z#1"]);
    assert!(run.end_message().contains("was given its locks: urgent"), "{}", run.end_message());
}

#[test]
fn the_end_names_what_was_stopped_and_not_started_again() {
    let stopped = |id: &str, name: &str, function: &str, ordinal| {
        let call = crate::event::CallId { path: path("a"), attempt: 1, ordinal };
        let function = function.to_owned();
        let intended = Event::CallIntended {
            call: call.clone(),
            function: function.clone(),
            arguments: serde_json::json!({ "id": id }),
            effect: words::effect::Effect::Idempotent,
            before: serde_json::json!({ "id": id, "name": name, "state": "running" }),
        };
        let outcome = crate::event::Outcome::Ok(serde_json::Value::Null);
        [intended, Event::CallFinished { call, function, arguments: None, outcome, established: None }]
    };
    let mut run = Simulator::new(book(|book| {
        book.step("a");
    }));
    run.record(Event::AttemptStarted {
        path: path("a"),
        attempt: 1,
        uses: "service.restart".to_owned(),
        with: serde_json::Value::Null,
        plugin: None,
        deadline_ms: run.now_ms + 5000,
    });
    let calls = [
        stopped("1", "shop-web-1", "containers.stop", 0),
        stopped("2", "shop-web-2", "containers.kill", 1),
        stopped("1", "shop-web-1", "containers.start", 2),
    ];
    calls.into_iter().flatten().for_each(|event| run.record(event));
    run.record(cancel(false));
    let failure = words::effect::Failure::new(
        words::effect::FailureKind::Cancelled,
        "run.cancelled",
        "the run is being cancelled",
    );
    run.record(Event::AttemptFinished {
        path: path("a"),
        attempt: 1,
        outcome: crate::event::Outcome::Error(failure),
        met: None,
        lines: Vec::new(),
    });
    assert_eq!(run.run(), Some(EndStatus::Cancelled));
    let end = run.end_message();
    assert!(end.ends_with("`a` was not undone; `shop-web-2` is down"), "{end}");
}

#[test]
fn a_run_left_while_it_is_queued_is_left_and_not_queued() {
    let mut state = crate::state::State::default();
    let runbook = book(|book| {
        book.step("a");
    });
    state.apply(5, &Event::Accepted(Box::new(crate::simulator::accepted(&runbook)))).unwrap();
    assert_eq!(state.status(), RunStatus::Queued);
    state.apply(6, &Event::Left { reason: "lunch".to_owned() }).unwrap();
    assert_eq!(state.status(), RunStatus::Left);
    state.apply(7, &Event::Resumed { engine: "x:1".to_owned(), by_person: true }).unwrap();
    assert_eq!(state.status(), RunStatus::Queued);
    state.apply(8, &Event::Started { engine: "x:1".to_owned() }).unwrap();
    assert_eq!(state.status(), RunStatus::Running);
}

#[test]
fn a_run_that_was_left_ends_when_it_loses_its_locks() {
    let mut run = Simulator::new(book(|book| {
        book.step("a");
        book.step("b");
        book.finally("z");
    }));
    run.script("a", [ok(1).takes(100)]);
    run.person(50, Event::Left { reason: "lunch".to_owned() });
    run.person(5000, Event::LockTaken { by: run_id(9), reason: "urgent".to_owned() });
    assert_eq!(run.run(), Some(EndStatus::Cancelled));
    assert_eq!(run.order(), ["a#1", "finally:z#1"]);
}
