//! Random histories: whatever is thrown at a state, what it takes in is a legal history, by rules written down here once
//! more and without a state, and what it refuses changes nothing.

use std::collections::{BTreeMap, BTreeSet};

use proptest::collection::vec;
use proptest::prelude::{
    Just, ProptestConfig, Strategy, any, prop_assert, prop_assert_eq, prop_oneof, proptest,
};
use serde_json::{Value, json};

use crate::event::{CallId, EndStatus, Event, Outcome, Settlement, SkipReason, Wait};
use crate::question::{Answer, Question};
use crate::simulator::{accepted, book, path, run_id};
use crate::state::State;
use words::effect::{Effect, Failure, FailureKind};
use words::ids::{Digest, Section, StepPath};

fn a_path() -> impl Strategy<Value = StepPath> {
    prop_oneof![
        160 => Just("a"), 60 => Just("b"), 20 => Just("b[0]"), 20 => Just("b[1]"),
        100 => Just("undo:a"), 20 => Just("undo:b"), 2 => Just("finally:z"),
    ]
    .prop_map(path)
}

fn a_call() -> impl Strategy<Value = CallId> {
    let attempt = prop_oneof![5 => Just(1_u32), 1 => Just(2)];
    let ordinal = prop_oneof![5 => Just(0_u32), 3 => Just(1), 1 => Just(2)];
    (a_path(), attempt, ordinal).prop_map(|(path, attempt, ordinal)| CallId { path, attempt, ordinal })
}

fn an_outcome() -> impl Strategy<Value = Outcome> {
    let failure = Failure::new(FailureKind::Internal, "x", "broken");
    prop_oneof![2 => Just(Outcome::Ok(Value::Null)), 1 => Just(Outcome::Error(failure))]
}

fn of_the_run() -> impl Strategy<Value = Event> {
    let reason = || "because".to_owned();
    let engine = || "test:1".to_owned();
    let runbook = book(|book| drop(book.step("a").id.clone()));
    let status = prop_oneof![Just(EndStatus::Succeeded), Just(EndStatus::Failed), Just(EndStatus::Stuck)];
    prop_oneof![
        2 => Just(Event::Accepted(Box::new(accepted(&runbook)))),
        2 => Just(Event::Started { engine: engine() }),
        20 => any::<bool>().prop_map(move |by_person| Event::Resumed { engine: engine(), by_person }),
        1 => Just(Event::Left { reason: reason() }),
        1 => Just(Event::LeaveRequested { reason: reason() }),
        1 => (0..9_u64).prop_map(|missed_ms| Event::Paused { missed_ms }),
        1 => any::<bool>().prop_map(move |undo| Event::CancelRequested { reason: reason(), undo }),
        1 => Just(Event::LockTaken { by: run_id(9), reason: reason() }),
        40 => vec(a_path(), 0..3).prop_map(|paths| Event::UndoStarted {
            paths: paths.iter().map(|path| path.in_section(Section::Undo)).collect(),
        }),
        1 => status.prop_map(|status| Event::Finished { status, outputs: json!({}), message: "over".to_owned() }),
    ]
}

fn of_a_step() -> impl Strategy<Value = Event> {
    let question = || Question { text: "?".to_owned(), ..Question::default() };
    let wait = prop_oneof![
        Just(Wait::Until(5)),
        Just(Wait::Approval(question())),
        Just(Wait::Manual(question())),
        Just(Wait::Confirm(question())),
    ];
    let attempt = || prop_oneof![4 => Just(1_u32), 2 => Just(2), 1 => Just(3)];
    let plugin = prop_oneof![4 => Just(Some(Digest::of("p"))), 1 => Just(None)];
    prop_oneof![
        1 => a_path().prop_map(|path| Event::Items { path, items: vec![json!(1), json!(2)] }),
        1 => a_path().prop_map(|path| Event::Skipped { path, reason: SkipReason::Condition }),
        8 => (a_path(), attempt(), plugin).prop_map(|(path, attempt, plugin)| Event::AttemptStarted {
            path, attempt, uses: "test.act".to_owned(), with: Value::Null, plugin, deadline_ms: 1000,
        }),
        6 => (a_path(), attempt(), an_outcome()).prop_map(|(path, attempt, outcome)| Event::AttemptFinished {
            path, attempt, outcome, met: None, lines: Vec::new(),
        }),
        3 => (a_path(), attempt(), wait).prop_map(|(path, attempt, wait)| Event::WaitStarted { path, attempt, wait }),
        3 => (a_path(), any::<bool>()).prop_map(|(path, yes)| {
            Event::Answered { path, answer: Answer { yes, text: None, by: "kim".to_owned() } }
        }),
        1 => (a_path(), attempt()).prop_map(|(path, attempt)| Event::ChildStarted { path, attempt, run: run_id(3) }),
        4 => (a_path(), any::<bool>()).prop_map(|(path, holds)| Event::UndoChecked { path, holds, message: None }),
    ]
}

fn of_a_call() -> impl Strategy<Value = Event> {
    let function = || prop_oneof![4 => Just("containers.stop"), 1 => Just("containers.start")];
    let effect = prop_oneof![5 => Just(Effect::Idempotent), 1 => Just(Effect::Read)];
    let decision =
        prop_oneof![Just(Settlement::Retry), Just(Settlement::Fail), Just(Settlement::Done(Value::Null))];
    prop_oneof![
        4 => (a_call(), function(), effect).prop_map(|(call, function, effect)| Event::CallIntended {
            call, function: function.to_owned(), arguments: json!({}), effect, before: Value::Null,
        }),
        4 => (a_call(), function(), any::<bool>(), an_outcome()).prop_map(|(call, function, read, outcome)| Event::CallFinished {
            call, function: function.to_owned(), arguments: read.then(|| json!({})), outcome, established: None,
        }),
        1 => a_call().prop_map(|call| Event::CallDoubted { call, message: "?".to_owned() }),
        2 => (a_call(), decision).prop_map(|(call, decision)| Event::CallSettled { call, decision }),
    ]
}

fn an_event() -> impl Strategy<Value = Event> {
    prop_oneof![2 => of_the_run(), 5 => of_a_step(), 5 => of_a_call()]
}

/// How far a run has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
enum Phase {
    #[default]
    Unknown,
    Accepted,
    Started,
    Finished,
}

/// What a legal history has told so far, by rules that know no state.
#[derive(Default)]
struct Rules {
    phase: Phase,
    left: bool,
    leaving: bool,
    /// `None`: under way.
    attempts: BTreeMap<(StepPath, u32), Option<Outcome>>,
    /// The function that was announced, and whether there is an outcome.
    calls: BTreeMap<CallId, (Option<String>, bool)>,
    doubted: BTreeSet<CallId>,
    asked: BTreeSet<StepPath>,
    skipped: BTreeSet<StepPath>,
    undo: Option<Vec<StepPath>>,
    finally: bool,
}

impl Rules {
    fn under_way(&self, path: &StepPath, attempt: u32) -> bool {
        self.attempts.get(&(path.clone(), attempt)).is_some_and(Option::is_none)
    }

    fn unanswered(&self, path: &StepPath, attempt: u32) -> bool {
        self.calls.iter().any(|(call, (_, over))| call.path == *path && call.attempt == attempt && !over)
    }

    /// Panics if the event, which was taken in, cannot follow.
    fn take(&mut self, event: &Event) {
        assert_ne!(self.phase, Phase::Finished, "nothing follows the end");
        let first = matches!(event, Event::Accepted(_));
        assert_eq!(self.phase == Phase::Unknown, first, "a run is accepted first, and once");
        if let Some(path) = event.path() {
            assert_eq!(self.phase, Phase::Started, "steps come after the start");
            self.finally |= path.section == Section::Finally;
        }
        match event {
            Event::Accepted(_) => self.phase = Phase::Accepted,
            Event::Started { .. } => {
                assert_eq!(self.phase, Phase::Accepted, "it starts once");
                self.phase = Phase::Started;
            }
            Event::Resumed { by_person, .. } => {
                assert!(*by_person || !self.left, "what a person left a person resumes");
                self.left = false;
                self.leaving &= !by_person;
            }
            Event::Left { .. } => (self.left, self.leaving) = (true, false),
            Event::LeaveRequested { .. } => {
                assert_eq!(self.phase, Phase::Started, "what has not begun is left at once");
                assert!(!self.left, "what is left need not be asked to be");
                assert!(!std::mem::replace(&mut self.leaving, true), "asked once");
            }
            Event::LockTaken { .. } => self.left = false,
            Event::UndoStarted { paths } => {
                assert!(
                    self.attempts.values().all(Option::is_some),
                    "nothing is under way when the undo begins"
                );
                assert!(self.undo.replace(paths.clone()).is_none(), "one undo");
            }
            Event::Finished { status, .. } => {
                assert!(self.calls.values().all(|(_, over)| *over), "every intent has its outcome");
                let over = self.attempts.values().all(Option::is_some);
                assert!(over || *status == EndStatus::Stuck, "every attempt has ended");
                self.phase = Phase::Finished;
            }
            Event::AttemptStarted { path, attempt, .. } => self.begins(path, *attempt),
            Event::AttemptFinished { path, attempt, outcome, .. } => self.ends(path, *attempt, outcome),
            Event::Skipped { path, .. } => assert!(self.skipped.insert(path.clone()), "skipped once"),
            Event::WaitStarted { path, wait, .. } => {
                let asks = !matches!(wait, Wait::Until(_));
                assert!(!asks || self.asked.insert(path.clone()), "one question at a time");
            }
            Event::Answered { path, .. } => assert!(self.asked.remove(path), "an answer has a question"),
            Event::CallIntended { .. }
            | Event::CallFinished { .. }
            | Event::CallDoubted { .. }
            | Event::CallSettled { .. } => self.call(event),
            _ => {}
        }
    }

    fn begins(&mut self, path: &StepPath, attempt: u32) {
        let waits = self.left || self.leaving || !self.doubted.is_empty();
        assert!(!waits, "nothing begins while a person has to decide");
        assert!(!self.skipped.contains(path), "what is skipped does not begin");
        assert!(!self.asked.contains(path), "a person confirms first");
        assert!(
            attempt == 1 || self.attempts.contains_key(&(path.clone(), attempt - 1)),
            "one after the other"
        );
        match path.section {
            Section::Steps => assert!(self.undo.is_none() && !self.finally, "steps come first"),
            Section::Undo => {
                assert!(self.undo.as_ref().is_some_and(|undo| undo.contains(path)), "as announced");
            }
            Section::Finally => {}
        }
        let before = self.attempts.insert((path.clone(), attempt), None);
        assert!(
            before.is_none() && !(1..attempt).any(|earlier| self.under_way(path, earlier)),
            "one at a time"
        );
    }

    fn ends(&mut self, path: &StepPath, attempt: u32, outcome: &Outcome) {
        assert!(!self.unanswered(path, attempt), "an attempt ends with all its calls");
        // A question ends with the attempt that asks.
        self.asked.remove(path);
        let before = self.attempts.insert((path.clone(), attempt), Some(outcome.clone()));
        let began = before.is_some();
        assert!(began || matches!(outcome, Outcome::Error(_)), "what did not begin can only have failed");
        assert!(!matches!(before, Some(Some(_))), "an attempt ends once");
    }

    fn call(&mut self, event: &Event) {
        let (Event::CallIntended { call, .. }
        | Event::CallFinished { call, .. }
        | Event::CallDoubted { call, .. }
        | Event::CallSettled { call, .. }) = event
        else {
            return;
        };
        assert!(self.under_way(&call.path, call.attempt), "calls are made by an attempt under way");
        let before = CallId { ordinal: call.ordinal.saturating_sub(1), ..call.clone() };
        assert!(
            call.ordinal == 0 || self.calls.get(&before).is_some_and(|(_, over)| *over),
            "one after the other"
        );
        match event {
            Event::CallIntended { function, effect, .. } => {
                assert!(effect.writes(), "only what changes something is announced");
                let before = self.calls.insert(call.clone(), (Some(function.clone()), false));
                assert!(before.is_none(), "announced once");
            }
            Event::CallFinished { function, arguments, .. } => {
                assert!(!self.doubted.contains(call), "a person decides first");
                let announced = self.calls.insert(call.clone(), (Some(function.clone()), true));
                match announced {
                    None => assert!(arguments.is_some(), "who was not announced says what it asked"),
                    Some((name, over)) => {
                        assert!(!over && name.as_ref() == Some(function), "one outcome, its own");
                    }
                }
            }
            Event::CallDoubted { .. } => assert!(self.doubted.insert(call.clone()), "doubted once at a time"),
            _ => assert!(self.doubted.remove(call), "what is settled was in doubt"),
        }
    }
}

fn begun() -> Vec<Event> {
    let runbook = book(|book| drop(book.step("a").id.clone()));
    vec![Event::Accepted(Box::new(accepted(&runbook))), Event::Started { engine: "test:1".to_owned() }]
}

/// Throws all of it at a state; gives how many it took in.
fn thrown(begun: &[Event], events: &[Event]) -> Result<usize, proptest::test_runner::TestCaseError> {
    let (mut state, mut rules, mut taken) = (State::of(run_id(1)), Rules::default(), 0);
    for (event, at_ms) in begun.iter().chain(events).zip(1..) {
        let before = state.clone();
        let told = state.check(event);
        let applied = state.apply(at_ms, event);
        prop_assert_eq!(&told, &applied, "what is said of an event is what is done with it");
        if let Err(refused) = applied {
            prop_assert_eq!(&state, &before, "what is refused changes nothing");
            prop_assert!(!refused.reason.is_empty());
            continue;
        }
        rules.take(event);
        taken += 1;
        prop_assert_eq!(state.version() as usize, taken);
        let open: Vec<CallId> =
            rules.calls.iter().filter(|(_, (_, over))| !over).map(|(call, _)| call.clone()).collect();
        prop_assert_eq!(state.open_calls(), open);
        prop_assert_eq!(state.doubts(), rules.doubted.iter().cloned().collect::<Vec<_>>());
        prop_assert_eq!(state.end().is_some(), rules.phase == Phase::Finished);
    }
    Ok(taken)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, ..ProptestConfig::default() })]

    #[test]
    fn what_is_taken_in_is_a_legal_history(events in vec(an_event(), 1..250)) {
        thrown(&begun(), &events)?;
    }

    #[test]
    fn a_history_begins_at_its_beginning(events in vec(an_event(), 1..40)) {
        thrown(&[], &events)?;
    }
}

/// Else the two above would hold for want of anything taken in.
#[test]
fn enough_is_taken_in_to_tell() {
    use proptest::strategy::ValueTree as _;
    let mut runner = proptest::test_runner::TestRunner::deterministic();
    let mut kinds: BTreeSet<&str> = BTreeSet::new();
    for _ in 0..200 {
        let events = vec(an_event(), 250).new_tree(&mut runner).expect("events").current();
        let mut state = State::default();
        for (event, at_ms) in begun().iter().chain(&events).zip(1..) {
            if state.apply(at_ms, event).is_ok() {
                kinds.insert(event.kind());
            }
        }
    }
    assert_eq!(kinds.len(), 22, "every kind of event is taken in somewhere: {kinds:?}");
}
