//! From a request to a run. What must hold for it (its dedupe key is free, the halt switch is off, a lock that it does not
//! wait for is free, there is room for one more) goes with the acceptance and is looked at in its commit: of many equal
//! requests at once one becomes a run.

use std::sync::{Arc, OnceLock};

use tokio::sync::oneshot;

use super::acceptance::{self, Parent, Prepared};
use super::bounds;
use super::dedupe::{self, Key};
use super::emergency;
use super::engine::{Asked, BUCKET, Engine, HALT, Inner, MAX_UNFINISHED};
use super::holder::Holder;
use super::journal::{Along, Journal, into_refusal};
use super::planner::Planned;
use super::refusal::Refusal;
use super::request::{Command, LockWish, Request};
use super::runner::Message;
use audit::{self, Claim, Condition, RunRow, Taken, Unmet};
use host::LocalChanges;
use run::event::{Event, PlannedWrites};
use run::state::State;
use words::clock;
use words::ids::{Digest, RunId};

/// A request that was checked, and what must hold in its commit.
struct Wish {
    request: Request,
    prepared: Prepared,
    parent: Option<RunId>,
    ancestors: Vec<RunId>,
    conditions: Vec<Condition>,
}

/// Locks of the machine that were taken for a run that is not accepted yet.
struct Reserved<'a> {
    inner: &'a Inner,
    run: Option<&'a RunId>,
}

impl Reserved<'_> {
    fn keep(mut self) {
        self.run = None;
    }
}

impl Drop for Reserved<'_> {
    fn drop(&mut self) {
        if let Some(run) = self.run {
            self.inner.host_locks.leave(run);
        }
    }
}

impl Engine {
    /// Accepts a request: when this returns, the run is durable. Nothing has been done yet.
    pub async fn submit(&self, request: Request) -> Result<RunId, Refusal> {
        let _asked = Asked::from_outside(self.inner())?;
        self.accept(request, None).await
    }

    pub(super) async fn accept(&self, request: Request, parent: Option<RunId>) -> Result<RunId, Refusal> {
        bounds::request(&request)?;
        let request = request.printable();
        if emergency::is_closed(&self.inner().config.data_dir) {
            return Err(Refusal::Fenced);
        }
        let mut conditions = match self.look(&request, parent.as_ref())? {
            Key::Run(run) => return Ok(run),
            Key::Absent => Vec::new(),
            Key::Free(condition) => vec![condition],
        };
        let ancestors = self.inner().ancestors(parent.as_ref());
        if ancestors.len() > acceptance::MAX_CHILD_DEPTH {
            let most = acceptance::MAX_CHILD_DEPTH;
            return Err(Refusal::Exhausted(format!("runbooks may use each other {most} deep, not deeper")));
        }
        let asking = parent.as_ref().and_then(|parent| self.parent_of(parent));
        let mut prepared = self.inner().reach.prepare(&request, asking).await?;
        // Who only looks may look while the engine is halted: that is when people need it most.
        if prepared.accepted.grants.writes() {
            if let Some(reason) = self.inner().halt.reason() {
                return Err(Refusal::Halted(reason));
            }
            let (bucket, key) = (BUCKET.to_owned(), HALT.to_owned());
            conditions.push(Condition::State { bucket, key, value: None });
        }
        conditions.push(Condition::Unfinished { below: MAX_UNFINISHED as u64 });
        prepared.accepted.plan = match (&request.plan, &parent) {
            (Some(asked), _) => Some(self.hold_to_plan(&request, asked).await?),
            (None, Some(parent)) => self.plan_of(parent),
            (None, None) => None,
        };
        let wish = Wish { request: request.clone(), prepared, parent: parent.clone(), ancestors, conditions };
        match self.begin_whole(wish).await {
            // Another request with the same key was first: it is that run.
            Err(Refusal::Audit(audit::Error::Unmet(Unmet::State { bucket, key, .. })))
                if bucket == dedupe::BUCKET =>
            {
                match self.look(&request, parent.as_ref())? {
                    Key::Run(run) => Ok(run),
                    Key::Absent | Key::Free(_) => {
                        Err(Refusal::Internal(format!("the dedupe key `{key}` is used and names no run")))
                    }
                }
            }
            other => other,
        }
    }

    fn look(&self, request: &Request, parent: Option<&RunId>) -> Result<Key, Refusal> {
        dedupe::look(&self.inner().config.data_dir, request, parent, clock::now_ms())
    }

    fn parent_of(&self, run: &RunId) -> Option<Parent> {
        let handle = self.inner().handle(run)?;
        handle.journal.with(|state| Some(Parent::of(run.clone(), state.accepted()?)))
    }

    /// A child is held to the plan of its parent, which holds its writes too.
    fn plan_of(&self, parent: &RunId) -> Option<PlannedWrites> {
        let parent = self.inner().handle(parent)?;
        parent.journal.with(|state| state.accepted()?.plan.clone())
    }

    async fn hold_to_plan(&self, request: &Request, asked: &Digest) -> Result<PlannedWrites, Refusal> {
        let request = Request { plan: None, ..request.clone() };
        let Planned { plan, held, cut } = super::planner::plan(&self.inner().reach, &request).await?;
        if let Some(why) = cut {
            return Err(Refusal::PlanNotWhole { why });
        }
        if plan.digest != *asked {
            return Err(Refusal::PlanChanged {
                asked: asked.short().to_owned(),
                now: plan.digest.short().to_owned(),
            });
        }
        Ok(held)
    }

    /// Records and begins it in a task of its own: whoever asked may go away in between, and what was accepted is begun all
    /// the same.
    async fn begin_whole(&self, wish: Wish) -> Result<RunId, Refusal> {
        let (reply, answer) = oneshot::channel();
        let (engine, asked) = (self.clone(), Asked::of(self.inner()));
        let work = async move {
            let _ = reply.send(engine.record(wish).await);
            drop(asked);
        };
        self.inner().tasks.begin("acceptance", work, || {});
        let died = || Refusal::Internal("the task that accepts a run died".to_owned());
        answer.await.map_err(|_| died())?.map_err(|refusal| self.worded(refusal))
    }

    async fn record(&self, wish: Wish) -> Result<RunId, Refusal> {
        let Wish { request, prepared, parent, ancestors, mut conditions } = wish;
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
        local.blobs.extend(self.inner().reach.plugins.not_kept(&accepted.plugins)?);
        local.state.extend(request.dedupe.as_deref().map(|key| dedupe::remembered(key, &run)));
        self.reserve(&run, &accepted, &ancestors, &request.lock).await?;
        let reserved = Reserved { inner: self.inner(), run: Some(&run) };
        let journal = Journal::new(self.inner(), request.actor, row, State::of(run.clone()));
        let names = accepted.texts.iter().map(|(name, _)| name.clone());
        let texts = names.zip(texts.into_iter().map(|t| String::from_utf8_lossy(&t).into_owned())).collect();
        let (claim, losers) = self.claim(&run, &accepted.locks, ancestors, &request.lock);
        conditions.push(Condition::Claim(claim));
        let along = Along { local, conditions };
        let ticket =
            journal.submit(&Event::Accepted(Box::new(accepted)), None, along).map_err(into_refusal)?;
        ticket.durable().await?;
        reserved.keep();
        let actor = journal.actor().to_owned();
        self.inner().begin(journal, self.inner().shelf.share(runbook, texts), parent);
        if let LockWish::Take { reason } = request.lock {
            self.tell_losers(losers.get().into_iter().flatten(), &run, &reason, &actor).await;
        }
        Ok(run)
    }

    /// Runs whose locks another one was given end, also one that cannot be read.
    pub(super) async fn tell_losers(
        &self,
        losers: impl Iterator<Item = &RunId>,
        by: &RunId,
        reason: &str,
        actor: &str,
    ) {
        for loser in losers {
            if let Some(aside) = self.inner().aside.why(loser) {
                let reason = format!("run `{by}` was given its locks: {reason}");
                let cancel = Command::Cancel { reason, undo: false };
                if let Err(error) = self.command_aside(loser, cancel, actor, aside).await {
                    tracing::error!(run = %loser, %error, "a run that is set aside could not be ended");
                }
            } else if let Some(handle) = self.inner().handle(loser) {
                let (by, reason, actor) = (by.clone(), reason.to_owned(), actor.to_owned());
                let _ = handle.inbox.send(Box::new(Message::LockTaken { by, reason, actor })).await;
            }
        }
    }

    /// Stands in line for the run's locks, in the order of the commits; who loses a lock is known afterwards.
    fn claim(
        &self,
        run: &RunId,
        locks: &[String],
        ancestors: Vec<RunId>,
        wish: &LockWish,
    ) -> (Claim, Arc<OnceLock<Vec<RunId>>>) {
        let losers = Arc::new(OnceLock::new());
        let (table, told) = (Arc::clone(&self.inner().locks), Arc::clone(&losers));
        let (run, locks, wish) = (run.clone(), locks.to_vec(), wish.clone());
        let claim: Claim = Box::new(move || match wish {
            LockWish::Fail => {
                table.enter_if_free(&run, &locks, ancestors).map_err(|(what, by)| Taken { what, by })
            }
            LockWish::Wait | LockWish::Take { .. } => {
                let first = matches!(wish, LockWish::Take { .. });
                let _ = told.set(table.enter(&run, &locks, ancestors, first));
                Ok(())
            }
        });
        (claim, losers)
    }

    /// What a condition that did not hold means to the one who asked.
    fn worded(&self, refusal: Refusal) -> Refusal {
        let Refusal::Audit(audit::Error::Unmet(unmet)) = refusal else { return refusal };
        match unmet {
            Unmet::State { bucket, found, .. } if bucket == BUCKET => {
                let reason = found.and_then(|halt| Some(halt.get("reason")?.as_str()?.to_owned()));
                Refusal::Halted(reason.unwrap_or_default())
            }
            Unmet::Unfinished { limit, .. } => {
                Refusal::Exhausted(format!("{limit} runs are unfinished: no more are taken"))
            }
            Unmet::Taken(Taken { what, by }) => {
                let family = self.inner().locks.family(&by, &what);
                Refusal::Locked { lock: what, holder: Box::new(Holder::of(self.inner(), &family)) }
            }
            Unmet::State { .. } => Refusal::Audit(audit::Error::Unmet(unmet)),
        }
    }
}
