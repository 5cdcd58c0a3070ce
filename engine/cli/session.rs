//! Whom a command asks: the engine of the data directory, which is this process if no other is.

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use serde_json::Value;
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::Instant;

use super::context::Context;
use super::guard;
use super::patience::{PATIENCE, Wait};
use super::signals::Signals;
use super::successor::Successor;
use crate::api::client::{Client, Conversation, Unanswered};
use crate::api::server::Server;
use crate::audit::StateChange;
use crate::config::Settings;
use crate::error::Error;
use crate::executor::emergency;
use crate::executor::lock_file::{self, LockFile};
use crate::executor::request::{Command, Plan, Request};
use crate::executor::{Engine, EngineConfig, Refusal};
use crate::model::ids::RunId;
use crate::secrets::Keeper;

/// After so long without an answer another engine is begun in the background; one too many finds the lock held and ends.
const BEGIN_AGAIN: Duration = Duration::from_secs(2);

/// A greeting older than this is no longer relied upon.
const FRESH: Duration = Duration::from_secs(1);

/// Between two looks at a log that tells nothing further.
const PAUSE: Duration = Duration::from_millis(20);

/// Whom a command asks.
pub(crate) struct Session {
    place: Place,
    actor: String,
    sudo_user: Option<String>,
    successor: Successor,
}

enum Place {
    Here(Box<Here>),
    There(There),
}

/// The engine of another process.
struct There {
    client: Client,
    /// The conversation that showed that it is there, for the first question.
    greeted: Mutex<Option<(Instant, Conversation)>>,
}

/// The engine in this process.
struct Here {
    engine: Engine,
    serving: JoinSet<()>,
    stop: watch::Sender<bool>,
    lock: LockFile,
}

impl Session {
    /// Becomes the engine, or finds it.
    pub(crate) async fn open(context: &Context) -> Result<Self, Error> {
        let settings = context.settings()?;
        settings.data.ensure()?;
        let there = There::of(settings);
        let name = engine_name();
        let mut wait = Wait::new(&settings.data.path);
        let place = loop {
            let lock = lock_file::try_lock(&settings.data.path)
                .map_err(|error| Error::file(&settings.data.path, "lock", &error))?;
            if let Some(lock) = lock {
                let here = Here::start(settings, context.keeper()?, lock, name)?;
                guard::warn_if_blind(context, "recorded");
                warn_of_those_set_aside(context, &here.engine);
                break Place::Here(Box::new(here));
            }
            if there.greet(&mut wait).await? {
                break Place::There(there);
            }
            wait.pause().await?;
        };
        Ok(Self {
            place,
            actor: settings.actor.clone(),
            sudo_user: settings.sudo_user.clone(),
            successor: Successor::of(context, settings),
        })
    }

    /// The engine of another process, which is begun in the background if there is none.
    pub(crate) async fn open_elsewhere(context: &Context) -> Result<Self, Error> {
        let settings = context.settings()?;
        settings.data.ensure()?;
        let (there, successor) = (There::of(settings), Successor::of(context, settings));
        there.find(&successor).await?;
        Ok(Self {
            place: Place::There(there),
            actor: settings.actor.clone(),
            sudo_user: settings.sudo_user.clone(),
            successor,
        })
    }

    /// Whoever is the engine, if anybody is; begins none.
    pub(crate) fn onlooker(context: &Context) -> Result<Self, Error> {
        let settings = context.settings()?;
        let place = Place::There(There::of(settings));
        Ok(Self {
            place,
            actor: settings.actor.clone(),
            sudo_user: settings.sudo_user.clone(),
            successor: Successor::of(context, settings),
        })
    }

    /// Whether the engine is this process.
    pub(crate) fn is_here(&self) -> bool {
        matches!(self.place, Place::Here(_))
    }

    /// Accepts a run. One with a dedupe key is asked for again where the answer was lost: it is the same run.
    pub(crate) async fn submit(&self, request: &Request) -> Result<RunId, Error> {
        match &self.place {
            Place::Here(here) => Ok(here.engine.submit(request.clone()).await?),
            Place::There(there) => {
                let again = request.dedupe.is_some();
                there.ask(&self.successor, again, async |engine| engine.submit(request).await).await
            }
        }
    }

    /// What a run would do.
    pub(crate) async fn plan(&self, request: &Request) -> Result<Plan, Error> {
        match &self.place {
            Place::Here(here) => Ok(here.engine.plan(request.clone()).await?),
            // It changes nothing.
            Place::There(there) => {
                there.ask(&self.successor, true, async |engine| engine.plan(request).await).await
            }
        }
    }

    /// Passes a command on to a run.
    pub(crate) async fn command(&self, run: &RunId, command: Command) -> Result<(), Error> {
        match &self.place {
            Place::Here(here) => Ok(here.engine.command(run, command, &self.actor).await?),
            Place::There(there) => {
                let ask = async |engine: Conversation| engine.command(run, command.clone()).await;
                there.ask(&self.successor, false, ask).await
            }
        }
    }

    /// Sets the halt switch.
    pub(crate) async fn halt(&self, on: bool, reason: &str) -> Result<(), Error> {
        match &self.place {
            Place::Here(here) => Ok(here.engine.halt(on, reason, &self.actor).await?),
            // To halt twice is to halt.
            Place::There(there) => {
                let ask = async |engine: Conversation| engine.halt(on, reason).await;
                there.ask(&self.successor, on, ask).await
            }
        }
    }

    /// Writes down something that belongs to no run.
    pub(crate) async fn fact(
        &self,
        kind: &str,
        mut data: Value,
        state: Vec<StateChange>,
    ) -> Result<(), Error> {
        if let (Some(remark), Some(data)) = (&self.sudo_user, data.as_object_mut()) {
            data.insert("sudo_user".to_owned(), Value::from(remark.as_str()));
        }
        match &self.place {
            Place::Here(here) => Ok(here.engine.fact(&self.actor, kind, data, state).await?),
            Place::There(there) => {
                let ask = async |engine: Conversation| engine.fact(kind, data.clone(), state.clone()).await;
                there.ask(&self.successor, false, ask).await
            }
        }
    }

    /// Until the engine here knows, too, that a run rests: its log is read faster than its tasks end.
    pub(crate) async fn rested(&self, run: &RunId) {
        if let Place::Here(here) = &self.place {
            let _ = tokio::time::timeout(PATIENCE, here.engine.settled(run)).await;
        }
    }

    /// Returns as soon as there may be something new in the audit log.
    pub(crate) async fn news(&self, committed: &mut Option<watch::Receiver<u64>>, pause: Duration) {
        if let (Place::Here(here), None) = (&self.place, &*committed) {
            *committed = Some(here.engine.audit().committed());
        }
        let sleep = tokio::time::sleep(pause);
        match committed {
            Some(committed) => {
                tokio::select! {
                    changed = committed.changed() => if changed.is_err() { tokio::time::sleep(PAUSE).await; },
                    () = sleep => {}
                }
            }
            None => sleep.await,
        }
    }

    /// Why the engine does nothing more, if it does not: its log has failed, or an emergency has fenced it.
    pub(crate) fn failure(&self) -> Option<Error> {
        if let Place::Here(here) = &self.place
            && let Some(failure) = here.engine.audit().failure()
        {
            return Some(failure.into());
        }
        emergency::is_closed(&self.successor.data_dir).then(|| Refusal::Fenced.into())
    }

    /// If nobody is the engine any more, begins one in the background that carries on what is unfinished.
    pub(crate) async fn revive(&self) -> Result<(), Error> {
        match &self.place {
            Place::There(there) if matches!(there.client.health().await, Ok(None)) => {
                self.successor.begin_if_nobody()
            }
            _ => Ok(()),
        }
    }

    /// Ends in good order; other people's runs go on in the background. Not where the log has failed: then they rest until
    /// someone has looked at the disk.
    pub(crate) async fn close(self) {
        let failed = self.failure().is_some();
        let Place::Here(here) = self.place else { return };
        if here.end().await
            && !failed
            && let Err(error) = self.successor.begin()
        {
            tracing::error!(%error, "nobody carries on the unfinished runs; the next command will");
        }
    }

    /// Works as the engine until no run needs one, or someone wants the process to end.
    pub(crate) async fn serve_until_idle(self, linger: Duration, signals: &mut Signals) {
        let Place::Here(here) = self.place else { return };
        let idle = async {
            loop {
                here.engine.idle().await;
                tokio::time::sleep(linger).await;
                if here.engine.busy() == 0 {
                    return;
                }
            }
        };
        let fenced = async {
            while !emergency::is_closed(&self.successor.data_dir) {
                tokio::time::sleep(LOOK_FOR_FENCE).await;
            }
        };
        let on = tokio::select! {
            () = idle => true,
            _ = signals.next() => false,
            () = here.engine.audit().failed() => false,
            () = fenced => false,
        };
        // Someone may have asked for something in the very moment this engine went away.
        if here.end().await && on {
            let _ = self.successor.begin();
        }
    }
}

/// Each is told by every process that becomes the engine: nobody else looks after them.
fn warn_of_those_set_aside(context: &Context, engine: &Engine) {
    for (run, aside) in engine.set_aside() {
        context.out.warning(&format!("run `{run}` is set aside, since it cannot be read: {}", aside.why));
        context.out.hint(&format!("`runbook runs show {run}` tells what to do about it"));
    }
}

impl There {
    fn of(settings: &Settings) -> Self {
        Self { client: Client::new(&settings.data.path), greeted: Mutex::new(None) }
    }

    /// Whether an engine is there that takes requests; then it is remembered for the first question.
    async fn greet(&self, wait: &mut Wait<'_>) -> Result<bool, Error> {
        let Some(conversation) = self.client.greet().await? else { return Ok(false) };
        wait.heard();
        if conversation.health.leaving {
            return Ok(false);
        }
        *self.greeted.lock().unwrap_or_else(PoisonError::into_inner) = Some((Instant::now(), conversation));
        Ok(true)
    }

    /// Until an engine is there; begins one in the background if nobody is about to be it.
    async fn find(&self, successor: &Successor) -> Result<(), Error> {
        let mut wait = Wait::new(&successor.data_dir);
        let mut begun: Option<Instant> = None;
        while !self.greet(&mut wait).await? {
            // The one that was there, or was begun, may have gone away just now.
            if begun.is_none_or(|begun| begun.elapsed() >= BEGIN_AGAIN) {
                successor.begin_if_nobody()?;
                begun = Some(Instant::now());
            }
            wait.pause().await?;
        }
        Ok(())
    }

    async fn conversation(&self, successor: &Successor) -> Result<Conversation, Error> {
        loop {
            let greeted = self.greeted.lock().unwrap_or_else(PoisonError::into_inner).take();
            match greeted {
                Some((at, conversation)) if at.elapsed() < FRESH => return Ok(conversation),
                _ => self.find(successor).await?,
            }
        }
    }

    /// Asks the engine, and the one that follows it where the first has done nothing; `again`, also where it may have.
    async fn ask<T>(
        &self,
        successor: &Successor,
        again: bool,
        question: impl AsyncFn(Conversation) -> Result<T, Unanswered>,
    ) -> Result<T, Error> {
        let mut wait = Wait::new(&successor.data_dir);
        loop {
            match question(self.conversation(successor).await?).await {
                Err(Unanswered::Leaving) => wait.heard(),
                Err(Unanswered::Broken(_)) if again => {}
                answered => return Ok(answered?),
            }
            wait.pause().await?;
        }
    }
}

impl Here {
    fn start(settings: &Settings, secrets: Keeper, lock: LockFile, name: String) -> Result<Self, Error> {
        let engine = Engine::start(EngineConfig {
            data_dir: settings.data.path.clone(),
            targets: settings.connections(),
            name,
            actor: settings.actor.clone(),
            secrets,
            quota: settings.quota.0,
        })?;
        let server = Server::bind(&settings.data.path)
            .map_err(|error| Error::file(&settings.data.path, "make the socket in", &error))?;
        let (stop, mut stopped) = watch::channel(false);
        let mut serving = JoinSet::new();
        let handle = engine.clone();
        serving.spawn(async move {
            let shutdown = async move { drop(stopped.wait_for(|stop| *stop).await) };
            server.serve(handle, shutdown).await;
        });
        Ok(Self { engine, serving, stop, lock })
    }

    /// Answers who has asked, then hands the directory over; whether runs are left that need an engine. Whoever asks
    /// meanwhile is told to ask the next one, for as long as a write that is under way takes to end.
    async fn end(mut self) -> bool {
        self.engine.leave().await;
        let _ = self.stop.send(true);
        while self.serving.join_next().await.is_some() {}
        self.engine.drain().await;
        let unfinished = self.engine.busy() > 0;
        drop(self.engine);
        drop(self.lock);
        unfinished
    }
}

/// How often an engine in the background looks whether an emergency has fenced it: then it goes away, so that what the
/// emergency wrote can be joined.
const LOOK_FOR_FENCE: Duration = Duration::from_secs(1);

fn engine_name() -> String {
    let host = rustix::system::uname().nodename().to_string_lossy().into_owned();
    format!("{}:{}", crate::error::printable(&host), std::process::id())
}
