//! The task that owns one run: asks `run::next` what to do, does it, writes down what came of it, and asks again.
//!
//! There is no recovery path: a run found unfinished is carried on by the same loop, with a journal that is not empty.

use std::collections::HashMap;
use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use serde_json::json;
use tokio::sync::{mpsc, oneshot, watch};
use tokio::task::{AbortHandle, JoinError, JoinSet};

use super::engine::Inner;
use super::host_lock::Names;
use super::journal::{Error, Journal, failed};
use super::performing::{self, Done};
use super::recall;
use super::refusal::Refusal;
use super::request::Command;
use super::shelf::Reading;
use host::{Performed, RunContext, Stop};
use run::event::{EndStatus, Event, Outcome};
use run::next::{Action, Ended, InFlight, abandon, finish, next, over};
use run::state::RunStatus;
use words::clock;
use words::ids::{RunId, StepPath};

/// The longest a run sleeps before it asks again what to do.
const LONGEST_SLEEP: Duration = Duration::from_hours(1);

/// Whether a run needs an engine right now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Rest {
    /// It does.
    Working,
    /// It waits for a person's answer.
    Asking,
    /// It waits for a person's decision about a call.
    InDoubt,
    /// It was left; a person resumes it.
    Left,
    /// It is over.
    Ended(EndStatus),
    /// It is not in this engine's hands.
    Gone,
}

/// What reaches a run from outside.
pub(super) enum Message {
    Command { command: Command, actor: String, reply: oneshot::Sender<Result<(), Refusal>> },
    LockTaken { by: RunId, reason: String, actor: String },
    Drain,
    StopAtOnce,
}

/// See the module.
pub(super) struct Runner {
    pub(super) inner: Arc<Inner>,
    pub(super) journal: Journal,
    pub(super) reading: Arc<Reading>,
    pub(super) context: Arc<RunContext>,
    pub(super) inbox: mpsc::Receiver<Box<Message>>,
    rest: watch::Sender<Rest>,
    in_flight: InFlight,
    pub(super) work: JoinSet<Done>,
    /// Which attempt a piece of work is, should it die.
    workers: HashMap<tokio::task::Id, (StepPath, u32)>,
    /// The work that only waits for a child run.
    pub(super) waits: HashMap<tokio::task::Id, AbortHandle>,
    pub(super) draining: bool,
    /// Why an attempt stopped before its safe point while the run was being left.
    pub(super) short_of_it: Option<String>,
    /// How much time this process had missed when that was last recorded.
    pub(super) missed_ms: u64,
    /// The locks that it needs of this machine, once the daemon was asked.
    pub(super) host: Option<Names>,
    /// Whether this engine carries it on, as the journal tells.
    pub(super) begun: bool,
}

/// What ends a run's task before the run has ended.
pub(super) enum Quit {
    /// The engine ends.
    Drained,
    /// The audit log takes nothing more.
    Audit(String),
    /// A decision of this run cannot be written down.
    Unwritable(String),
}

impl From<Error> for Quit {
    fn from(error: Error) -> Self {
        let words = error.to_string();
        if error.is_about_the_event() { Self::Unwritable(words) } else { Self::Audit(words) }
    }
}

impl Runner {
    pub(super) fn new(
        inner: Arc<Inner>,
        journal: Journal,
        reading: Arc<Reading>,
        (inbox, rest): (mpsc::Receiver<Box<Message>>, watch::Sender<Rest>),
    ) -> Self {
        let context = Arc::new(recall::context(&inner, &journal));
        Self {
            inner,
            journal,
            reading,
            context,
            inbox,
            rest,
            in_flight: InFlight::default(),
            work: JoinSet::new(),
            workers: HashMap::new(),
            waits: HashMap::new(),
            draining: false,
            short_of_it: None,
            missed_ms: clock::missed_ms(),
            host: None,
            begun: false,
        }
    }

    /// Owns the run until it ends, or this engine does.
    pub(super) async fn run(mut self) {
        let result = self.drive().await;
        // Writes under way are never dropped.
        while self.work.join_next().await.is_some() {}
        match result {
            Ok(status) => {
                let _ = self.rest.send(Rest::Ended(status));
                self.inner.forget(self.journal.run());
            }
            Err(Quit::Drained) => {}
            Err(Quit::Audit(why) | Quit::Unwritable(why)) => {
                tracing::error!(run = %self.journal.run(), %why, "the run stops: nothing may be done that cannot be written down");
                let _ = self.rest.send(Rest::Gone);
                self.inner.tell();
            }
        }
    }

    /// What is rarely under way is boxed: ten thousand runs that wait keep the room of the largest of it.
    async fn drive(&mut self) -> Result<EndStatus, Quit> {
        Box::pin(self.take_locks()).await?;
        performing::learn_secrets(&self.inner).await;
        self.begin()?;
        self.begun = true;
        loop {
            if let Some(status) = self.journal.with(|state| state.end().map(|end| end.status)) {
                return Ok(status);
            }
            self.note_missed_time()?;
            let mut actions = self.journal.with(|state| {
                self.in_flight.over = over(&self.reading.runbook, state, self.in_flight.over);
                next(&self.reading.runbook, state, clock::now_ms(), &self.in_flight)
            });
            if self.draining {
                // Nothing new is begun or decided; what a person wants to leave, and is at rest, is left.
                actions.retain(|action| matches!(action, Action::Append(Event::Left { .. })));
                if actions.is_empty() && self.work.is_empty() {
                    return Err(Quit::Drained);
                }
            }
            self.rest_with_children();
            if let Some(why) = self.forsaken() {
                Box::pin(self.end_at_once(EndStatus::Cancelled, why)).await?;
                continue;
            }
            if self.gives_back() {
                Box::pin(self.take_locks()).await?;
                continue;
            }
            if matches!(actions.first(), Some(Action::Append(_))) {
                match Box::pin(self.append_all(actions)).await {
                    Err(Quit::Unwritable(why)) => Box::pin(self.end_at_once(EndStatus::Failed, why)).await?,
                    appended => appended?,
                }
                continue;
            }
            if self.must_take_host_locks(&actions) {
                self.tell(Rest::Working);
                let mut told = String::new();
                if Box::pin(self.take_host_locks(&mut told)).await? {
                    self.has_its_turn(!told.is_empty())?;
                }
                continue;
            }
            let wake_ms = self.begin_all(actions);
            self.tell_rest(wake_ms);
            self.wait(wake_ms).await?;
        }
    }

    /// Appends decisions in order; only the end must be durable before anyone hears of it.
    async fn append_all(&mut self, actions: Vec<Action>) -> Result<(), Quit> {
        for action in actions {
            match action {
                Action::Append(event @ Event::Finished { .. }) => self.journal.append(&event, None).await?,
                Action::Append(Event::Left { reason }) => self.left_at_rest(reason).await?,
                Action::Append(event) => self.journal.record(&event)?,
                _ => {}
            }
        }
        Ok(())
    }

    /// Begins what is to begin; returns when to ask again at the latest.
    fn begin_all(&mut self, actions: Vec<Action>) -> Option<u64> {
        let mut wake_ms: Option<u64> = None;
        for action in actions {
            match action {
                Action::Append(_) => unreachable!("decisions come alone"),
                Action::Perform(perform) => {
                    let place = (perform.path.clone(), perform.attempt);
                    let work = performing::perform(self.parts(), perform);
                    self.begin_work(place, work);
                }
                Action::StartChild(start) => {
                    let place = (start.path.clone(), start.attempt);
                    let work = performing::start_child(self.parts(), start);
                    self.begin_work(place, work);
                }
                Action::AwaitChild { path, attempt, run } => {
                    let place = (path.clone(), attempt);
                    let work = performing::await_child(Arc::clone(&self.inner), path, attempt, run);
                    let waits = self.begin_work(place, work);
                    self.waits.insert(waits.id(), waits);
                }
                Action::CancelChild { run, reason, undo } => {
                    self.in_flight.told.insert(run.clone());
                    let actor = self.journal.actor().to_owned();
                    let command = Command::Cancel { reason, undo };
                    self.work.spawn(performing::tell_child(Arc::clone(&self.inner), run, command, actor));
                }
                Action::Wait { until_ms } => wake_ms = Some(wake_ms.map_or(until_ms, |w| w.min(until_ms))),
                Action::WaitForPerson | Action::Idle => {}
            }
        }
        wake_ms
    }

    fn begin_work(
        &mut self,
        place: (StepPath, u32),
        work: impl Future<Output = Done> + Send + 'static,
    ) -> AbortHandle {
        self.in_flight.rested.remove(&place);
        self.in_flight.attempts.insert(place.clone());
        let begun = self.work.spawn(work);
        self.workers.insert(begun.id(), place);
        begun
    }

    fn parts(&self) -> performing::Parts {
        performing::Parts {
            inner: Arc::clone(&self.inner),
            journal: self.journal.clone(),
            context: Arc::clone(&self.context),
            texts: Arc::clone(&self.reading.texts),
        }
    }

    /// Waits for work to end, for a message, or for the time.
    async fn wait(&mut self, wake_ms: Option<u64>) -> Result<(), Quit> {
        let sleep =
            wake_ms.map_or(LONGEST_SLEEP, |at| Duration::from_millis(at.saturating_sub(clock::now_ms())));
        tokio::select! {
            Some(done) = self.work.join_next_with_id() => match done {
                Ok((id, done)) => {
                    self.workers.remove(&id);
                    self.waits.remove(&id);
                    Box::pin(self.take_in(done)).await
                }
                Err(error) => Box::pin(self.died(&error)).await,
            },
            Some(message) = self.inbox.recv() => Box::pin(self.hear(*message)).await,
            () = tokio::time::sleep(sleep.min(LONGEST_SLEEP)) => Ok(()),
        }
    }

    async fn take_in(&mut self, done: Done) -> Result<(), Quit> {
        match done {
            Done::Told => {}
            Done::Attempt { path, attempt, performed } => {
                self.in_flight.attempts.remove(&(path.clone(), attempt));
                match performed {
                    Performed::Ended { outcome, lines } => {
                        self.finish(Ended { path, attempt, outcome, lines })?;
                    }
                    Performed::Stopped(Stop::Unwritable(why)) => {
                        let outcome = failed("host.unwritable", why);
                        self.finish(Ended { path, attempt, outcome, lines: Vec::new() })?;
                    }
                    Performed::Stopped(stop) => {
                        self.in_flight.rested.insert((path.clone(), attempt));
                        self.rested(&path.to_string(), stop).await?;
                    }
                }
            }
            Done::Child { path, attempt, started } => {
                self.in_flight.attempts.remove(&(path.clone(), attempt));
                match started {
                    Ok(run) => {
                        let event = Event::ChildStarted { path, attempt, run };
                        self.journal.record(&event)?;
                    }
                    Err(outcome) => self.finish(Ended { path, attempt, outcome, lines: Vec::new() })?,
                }
            }
            Done::ChildEnded { path, attempt, outcome } => {
                self.in_flight.attempts.remove(&(path.clone(), attempt));
                if let Some(outcome) = outcome {
                    self.finish(Ended { path, attempt, outcome, lines: Vec::new() })?;
                }
            }
        }
        Ok(())
    }

    fn finish(&self, ended: Ended) -> Result<(), Quit> {
        if matches!(ended.outcome, Outcome::Error(_)) {
            self.context.control.fail();
        }
        let (path, attempt) = (ended.path.clone(), ended.attempt);
        let event = self.journal.with(|state| finish(&self.reading.runbook, state, ended));
        match self.journal.record(&event) {
            // An output that nobody could read later is none.
            Err(error) if error.is_about_the_event() => {
                let outcome = failed("host.unwritable", error.to_string());
                self.context.control.fail();
                let ended = Ended { path, attempt, outcome, lines: Vec::new() };
                let event = self.journal.with(|state| finish(&self.reading.runbook, state, ended));
                Ok(self.journal.record(&event)?)
            }
            recorded => Ok(recorded?),
        }
    }

    /// The run cannot go on by its runbook: every call that is open has failed, and so has the run; it is stuck where an
    /// attempt is still under way.
    async fn end_at_once(&self, status: EndStatus, message: String) -> Result<(), Quit> {
        for event in self.journal.with(|state| abandon(state, &message)) {
            self.journal.append(&event, None).await?;
        }
        let end = |status| Event::Finished { status, outputs: json!({}), message: message.clone() };
        let legal = self.journal.with(|state| state.check(&end(status)).is_ok());
        Ok(self.journal.append(&end(if legal { status } else { EndStatus::Stuck }), None).await?)
    }

    /// An attempt came to no outcome of its own.
    async fn rested(&mut self, step: &str, why: Stop) -> Result<(), Quit> {
        match why {
            Stop::Drained | Stop::InDoubt(_) => Ok(()),
            Stop::Left(reason) => self.leave(reason).await,
            Stop::Halted(reason) => {
                let reason = self.with_what_is_down(format!("halted: {reason}"));
                self.leave(reason).await
            }
            Stop::Diverged(what) => {
                let message = format!("replay of step `{step}` diverged from the journal: {what}");
                self.end_at_once(EndStatus::Stuck, message).await
            }
            Stop::JournalEnds => Err(Quit::Audit("an attempt was only replayed".to_owned())),
            Stop::Fenced => Err(Quit::Audit(why.to_string())),
            Stop::Audit(what) | Stop::Unwritable(what) => Err(Quit::Audit(what)),
        }
    }

    /// Our own fault, and no reason to guess: the attempt's calls may be half recorded, so a person looks at it first.
    async fn died(&mut self, error: &JoinError) -> Result<(), Quit> {
        let Some(place) = self.workers.remove(&error.id()) else { return Ok(()) };
        self.in_flight.attempts.remove(&place);
        if error.is_cancelled() {
            return Ok(());
        }
        tracing::error!(run = %self.journal.run(), step = %place.0, "a task of the engine died");
        self.leave(format!("the engine failed inside step `{}`: this is a defect of `runbook`", place.0))
            .await
    }

    pub(super) async fn hear(&mut self, message: Message) -> Result<(), Quit> {
        match message {
            Message::Drain => {
                self.draining = true;
                self.context.control.stop(Stop::Drained);
                Ok(())
            }
            Message::StopAtOnce => {
                self.context.control.stop_at_once();
                Ok(())
            }
            Message::LockTaken { by, reason, actor } => self.lose_locks(by, reason, &actor).await,
            Message::Command { command, actor, reply } => {
                let answer =
                    super::commands::obey(&self.journal, &self.context.control, command.clone(), &actor)
                        .await;
                if answer.is_ok() && matches!(command, Command::Leave { .. } | Command::Resume) {
                    self.pass_on(&command, &actor);
                }
                let broken = match &answer {
                    Err(Refusal::Audit(error)) if !error.is_about_the_draft() => Some(error.to_string()),
                    _ => None,
                };
                let _ = reply.send(answer);
                broken.map_or(Ok(()), |why| Err(Quit::Audit(why)))
            }
        }
    }

    /// What is left or resumed is so with the runs it has begun.
    fn pass_on(&self, command: &Command, actor: &str) {
        for child in self.inner.children(self.journal.run()) {
            let (reply, _) = oneshot::channel();
            let message = Message::Command { command: command.clone(), actor: actor.to_owned(), reply };
            if child.inbox.try_send(Box::new(message)).is_err() {
                tracing::info!(run = %child.journal.run(), "a child run could not be told");
            }
        }
    }

    /// Tells those who wait how the run is, once nothing is under way.
    pub(super) fn tell_rest(&self, wake_ms: Option<u64>) {
        let rest = if self.work.is_empty() {
            self.journal.with(|state| match state.status() {
                RunStatus::InDoubt => Rest::InDoubt,
                RunStatus::Left => Rest::Left,
                RunStatus::Ended(status) => Rest::Ended(status),
                RunStatus::Waiting if wake_ms.is_none() && !state.questions().is_empty() => Rest::Asking,
                RunStatus::Queued | RunStatus::Running | RunStatus::Waiting => Rest::Working,
            })
        } else {
            Rest::Working
        };
        self.tell(rest);
    }

    pub(super) fn tell(&self, rest: Rest) {
        let changed = self.rest.send_if_modified(|now| std::mem::replace(now, rest) != rest);
        if changed {
            self.inner.tell();
            self.inner.locks.tell();
        }
    }
}
