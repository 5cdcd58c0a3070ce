//! Runs that a person leaves, and runs whose engine was stopped for a while.

use std::time::Duration;

use crate::event::{EndStatus, Event};
use crate::next::{Action, InFlight, next};
use crate::simulator::{Simulator, book, expr, ok, path};
use crate::state::RunStatus;
use model::runbook::ForEach;

fn leave() -> Event {
    Event::LeaveRequested { reason: "lunch".to_owned() }
}

fn resumed() -> Event {
    Event::Resumed { engine: "x:1".to_owned(), by_person: true }
}

/// Three items side by side, then a step; left while the items are under way.
fn left_while_three_are_under_way() -> Simulator {
    let mut run = Simulator::new(book(|book| {
        let items = expr("[1, 2, 3, 4]");
        book.step("a").for_each = Some(ForEach { items, max_parallel: 3, canary: false, stop_after: 1 });
        book.step("b");
    }));
    for (item, ms) in [("a[0]", 100), ("a[1]", 200), ("a[2]", 300)] {
        run.script(item, [ok(1).takes(ms).writes(2)]);
    }
    run.person(50, leave());
    run
}

#[test]
fn each_attempt_goes_on_to_its_safe_point_and_nothing_new_begins() {
    let mut run = left_while_three_are_under_way();
    assert_eq!(run.run(), None);
    assert_eq!(run.order(), ["a[0]#1", "a[1]#1", "a[2]#1"]);
    assert_eq!(run.state.status(), RunStatus::Left);
    assert_eq!(run.state.left(), Some("lunch"));
    assert!(matches!(run.journal.last(), Some((_, Event::Left { .. }))), "it is left once all of them rest");
    run.record(resumed());
    assert_eq!(run.run(), Some(EndStatus::Succeeded));
}

#[test]
fn a_crash_on_the_way_to_the_safe_point_leads_to_the_same_rest() {
    let mut whole = left_while_three_are_under_way();
    whole.run();
    for entries in 2..whole.journal.len() {
        for done in [false, true] {
            let mut cut = whole.cut_with(entries, done);
            assert_eq!(cut.run(), None);
            assert_eq!(cut.journal, whole.journal, "cut after {entries} entries");
            assert_eq!(cut.effects(), whole.effects(), "every write once");
        }
    }
}

#[test]
fn an_attempt_that_rests_is_not_performed_again() {
    let mut run = left_while_three_are_under_way();
    run.run();
    let leaving = run.journal.iter().position(|(_, event)| *event == leave()).unwrap();
    let cut = run.cut(leaving + 1);
    let places: Vec<_> = ["a[0]", "a[1]", "a[2]"].map(|item| (path(item), 1)).to_vec();
    let mut in_flight = InFlight::default();
    let look = |in_flight: &InFlight| next(&cut.runbook, &cut.state, cut.now_ms, in_flight);
    assert_eq!(look(&in_flight).len(), 3, "an engine that finds it carries all three on");
    in_flight.attempts.extend(places[..2].iter().cloned());
    in_flight.rested.insert(places[2].clone());
    assert_eq!(look(&in_flight), [Action::Idle]);
    in_flight = InFlight { rested: places.into_iter().collect(), ..InFlight::default() };
    assert_eq!(look(&in_flight), [Action::Append(Event::Left { reason: "lunch".to_owned() })]);
}

#[test]
fn a_person_who_changes_their_mind_goes_on() {
    let mut run = left_while_three_are_under_way();
    run.person(60, resumed());
    assert_eq!(run.run(), Some(EndStatus::Succeeded));
    assert!(run.recorded("run.left").is_empty());
}

#[test]
fn an_engine_that_finds_it_does_not_forget_that_it_is_left() {
    let mut run = left_while_three_are_under_way();
    run.person(60, Event::Resumed { engine: "x:2".to_owned(), by_person: false });
    assert_eq!(run.run(), None);
    assert_eq!(run.state.status(), RunStatus::Left);
}

#[test]
fn nothing_begins_in_a_run_that_is_being_left() {
    let mut run = left_while_three_are_under_way();
    run.run();
    let leaving = run.journal.iter().position(|(_, event)| *event == leave()).unwrap();
    let cut = run.cut(leaving + 1);
    let begun = Event::AttemptStarted {
        path: path("a[3]"),
        attempt: 1,
        uses: "test.act".to_owned(),
        with: serde_json::Value::Null,
        plugin: None,
        deadline_ms: 1,
    };
    let refused = cut.state.check(&begun).unwrap_err().to_string();
    assert!(refused.ends_with("a person leaves it"), "{refused}");
    assert!(cut.state.check(&leave()).is_err(), "once");
}

#[test]
fn time_in_which_the_engine_did_not_run_does_not_count() {
    let mut run = Simulator::new(book(|book| {
        book.step("a").timeout = Duration::from_secs(5);
    }));
    run.script("a", [ok(1).takes(4_000)]);
    let before = run.state.extended(0, 0);
    run.run();
    let mut state = run.cut(4).state;
    state.apply(run.now_ms + 35_000, &Event::Paused { missed_ms: 35_000 }).unwrap();
    assert_eq!(state.extended(0, 0), before + 35_000);
    assert_eq!(state.deadline_ms(), run.cut(4).state.deadline_ms().map(|at| at + 35_000));
}
