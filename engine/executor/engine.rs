//! The engine: takes requests, keeps one task per unfinished run, passes commands on to it, ends in good order.

use std::collections::{BTreeMap, HashMap};
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use serde_json::{Value, json};
use tokio::sync::{mpsc, oneshot, watch};

use super::bounds;
use super::emergency;
use super::host_lock::HostLocks;
use super::journal::Journal;
use super::lock_table::LockTable;
use super::plugins::Plugins;
use super::reach::Reach;
use super::refusal::Refusal;
use super::request::{Command, Plan, Request};
use super::runner::{Message, Rest, Runner};
use super::set_aside::SetAside;
use super::shelf::{Reading, Shelf};
use super::tasks::Tasks;
use super::telling::printable;
use audit::{Append, Audit, Draft, Options, Reader, Ready, StateChange, Urgency};
use docker::Connection;
use host::{HaltSwitch, Quota};
use secrets::{Keeper, scrub};
use words::clock;
use words::ids::{RunId, TargetName};

/// The most unfinished runs an engine takes: what more is asked for is refused, not queued without end.
pub const MAX_UNFINISHED: usize = 20_000;
/// For so long an engine that ends answers what it was asked before.
const FAREWELL: Duration = Duration::from_secs(10);
/// For so long an engine that ends lets steps bring back what they took down.
const BRINGING_BACK: Duration = Duration::from_secs(30);
/// Commands that may wait for one run.
const INBOX: usize = 64;
/// Bucket of what the engine itself keeps.
pub(super) const BUCKET: &str = "engine";
/// Key of the halt switch in it.
pub(super) const HALT: &str = "halt";

/// What an engine must know before it starts. The caller holds the lock of the data directory.
#[derive(Debug, Clone)]
pub struct EngineConfig {
    /// Everything is kept here.
    pub data_dir: PathBuf,
    /// Named container daemons.
    pub targets: BTreeMap<TargetName, Connection>,
    /// `host:pid`, for the log.
    pub name: String,
    /// The login user, for entries that are not made for a run.
    pub actor: String,
    /// What holds the secrets.
    pub secrets: Keeper,
    /// How much runs may keep beside the audit log, bytes.
    pub quota: u64,
    /// The name of a user of this machine.
    pub user_name: fn(u32) -> String,
}

/// A cheap handle to the engine.
#[derive(Clone)]
pub struct Engine {
    inner: Arc<Inner>,
}

/// What all runs share.
pub(super) struct Inner {
    pub(super) config: EngineConfig,
    pub(super) audit: Audit,
    pub(super) reach: Reach,
    pub(super) halt: HaltSwitch,
    pub(super) locks: Arc<LockTable>,
    pub(super) host_locks: HostLocks,
    pub(super) tasks: Tasks,
    pub(super) shelf: Shelf,
    /// Runs that cannot be read.
    pub(super) aside: SetAside,
    /// Requests that are being answered: to plan may take many seconds.
    asked: AtomicUsize,
    /// It ends and takes nothing further.
    leaving: AtomicBool,
    runs: Mutex<HashMap<RunId, Handle>>,
    changed: watch::Sender<u64>,
    /// When this engine began, and for how long nothing had been written down before that.
    pub(super) began: (u64, u64),
}

/// A request that is being answered: the engine does not go away meanwhile.
pub(super) struct Asked(Arc<Inner>);

impl Asked {
    /// Refused by an engine that ends.
    pub(super) fn from_outside(inner: &Arc<Inner>) -> Result<Self, Refusal> {
        // First counted, then looked: an engine that ends waits for whoever it did not refuse.
        let asked = Self::of(inner);
        if inner.leaving.load(Ordering::SeqCst) { Err(Refusal::Leaving) } else { Ok(asked) }
    }

    pub(super) fn of(inner: &Arc<Inner>) -> Self {
        inner.asked.fetch_add(1, Ordering::SeqCst);
        Self(Arc::clone(inner))
    }
}

impl Drop for Asked {
    fn drop(&mut self) {
        self.0.asked.fetch_sub(1, Ordering::SeqCst);
        self.0.tell();
    }
}

/// A run in this engine's hands.
#[derive(Clone)]
pub(super) struct Handle {
    pub(super) inbox: mpsc::Sender<Box<Message>>,
    pub(super) rest: watch::Receiver<Rest>,
    pub(super) journal: Journal,
    pub(super) parent: Option<RunId>,
}

impl Engine {
    /// Opens the audit log and carries on what is unfinished.
    pub fn start(config: EngineConfig) -> Result<Self, Refusal> {
        if emergency::is_closed(&config.data_dir) {
            return Err(Refusal::Fenced);
        }
        emergency::prepare(&config.data_dir);
        let options = Options { scrub: Some(scrub::string), ..Options::default() };
        let audit = Audit::open(&config.data_dir, &options)?;
        let reader = Reader::open(&config.data_dir)?.with_key(audit.public_key());
        let halted =
            audit.found_engine_state("halt").and_then(|halt| Some(halt.get("reason")?.as_str()?.to_owned()));
        let last_ms = reader.entry(reader.last_seq()?)?.map_or(0, |entry| entry.time_ms);
        let now_ms = clock::now_ms();
        let quota = Quota::new(config.quota, audit.kept_since());
        let plugins = Plugins::open(&config.data_dir);
        let reach = Reach::new(plugins, config.targets.clone(), config.secrets.clone(), quota);
        let inner = Arc::new(Inner {
            began: (now_ms, now_ms.saturating_sub(last_ms)),
            reach,
            halt: HaltSwitch::new(halted),
            locks: Arc::default(),
            host_locks: HostLocks::default(),
            aside: SetAside::default(),
            tasks: Tasks::default(),
            shelf: Shelf::default(),
            asked: AtomicUsize::default(),
            leaving: AtomicBool::default(),
            runs: Mutex::default(),
            changed: watch::Sender::new(0),
            audit,
            config,
        });
        let engine = Self { inner };
        let started = Draft::fact(
            &engine.inner.config.actor,
            "engine.started",
            json!({ "engine": engine.inner.config.name }),
        );
        drop(engine.inner.audit.submit(vec![started], None));
        engine.load(&reader)?;
        Ok(engine)
    }

    /// What a run would do. Changes nothing.
    pub async fn plan(&self, request: Request) -> Result<Plan, Refusal> {
        let _asked = Asked::from_outside(&self.inner)?;
        self.inner.reach.plan(request).await
    }

    /// Passes a command on to a run.
    pub async fn command(&self, run: &RunId, command: Command, actor: &str) -> Result<(), Refusal> {
        let _asked = Asked::from_outside(&self.inner)?;
        bounds::command(&command)?;
        if let Some(why) = self.inner.aside.why(run) {
            return self.command_aside(run, command, actor, why).await;
        }
        let handle = self.inner.handle(run).ok_or_else(|| Refusal::UnknownRun(run.clone()))?;
        let (reply, answer) = oneshot::channel();
        let message = Message::Command { command: command.printable(), actor: actor.to_owned(), reply };
        // Its task has ended: with the run, or with this engine, which has then not done it.
        let gone = || {
            if self.is_leaving() { Refusal::Leaving } else { Refusal::UnknownRun(run.clone()) }
        };
        handle.inbox.send(Box::new(message)).await.map_err(|_| gone())?;
        answer.await.map_err(|_| gone())?
    }

    /// Sets the halt switch: while it is on, no run that may change anything is accepted, and no call that changes anything
    /// is made. What was announced before it stands before it in the log.
    pub async fn halt(&self, on: bool, reason: &str, actor: &str) -> Result<(), Refusal> {
        let _asked = Asked::from_outside(&self.inner)?;
        bounds::words("reason", &reason.to_owned())?;
        let reason = &printable(reason);
        let words = format!("{reason} ({actor})");
        let value = json!({ "reason": words, "at_ms": clock::now_ms() });
        let (bucket, key) = (BUCKET.to_owned(), HALT.to_owned());
        let change =
            if on { StateChange::Set { bucket, key, value } } else { StateChange::Delete { bucket, key } };
        let kind = if on { "halt.on" } else { "halt.off" };
        let ready = fact(actor, kind, json!({ "reason": reason }), vec![change])?;
        let ticket = self.inner.halt.turn(on.then_some(words), || self.inner.audit.submit_ready(ready));
        ticket.durable().await?;
        Ok(())
    }

    /// Writes down something that belongs to no run, with changes of state in the same transaction.
    pub async fn fact(
        &self,
        actor: &str,
        kind: &str,
        data: Value,
        state: Vec<StateChange>,
    ) -> Result<(), Refusal> {
        let _asked = Asked::from_outside(&self.inner)?;
        bounds::fact(&data, &state)?;
        self.inner.audit.submit_ready(fact(actor, kind, data, state)?).durable().await?;
        Ok(())
    }

    /// How a run is; none if it is not in this engine's hands (any more).
    pub fn rest(&self, run: &RunId) -> Option<watch::Receiver<Rest>> {
        self.inner.handle(run).map(|handle| handle.rest)
    }

    /// Waits until the run has ended or only a person can go on.
    pub async fn settled(&self, run: &RunId) -> Rest {
        let Some(mut rest) = self.rest(run) else { return Rest::Gone };
        match rest.wait_for(|rest| *rest != Rest::Working).await {
            Ok(rest) => *rest,
            Err(_) => Rest::Gone,
        }
    }

    /// Runs that need an engine now, those that wait for a person without a time limit left out.
    pub fn busy(&self) -> usize {
        self.inner.asked.load(Ordering::SeqCst)
            + self
                .inner
                .runs()
                .values()
                .filter(|handle| matches!(*handle.rest.borrow(), Rest::Working))
                .count()
    }

    /// Ends when no run needs an engine any more.
    pub async fn idle(&self) {
        let mut changed = self.inner.changed.subscribe();
        while self.busy() > 0 {
            if changed.changed().await.is_err() {
                return;
            }
        }
    }

    /// Whether it ends and takes nothing further.
    pub fn is_leaving(&self) -> bool {
        self.inner.leaving.load(Ordering::SeqCst)
    }

    /// Waits until it ends.
    pub async fn leaving(&self) {
        let mut changed = self.inner.changed();
        while !self.is_leaving() {
            if changed.changed().await.is_err() {
                return;
            }
        }
    }

    /// Takes nothing further from outside, answers what was asked before for at most [`FAREWELL`], and stops every run at its
    /// next safe point, where nothing is down that a step took down, or after [`BRINGING_BACK`]. Another engine carries it on.
    pub async fn leave(&self) {
        self.inner.leaving.store(true, Ordering::SeqCst);
        self.inner.aside.close();
        self.inner.tell();
        let _ = tokio::time::timeout(FAREWELL, self.answered()).await;
        self.rest_all().await;
    }

    /// The same, and writes down the end. Nobody may ask anything meanwhile.
    pub async fn drain(&self) {
        self.leave().await;
        // What was being accepted when its asker was given up is begun first: it must not go on beside the next engine.
        self.answered().await;
        self.rest_all().await;
        let data = json!({ "engine": self.inner.config.name });
        let stopped =
            Draft { lists_unfinished: true, ..Draft::fact(&self.inner.config.actor, audit::STOPPED, data) };
        let _ = self.inner.audit.append(vec![stopped], None).await;
        // Whoever still holds a handle: nothing is written once the directory is another engine's.
        let _ = self.inner.audit.close();
    }

    async fn answered(&self) {
        let mut changed = self.inner.changed();
        while self.inner.asked.load(Ordering::SeqCst) > 0 {
            if changed.changed().await.is_err() {
                return;
            }
        }
    }

    async fn rest_all(&self) {
        let handles: Vec<Handle> = self.inner.runs().values().cloned().collect();
        for handle in &handles {
            let _ = handle.inbox.send(Box::new(Message::Drain)).await;
        }
        if clock::within(BRINGING_BACK, at_rest(handles.clone())).await.is_err() {
            for handle in &handles {
                let _ = handle.inbox.send(Box::new(Message::StopAtOnce)).await;
            }
            at_rest(handles).await;
        }
    }

    /// The audit log, for those who follow runs in this process.
    pub fn audit(&self) -> &Audit {
        &self.inner.audit
    }

    /// The plugins.
    pub fn plugins(&self) -> &Plugins {
        &self.inner.reach.plugins
    }

    pub(super) fn of(inner: Arc<Inner>) -> Self {
        Self { inner }
    }

    pub(super) fn inner(&self) -> &Arc<Inner> {
        &self.inner
    }
}

/// An entry that belongs to no run.
fn fact(actor: &str, kind: &str, data: Value, state: Vec<StateChange>) -> Result<Ready, Refusal> {
    if let Some(name) = super::scrubbed::in_place(&state) {
        let words = format!("the name of a bucket or a key holds the value of a secret: {name}");
        return Err(Refusal::Input(vec![words]));
    }
    let fact = Draft::fact(actor, kind, super::telling::printable_in(data));
    let draft = Draft { state: super::scrubbed::changes(state), ..fact };
    Ok(Ready::new(Append { drafts: vec![draft], conditions: Vec::new(), urgency: Urgency::Now })?)
}

impl Inner {
    fn runs(&self) -> MutexGuard<'_, HashMap<RunId, Handle>> {
        self.runs.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn handle(&self, run: &RunId) -> Option<Handle> {
        self.runs().get(run).cloned()
    }

    /// The run's parent, and its parent, up to the first.
    pub(super) fn ancestors(&self, parent: Option<&RunId>) -> Vec<RunId> {
        let runs = self.runs();
        let mut found = Vec::new();
        let mut next = parent.cloned();
        while let Some(run) = next {
            next = runs.get(&run).and_then(|handle| handle.parent.clone());
            found.push(run);
        }
        found
    }

    pub(super) fn children(&self, run: &RunId) -> Vec<Handle> {
        self.runs().values().filter(|handle| handle.parent.as_ref() == Some(run)).cloned().collect()
    }

    /// Wakes whenever a run's rest has changed, or what is asked of the engine.
    pub(super) fn changed(&self) -> watch::Receiver<u64> {
        self.changed.subscribe()
    }

    /// A run's rest has changed.
    pub(super) fn tell(&self) {
        self.changed.send_modify(|count| *count += 1);
    }

    /// The run has ended.
    pub(super) fn forget(&self, run: &RunId) {
        self.locks.leave(run);
        self.host_locks.leave(run);
        self.runs().remove(run);
        self.tell();
    }

    /// Begins the one task that owns a run.
    pub(super) fn begin(self: &Arc<Self>, journal: Journal, reading: Arc<Reading>, parent: Option<RunId>) {
        let (inbox, messages) = mpsc::channel(INBOX);
        let (rest, watched) = watch::channel(Rest::Working);
        let run = journal.run().clone();
        let handle = Handle { inbox, rest: watched, journal: journal.clone(), parent };
        self.runs().insert(run.clone(), handle);
        let runner = Runner::new(Arc::clone(self), journal, reading, (messages, rest));
        let engine = Arc::clone(self);
        // A run whose task dies keeps its locks: what it was doing is unknown until an engine folds its journal anew.
        self.tasks.begin("run", runner.run(), move || {
            tracing::error!(%run, "the run rests until an engine starts again");
            engine.tell();
        });
    }
}

/// Ends when the tasks of all these runs have ended.
async fn at_rest(handles: Vec<Handle>) {
    for mut handle in handles {
        while handle.rest.changed().await.is_ok() {}
    }
}
