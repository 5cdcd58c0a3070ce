//! A make-believe executor for tests: virtual time, scripted attempts, people who act at set times. It performs what
//! [`next`] says and records everything in a journal that can be cut anywhere and carried on.

mod book;

use std::collections::BTreeMap;

use serde_json::{Value, json};

pub use book::{accepted, book, expr, id, path, plugin, text};

use super::event::{Accepted, CallId, EndStatus, Event, Outcome, Settlement};
use super::next::{Action, Ended, InFlight, Over, Perform, finish, next, over};
use super::question::Answer;
use super::state::State;
use model::runbook::Runbook;
use words::effect::{Effect, Failure, FailureKind};
use words::ids::{Digest, RunId, StepPath};

/// When simulated runs are accepted.
pub const EPOCH_MS: u64 = 1_000_000;

/// More looks than any test needs: a run that takes more never ends.
const MAX_LOOKS: usize = 20_000;

/// The write of an act that does not say which.
const WRITE: &str = "containers.stop";

/// What one attempt does.
#[derive(Debug, Clone, PartialEq)]
pub struct Act {
    pub outcome: Outcome,
    pub takes_ms: u64,
    /// The host calls that change something, by name, in order.
    pub writes: Vec<String>,
    /// The last write cannot be established.
    pub doubt: bool,
}

impl Act {
    pub fn takes(mut self, ms: u64) -> Self {
        self.takes_ms = ms;
        self
    }

    pub fn writes(self, count: u32) -> Self {
        self.calls((0..count).map(|_| WRITE.to_owned()).collect())
    }

    pub fn calls(mut self, writes: Vec<String>) -> Self {
        self.writes = writes;
        self
    }

    pub fn in_doubt(mut self) -> Self {
        if self.writes.is_empty() {
            self = self.writes(1);
        }
        self.doubt = true;
        self
    }
}

pub fn ok(output: impl Into<Value>) -> Act {
    Act { outcome: Outcome::Ok(output.into()), takes_ms: 10, writes: Vec::new(), doubt: false }
}

pub fn fails(kind: FailureKind) -> Act {
    let failure = Failure::new(kind, "test.failed", "it broke");
    Act { outcome: Outcome::Error(failure), ..ok(Value::Null) }
}

pub fn broken() -> Act {
    fails(FailureKind::Internal)
}

pub fn run_id(chance: u32) -> RunId {
    RunId::from_parts(EPOCH_MS, chance)
}

/// The child run of an attempt.
pub fn child_of(path: &StepPath, attempt: u32) -> RunId {
    let digest = Digest::of(format!("{path}#{attempt}"));
    run_id(u32::from_str_radix(&digest.as_str()[..5], 16).unwrap())
}

/// A run under simulation.
#[derive(Debug, Clone)]
pub struct Simulator {
    pub runbook: Runbook,
    pub state: State,
    pub journal: Vec<(u64, Event)>,
    pub now_ms: u64,
    /// What was performed: when, since the epoch; step; attempt.
    pub performed: Vec<(u64, String, u32)>,
    /// Children that were told to end, and whether they undo.
    pub told: Vec<(RunId, bool)>,
    /// What was done to the make-believe world: every write, with its arguments, as often as it was done.
    world: Vec<(CallId, Value)>,
    in_flight: InFlight,
    scripts: BTreeMap<String, Vec<Act>>,
    people: Vec<(u64, Event)>,
    acted: usize,
    /// What a person says to every question and doubt a little later; none: nobody is there.
    pub obliging: Option<(bool, Settlement)>,
}

/// How long an obliging person thinks.
const THINKS_MS: u64 = 50;

impl Simulator {
    pub fn new(runbook: Runbook) -> Self {
        let accepted = accepted(&runbook);
        Self::accepted(runbook, accepted)
    }

    pub fn accepted(runbook: Runbook, accepted: Accepted) -> Self {
        let mut simulator = Self {
            runbook,
            state: State::of(run_id(7)),
            journal: Vec::new(),
            now_ms: EPOCH_MS,
            performed: Vec::new(),
            told: Vec::new(),
            world: Vec::new(),
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
    pub fn script(&mut self, path: &str, acts: impl IntoIterator<Item = Act>) -> &mut Self {
        self.scripts.insert(path.to_owned(), acts.into_iter().collect());
        self
    }

    /// What a person does so long after the run was accepted; to be told in order of time.
    pub fn person(&mut self, after_ms: u64, event: Event) -> &mut Self {
        self.people.push((EPOCH_MS + after_ms, event));
        self
    }

    /// The same run after a crash: only this much of the journal is left, and nothing was done that has no outcome there.
    pub fn cut(&self, entries: usize) -> Self {
        self.cut_with(entries, false)
    }

    /// The same run after a crash. What was announced and has no outcome in the rest of the journal was done, or was not.
    pub fn cut_with(&self, entries: usize, done: bool) -> Self {
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
        let open = cut.state.open_calls();
        let happened =
            |call: &CallId| match cut.state.calls(&call.path, call.attempt).get(call.ordinal as usize) {
                Some(_) => done || !open.contains(call),
                None => false,
            };
        cut.world = self.world.iter().filter(|(call, _)| happened(call)).cloned().collect();
        cut
    }

    pub fn record(&mut self, event: Event) {
        self.state.apply(self.now_ms, &event).unwrap_or_else(|error| panic!("{error}: {event:?}"));
        self.journal.push((self.now_ms, event));
    }

    /// Runs to the end, or until only a person could go on and none will.
    pub fn run(&mut self) -> Option<EndStatus> {
        for _ in 0..MAX_LOOKS {
            let actions = next(&self.runbook, &self.state, self.now_ms, &self.in_flight);
            let known = over(&self.runbook, &self.state, Over::default());
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
        let Perform { path, attempt, with, .. } = perform;
        self.performed.push((self.now_ms - EPOCH_MS, path.to_string(), attempt));
        let act = self.script_of(&path, attempt);
        let last = act.writes.len().saturating_sub(1);
        for (index, function) in act.writes.iter().enumerate() {
            let known = self.state.calls(&path, attempt).get(index).cloned();
            let call = CallId { path: path.clone(), attempt, ordinal: u32::try_from(index).unwrap() };
            let arguments = json!({ "id": index, "with": with });
            match &known {
                Some(known) => {
                    assert_eq!(
                        (&known.function, &known.arguments),
                        (function, &arguments),
                        "replay diverged"
                    );
                }
                None if self.state.stopping(&path).is_some() => break,
                None if function.starts_with("state.") => {
                    let (function, arguments) = (function.clone(), Some(arguments));
                    self.world.push((call.clone(), json!({})));
                    let outcome = Outcome::Ok(Value::Null);
                    self.record(Event::CallFinished {
                        call,
                        function,
                        arguments,
                        outcome,
                        established: None,
                    });
                    continue;
                }
                None => self.record(Event::CallIntended {
                    call: call.clone(),
                    function: function.clone(),
                    arguments: arguments.clone(),
                    effect: Effect::Idempotent,
                    before: json!({ "state": "running" }),
                }),
            }
            if known.as_ref().is_some_and(|known| known.outcome.is_some()) {
                continue;
            }
            let settled = known.and_then(|known| known.settled);
            if act.doubt && settled.is_none() && index == last {
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
                Some(Settlement::Retry) | None => self.establish(&call, arguments),
            };
            let function = function.clone();
            self.record(Event::CallFinished { call, function, arguments: None, outcome, established: None });
        }
        self.under_way(path, attempt);
    }

    /// Looks whether the world shows the call, and does it if not.
    fn establish(&mut self, call: &CallId, arguments: Value) -> Outcome {
        if !self.world.iter().any(|(done, _)| done == call) {
            self.world.push((call.clone(), arguments));
        }
        Outcome::Ok(json!("stopped"))
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

    /// What was done to the world, in the order of the calls: side by side, a crash may change which came first.
    pub fn effects(&self) -> Vec<&(CallId, Value)> {
        let mut effects: Vec<_> = self.world.iter().collect();
        effects.sort_by_key(|(call, _)| call);
        effects
    }

    pub fn end_message(&self) -> &str {
        &self.state.end().unwrap().message
    }

    /// Steps and attempts in the order in which they were performed.
    pub fn order(&self) -> Vec<String> {
        self.performed.iter().map(|(_, path, attempt)| format!("{path}#{attempt}")).collect()
    }

    /// When each was performed, in milliseconds since the run was accepted.
    pub fn times(&self) -> Vec<(u64, &str)> {
        self.performed.iter().map(|(at, path, _)| (*at, path.as_str())).collect()
    }

    pub fn recorded(&self, kind: &str) -> Vec<&Event> {
        self.journal.iter().map(|(_, event)| event).filter(|event| event.kind() == kind).collect()
    }
}

pub fn answer(path_text: &str, yes: bool) -> Event {
    let answer = Answer { yes, text: Some("fine".to_owned()), by: "kim".to_owned() };
    Event::Answered { path: path(path_text), answer }
}

pub fn cancel(undo: bool) -> Event {
    Event::CancelRequested { reason: "enough".to_owned(), undo }
}
