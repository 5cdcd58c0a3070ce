//! Which step begins when: order, side by side, conditions, failures, `finally`, outputs, timeouts.

use std::time::Duration;

use serde_json::json;

use crate::event::{EndStatus, Event, SkipReason};
use crate::next::Action;
use crate::simulator::{Simulator, accepted, book, broken, expr, id, ok, path, text};
use model::runbook::OnFailure;
use words::effect::FailureKind;

#[test]
fn steps_run_one_after_the_other() {
    let mut run = Simulator::new(book(|book| {
        book.step("a");
        book.step("b").with = text("${{ steps.a.output }}");
        book.outputs.push(("sum".to_owned(), text("${{ steps.b.output + parameters.service.size() }}")));
    }));
    run.script("a", [ok(1)]).script("b", [ok(2)]);
    assert_eq!(run.run(), Some(EndStatus::Succeeded));
    assert_eq!(run.times(), [(0, "a"), (10, "b")]);
    assert_eq!(run.state.attempt(&path("b"), 1).unwrap().with, json!(1));
    assert_eq!(run.state.end().unwrap().outputs, json!({ "sum": 10 }));
    assert_eq!(run.end_message(), "2 steps succeeded");
}

#[test]
fn independent_steps_run_side_by_side() {
    let mut run = Simulator::new(book(|book| {
        book.step("a");
        book.step("b").needs.clear();
        book.step("c").needs = vec![id("a"), id("b")];
    }));
    run.script("a", [ok(1).takes(30)]).script("b", [ok(2).takes(50)]);
    assert_eq!(run.run(), Some(EndStatus::Succeeded));
    assert_eq!(run.times(), [(0, "a"), (0, "b"), (50, "c")]);
}

#[test]
fn a_skipped_step_counts_as_ended() {
    let mut run = Simulator::new(book(|book| {
        book.step("a").condition = Some(expr("parameters.service == 'other'"));
        book.step("b").condition = Some(expr("steps.a.status == 'skipped'"));
    }));
    assert_eq!(run.run(), Some(EndStatus::Succeeded));
    assert_eq!(run.order(), ["b#1"]);
    assert_eq!(run.end_message(), "1 step succeeded, 1 skipped");
}

#[test]
fn a_run_in_which_no_step_applied_is_skipped_and_still_tidies_up() {
    let mut run = Simulator::new(book(|book| {
        book.step("a").condition = Some(expr("false"));
        book.finally("z").with = text("${{ run.status }}");
    }));
    assert_eq!(run.run(), Some(EndStatus::Skipped));
    assert_eq!(run.order(), ["finally:z#1"]);
    assert_eq!(run.state.attempt(&path("finally:z"), 1).unwrap().with, json!("skipped"));
}

#[test]
fn a_failure_stops_the_run() {
    let mut run = Simulator::new(book(|book| {
        book.step("a");
        book.step("b");
        book.finally("y").with = text("${{ run.status }} ${{ run.target }}");
        book.finally("z");
    }));
    run.script("a", [broken()]).script("finally:y", [broken()]);
    assert_eq!(run.run(), Some(EndStatus::Failed));
    assert_eq!(run.order(), ["a#1", "finally:y#1", "finally:z#1"]);
    assert_eq!(run.state.attempt(&path("finally:y"), 1).unwrap().with, json!("failed local"));
    let skipped = run.state.progress(&path("b")).unwrap().skipped.clone();
    assert_eq!(skipped, Some(SkipReason::Failed("step `a` failed".to_owned())));
    assert_eq!(
        run.end_message(),
        "step `finally:y` failed: it broke; before that: step `a` failed: it broke"
    );
}

#[test]
fn a_failed_finally_fails_the_run() {
    let mut run = Simulator::new(book(|book| {
        book.step("a");
        book.finally("z");
    }));
    run.script("finally:z", [broken()]);
    assert_eq!(run.run(), Some(EndStatus::Failed));
}

#[test]
fn steps_under_way_end_when_another_fails() {
    let mut run = Simulator::new(book(|book| {
        book.step("a");
        book.step("b").needs.clear();
        book.step("c");
    }));
    run.script("a", [broken()]).script("b", [ok(1).takes(100)]);
    assert_eq!(run.run(), Some(EndStatus::Failed));
    assert_eq!(run.order(), ["a#1", "b#1"]);
    assert_eq!(run.recorded("attempt.finished").len(), 2);
}

#[test]
fn a_tolerated_failure_lets_the_run_go_on_but_not_succeed() {
    let mut run = Simulator::new(book(|book| {
        book.step("a").on_failure = OnFailure::Continue;
        book.step("b").condition = Some(expr("steps.a.status == 'failed'"));
    }));
    run.script("a", [broken()]);
    assert_eq!(run.run(), Some(EndStatus::Failed));
    assert_eq!(run.order(), ["a#1", "b#1"]);
    assert_eq!(run.end_message(), "step `a` failed and the run went on: it broke");
}

#[test]
fn what_cannot_be_evaluated_fails_the_step() {
    for build in [
        |step: &mut model::runbook::Step| step.condition = Some(expr("steps.none.output > 1")),
        |step: &mut model::runbook::Step| step.with = text("${{ parameters.none }}"),
    ] {
        let mut run = Simulator::new(book(|book| build(book.step("a"))));
        assert_eq!(run.run(), Some(EndStatus::Failed));
        assert!(run.performed.is_empty());
        assert!(run.end_message().starts_with("step `a` failed: cannot evaluate `"), "{}", run.end_message());
        assert!(!run.state.attempt(&path("a"), 1).unwrap().began);
    }
}

#[test]
fn an_attempt_has_a_deadline_and_so_has_the_run() {
    let mut run = Simulator::new(book(|book| {
        book.step("a").timeout = Duration::from_secs(2);
        book.step("b");
    }));
    run.script("a", [ok(1).takes(60_000)]);
    assert_eq!(run.run(), Some(EndStatus::Failed));
    assert_eq!(run.end_message(), "step `a` failed: its time was over");

    let mut runbook = book(|book| {
        book.step("a");
        book.step("b").needs.clear();
        book.step("c").needs = vec![id("a")];
        book.finally("z");
    });
    runbook.timeout = Duration::from_secs(1);
    let mut run = Simulator::new(runbook);
    run.script("a", [ok(1).takes(5000)]).script("b", [ok(1)]);
    assert_eq!(run.run(), Some(EndStatus::Failed));
    assert_eq!(run.times(), [(0, "a"), (0, "b"), (1000, "finally:z")]);
}

#[test]
fn a_run_whose_time_is_over_begins_nothing_more() {
    let mut runbook = book(|book| {
        book.step("a").on_failure = OnFailure::Continue;
        book.step("b");
    });
    runbook.timeout = Duration::from_mins(1);
    let mut run = Simulator::new(runbook);
    run.script("a", [ok(1).takes(100_000)]);
    assert_eq!(run.run(), Some(EndStatus::Failed));
    assert_eq!(run.end_message(), "step `b` did not run, since the run's time of 1m is over");
}

#[test]
fn an_output_of_a_skipped_step_is_null() {
    let mut run = Simulator::new(book(|book| {
        book.step("a").condition = Some(expr("false"));
        book.step("b");
        book.outputs.push(("from_a".to_owned(), text("${{ steps.a.output.count }}")));
    }));
    assert_eq!(run.run(), Some(EndStatus::Succeeded));
    assert_eq!(run.state.end().unwrap().outputs, json!({ "from_a": null }));
    assert!(run.end_message().contains("output `from_a` is missing"), "{}", run.end_message());
}

#[test]
fn confirmations_are_asked_for_before_each_step() {
    let runbook = book(|book| {
        book.step("a");
        book.step("b");
        book.finally("z");
    });
    let accepted = crate::event::Accepted { step_by_step: true, ..accepted(&runbook) };
    let mut run = Simulator::accepted(runbook, accepted);
    run.person(100, crate::simulator::answer("a", true));
    run.person(300, crate::simulator::answer("b", false));
    assert_eq!(run.run(), Some(EndStatus::Succeeded));
    assert_eq!(run.times(), [(100, "a"), (300, "finally:z")]);
    assert_eq!(run.state.progress(&path("b")).unwrap().skipped, Some(SkipReason::Person));
}

#[test]
fn a_queued_run_waits_and_can_be_cancelled() {
    use crate::next::{InFlight, next};
    use crate::state::State;
    let runbook = book(|book| {
        book.step("a");
    });
    let mut state = State::default();
    let idle = InFlight::default();
    assert!(next(&runbook, &state, 5, &idle).is_empty());
    state.apply(5, &Event::Accepted(Box::new(accepted(&runbook)))).unwrap();
    assert_eq!(next(&runbook, &state, 5, &idle), [Action::Idle]);
    state.apply(6, &crate::simulator::cancel(true)).unwrap();
    let actions = next(&runbook, &state, 6, &idle);
    let [Action::Append(end @ Event::Finished { status: EndStatus::Cancelled, .. })] = &actions[..] else {
        panic!("{actions:?}")
    };
    state.apply(7, end).unwrap();
    assert!(next(&runbook, &state, 7, &idle).is_empty());
}

#[test]
fn failures_of_every_kind_fail_the_step() {
    for kind in [FailureKind::Invalid, FailureKind::Denied, FailureKind::OutcomeUnknown] {
        let mut run = Simulator::new(book(|book| {
            book.step("a");
        }));
        run.script("a", [crate::simulator::fails(kind)]);
        assert_eq!(run.run(), Some(EndStatus::Failed));
    }
}
