//! Another attempt: `retry` after failures, `until` while waiting.

use std::time::Duration;

use serde_json::json;

use crate::event::EndStatus;
use crate::simulator::{Simulator, book, broken, expr, fails, ok, path};
use model::runbook::{Retry, Step, Until};
use words::effect::FailureKind;

fn retry(step: &mut Step, attempts: u32) {
    step.retry =
        Retry { attempts, delay: Duration::from_secs(1), factor: 3.0, max_delay: Duration::from_secs(5) };
}

fn until(step: &mut Step, condition: &str) {
    step.until = Some(Until { condition: expr(condition), every: Duration::from_secs(3) });
    step.timeout = Duration::from_secs(20);
}

#[test]
fn delays_grow_up_to_their_limit() {
    let mut run = Simulator::new(book(|book| retry(book.step("a"), 5)));
    run.script("a", [broken(), broken(), broken(), broken(), ok(1)]);
    assert_eq!(run.run(), Some(EndStatus::Succeeded));
    assert_eq!(run.times(), [(0, "a"), (1010, "a"), (4020, "a"), (9030, "a"), (14040, "a")]);
}

#[test]
fn attempts_are_counted() {
    let mut run = Simulator::new(book(|book| retry(book.step("a"), 2)));
    run.script("a", [broken()]);
    assert_eq!(run.run(), Some(EndStatus::Failed));
    assert_eq!(run.order(), ["a#1", "a#2"]);
}

#[test]
fn what_is_not_known_to_have_failed_is_not_tried_again() {
    for kind in [FailureKind::OutcomeUnknown, FailureKind::Cancelled] {
        let mut run = Simulator::new(book(|book| retry(book.step("a"), 5)));
        run.script("a", [fails(kind)]);
        assert_eq!(run.run(), Some(EndStatus::Failed));
        assert_eq!(run.order(), ["a#1"]);
    }
}

#[test]
fn no_attempt_is_made_after_the_runs_time() {
    let mut runbook = book(|book| retry(book.step("a"), 50));
    runbook.timeout = Duration::from_secs(3);
    let mut run = Simulator::new(runbook);
    run.script("a", [broken()]);
    assert_eq!(run.run(), Some(EndStatus::Failed));
    assert_eq!(run.order(), ["a#1", "a#2"]);
    assert!(run.end_message().contains("no time is left for another attempt"), "{}", run.end_message());
}

#[test]
fn a_failure_elsewhere_ends_the_waiting_for_another_attempt() {
    let mut run = Simulator::new(book(|book| {
        retry(book.step("a"), 5);
        book.step("b").needs.clear();
    }));
    run.script("a", [broken()]).script("b", [broken().takes(500)]);
    assert_eq!(run.run(), Some(EndStatus::Failed));
    assert_eq!(run.order(), ["a#1", "b#1"]);
    assert_eq!(run.end_message(), "step `b` failed: it broke");
}

#[test]
fn until_repeats_while_the_condition_does_not_hold() {
    let mut run = Simulator::new(book(|book| until(book.step("a"), "output.healthy == 2")));
    let healthy = |count: u32| ok(json!({ "healthy": count }));
    run.script("a", [healthy(0), fails(FailureKind::Unavailable), healthy(1), healthy(2)]);
    assert_eq!(run.run(), Some(EndStatus::Succeeded));
    assert_eq!(run.times(), [(0, "a"), (3010, "a"), (6020, "a"), (9030, "a")]);
    let met: Vec<_> =
        run.state.progress(&path("a")).unwrap().attempts.iter().map(|attempt| attempt.met).collect();
    assert_eq!(met, [Some(false), Some(false), Some(false), Some(true)]);
}

#[test]
fn until_gives_up_with_the_last_output() {
    let mut run = Simulator::new(book(|book| until(book.step("a"), "output.healthy == 2")));
    run.script("a", [ok(json!({ "healthy": 1 }))]);
    assert_eq!(run.run(), Some(EndStatus::Failed));
    assert_eq!(run.order().len(), 7);
    assert_eq!(
        run.end_message(),
        "step `a` failed: `output.healthy == 2` did not hold within 20s; the last output was {\"healthy\":1}"
    );
}

#[test]
fn until_fails_at_once_on_what_does_not_pass_with_time() {
    let mut run = Simulator::new(book(|book| until(book.step("a"), "output > 2")));
    run.script("a", [fails(FailureKind::Denied)]);
    assert_eq!(run.run(), Some(EndStatus::Failed));
    assert_eq!(run.order(), ["a#1"]);

    let mut run = Simulator::new(book(|book| until(book.step("a"), "output.none > 2")));
    run.script("a", [ok(json!({}))]);
    assert_eq!(run.run(), Some(EndStatus::Failed));
    assert_eq!(run.order(), ["a#1"]);
    assert!(run.end_message().contains("cannot evaluate"), "{}", run.end_message());
}

#[test]
fn an_until_and_its_attempts_share_one_deadline() {
    let mut run = Simulator::new(book(|book| until(book.step("a"), "output > 2")));
    run.script("a", [ok(1).takes(15_000), ok(3).takes(15_000)]);
    assert_eq!(run.run(), Some(EndStatus::Failed));
    assert_eq!(run.times(), [(0, "a"), (18_000, "a")]);
    assert_eq!(run.now_ms, crate::simulator::EPOCH_MS + 20_000);
}
