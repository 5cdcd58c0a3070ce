//! Taking back what was written.

use serde_json::json;

use crate::event::{EndStatus, Event, Settlement};
use crate::simulator::{Simulator, book, broken, cancel, expr, ok, path, plugin, text};
use model::runbook::{ForEach, OnFailure, Step, Template, Undo, Uses};

fn undo(step: &mut Step, holds: Option<&str>) {
    step.undo = Some(Undo { uses: plugin(), with: text("${{ effects }}"), holds: holds.map(expr), line: 1 });
}

#[test]
fn the_newest_is_undone_first() {
    let mut run = Simulator::new(book(|book| {
        undo(book.step("a"), Some("output == size(effects)"));
        book.step("reads");
        undo(book.step("b"), None);
        undo(book.step("writes_nothing"), None);
        book.step("c");
        book.finally("z").with = text("${{ run.status }}");
    }));
    run.script("a", [ok(1).writes(2)]).script("b", [ok(1).writes(1)]).script("c", [broken()]);
    run.script("undo:a", [ok(2).writes(1)]).script("undo:b", [ok(1).writes(1)]);
    assert_eq!(run.run(), Some(EndStatus::RolledBack));
    let expected =
        ["a#1", "reads#1", "b#1", "writes_nothing#1", "c#1", "undo:b#1", "undo:a#1", "finally:z#1"];
    assert_eq!(run.order(), expected);
    let effect = &run.state.attempt(&path("undo:a"), 1).unwrap().with[0];
    assert_eq!(effect["function"], "containers.stop");
    assert_eq!(effect["before"], json!({ "state": "running" }));
    assert_eq!(effect["outcome"], json!({ "ok": "stopped" }));
    assert_eq!(run.state.attempt(&path("finally:z"), 1).unwrap().with, json!("rolled-back"));
    assert_eq!(run.end_message(), "step `c` failed: it broke; what it had done was undone");
}

#[test]
fn a_step_that_failed_after_a_write_is_undone_too() {
    let mut run = Simulator::new(book(|book| undo(book.step("a"), None)));
    run.script("a", [broken().writes(1)]);
    assert_eq!(run.run(), Some(EndStatus::RolledBack));
}

#[test]
fn what_has_no_undo_remains_and_is_named() {
    let mut run = Simulator::new(book(|book| {
        undo(book.step("a"), None);
        book.step("b");
    }));
    run.script("a", [ok(1).writes(1)]).script("b", [broken().writes(1)]);
    assert_eq!(run.run(), Some(EndStatus::Failed));
    assert_eq!(run.order(), ["a#1", "b#1", "undo:a#1"]);
    assert_eq!(
        run.end_message(),
        "step `b` failed: it broke; what was written by `b` was not undone; `undo:a` changed nothing"
    );
}

#[test]
fn an_undo_that_fails_leaves_the_run_stuck() {
    let mut run = Simulator::new(book(|book| {
        undo(book.step("a"), None);
        undo(book.step("b"), None);
        book.step("c");
        book.finally("z");
    }));
    run.script("a", [ok(1).writes(1)]).script("b", [ok(1).writes(1)]).script("c", [broken()]);
    run.script("undo:b", [broken()]).script("undo:a", [ok(1).writes(1)]);
    assert_eq!(run.run(), Some(EndStatus::Stuck));
    assert_eq!(run.order(), ["a#1", "b#1", "c#1", "undo:b#1", "undo:a#1", "finally:z#1"]);
    assert_eq!(
        run.end_message(),
        "`undo:b` failed: it broke; step `c` failed: it broke; what was written by `b` was not undone"
    );
}

#[test]
fn every_undo_that_fails_is_named_and_the_others_are_tried() {
    let mut run = Simulator::new(book(|book| {
        for name in ["a", "b", "c", "d"] {
            undo(book.step(name), (name == "b").then_some("output == 2"));
        }
    }));
    for name in ["a", "b", "c"] {
        run.script(name, [ok(1).writes(1)]).script(&format!("undo:{name}"), [ok(1).writes(1)]);
    }
    run.script("d", [broken().writes(1)]).script("undo:d", [broken()]);
    assert_eq!(run.run(), Some(EndStatus::Stuck));
    assert_eq!(run.order()[4..], ["undo:d#1", "undo:c#1", "undo:b#1", "undo:a#1"]);
    assert_eq!(
        run.end_message(),
        "`undo:d` failed: it broke; `undo:b` failed: `output == 2` does not hold; step `d` failed: it broke; \
         what was written by `d`, `b` was not undone"
    );
}

#[test]
fn a_step_that_only_changed_state_is_undone() {
    for call in ["state.set", "state.delete"] {
        let mut run = Simulator::new(book(|book| {
            undo(book.step("a"), None);
            book.step("b");
        }));
        run.script("a", [ok(1).calls(vec![call.to_owned()])]).script("b", [broken()]);
        assert_eq!(run.run(), Some(EndStatus::RolledBack), "{call}");
        assert_eq!(run.order(), ["a#1", "b#1", "undo:a#1"]);
        assert_eq!(run.state.attempt(&path("undo:a"), 1).unwrap().with[0]["function"], call);
    }
}

#[test]
fn a_change_of_state_without_an_undo_remains_and_is_named() {
    let mut run = Simulator::new(book(|book| {
        book.step("a");
        book.step("b");
    }));
    run.script("a", [ok(1).calls(vec!["state.set".to_owned()])]).script("b", [broken()]);
    assert_eq!(run.run(), Some(EndStatus::Failed));
    assert_eq!(run.end_message(), "step `b` failed: it broke; what was written by `a` was not undone");
}

#[test]
fn what_a_person_did_by_hand_is_undone() {
    let mut run = Simulator::new(book(|book| {
        let step = book.step("a");
        undo(step, None);
        step.uses = Uses::ManualStep;
        step.with = Template::Value(json!({ "instruction": "turn the key" }));
        book.step("b");
    }));
    run.obliging = Some((true, Settlement::Retry));
    run.script("b", [broken()]);
    assert_eq!(run.run(), Some(EndStatus::RolledBack));
    assert_eq!(run.order(), ["b#1", "undo:a#1"]);
}

#[test]
fn an_undo_that_failed_before_a_crash_keeps_none_from_being_tried() {
    let mut run = Simulator::new(book(|book| {
        undo(book.step("a"), None);
        undo(book.step("b"), None);
        book.step("c");
    }));
    run.script("a", [ok(1).writes(1)]).script("b", [ok(1).writes(1)]).script("c", [broken()]);
    run.script("undo:b", [broken()]);
    run.run();
    let failed = run.journal.iter().position(|(_, event)| {
        matches!(event, Event::AttemptFinished { path: undone, .. } if *undone == path("undo:b"))
    });
    let mut cut = run.cut(failed.unwrap() + 1);
    assert_eq!(cut.run(), Some(EndStatus::Stuck));
    assert_eq!(cut.order(), ["undo:a#1"]);
}

#[test]
fn an_undo_whose_promise_does_not_hold_leaves_the_run_stuck() {
    for holds in ["output == 2", "output.none"] {
        let mut run = Simulator::new(book(|book| undo(book.step("a"), Some(holds))));
        run.script("a", [broken().writes(1)]).script("undo:a", [ok(1)]);
        assert_eq!(run.run(), Some(EndStatus::Stuck));
        assert_eq!(run.recorded("undo.checked").len(), 1);
    }
}

#[test]
fn an_undo_that_cannot_be_evaluated_leaves_the_run_stuck() {
    let mut run = Simulator::new(book(|book| {
        undo(book.step("a"), None);
        book.steps_mut()[0].undo.as_mut().unwrap().with = text("${{ parameters.none }}");
    }));
    run.script("a", [broken().writes(1)]);
    assert_eq!(run.run(), Some(EndStatus::Stuck));
}

#[test]
fn items_are_undone_one_by_one() {
    let mut run = Simulator::new(book(|book| {
        let step = book.step("a");
        step.for_each =
            Some(ForEach { items: expr("['x', 'y', 'z']"), max_parallel: 1, canary: false, stop_after: 1 });
        undo(step, None);
        step.undo.as_mut().unwrap().with = text("${{ item }}");
    }));
    run.script("a[0]", [ok(1).writes(1)]).script("a[1]", [broken().writes(1)]);
    assert_eq!(run.run(), Some(EndStatus::RolledBack));
    assert_eq!(run.order(), ["a[0]#1", "a[1]#1", "undo:a[1]#1", "undo:a[0]#1"]);
    assert_eq!(run.state.attempt(&path("undo:a[1]"), 1).unwrap().with, json!("y"));
}

#[test]
fn a_cancel_undoes_only_if_asked_to() {
    for (wish, status, count) in [(true, EndStatus::RolledBack, 3), (false, EndStatus::Cancelled, 2)] {
        let mut run = Simulator::new(book(|book| {
            undo(book.step("a"), None);
            book.step("b");
            book.step("c");
        }));
        run.script("a", [ok(1).writes(1)]).script("b", [ok(1).takes(100)]);
        run.person(50, cancel(wish));
        assert_eq!(run.run(), Some(status));
        assert_eq!(run.order().len(), count);
    }
}

#[test]
fn a_tolerated_failure_undoes_nothing() {
    let mut run = Simulator::new(book(|book| {
        undo(book.step("a"), None);
        book.step("b").on_failure = OnFailure::Continue;
    }));
    run.script("a", [ok(1).writes(1)]).script("b", [broken()]);
    assert_eq!(run.run(), Some(EndStatus::Failed));
    assert_eq!(run.order(), ["a#1", "b#1"]);
}

#[test]
fn an_undo_has_time_of_its_own() {
    let mut runbook = book(|book| {
        undo(book.step("a"), None);
        book.steps_mut()[0].undo.as_mut().unwrap().with = Template::empty();
    });
    runbook.timeout = std::time::Duration::from_secs(1);
    let mut run = Simulator::new(runbook);
    run.script("a", [ok(1).writes(1).takes(5000)]).script("undo:a", [ok(1).takes(500_000)]);
    assert_eq!(run.run(), Some(EndStatus::RolledBack));
    assert_eq!(run.times(), [(0, "a"), (1000, "undo:a")]);
}
