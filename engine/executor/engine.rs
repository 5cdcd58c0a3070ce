//! The engine: takes requests, keeps one task per unfinished run, passes commands on to it, ends in good order.

use std::collections::{BTreeMap, HashMap};
use std::path::PathBuf;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use serde_json::{Value, json};
use tokio::sync::{mpsc, oneshot, watch};

use super::acceptance::{self, Parent, Prepared};
use super::dedupe;
use super::emergency;
use super::journal::{Journal, fold, into_refusal};
use super::lock_table::LockTable;
use super::plugins::Plugins;
use super::refusal::Refusal;
use super::request::{Command, LockWish, Plan, Request};
use super::runner::{Message, Rest, Runner};
use super::shelf::{Reading, Shelf};
use super::tasks::Tasks;
use super::words::printable;
use crate::audit::{Audit, Draft, Options, Reader, RunRow, StateChange};
use crate::clock;
use crate::containers::{Connection, Daemon};
use crate::host::{Budgets, LocalChanges, Quota, World};
use crate::model::ids::{Digest, RunId, TargetName};
use crate::run::event::{Event, PlannedWrites};
use crate::run::state::State;
use crate::secrets::Keeper;

/// The most unfinished runs an engine takes: what more is asked for is refused, not queued without end.
pub const MAX_UNFINISHED: usize = 20_000;
/// Commands that may wait for one run.
const INBOX: usize = 64;
/// Bucket of what the engine itself keeps.
const BUCKET: &str = "engine";

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
    pub(super) plugins: Plugins,
    pub(super) budgets: Arc<Budgets>,
    pub(super) quota: Arc<Quota>,
    pub(super) halted: Arc<Mutex<Option<String>>>,
    pub(super) locks: LockTable,
    pub(super) tasks: Tasks,
    pub(super) shelf: Shelf,
    /// Requests that are being answered: to plan may take many seconds.
    asked: AtomicUsize,
    daemons: Mutex<HashMap<TargetName, Daemon>>,
    runs: Mutex<HashMap<RunId, Handle>>,
    changed: watch::Sender<u64>,
    /// When this engine began, and for how long nothing had been written down before that.
    pub(super) began: (u64, u64),
}

/// A request that is being answered: the engine does not go away meanwhile.
struct Asked<'e>(&'e Inner);

impl<'e> Asked<'e> {
    fn of(inner: &'e Inner) -> Self {
        inner.asked.fetch_add(1, Ordering::SeqCst);
        Self(inner)
    }
}

impl Drop for Asked<'_> {
    fn drop(&mut self) {
        self.0.asked.fetch_sub(1, Ordering::SeqCst);
        self.0.tell();
    }
}

/// A run in this engine's hands.
#[derive(Clone)]
pub(super) struct Handle {
    pub(super) inbox: mpsc::Sender<Message>,
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
        let audit = Audit::open(&config.data_dir, &Options::default())?;
        let reader = Reader::open(&config.data_dir)?;
        let halted =
            reader.state_get(BUCKET, "halt")?.and_then(|halt| Some(halt.get("reason")?.as_str()?.to_owned()));
        let last_ms = reader.entry(reader.last_seq()?)?.map_or(0, |entry| entry.time_ms);
        let now_ms = clock::now_ms();
        let inner = Arc::new(Inner {
            began: (now_ms, now_ms.saturating_sub(last_ms)),
            plugins: Plugins::open(&config.data_dir),
            budgets: Arc::default(),
            quota: Arc::new(Quota::new(config.quota, audit.kept_since())),
            halted: Arc::new(Mutex::new(halted)),
            locks: LockTable::default(),
            tasks: Tasks::default(),
            shelf: Shelf::default(),
            asked: AtomicUsize::default(),
            daemons: Mutex::default(),
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

    /// Accepts a request: when this returns, the run is durable. Nothing has been done yet.
    pub async fn submit(&self, request: Request) -> Result<RunId, Refusal> {
        let _asked = Asked::of(&self.inner);
        self.accept(request, None).await
    }

    pub(super) async fn accept(&self, request: Request, parent: Option<RunId>) -> Result<RunId, Refusal> {
        let request = request.printable();
        if emergency::is_closed(&self.inner.config.data_dir) {
            return Err(Refusal::Fenced);
        }
        if let Some(run) = dedupe::known(&self.inner.config.data_dir, &request)? {
            return Ok(run);
        }
        let ancestors = self.inner.ancestors(parent.as_ref());
        if ancestors.len() > acceptance::MAX_CHILD_DEPTH {
            let most = acceptance::MAX_CHILD_DEPTH;
            return Err(Refusal::Exhausted(format!("runbooks may use each other {most} deep, not deeper")));
        }
        if self.inner.runs().len() >= MAX_UNFINISHED {
            return Err(Refusal::Exhausted(format!(
                "{MAX_UNFINISHED} runs are unfinished: no more are taken"
            )));
        }
        let asking = parent.as_ref().and_then(|parent| self.parent_of(parent));
        let mut prepared = self.prepare(&request, asking).await?;
        // Who only looks may look while the engine is halted: that is when people need it most.
        if let Some(reason) = self.inner.halted().filter(|_| prepared.accepted.grants.writes()) {
            return Err(Refusal::Halted(reason));
        }
        prepared.accepted.plan = match (&request.plan, &parent) {
            (Some(asked), _) => Some(self.hold_to_plan(&request, asked).await?),
            (None, Some(parent)) => self.plan_of(parent),
            (None, None) => None,
        };
        if request.lock == LockWish::Fail
            && let Some((lock, holder)) = self.inner.locks.holder(&prepared.accepted.locks, &ancestors)
        {
            let runbook = self.inner.handle(&holder).map(|h| h.journal.runbook()).unwrap_or_default();
            return Err(Refusal::Locked { lock, holder, runbook });
        }
        self.record(request, prepared, parent, ancestors).await
    }

    pub(super) async fn prepare(
        &self,
        request: &Request,
        parent: Option<Parent>,
    ) -> Result<Prepared, Refusal> {
        let inner = Arc::clone(&self.inner);
        let daemon = async move |target: &TargetName| inner.daemon(target);
        acceptance::prepare(request, parent, self.inner.plugins.catalogue(), daemon).await
    }

    fn parent_of(&self, run: &RunId) -> Option<Parent> {
        let handle = self.inner.handle(run)?;
        handle.journal.with(|state| Some(Parent::of(run.clone(), state.accepted()?)))
    }

    /// A child is held to the plan of its parent, which holds its writes too.
    fn plan_of(&self, parent: &RunId) -> Option<PlannedWrites> {
        let parent = self.inner.handle(parent)?;
        parent.journal.with(|state| state.accepted()?.plan.clone())
    }

    async fn hold_to_plan(&self, request: &Request, asked: &Digest) -> Result<PlannedWrites, Refusal> {
        let request = Request { plan: None, ..request.clone() };
        let (plan, held) = super::planner::plan(self, &request).await?;
        if plan.digest != *asked {
            return Err(Refusal::PlanChanged {
                asked: asked.short().to_owned(),
                now: plan.digest.short().to_owned(),
            });
        }
        Ok(held)
    }

    async fn record(
        &self,
        request: Request,
        prepared: Prepared,
        parent: Option<RunId>,
        ancestors: Vec<RunId>,
    ) -> Result<RunId, Refusal> {
        let Prepared { runbook, accepted, subject, texts } = prepared;
        let now_ms = clock::now_ms();
        let run = RunId::from_parts(now_ms, getrandom::u32().unwrap_or_default());
        let row = RunRow {
            run: run.clone(),
            runbook: accepted.runbook.clone(),
            status: String::new(),
            actor: request.actor.clone(),
            trigger: request.trigger,
            target: accepted.target.clone(),
            started_ms: now_ms,
            finished_ms: None,
            parent: parent.clone(),
            reason: request.reason.clone(),
            subject,
            message: String::new(),
        };
        let mut local = LocalChanges { state: Vec::new(), blobs: texts.clone() };
        local.blobs.extend(self.inner.plugins.not_kept(&accepted.plugins)?);
        local.state.extend(request.dedupe.as_deref().map(|key| dedupe::remembered(key, &run)));
        let journal = Journal::new(self.inner.audit.clone(), request.actor, row, State::of(run.clone()));
        let names = accepted.texts.iter().map(|(name, _)| name.clone());
        let texts = names.zip(texts.into_iter().map(|t| String::from_utf8_lossy(&t).into_owned())).collect();
        let locks = accepted.locks.clone();
        let ticket =
            journal.submit(&Event::Accepted(Box::new(accepted)), None, local).map_err(into_refusal)?;
        ticket.durable().await?;
        let (first, reason) = match request.lock {
            LockWish::Take { reason } => (true, reason),
            LockWish::Wait | LockWish::Fail => (false, String::new()),
        };
        for loser in self.inner.locks.enter(&run, &locks, ancestors, first) {
            let taken = Message::LockTaken {
                by: run.clone(),
                reason: reason.clone(),
                actor: journal.actor().to_owned(),
            };
            if let Some(handle) = self.inner.handle(&loser) {
                let _ = handle.inbox.send(taken).await;
            }
        }
        self.inner.begin(journal, self.inner.shelf.share(runbook, texts), parent);
        Ok(run)
    }

    /// What a run would do. Changes nothing.
    pub async fn plan(&self, request: Request) -> Result<Plan, Refusal> {
        let _asked = Asked::of(&self.inner);
        super::planner::plan(self, &request.printable()).await.map(|(plan, _)| plan)
    }

    /// Passes a command on to a run.
    pub async fn command(&self, run: &RunId, command: Command, actor: &str) -> Result<(), Refusal> {
        let handle = self.inner.handle(run).ok_or_else(|| Refusal::UnknownRun(run.clone()))?;
        let (reply, answer) = oneshot::channel();
        let message = Message::Command { command: command.printable(), actor: actor.to_owned(), reply };
        handle.inbox.send(message).await.map_err(|_| Refusal::UnknownRun(run.clone()))?;
        answer.await.map_err(|_| Refusal::UnknownRun(run.clone()))?
    }

    /// Sets the halt switch: while it is on, no run that may change anything is accepted, and no call that changes anything
    /// is made.
    pub async fn halt(&self, on: bool, reason: &str, actor: &str) -> Result<(), Refusal> {
        let reason = &printable(reason);
        let value = json!({ "reason": format!("{reason} ({actor})"), "at_ms": clock::now_ms() });
        let (bucket, key) = (BUCKET.to_owned(), "halt".to_owned());
        let change =
            if on { StateChange::Set { bucket, key, value } } else { StateChange::Delete { bucket, key } };
        if on {
            // First the switch, then the log: stopping must not wait for a disk.
            *self.inner.halt_switch() = Some(format!("{reason} ({actor})"));
        }
        let kind = if on { "halt.on" } else { "halt.off" };
        self.fact(actor, kind, json!({ "reason": reason }), vec![change]).await?;
        if !on {
            *self.inner.halt_switch() = None;
        }
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
        if let Some(name) = super::scrubbed::in_place(&state) {
            let words = format!("the name of a bucket or a key holds the value of a secret: {name}");
            return Err(Refusal::Input(vec![words]));
        }
        let fact = Draft::fact(actor, kind, super::words::printable_in(data));
        let draft = Draft { state: super::scrubbed::changes(state), ..fact };
        self.inner.audit.append(vec![draft], None).await?;
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

    /// Stops every run at its next safe point, leaving it to be carried on by another engine, and writes down the end.
    pub async fn drain(&self) {
        let handles: Vec<Handle> = self.inner.runs().values().cloned().collect();
        for handle in &handles {
            let _ = handle.inbox.send(Message::Drain).await;
        }
        for mut handle in handles {
            while handle.rest.changed().await.is_ok() {}
        }
        let stopped = Draft::fact(
            &self.inner.config.actor,
            "engine.stopped",
            json!({ "engine": self.inner.config.name }),
        );
        let _ = self.inner.audit.append(vec![stopped], None).await;
    }

    /// The audit log, for those who follow runs in this process.
    pub fn audit(&self) -> &Audit {
        &self.inner.audit
    }

    /// The plugins.
    pub fn plugins(&self) -> &Plugins {
        &self.inner.plugins
    }

    pub(super) fn of(inner: Arc<Inner>) -> Self {
        Self { inner }
    }

    pub(super) fn inner(&self) -> &Arc<Inner> {
        &self.inner
    }
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

    pub(super) fn halt_switch(&self) -> MutexGuard<'_, Option<String>> {
        self.halted.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn halted(&self) -> Option<String> {
        self.halt_switch().clone()
    }

    /// What came of a child that ended under an earlier engine.
    pub(super) fn ended_child(&self, run: &RunId) -> Option<crate::run::event::Outcome> {
        let reader = Reader::open(&self.config.data_dir).ok()?;
        let state = fold(&reader, run).ok()?;
        state.end().map(|end| crate::run::next::child_outcome(run, end))
    }

    /// A run's rest has changed.
    pub(super) fn tell(&self) {
        self.changed.send_modify(|count| *count += 1);
    }

    /// The run has ended.
    pub(super) fn forget(&self, run: &RunId) {
        self.locks.leave(run);
        self.runs().remove(run);
        self.tell();
    }

    pub(super) fn daemon(&self, target: &TargetName) -> Result<Daemon, Refusal> {
        let mut daemons = self.daemons.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(daemon) = daemons.get(target) {
            return Ok(daemon.clone());
        }
        let connection = self.config.targets.get(target).ok_or_else(|| Refusal::UnknownTarget {
            name: target.to_string(),
            known: self.config.targets.keys().map(ToString::to_string).collect(),
        })?;
        let daemon = Daemon::connect(connection).map_err(|e| Refusal::Target(e.failure))?;
        daemons.insert(target.clone(), daemon.clone());
        Ok(daemon)
    }

    /// What runs and plans reach.
    pub(super) fn world(&self, daemon: Option<Daemon>) -> World {
        let shared = (Arc::clone(&self.budgets), Arc::clone(&self.quota));
        World::live(daemon, self.config.data_dir.clone(), shared, self.config.secrets.clone())
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
