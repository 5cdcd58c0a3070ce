//! The one door: every host call passes here, in this order: cursor, grant, plan, announce, act, record.
//!
//! The door knows nothing of containers or HTTP; a [`Call`] tells it what it must know. Write before act: no effect without
//! a durable [`Event::CallIntended`]. An effect that may or may not have happened is established by looking at the world,
//! after a crash and after a cut connection alike, and never repeated blindly.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use serde_json::Value;

use super::call::{Call, Intent, Need, Trouble};
use super::context::{LocalChanges, Mode, RunContext, Stop, lock};
use super::limits;
use super::losses::LastCommand;
use super::patience::{Patience, silent};
use docker::types::Container;
use model::unknown::holds_unknown;
use run::event::{CallId, Established, Event, Outcome, Settlement};
use run::state::RecordedCall;
use secrets::scrub;
use words::clock::{self, Deadline};
use words::effect::{Effect, Failure, FailureKind};
use words::ids::StepPath;

/// The attempt that a door belongs to.
#[derive(Debug, Clone)]
pub struct Site {
    /// The step or item.
    pub path: StepPath,
    /// From 1.
    pub attempt: u32,
    /// When the first attempt of this step began, milliseconds since 1970.
    pub first_started_ms: u64,
    /// When this attempt must have ended, milliseconds since 1970.
    pub deadline_ms: u64,
}

/// What a call gives back: an answer, a failure the plugin sees, or the end of the attempt.
pub(super) type Answered = Result<Result<Value, Failure>, Stop>;

/// See the module. One per attempt.
pub(super) struct Door {
    pub(super) context: Arc<RunContext>,
    pub(super) site: Site,
    /// What the journal already holds of this attempt.
    cursor: Vec<RecordedCall>,
    ordinal: u32,
    /// When this attempt must have ended.
    pub(super) deadline: Deadline,
    pub(super) last_command: Mutex<Option<LastCommand>>,
}

impl Door {
    pub(super) fn new(context: Arc<RunContext>, site: Site, cursor: Vec<RecordedCall>) -> Self {
        let deadline = Deadline::at_ms(site.deadline_ms);
        Self { context, site, cursor, ordinal: 0, deadline, last_command: Mutex::default() }
    }

    /// How many recorded calls the plugin has not made again.
    pub(super) fn unused(&self) -> usize {
        self.cursor.len().saturating_sub(self.ordinal as usize)
    }

    /// The id of the next call.
    pub(super) fn next_call(&mut self) -> CallId {
        let id = CallId { path: self.site.path.clone(), attempt: self.site.attempt, ordinal: self.ordinal };
        self.ordinal += 1;
        id
    }

    /// The next recorded call, if it is one of `function`, which the host makes by itself.
    pub(super) fn take_recorded(&mut self, function: &str) -> Option<RecordedCall> {
        let recorded = self.cursor.get(self.ordinal as usize).filter(|next| next.function == function)?;
        self.ordinal += 1;
        Some(recorded.clone())
    }

    /// Passes one call through.
    pub(super) async fn pass(&mut self, call: &dyn Call) -> Answered {
        let id = self.next_call();
        // What is recorded, compared and given back holds no value of a secret, so that a replay sees what was seen.
        let arguments = scrub::document(call.arguments());
        if let Some(recorded) = self.cursor.get(id.ordinal as usize).cloned() {
            return self.replay(call, id, &arguments, recorded).await;
        }
        if self.context.mode == Mode::Replay {
            return Err(Stop::JournalEnds);
        }
        if let Some(stop) = self.stopped() {
            return Err(stop);
        }
        if let Err(failure) = self.admit(call, id.ordinal) {
            return self.finish_unannounced(call, id, arguments, Err(failure));
        }
        if self.context.mode == Mode::Plan {
            if call.supposed() {
                return self.suppose(call, &id, arguments).await;
            }
            if call.effect() == Effect::Read && holds_unknown(&arguments) {
                let failure = self.cannot_be_known(call);
                return self.finish_unannounced(call, id, arguments, Err(failure));
            }
        }
        match call.effect() {
            Effect::Note | Effect::Read => self.read(call, id, arguments).await,
            Effect::Local => self.local(call, id, arguments).await,
            Effect::Idempotent | Effect::Probe | Effect::Once => self.write(call, id, arguments).await,
        }
    }

    /// What can be refused without looking at the world.
    fn admit(&self, call: &dyn Call, ordinal: u32) -> Result<(), Failure> {
        if ordinal >= limits::MAX_CALLS {
            return Err(Failure::new(
                FailureKind::Exhausted,
                "host.calls",
                format!("a step may make {} host calls in one attempt", limits::MAX_CALLS),
            ));
        }
        if !call.refusable() {
            return Ok(());
        }
        if self.held_back(call) {
            return Err(cancelled());
        }
        if self.time_left_ms() == 0 && !self.brings_back(call.function(), &call.arguments()) {
            return Err(Failure::new(FailureKind::TimedOut, "step.deadline", "the step's time is over"));
        }
        call.check()
    }

    fn cancelled(&self) -> bool {
        self.context.control.cancelled(self.site.path.section)
    }

    pub(super) fn held_back(&self, call: &dyn Call) -> bool {
        self.cancelled() && !self.brings_back(call.function(), &call.arguments())
    }

    /// Taking back what this very step did: a cancel or the end of its time must not leave a container down, or by another
    /// name. Once another run has the locks, what is up or down there is up to that run.
    pub(super) fn brings_back(&self, function: &str, arguments: &Value) -> bool {
        !self.context.control.lost_locks()
            && lock(&self.context.memory).way_back.leads(&self.site.path, function, arguments)
    }

    fn time_left_ms(&self) -> u64 {
        match self.context.mode {
            Mode::Live => self.deadline.left_ms(),
            Mode::Plan | Mode::Replay => u64::MAX,
        }
    }

    /// The journal holds something for this ordinal.
    async fn replay(
        &self,
        call: &dyn Call,
        id: CallId,
        arguments: &Value,
        recorded: RecordedCall,
    ) -> Answered {
        let same = |then: &Value| then == arguments || scrub::document(then.clone()) == *arguments;
        if recorded.function != call.function() || !same(&recorded.arguments) {
            return Err(Stop::Diverged(format!(
                "call {} of step `{}` was {} {}, and is {} {arguments} now",
                id.ordinal,
                id.path,
                recorded.function,
                recorded.arguments,
                call.function()
            )));
        }
        if let Some(outcome) = recorded.outcome {
            if let Some(intent) = &recorded.intent {
                self.recall_command(call, &intent.before);
            }
            return Ok(match outcome {
                Outcome::Ok(value) => {
                    self.context.learn(&id, call.function(), &value);
                    Ok(value)
                }
                Outcome::Error(failure) => Err(failure),
            });
        }
        let Some(intent) = recorded.intent else { return Err(Stop::JournalEnds) };
        if self.context.mode == Mode::Replay {
            return Err(Stop::JournalEnds);
        }
        let intent = Intent { key: self.context.key(&id), before: intent.before, at_ms: intent.at_ms };
        match recorded.settled {
            Some(settlement) => self.settle(call, id, &intent, settlement).await,
            None => match recorded.doubted {
                Some(message) => Err(Stop::InDoubt(message)),
                None => self.resume(call, id, &intent).await,
            },
        }
    }

    async fn read(&self, call: &dyn Call, id: CallId, arguments: Value) -> Answered {
        let mut patience = Patience::default();
        let granted = loop {
            let looked = match self.granted(call).await {
                Ok(_) => self.look(call, &id).await?,
                Err(failure) => Err(failure),
            };
            let Err(failure) = looked else { break looked };
            if let Some(failure) = self.bear(call, failure, &mut patience).await? {
                break Err(failure);
            }
        };
        let granted = granted.and_then(|answer| self.answer_granted(call, answer));
        if self.context.mode == Mode::Plan && granted.as_ref().is_ok_and(holds_unknown) {
            self.rests_on_unknown();
        }
        self.finish_unannounced(call, id, arguments, granted)
    }

    /// A read under way ends when the run is cancelled or left.
    async fn look(&self, call: &dyn Call, id: &CallId) -> Result<Result<Value, Failure>, Stop> {
        let key = self.context.key(id);
        let (own_ms, left_ms) = (call.time_ms(), self.time_left_ms());
        let limit = Duration::from_millis(own_ms.min(left_ms));
        let work = clock::within(limit, call.perform(&self.context.world, &key));
        tokio::pin!(work);
        let mut wishes = self.context.control.wishes();
        loop {
            if let Some(stop) = self.stopped() {
                return Err(stop);
            }
            if call.refusable() && self.cancelled() {
                return Ok(Err(cancelled()));
            }
            tokio::select! {
                done = &mut work => return Ok(match done {
                    Ok(answer) => answer.map_err(|trouble| trouble.failure),
                    Err(_) if own_ms < left_ms => Err(silent(call, limit)),
                    Err(_) => Err(too_slow(call, limit)),
                }),
                Ok(()) = wishes.changed() => {}
            }
        }
    }

    async fn local(&self, call: &dyn Call, id: CallId, arguments: Value) -> Answered {
        let mut granted = self.granted(call).await.map(drop);
        // What is kept with the log is evidence: no plan speaks against it.
        if granted.is_ok() && call.need() != Need::Nothing {
            granted = self.survey(call).await?;
            granted =
                granted.and_then(|()| self.take_planned(&id, call.function(), &arguments, &Value::Null));
        }
        let outcome = match granted {
            Ok(()) => scrubbed(self.look(call, &id).await?),
            Err(failure) => Err(scrubbed_failure(failure)),
        };
        let changes = if outcome.is_ok() { call.local() } else { LocalChanges::default() };
        let event = Event::CallFinished {
            call: id,
            function: call.function().to_owned(),
            arguments: Some(arguments),
            outcome: to_outcome(&outcome),
            established: None,
        };
        self.context.ledger.announce(event, changes).await?;
        Ok(outcome)
    }

    async fn write(&self, call: &dyn Call, id: CallId, arguments: Value) -> Answered {
        if let Some(reason) = self.context.halt.reason() {
            return Err(Stop::Halted(reason));
        }
        let mut leave = match self.patiently(call, || self.granted(call)).await? {
            Ok(leave) => leave,
            Err(failure) => match self.vanished(call, &failure) {
                Some(last) => return self.doubt_vanished(call, id, arguments, &last).await,
                None => return self.finish_unannounced(call, id, arguments, Err(failure)),
            },
        };
        let look = || async { self.bounded(call.before(&self.context.world)).await.map_err(|t| t.failure) };
        let before = match self.patiently(call, look).await? {
            Ok(before) => scrub::document(before),
            Err(failure) => return self.finish_unannounced(call, id, arguments, Err(failure)),
        };
        let look = || self.before_command(call, &before);
        if let Err(failure) = self.patiently(call, look).await? {
            return self.finish_unannounced(call, id, arguments, Err(failure));
        }
        let planned = self.survey(call).await?;
        if let Err(failure) =
            planned.and_then(|()| self.take_planned(&id, call.function(), &arguments, &before))
        {
            return self.finish_unannounced(call, id, arguments, Err(failure));
        }
        let intent = Intent { key: self.context.key(&id), before, at_ms: clock::now_ms() };
        self.announce(call, &id, arguments, &intent.before).await?;
        if let Some(message) = self.moved(&intent.before) {
            return self.doubt(id, message).await;
        }
        if let Some(leave) = &mut leave {
            leave.acts();
        }
        let done = self.act(call, id, &intent, None).await;
        drop(leave);
        done
    }

    async fn announce(
        &self,
        call: &dyn Call,
        id: &CallId,
        arguments: Value,
        before: &Value,
    ) -> Result<(), Stop> {
        let announced = Event::CallIntended {
            call: id.clone(),
            function: call.function().to_owned(),
            arguments,
            effect: call.effect(),
            before: before.clone(),
        };
        self.context.ledger.announce(announced, LocalChanges::default()).await
    }

    /// What the run was about to change is there no more: for a person to decide, like any other change of theirs.
    async fn doubt_vanished(
        &self,
        call: &dyn Call,
        id: CallId,
        arguments: Value,
        last: &Container,
    ) -> Answered {
        let before = scrub::document(serde_json::to_value(last).unwrap_or(Value::Null));
        self.announce(call, &id, arguments, &before).await?;
        self.doubt(id, format!("`{}` was removed meanwhile, by another run or from outside", last.name)).await
    }

    async fn settle(&self, call: &dyn Call, id: CallId, intent: &Intent, settlement: Settlement) -> Answered {
        self.context.trust(&intent.before);
        let outcome = match settlement {
            Settlement::Retry => match self.context.halt.reason() {
                Some(reason) => return Err(Stop::Halted(reason)),
                None => return self.act(call, id, intent, Some(Established::Redone)).await,
            },
            Settlement::Done(Value::Null) => {
                let look = || async {
                    self.bounded(call.settled_answer(&self.context.world)).await.map_err(|t| t.failure)
                };
                self.patiently(call, look).await?
            }
            Settlement::Done(answer) => Ok(answer),
            Settlement::Fail => Err(Failure::new(
                FailureKind::OutcomeUnknown,
                "call.settled-as-failed",
                format!("a person settled `{}` as failed", call.function()),
            )),
        };
        self.finish(call, id, outcome, Some(Established::Settled))
    }

    pub(super) async fn doubt(&self, id: CallId, message: String) -> Answered {
        let event = Event::CallDoubted { call: id, message: message.clone() };
        self.context.ledger.announce(event, LocalChanges::default()).await?;
        Err(Stop::InDoubt(message))
    }

    pub(super) async fn bounded<T>(&self, asked: super::call::Asked<'_, T>) -> Result<T, Trouble> {
        self.bounded_by(Duration::from_millis(limits::READ_DEADLINE_MS), asked).await
    }

    pub(super) async fn bounded_by<T>(
        &self,
        limit: Duration,
        asked: super::call::Asked<'_, T>,
    ) -> Result<T, Trouble> {
        clock::within(limit, asked).await.unwrap_or_else(|_| {
            Err(Trouble::certain(FailureKind::TimedOut, docker::SILENT, "the daemon did not answer in time"))
        })
    }

    /// Records the outcome of an announced call and gives it to the plugin.
    pub(super) fn finish(
        &self,
        call: &dyn Call,
        id: CallId,
        outcome: Result<Value, Failure>,
        established: Option<Established>,
    ) -> Answered {
        let outcome = scrubbed(outcome);
        self.take_in(call, &id, &outcome);
        self.record(id, call.function(), (None, established), outcome)
    }

    /// The same for a read, or a write that was refused before it was announced.
    pub(super) fn finish_unannounced(
        &self,
        call: &dyn Call,
        id: CallId,
        arguments: Value,
        outcome: Result<Value, Failure>,
    ) -> Answered {
        let outcome = scrubbed(outcome);
        self.take_in(call, &id, &outcome);
        self.record(id, call.function(), (Some(arguments), None), outcome)
    }

    pub(super) fn record(
        &self,
        call: CallId,
        function: &str,
        (arguments, established): (Option<Value>, Option<Established>),
        outcome: Result<Value, Failure>,
    ) -> Answered {
        let function = function.to_owned();
        let mut event =
            Event::CallFinished { call, function, arguments, outcome: to_outcome(&outcome), established };
        match self.context.ledger.record(&event) {
            // An answer that nobody could read later is none.
            Err(Stop::Unwritable(why)) => {
                let failure = Failure::new(FailureKind::Exhausted, "host.unwritable-answer", why);
                if let Event::CallFinished { outcome, .. } = &mut event {
                    *outcome = Outcome::Error(failure.clone());
                }
                self.context.ledger.record(&event)?;
                Ok(Err(failure))
            }
            recorded => recorded.map(|()| outcome),
        }
    }

    /// Remembers the containers in an answer; those this engine wrote to are as it knows them.
    fn take_in(&self, call: &dyn Call, id: &CallId, outcome: &Result<Value, Failure>) {
        let Ok(answer) = outcome else { return };
        self.context.learn(id, call.function(), answer);
        if call.effect().writes() {
            let mut memory = lock(&self.context.memory);
            memory.way_back.removed(call.function(), &call.arguments());
            for container in super::context::containers_in(answer) {
                memory.unverified.remove(&container.id);
            }
        }
    }
}

/// As the plugin gets it: what the world gives back may hold what the host put there.
pub(super) fn scrubbed(outcome: Result<Value, Failure>) -> Result<Value, Failure> {
    outcome.map(scrub::answer).map_err(scrubbed_failure)
}

pub(super) fn scrubbed_failure(failure: Failure) -> Failure {
    Failure { code: scrub::string(failure.code), message: scrub::string(failure.message), ..failure }
}

fn to_outcome(result: &Result<Value, Failure>) -> Outcome {
    match result {
        Ok(value) => Outcome::Ok(value.clone()),
        Err(failure) => Outcome::Error(failure.clone()),
    }
}

pub(super) fn cancelled() -> Failure {
    Failure::new(FailureKind::Cancelled, "run.cancelled", "the run is being cancelled")
}

fn too_slow(call: &dyn Call, limit: Duration) -> Failure {
    Failure::new(
        FailureKind::TimedOut,
        "host.timed-out",
        format!("`{}` did not end within {} ms", call.function(), limit.as_millis()),
    )
}
