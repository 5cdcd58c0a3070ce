//! A make-believe executor for tests: virtual time, scripted attempts, people who act at set times. It performs what
//! [`next`] says and records everything in a journal that can be cut anywhere and carried on.

use std::collections::BTreeMap;
use std::time::Duration;

use serde_json::{Value, json};

use super::event::{Accepted, Answer, CallId, EndStatus, Event, Outcome, Settlement, TriggerKind};
use super::next::{Action, Ended, InFlight, Perform, finish, next, over};
use super::state::State;
use crate::model::effect::{Effect, Failure, FailureKind};
use crate::model::expression::Expression;
use crate::model::grant::RunGrants;
use crate::model::ids::{Digest, RunId, RunbookName, StepId, StepPath, TargetName};
use crate::model::runbook::{OnFailure, Retry, Risk, Runbook, Step, Template, Uses};

/// When simulated runs are accepted.
pub(super) const EPOCH_MS: u64 = 1_000_000;

/// More looks than any test needs: a run that takes more never ends.
const MAX_LOOKS: usize = 20_000;

/// What one attempt does.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Act {
    pub(super) outcome: Outcome,
    pub(super) takes_ms: u64,
    pub(super) writes: u32,
    /// The last write cannot be established.
    pub(super) doubt: bool,
}

impl Act {
    pub(super) fn takes(mut self, ms: u64) -> Self {
        self.takes_ms = ms;
        self
    }

    pub(super) fn writes(mut self, count: u32) -> Self {
        self.writes = count;
        self
    }

    pub(super) fn in_doubt(mut self) -> Self {
        self.writes = self.writes.max(1);
        self.doubt = true;
        self
    }
}

pub(super) fn ok(output: impl Into<Value>) -> Act {
    Act { outcome: Outcome::Ok(output.into()), takes_ms: 10, writes: 0, doubt: false }
}

pub(super) fn fails(kind: FailureKind) -> Act {
    let failure = Failure::new(kind, "test.failed", "it broke");
    Act { outcome: Outcome::Error(failure), ..ok(Value::Null) }
}

pub(super) fn broken() -> Act {
    fails(FailureKind::Internal)
}

pub(super) fn id(text: &str) -> StepId {
    StepId::new(text).unwrap()
}

pub(super) fn path(text: &str) -> StepPath {
    text.parse().unwrap()
}

pub(super) fn expr(text: &str) -> Expression {
    Expression::parse(text, 1).unwrap()
}

pub(super) fn text(text: &str) -> Template {
    Template::parse(text, 1).unwrap()
}

pub(super) fn plugin() -> Uses {
    Uses::Plugin { plugin: crate::model::ids::PluginName::new("test").unwrap(), step: "act".to_owned() }
}

pub(super) fn step(name: &str) -> Step {
    Step {
        id: id(name),
        summary: String::new(),
        expect: None,
        if_it_fails: None,
        uses: plugin(),
        with: Template::empty(),
        condition: None,
        for_each: None,
        until: None,
        retry: Retry {
            attempts: 1,
            delay: Duration::from_secs(1),
            factor: 2.0,
            max_delay: Duration::from_mins(1),
        },
        timeout: Duration::from_mins(10),
        on_failure: OnFailure::Stop,
        needs: Vec::new(),
        undo: None,
        line: 1,
    }
}

/// Builds a runbook step by step; each needs its predecessor until told otherwise.
#[derive(Debug, Default)]
pub(super) struct Book {
    steps: Vec<Step>,
    finally: Vec<Step>,
    pub(super) outputs: Vec<(String, Template)>,
}

impl Book {
    pub(super) fn step(&mut self, name: &str) -> &mut Step {
        add(&mut self.steps, name)
    }

    pub(super) fn steps_mut(&mut self) -> &mut [Step] {
        &mut self.steps
    }

    pub(super) fn finally(&mut self, name: &str) -> &mut Step {
        add(&mut self.finally, name)
    }
}

fn add<'a>(steps: &'a mut Vec<Step>, name: &str) -> &'a mut Step {
    let needs = steps.last().map(|last| last.id.clone()).into_iter().collect();
    steps.push(Step { needs, ..step(name) });
    steps.last_mut().unwrap()
}

pub(super) fn book(build: impl FnOnce(&mut Book)) -> Runbook {
    let mut book = Book::default();
    build(&mut book);
    Runbook {
        name: RunbookName::new("test").unwrap(),
        summary: "A test.".to_owned(),
        about: String::new(),
        risk: Risk::Low,
        owner: None,
        parameters: Vec::new(),
        triggers: Vec::new(),
        timeout: Duration::from_mins(30),
        resume_within: Duration::from_mins(15),
        grants: crate::model::grant::Grants::default(),
        steps: book.steps,
        finally: book.finally,
        outputs: book.outputs,
        digest: Digest::of("test"),
        text: String::new(),
    }
}

pub(super) fn accepted(runbook: &Runbook) -> Accepted {
    Accepted {
        runbook: runbook.name.clone(),
        file: String::new(),
        texts: Vec::new(),
        plugins: Vec::new(),
        parameters: json!({ "service": "shop/web" }),
        trigger: TriggerKind::Manual,
        trigger_data: Value::Null,
        reason: Some("because".to_owned()),
        dedupe: None,
        target: TargetName::new("local").unwrap(),
        grants: RunGrants::default(),
        locks: Vec::new(),
        parent: None,
        plan: None,
        step_by_step: false,
        timeout_ms: u64::try_from(runbook.timeout.as_millis()).unwrap(),
        resume_within_ms: 900_000,
    }
}

pub(super) fn run_id(chance: u32) -> RunId {
    RunId::from_parts(EPOCH_MS, chance)
}

/// The child run of an attempt.
pub(super) fn child_of(path: &StepPath, attempt: u32) -> RunId {
    let digest = Digest::of(format!("{path}#{attempt}"));
    run_id(u32::from_str_radix(&digest.as_str()[..5], 16).unwrap())
}

/// A run under simulation.
#[derive(Debug, Clone)]
pub(super) struct Simulator {
    pub(super) runbook: Runbook,
    pub(super) state: State,
    pub(super) journal: Vec<(u64, Event)>,
    pub(super) now_ms: u64,
    /// What was performed: when, since the epoch; step; attempt.
    pub(super) performed: Vec<(u64, String, u32)>,
    /// Children that were told to end, and whether they undo.
    pub(super) told: Vec<(RunId, bool)>,
    in_flight: InFlight,
    scripts: BTreeMap<String, Vec<Act>>,
    people: Vec<(u64, Event)>,
    acted: usize,
    /// What a person says to every question and doubt a little later; none: nobody is there.
    pub(super) obliging: Option<(bool, Settlement)>,
}

/// How long an obliging person thinks.
const THINKS_MS: u64 = 50;

impl Simulator {
    pub(super) fn new(runbook: Runbook) -> Self {
        let accepted = accepted(&runbook);
        Self::accepted(runbook, accepted)
    }

    pub(super) fn accepted(runbook: Runbook, accepted: Accepted) -> Self {
        let mut simulator = Self {
            runbook,
            state: State::of(run_id(7)),
            journal: Vec::new(),
            now_ms: EPOCH_MS,
            performed: Vec::new(),
            told: Vec::new(),
            in_flight: InFlight::default(),
            scripts: BTreeMap::new(),
            people: Vec::new(),
            acted: 0,
            obliging: None,
        };
        simulator.record(Event::Accepted(Box::new(accepted)));
        simulator.record(Event::Started { engine: "test:1".to_owned() });
        simulator
    }

    /// What the attempts of a step or item do, in order; the last is repeated.
    pub(super) fn script(&mut self, path: &str, acts: impl IntoIterator<Item = Act>) -> &mut Self {
        self.scripts.insert(path.to_owned(), acts.into_iter().collect());
        self
    }

    /// What a person does so long after the run was accepted; to be told in order of time.
    pub(super) fn person(&mut self, after_ms: u64, event: Event) -> &mut Self {
        self.people.push((EPOCH_MS + after_ms, event));
        self
    }

    /// The same run after a crash: only this much of the journal is left.
    pub(super) fn cut(&self, entries: usize) -> Self {
        let mut cut = Self {
            state: State::of(run_id(7)),
            journal: Vec::new(),
            performed: Vec::new(),
            told: Vec::new(),
            in_flight: InFlight::default(),
            acted: 0,
            ..self.clone()
        };
        for (at_ms, event) in &self.journal[..entries] {
            cut.now_ms = *at_ms;
            if cut.people.get(cut.acted).is_some_and(|(_, planned)| planned == event) {
                cut.acted += 1;
            }
            cut.record(event.clone());
        }
        cut
    }

    pub(super) fn record(&mut self, event: Event) {
        self.state.apply(self.now_ms, &event).unwrap_or_else(|error| panic!("{error}: {event:?}"));
        self.journal.push((self.now_ms, event));
    }

    /// Runs to the end, or until only a person could go on and none will.
    pub(super) fn run(&mut self) -> Option<EndStatus> {
        for _ in 0..MAX_LOOKS {
            let actions = next(&self.runbook, &self.state, self.now_ms, &self.in_flight);
            let known = over(&self.runbook, &self.state, 0);
            let knowing = InFlight { over: known, ..self.in_flight.clone() };
            let again = next(&self.runbook, &self.state, self.now_ms, &knowing);
            assert_eq!(
                actions, again,
                "the same question, the same answer, whether or not what is over is known"
            );
            if actions.is_empty() {
                return Some(self.state.end().expect("nothing to do, so it is over").status);
            }
            let before = self.state.version();
            let until_ms = self.act(actions);
            if self.state.version() == before && !self.advance(until_ms) {
                return None;
            }
        }
        panic!("the run does not end: {:?}", self.journal.iter().rev().take(5).collect::<Vec<_>>());
    }

    fn act(&mut self, actions: Vec<Action>) -> Option<u64> {
        let appends = actions.iter().filter(|action| matches!(action, Action::Append(_))).count();
        assert!(appends == 0 || appends == actions.len(), "decisions come alone: {actions:?}");
        let mut until = None;
        for action in actions {
            match action {
                Action::Append(event) => self.record(event),
                Action::Perform(perform) => self.perform(perform),
                Action::StartChild(start) => {
                    let run = child_of(&start.path, start.attempt);
                    self.record(Event::ChildStarted { path: start.path, attempt: start.attempt, run });
                }
                Action::AwaitChild { path, attempt, .. } => self.under_way(path, attempt),
                Action::CancelChild { run, undo, .. } => {
                    self.in_flight.told.insert(run.clone());
                    self.told.push((run, undo));
                }
                Action::Wait { until_ms } => {
                    assert!(until_ms > self.now_ms, "waiting for the past");
                    until = Some(until_ms);
                }
                Action::WaitForPerson | Action::Idle => {}
            }
        }
        until
    }

    fn script_of(&self, path: &StepPath, attempt: u32) -> Act {
        let acts = self.scripts.get(&path.to_string());
        let Some(acts) = acts.filter(|acts| !acts.is_empty()) else { return ok(json!({})) };
        acts[usize::try_from(attempt - 1).unwrap().min(acts.len() - 1)].clone()
    }

    fn perform(&mut self, perform: Perform) {
        let Perform { path, attempt, .. } = perform;
        self.performed.push((self.now_ms - EPOCH_MS, path.to_string(), attempt));
        let act = self.script_of(&path, attempt);
        for ordinal in 0..act.writes {
            let known = self.state.calls(&path, attempt).get(usize::try_from(ordinal).unwrap()).cloned();
            let call = CallId { path: path.clone(), attempt, ordinal };
            if known.is_none() {
                if self.state.stopping(&path).is_some() {
                    break;
                }
                self.record(Event::CallIntended {
                    call: call.clone(),
                    function: "containers.stop".to_owned(),
                    arguments: json!({ "id": ordinal }),
                    effect: Effect::Idempotent,
                    before: json!({ "state": "running" }),
                });
            }
            if known.as_ref().is_some_and(|known| known.outcome.is_some()) {
                continue;
            }
            let settled = known.and_then(|known| known.settled);
            if act.doubt && settled.is_none() && ordinal + 1 == act.writes {
                self.record(Event::CallDoubted { call, message: "it is gone".to_owned() });
                return;
            }
            let outcome = match settled {
                Some(Settlement::Done(value)) => Outcome::Ok(value),
                Some(Settlement::Fail) => Outcome::Error(Failure::new(
                    FailureKind::OutcomeUnknown,
                    "test.settled",
                    "a person said so",
                )),
                Some(Settlement::Retry) | None => Outcome::Ok(json!("stopped")),
            };
            let function = "containers.stop".to_owned();
            self.record(Event::CallFinished { call, function, arguments: None, outcome, established: None });
        }
        self.under_way(path, attempt);
    }

    fn under_way(&mut self, path: StepPath, attempt: u32) {
        self.in_flight.attempts.insert((path, attempt));
    }

    /// The attempt's end is a matter of its beginning, so that a crash does not move it.
    fn end_ms(&self, path: &StepPath, attempt: u32) -> u64 {
        let begun = self.state.attempt(path, attempt).unwrap();
        let deadline_ms = self.state.extended(begun.deadline_ms, begun.started_ms);
        (begun.started_ms + self.script_of(path, attempt).takes_ms).min(deadline_ms)
    }

    /// Lets time pass until something happens: a person acts, an attempt ends, or the time comes that was waited for.
    fn advance(&mut self, until_ms: Option<u64>) -> bool {
        let ending =
            self.in_flight.attempts.iter().map(|who| (self.end_ms(&who.0, who.1), who.clone())).min();
        let person = self.people.get(self.acted).cloned().or_else(|| self.oblige());
        let times = [ending.as_ref().map(|(at, _)| *at), person.as_ref().map(|(at, _)| *at), until_ms];
        let Some(earliest) = times.into_iter().flatten().min() else { return false };
        self.now_ms = self.now_ms.max(earliest);
        if let Some((at_ms, event)) = person
            && at_ms <= self.now_ms
        {
            if self.people.get(self.acted).is_some_and(|(_, planned)| *planned == event) {
                self.acted += 1;
            }
            if self.state.check(&event).is_ok() {
                self.record(event);
            }
        } else if let Some((at_ms, (path, attempt))) = ending
            && at_ms <= self.now_ms
        {
            self.end(path, attempt);
        }
        true
    }

    fn oblige(&self) -> Option<(u64, Event)> {
        let (yes, settlement) = self.obliging.clone()?;
        if let Some((path, asked)) = self.state.questions().first() {
            return Some((asked.at_ms + THINKS_MS, answer(&path.to_string(), yes)));
        }
        let doubt = self.state.doubts().first().cloned()?;
        let (at_ms, _) = self
            .journal
            .iter()
            .rev()
            .find(|(_, event)| matches!(event, Event::CallDoubted { call, .. } if *call == doubt))?;
        Some((at_ms + THINKS_MS, Event::CallSettled { call: doubt, decision: settlement }))
    }

    fn end(&mut self, path: StepPath, attempt: u32) {
        self.in_flight.attempts.remove(&(path.clone(), attempt));
        let act = self.script_of(&path, attempt);
        let begun = self.state.attempt(&path, attempt).unwrap();
        let deadline_ms = self.state.extended(begun.deadline_ms, begun.started_ms);
        let outcome = if self.state.stopping(&path).is_some() {
            Outcome::Error(Failure::new(FailureKind::Cancelled, "host.cancelled", "it was cancelled"))
        } else if begun.started_ms + act.takes_ms > deadline_ms {
            Outcome::Error(Failure::new(FailureKind::TimedOut, "host.deadline", "its time was over"))
        } else {
            act.outcome
        };
        let ended = Ended { path, attempt, outcome, lines: vec!["done".to_owned()] };
        self.record(finish(&self.runbook, &self.state, ended));
    }

    pub(super) fn end_message(&self) -> &str {
        &self.state.end().unwrap().message
    }

    /// Steps and attempts in the order in which they were performed.
    pub(super) fn order(&self) -> Vec<String> {
        self.performed.iter().map(|(_, path, attempt)| format!("{path}#{attempt}")).collect()
    }

    /// When each was performed, in milliseconds since the run was accepted.
    pub(super) fn times(&self) -> Vec<(u64, &str)> {
        self.performed.iter().map(|(at, path, _)| (*at, path.as_str())).collect()
    }

    pub(super) fn recorded(&self, kind: &str) -> Vec<&Event> {
        self.journal.iter().map(|(_, event)| event).filter(|event| event.kind() == kind).collect()
    }
}

pub(super) fn answer(path_text: &str, yes: bool) -> Event {
    let answer = Answer { yes, text: Some("fine".to_owned()), by: "kim".to_owned() };
    Event::Answered { path: path(path_text), answer }
}

pub(super) fn cancel(undo: bool) -> Event {
    Event::CancelRequested { reason: "enough".to_owned(), undo }
}
