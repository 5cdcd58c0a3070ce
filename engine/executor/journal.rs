//! The journal of one run while it is in this engine's hands: the state in memory and the entries in the audit log, kept
//! in step. Every event of the run passes here, whoever causes it.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use futures_util::future::{BoxFuture, FutureExt as _};

use super::emergency;
use super::refusal::Refusal;
use super::scrubbed;
use audit::{Append, Audit, Condition, Draft, Entry, Note, Reader, Ready, RunRow, Ticket, Urgency};
use host::{HaltSwitch, Ledger, LocalChanges, Stop};
use run::event::{Event, Outcome};
use run::state::{IllegalEvent, RunStatus, State};
use words::clock;
use words::ids::{RunId, StepPath};

/// The longest message in a row, bytes: lists show one sentence, the entry holds all of it.
pub(super) const MAX_ROW_MESSAGE_BYTES: usize = 1024;

/// See the module; cheap to clone.
#[derive(Clone)]
pub(super) struct Journal {
    run: RunId,
    /// On whose behalf the run is made.
    actor: String,
    audit: Audit,
    halt: HaltSwitch,
    inner: Arc<Mutex<Inner>>,
}

struct Inner {
    state: State,
    row: RunRow,
}

/// What goes along with an event.
#[derive(Default)]
pub(super) struct Along {
    /// What commits with it.
    pub(super) local: LocalChanges,
    /// What must hold in the commit, beside the version.
    pub(super) conditions: Vec<Condition>,
}

/// An event that could not be written down.
#[derive(Debug, thiserror::Error)]
pub(super) enum Error {
    #[error(transparent)]
    Illegal(#[from] IllegalEvent),
    #[error(transparent)]
    Audit(#[from] audit::Error),
}

impl Error {
    /// Whether this event alone cannot be kept: nothing was taken in, and others can.
    pub(super) fn is_about_the_event(&self) -> bool {
        matches!(self, Self::Audit(error) if error.is_about_the_draft())
    }
}

impl From<Error> for Stop {
    fn from(error: Error) -> Self {
        let words = error.to_string();
        if error.is_about_the_event() { Self::Unwritable(words) } else { Self::Audit(words) }
    }
}

impl Journal {
    /// A journal that holds these entries already; none for a new run.
    pub(super) fn new(shared: &super::engine::Inner, actor: String, row: RunRow, state: State) -> Self {
        let (run, audit, halt) = (row.run.clone(), shared.audit.clone(), shared.halt.clone());
        Self { run, actor, audit, halt, inner: Arc::new(Mutex::new(Inner { state, row })) }
    }

    fn inner(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn run(&self) -> &RunId {
        &self.run
    }

    pub(super) fn actor(&self) -> &str {
        &self.actor
    }

    pub(super) fn runbook(&self) -> String {
        self.inner().row.runbook.to_string()
    }

    /// Looks at the state.
    pub(super) fn with<T>(&self, look: impl FnOnce(&State) -> T) -> T {
        look(&self.inner().state)
    }

    /// Checks the event against the state, hands it over, and takes it in. The order in the log is the order here.
    pub(super) fn submit(&self, event: &Event, actor: Option<&str>, along: Along) -> Result<Ticket, Error> {
        self.enter(event, actor, along, Urgency::Now)
    }

    /// The same for what nobody waits for: it is durable before anything that is done after it, since that is announced.
    /// The end of a write is urgent nevertheless: after a crash, what has no end must be established.
    pub(super) fn record(&self, event: &Event) -> Result<(), Error> {
        let urgency = match event {
            Event::CallFinished { arguments: None, .. } => Urgency::Now,
            _ => Urgency::Patient,
        };
        self.enter(event, None, Along::default(), urgency).map(drop)
    }

    fn enter(
        &self,
        event: &Event,
        actor: Option<&str>,
        along: Along,
        urgency: Urgency,
    ) -> Result<Ticket, Error> {
        // The state in memory and the entry are made of the same event, so that whoever folds the journal gets the same.
        let event = &*scrubbed::event(event);
        let local = scrubbed::local(along.local);
        let mut inner = self.inner();
        inner.state.check(event)?;
        let version = inner.state.version();
        let before = inner.state.status();
        let actor = actor.unwrap_or(&self.actor);
        let draft =
            Draft { state: local.state, blobs: local.blobs, ..Draft::event(actor, self.run.clone(), event)? };
        let mut conditions = vec![Condition::Version { run: self.run.clone(), version }];
        conditions.extend(along.conditions);
        // Before the state takes it in: what cannot be kept has not happened.
        let mut ready = Ready::new(Append { drafts: vec![draft], conditions, urgency })?;
        let now_ms = clock::now_ms();
        inner.state.apply(now_ms, event)?;
        let status = inner.state.status();
        if version == 0 || status != before {
            let message = match event {
                Event::Finished { message, .. } | Event::CallDoubted { message, .. } => message.clone(),
                Event::Left { reason } => reason.clone(),
                _ if status == RunStatus::Waiting => asks(&inner.state),
                _ => String::new(),
            };
            status.word().clone_into(&mut inner.row.status);
            inner.row.finished_ms = matches!(status, RunStatus::Ended(_)).then_some(now_ms);
            inner.row.message = super::telling::shortened(&message, MAX_ROW_MESSAGE_BYTES);
            ready = ready.with_row(inner.row.clone())?;
        }
        Ok(self.audit.submit_ready(ready))
    }

    /// The same, and waits until it is durable.
    pub(super) async fn append(&self, event: &Event, actor: Option<&str>) -> Result<(), Error> {
        let ticket = self.submit(event, actor, Along::default())?;
        ticket.durable().await?;
        Ok(())
    }
}

impl Ledger for Journal {
    fn announce(&self, event: Event, local: LocalChanges) -> BoxFuture<'_, Result<(), Stop>> {
        let hand_over = || self.submit(&event, None, Along { local, ..Along::default() });
        let ticket = match &event {
            // After `halt on` has returned no write is announced.
            Event::CallIntended { .. } => self.halt.unless_on(hand_over).map_err(Stop::Halted),
            _ => Ok(hand_over()),
        };
        async move {
            let ticket = ticket??;
            ticket.durable().await.map_err(|e| Stop::Audit(e.to_string()))?;
            // Looked at after the announcement and right before the effect.
            if emergency::is_closed(self.audit.dir()) {
                return Err(Stop::Fenced);
            }
            Ok(())
        }
        .boxed()
    }

    fn record(&self, event: &Event) -> Result<(), Stop> {
        Ok(Self::record(self, event)?)
    }

    fn note(&self, path: &StepPath, attempt: u32, level: &'static str, text: String) {
        let path = path.clone();
        self.audit.note(Note { run: self.run.clone(), path, attempt, level: level.to_owned(), text });
    }
}

/// The state of a run, from its journal as it was signed.
pub(super) fn fold(reader: &Reader, run: &RunId) -> Result<State, Refusal> {
    folded(run, &reader.journal(run)?.entries)
}

/// The row and the state of an unfinished run whose journal has so many entries, both from what was signed.
pub(super) fn unfinished(reader: &Reader, run: &RunId, version: u32) -> Result<(RunRow, State), Refusal> {
    let found = reader.journal(run)?;
    let changed = |why: String| {
        let entry = found.entries.last().map_or(0, |entry| entry.seq);
        Refusal::Audit(audit::Error::Unreadable { entry, why, changed: true })
    };
    if found.entries.len() != version as usize {
        let what = format!("the journal of run `{run}` has {} entries of {version}", found.entries.len());
        return Err(changed(what));
    }
    let state = folded(run, &found.entries)?;
    let row = found.row.clone().ok_or_else(|| changed(format!("no entry tells of run `{run}`")))?;
    Ok((row, state))
}

fn folded(run: &RunId, entries: &[Entry]) -> Result<State, Refusal> {
    let mut state = State::of(run.clone());
    for entry in entries {
        let event = entry.event()?;
        state.apply(entry.time_ms, &event).map_err(|e| Refusal::Internal(e.to_string()))?;
    }
    Ok(state)
}

pub(super) fn into_refusal(error: Error) -> Refusal {
    match error {
        Error::Illegal(illegal) => Refusal::Conflict(illegal.to_string()),
        Error::Audit(error) => Refusal::Audit(error),
    }
}

/// Events kept in memory only: of a plan, or of a replay.
pub(super) struct Sketch {
    state: Mutex<State>,
    now_ms: Arc<dyn Fn() -> u64 + Send + Sync>,
}

impl Sketch {
    pub(super) fn new(state: State, now_ms: Arc<dyn Fn() -> u64 + Send + Sync>) -> Self {
        Self { state: Mutex::new(state), now_ms }
    }

    pub(super) fn with<T>(&self, look: impl FnOnce(&State) -> T) -> T {
        look(&self.state.lock().unwrap_or_else(PoisonError::into_inner))
    }

    pub(super) fn take_in(&self, event: &Event) -> Result<(), IllegalEvent> {
        let now_ms = (self.now_ms)();
        self.state.lock().unwrap_or_else(PoisonError::into_inner).apply(now_ms, &scrubbed::event(event))
    }
}

impl Ledger for Sketch {
    fn announce(&self, event: Event, _local: LocalChanges) -> BoxFuture<'_, Result<(), Stop>> {
        let done = self.record(&event);
        async move { done }.boxed()
    }

    fn record(&self, event: &Event) -> Result<(), Stop> {
        self.take_in(event).map_err(|e| Stop::Diverged(e.to_string()))
    }

    fn note(&self, _path: &StepPath, _attempt: u32, _level: &'static str, _text: String) {}
}

/// What people are asked, and who may answer.
fn asks(state: &State) -> String {
    let asked = state.questions();
    let Some((_, first)) = asked.first() else { return String::new() };
    let more = if asked.len() > 1 { format!(" (and {} more)", asked.len() - 1) } else { String::new() };
    format!("asks {}: {}{more}", first.question.answerers_in_words(), first.question.text)
}

/// A failure that an attempt could not even begin with.
pub(super) fn failed(code: &str, message: String) -> Outcome {
    use words::effect::{Failure, FailureKind};
    Outcome::Error(Failure::new(FailureKind::Internal, code, message))
}
