//! What is decided without a plugin: sleeping, asking, instructing, child runs.

use std::time::Duration;

use serde_json::json;

use crate::event::{EndStatus, Event, Outcome};
use crate::question::Answer;
use crate::simulator::{Simulator, accepted, answer, book, broken, cancel, child_of, ok, path};
use crate::state::RunStatus;
use model::runbook::{Step, Template, Uses};
use words::ids::RunbookName;

fn uses(step: &mut Step, uses: Uses, with: serde_json::Value) {
    step.uses = uses;
    step.with = Template::Value(with);
}

#[test]
fn a_sleep_takes_its_time() {
    let mut run = Simulator::new(book(|book| {
        uses(book.step("a"), Uses::Sleep, json!({ "for": "90s" }));
        book.step("b");
    }));
    assert_eq!(run.run(), Some(EndStatus::Succeeded));
    assert_eq!(run.times(), [(90_000, "b")]);

    for with in [json!({}), json!({ "for": "soon" }), json!({ "for": 5 })] {
        let mut run = Simulator::new(book(|book| uses(book.step("a"), Uses::Sleep, with.clone())));
        assert_eq!(run.run(), Some(EndStatus::Failed), "{with}");
    }
}

#[test]
fn a_sleep_ends_with_its_time_or_its_run() {
    let mut run = Simulator::new(book(|book| {
        let step = book.step("a");
        uses(step, Uses::Sleep, json!({ "for": "90s" }));
        step.timeout = Duration::from_mins(1);
    }));
    assert_eq!(run.run(), Some(EndStatus::Failed));
    assert_eq!(run.end_message(), "step `a` failed: its time was over while it slept");

    let mut run = Simulator::new(book(|book| {
        uses(book.step("a"), Uses::Sleep, json!({ "for": "90s" }));
        book.step("b").needs.clear();
    }));
    run.script("b", [broken()]);
    assert_eq!(run.run(), Some(EndStatus::Failed));
    assert_eq!(run.now_ms, crate::simulator::EPOCH_MS + 10);
}

#[test]
fn who_asked_for_the_run_does_not_answer_unless_the_runbook_says_so() {
    let ended = |asked_by: Option<&str>, ask: &serde_json::Value| {
        let runbook = book(|book| {
            uses(book.step("ask"), Uses::AskPerson, ask.clone());
        });
        let asked_by = asked_by.map(str::to_owned);
        let accepted = crate::event::Accepted { asked_by, ..accepted(&runbook) };
        let mut run = Simulator::accepted(runbook, accepted);
        let answer = Answer { yes: true, text: None, by: "kim".to_owned() };
        run.person(1000, Event::Answered { path: path("ask"), answer });
        run.run()
    };
    let ask = |own: bool| json!({ "question": "?", "who": ["kim", "lee"], "self": own, "timeout": "10m" });
    let anyone = json!({ "question": "?", "timeout": "10m" });
    let (yes, no) = (Some(EndStatus::Succeeded), Some(EndStatus::Failed));
    assert_eq!(ended(Some("kim"), &ask(false)), no, "nobody else answers");
    assert_eq!(ended(Some("lee"), &ask(false)), yes);
    assert_eq!(ended(Some("kim"), &ask(true)), yes);
    assert_eq!(ended(Some("kim"), &anyone), yes, "without `who` anyone may answer");
    assert_eq!(ended(None, &ask(false)), yes, "a run of an older version keeps its rule");
}

#[test]
fn an_approval_opens_the_way() {
    let ask = json!({ "question": "really?", "who": ["kim"], "timeout": "10m" });
    let build = || {
        Simulator::new(book(|book| {
            uses(book.step("ask"), Uses::AskPerson, ask.clone());
            book.step("act");
        }))
    };
    let mut run = build();
    assert_eq!(run.run(), Some(EndStatus::Failed), "nobody answers");
    assert_eq!(run.end_message(), "step `ask` failed: nobody answered in time");

    let mut run = build();
    let by = |by: &str| {
        let answer = Answer { yes: true, text: None, by: by.to_owned() };
        Event::Answered { path: path("ask"), answer }
    };
    run.person(1000, by("lee")).person(2000, by("kim"));
    assert_eq!(run.run(), Some(EndStatus::Succeeded));
    assert_eq!(run.times(), [(2000, "act")]);
    let outcome = run.state.attempt(&path("ask"), 1).unwrap().outcome.clone();
    assert_eq!(outcome, Some(Outcome::Ok(json!({ "by": "kim", "text": null }))));

    let mut run = build();
    run.person(1000, answer("ask", false));
    assert_eq!(run.run(), Some(EndStatus::Failed));
    assert_eq!(run.end_message(), "step `ask` failed: `kim` rejected it: fine");
}

#[test]
fn a_manual_step_may_ask_for_evidence() {
    let mut run = Simulator::new(book(|book| {
        uses(book.step("a"), Uses::ManualStep, json!({ "instruction": "pull the plug", "evidence": true }));
    }));
    let bare = Answer { yes: true, text: None, by: "kim".to_owned() };
    run.person(5, Event::Answered { path: path("a"), answer: bare.clone() });
    run.person(10, answer("a", true));
    assert_eq!(run.run(), Some(EndStatus::Succeeded));
    assert_eq!(run.recorded("wait.answered").len(), 1);
}

#[test]
fn a_waiting_run_is_waiting() {
    let mut run = Simulator::new(book(|book| {
        let step = book.step("a");
        uses(step, Uses::ManualStep, json!({ "instruction": "wait" }));
    }));
    run.person(5, Event::Left { reason: "later".to_owned() });
    assert_eq!(run.run(), None);
    run.record(Event::Resumed { engine: "x:1".to_owned(), by_person: true });
    assert_eq!(run.state.status(), RunStatus::Waiting);
    assert_eq!(run.state.questions()[0].1.question.text, "wait");
    run.person(10, cancel(false));
    assert_eq!(run.run(), Some(EndStatus::Cancelled));
}

#[test]
fn a_child_runs_in_its_parents_place() {
    let child = || Uses::Runbook(RunbookName::new("child").unwrap());
    let mut run = Simulator::new(book(|book| {
        uses(book.step("a"), child(), json!({ "x": 1 }));
        book.step("b");
    }));
    run.script("a", [ok(json!({ "out": 1 })).takes(500)]);
    assert_eq!(run.run(), Some(EndStatus::Succeeded));
    assert_eq!(run.times(), [(500, "b")]);
    assert_eq!(run.recorded("child.started").len(), 1);

    let mut run = Simulator::new(book(|book| uses(book.step("a"), child(), json!({}))));
    run.script("a", [ok(1).takes(500)]);
    run.person(100, cancel(true));
    assert_eq!(run.run(), Some(EndStatus::Cancelled));
    assert_eq!(run.told, [(child_of(&path("a"), 1), true)]);

    let mut run = Simulator::new(book(|book| {
        let step = book.step("a");
        uses(step, child(), json!({}));
        step.timeout = Duration::from_secs(1);
    }));
    run.script("a", [ok(1).takes(5000)]);
    assert_eq!(run.run(), Some(EndStatus::Failed));
    assert!(run.end_message().contains("what was written by `a` was not undone"), "{}", run.end_message());
}
