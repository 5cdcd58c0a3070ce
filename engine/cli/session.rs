//! Whom a command asks: the engine of the data directory, which is this process if no other is.

use std::path::PathBuf;
use std::process::Stdio;
use std::time::Duration;

use serde_json::Value;
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::Instant;

use super::context::Context;
use super::signals::Signals;
use crate::api::client::Client;
use crate::api::server::Server;
use crate::audit::StateChange;
use crate::config::Settings;
use crate::error::{Error, Kind};
use crate::executor::emergency;
use crate::executor::lock_file::{self, LockFile};

use crate::executor::request::{Command, Plan, Request};
use crate::executor::{Engine, EngineConfig, Refusal};
use crate::model::ids::RunId;
use crate::secrets::Keeper;

/// How long an engine may take to begin or to end, during which it holds the lock and serves nobody.
const PATIENCE: Duration = Duration::from_secs(8);

/// How long a command waits for its turn while engines follow each other.
const LONGEST_PATIENCE: Duration = Duration::from_mins(1);

/// Between two looks.
const PAUSE: Duration = Duration::from_millis(20);

/// Whom a command asks.
pub(crate) struct Session {
    place: Place,
    actor: String,
    successor: Successor,
}

enum Place {
    Here(Box<Here>),
    There(Client),
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
        let client = Client::new(&settings.data.path);
        let name = engine_name();
        let mut wait = Wait::new(settings);
        let place = loop {
            let lock = lock_file::try_lock(&settings.data.path)
                .map_err(|error| Error::file(&settings.data.path, "lock", &error))?;
            if let Some(lock) = lock {
                let here = Here::start(settings, context.keeper()?, lock, name)?;
                warn_if_blind(context);
                break Place::Here(Box::new(here));
            }
            if client.health().await?.is_some() {
                break Place::There(client);
            }
            wait.pause().await?;
        };
        Ok(Self { place, actor: settings.actor.clone(), successor: Successor::of(context, settings) })
    }

    /// The engine of another process, which is begun in the background if there is none.
    pub(crate) async fn open_elsewhere(context: &Context) -> Result<Self, Error> {
        let settings = context.settings()?;
        settings.data.ensure()?;
        let client = Client::new(&settings.data.path);
        let successor = Successor::of(context, settings);
        let mut wait = Wait::new(settings);
        let mut begun: Option<Instant> = None;
        while client.health().await?.is_none() {
            // The one that was there, or was begun, may have gone away just now.
            if begun.is_none_or(|begun| begun.elapsed() >= BEGIN_AGAIN) {
                successor.begin()?;
                begun = Some(Instant::now());
            }
            wait.pause().await?;
        }
        Ok(Self { place: Place::There(client), actor: settings.actor.clone(), successor })
    }

    /// Whoever is the engine, if anybody is; begins none.
    pub(crate) fn onlooker(context: &Context) -> Result<Self, Error> {
        let settings = context.settings()?;
        let place = Place::There(Client::new(&settings.data.path));
        Ok(Self { place, actor: settings.actor.clone(), successor: Successor::of(context, settings) })
    }

    /// Whether the engine is this process.
    pub(crate) fn is_here(&self) -> bool {
        matches!(self.place, Place::Here(_))
    }

    /// Accepts a run.
    pub(crate) async fn submit(&self, request: &Request) -> Result<RunId, Error> {
        match &self.place {
            Place::Here(here) => Ok(here.engine.submit(request.clone()).await?),
            Place::There(client) => client.submit(request).await,
        }
    }

    /// What a run would do.
    pub(crate) async fn plan(&self, request: &Request) -> Result<Plan, Error> {
        match &self.place {
            Place::Here(here) => Ok(here.engine.plan(request.clone()).await?),
            Place::There(client) => client.plan(request).await,
        }
    }

    /// Passes a command on to a run.
    pub(crate) async fn command(&self, run: &RunId, command: Command) -> Result<(), Error> {
        match &self.place {
            Place::Here(here) => Ok(here.engine.command(run, command, &self.actor).await?),
            Place::There(client) => client.command(run, command, &self.actor).await,
        }
    }

    /// Sets the halt switch.
    pub(crate) async fn halt(&self, on: bool, reason: &str) -> Result<(), Error> {
        match &self.place {
            Place::Here(here) => Ok(here.engine.halt(on, reason, &self.actor).await?),
            Place::There(client) => client.halt(on, reason, &self.actor).await,
        }
    }

    /// Writes down something that belongs to no run.
    pub(crate) async fn fact(&self, kind: &str, data: Value, state: Vec<StateChange>) -> Result<(), Error> {
        match &self.place {
            Place::Here(here) => Ok(here.engine.fact(&self.actor, kind, data, state).await?),
            Place::There(client) => client.fact(&self.actor, kind, data, state).await,
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
            Place::There(client) if matches!(client.health().await, Ok(None)) => self.successor.begin(),
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

/// Waits for an engine that holds the data directory and answers nobody: it begins or ends. Many short-lived ones may follow
/// each other; only one that stays silent is given up.
struct Wait<'s> {
    settings: &'s Settings,
    holder: Option<u32>,
    since: Instant,
    began: Instant,
}

impl<'s> Wait<'s> {
    fn new(settings: &'s Settings) -> Self {
        let now = Instant::now();
        Self { settings, holder: None, since: now, began: now }
    }

    async fn pause(&mut self) -> Result<(), Error> {
        let holder = lock_file::holder(&self.settings.data.path);
        if holder != self.holder {
            (self.holder, self.since) = (holder, Instant::now());
        }
        if self.since.elapsed() >= PATIENCE || self.began.elapsed() >= LONGEST_PATIENCE {
            return Err(busy(self.settings));
        }
        tokio::time::sleep(PAUSE).await;
        Ok(())
    }
}

/// What cannot be opened cannot be taken out of what is recorded either.
fn warn_if_blind(context: &Context) {
    let Some(why) = context.keeper().ok().and_then(|keeper| keeper.blind()) else { return };
    context.out.warning(&format!(
        "the secrets cannot be opened, so that a value which something prints is recorded as it is: {why}"
    ));
    if let Some(way_out) = why.way_out() {
        context.out.hint(way_out);
    }
}

impl Here {
    fn start(settings: &Settings, secrets: Keeper, lock: LockFile, name: String) -> Result<Self, Error> {
        let usable = settings
            .targets
            .iter()
            .filter_map(|target| Some((target.name.clone(), target.connection().ok()?)));
        let engine = Engine::start(EngineConfig {
            data_dir: settings.data.path.clone(),
            targets: usable.collect(),
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

    /// Answers who has asked, then hands the directory over; whether runs are left that need an engine.
    async fn end(mut self) -> bool {
        let _ = self.stop.send(true);
        while self.serving.join_next().await.is_some() {}
        let unfinished = self.engine.busy() > 0;
        self.engine.drain().await;
        drop(self.engine);
        drop(self.lock);
        unfinished
    }
}

/// How often an engine in the background looks whether an emergency has fenced it: then it goes away, so that what the
/// emergency wrote can be joined.
const LOOK_FOR_FENCE: Duration = Duration::from_secs(1);

/// After so long without an answer another engine is begun in the background; one too many finds the lock held and ends.
const BEGIN_AGAIN: Duration = Duration::from_secs(2);

/// From this size on the C library gives memory back to the system as soon as it is free. Left to itself it raises that bound,
/// and an engine that lives for days keeps what a plugin made it use for a moment (measured: `tests/hostile`, up to 190 MiB).
const LARGE_BYTES: &str = "1048576";

/// How to begin an engine in the background that sees the same settings.
struct Successor {
    data_dir: PathBuf,
    config: Option<PathBuf>,
}

impl Successor {
    fn of(context: &Context, settings: &Settings) -> Self {
        Self { data_dir: settings.data.path.clone(), config: context.flags().config.clone() }
    }

    fn begin(&self) -> Result<(), Error> {
        let program = std::env::current_exe().map_err(|error| {
            Error::environment(format!("cannot find this program: {}", crate::error::reason(&error)))
        })?;
        let mut command = std::process::Command::new(program);
        command.arg("engine").arg("--data-dir").arg(&self.data_dir);
        if let Some(config) = &self.config {
            command.arg("--config").arg(config);
        }
        command.env("MALLOC_MMAP_THRESHOLD_", LARGE_BYTES);
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        command.spawn().map(drop).map_err(|error| {
            Error::environment(format!("cannot begin an engine: {}", crate::error::reason(&error)))
        })
    }
}

fn engine_name() -> String {
    let host = rustix::system::uname().nodename().to_string_lossy().into_owned();
    format!("{}:{}", crate::error::printable(&host), std::process::id())
}

fn busy(settings: &Settings) -> Error {
    let holder =
        lock_file::holder(&settings.data.path).map(|pid| format!(" by process {pid}")).unwrap_or_default();
    let shown = settings.data.path.display();
    Error::new(
        Kind::Directory,
        format!("the data directory `{shown}` is held{holder}, which serves no socket"),
    )
    .hint("try again in a moment; if it cannot wait: `runbook run … --emergency --reason WHY`")
}
