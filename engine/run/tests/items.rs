//! Once per item: how many at once, one first, and none further after enough failures.

use serde_json::json;

use crate::event::{EndStatus, SkipReason};
use crate::simulator::{Simulator, book, broken, cancel, expr, ok, path, text};
use model::runbook::{ForEach, Step};

fn for_each(step: &mut Step, items: &str, max_parallel: u32, canary: bool) {
    step.for_each = Some(ForEach { items: expr(items), max_parallel, canary, stop_after: 1 });
}

#[test]
fn at_most_so_many_at_once() {
    let mut run = Simulator::new(book(|book| {
        let step = book.step("a");
        for_each(step, "['x', 'y', 'z']", 2, false);
        step.with = text("${{ item }}");
        book.step("b").with = text("${{ steps.a.output }}");
    }));
    run.script("a[0]", [ok("X").takes(30)]).script("a[1]", [ok("Y")]).script("a[2]", [ok("Z")]);
    assert_eq!(run.run(), Some(EndStatus::Succeeded));
    assert_eq!(run.times(), [(0, "a[0]"), (0, "a[1]"), (10, "a[2]"), (30, "b")]);
    assert_eq!(run.state.attempt(&path("a[1]"), 1).unwrap().with, json!("y"));
    assert_eq!(run.state.attempt(&path("b"), 1).unwrap().with, json!(["X", "Y", "Z"]));
}

#[test]
fn a_loop_over_nothing_gives_an_empty_list() {
    let mut run = Simulator::new(book(|book| {
        for_each(book.step("a"), "[]", 1, false);
        book.step("b").with = text("${{ size(steps.a.output) }}");
        let never = book.step("c");
        for_each(never, "[1]", 1, false);
        never.condition = Some(expr("false"));
        book.step("d").with = text("${{ steps.c.output == null }}");
    }));
    assert_eq!(run.run(), Some(EndStatus::Succeeded));
    assert_eq!(run.order(), ["b#1", "d#1"]);
    assert_eq!(run.state.attempt(&path("b"), 1).unwrap().with, json!(0));
    assert_eq!(run.state.attempt(&path("d"), 1).unwrap().with, json!(true));
    let view = crate::view::view(Some(&run.runbook), &run.state);
    assert_eq!((view.steps[0].status.as_str(), view.steps[0].output.clone()), ("skipped", Some(json!([]))));
}

#[test]
fn a_canary_goes_first_and_the_rest_doubles() {
    let mut run = Simulator::new(book(|book| {
        for_each(book.step("a"), "[0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11]", 4, true);
    }));
    assert_eq!(run.run(), Some(EndStatus::Succeeded));
    let waves: Vec<u64> = run.performed.iter().map(|(at, _, _)| *at).collect();
    assert_eq!(waves, [0, 10, 10, 20, 20, 20, 20, 30, 30, 30, 30, 40]);
}

#[test]
fn a_canary_that_fails_is_the_only_one() {
    let mut run = Simulator::new(book(|book| for_each(book.step("a"), "[0, 1, 2]", 3, true)));
    run.script("a[0]", [broken()]);
    assert_eq!(run.run(), Some(EndStatus::Failed));
    assert_eq!(run.order(), ["a[0]#1"]);
    assert_eq!(run.state.progress(&path("a[2]")).unwrap().skipped, Some(SkipReason::StopAfter));
    assert_eq!(run.end_message(), "step `a[0]` failed: it broke");
}

#[test]
fn enough_failures_stop_the_rest() {
    let mut run = Simulator::new(book(|book| {
        let step = book.step("a");
        for_each(step, "[0, 1, 2, 3, 4]", 1, false);
        step.for_each.as_mut().unwrap().stop_after = 2;
    }));
    run.script("a[0]", [broken()]).script("a[2]", [broken()]);
    assert_eq!(run.run(), Some(EndStatus::Failed));
    assert_eq!(run.order(), ["a[0]#1", "a[1]#1", "a[2]#1"]);
}

#[test]
fn no_items_no_step() {
    let mut run = Simulator::new(book(|book| for_each(book.step("a"), "[]", 1, false)));
    assert_eq!(run.run(), Some(EndStatus::Skipped));
}

#[test]
fn items_must_be_a_list_of_bearable_length() {
    for items in ["7", "steps.nobody.output"] {
        let mut run = Simulator::new(book(|book| for_each(book.step("a"), items, 1, false)));
        assert_eq!(run.run(), Some(EndStatus::Failed), "{items}");
    }
    let mut run = Simulator::new(book(|book| {
        book.step("many");
        for_each(book.step("a"), "steps.many.output", 1, false);
    }));
    run.script("many", [ok(json!(vec![1; 1001]))]);
    assert_eq!(run.run(), Some(EndStatus::Failed));
    assert!(run.end_message().contains("at most 1000 are allowed"), "{}", run.end_message());
}

#[test]
fn cancelling_skips_the_items_not_begun() {
    let mut run = Simulator::new(book(|book| for_each(book.step("a"), "[0, 1, 2]", 1, false)));
    run.script("a[0]", [ok(1).takes(100)]);
    run.person(50, cancel(false));
    assert_eq!(run.run(), Some(EndStatus::Cancelled));
    assert_eq!(run.order(), ["a[0]#1"]);
    assert_eq!(run.state.progress(&path("a[1]")).unwrap().skipped, Some(SkipReason::Cancelled));
}
