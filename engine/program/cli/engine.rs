//! `runbook engine`, hidden: the process that carries runs out. Commands begin it; it ends when no run needs it any more.

use std::path::PathBuf;
use std::time::Duration;

use clap::Args;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::watch;
use tokio::task::JoinSet;

use super::Ended;
use super::context::Context;
use super::launch::Launch;
use super::line::{Line, Order, SetAside, Word};
use super::patience::PATIENCE;
use crate::api::server::Server;
use crate::config::Settings;
use crate::error::{Error, exit};
use executor::lock_file::{self, LockFile};
use executor::{self, EngineConfig, emergency};

/// How long an idle engine stays that no command waits for, so that a script of many commands does not begin one for each.
const LINGER: Duration = Duration::from_secs(2);

/// When an engine that was told to end goes, whatever has not ended: it answers who has asked for up to 10 s, then lets steps bring
/// back what they took down for up to 30 s, and stops them then.
const LAST_PATIENCE: Duration = Duration::from_mins(1);

/// How often an engine looks whether an emergency has fenced it, or its directory is gone: then it goes away, so that what the
/// emergency wrote can be joined.
const LOOK: Duration = Duration::from_secs(1);

/// Carry out runs until none needs an engine (begun by other commands)
#[derive(Debug, Args)]
pub(super) struct Engine {
    /// Whose secrets it uses, if not those of its own data directory
    #[arg(long, value_name = "DIR")]
    pub(super) secrets_of: Option<PathBuf>,
    /// Stdin is the line to the command that began it
    #[arg(long)]
    begun: bool,
}

impl Engine {
    pub(super) fn run(self, context: &Context) -> Ended {
        // In a session of its own, no terminal can end it; it may fail only where it leads a group already.
        let _ = rustix::process::setsid();
        context.wait_many(async {
            let mut line = if self.begun { Line::of_stdin().ok() } else { None };
            if line.is_some() && !matches!(hear(&mut line).await, Some(Order::Begin)) {
                // The command needs none.
                return Ok(exit::SUCCEEDED);
            }
            let working = match Working::begin(context) {
                Ok(working) => working,
                Err(error) => {
                    say(&mut line, Word::Failed(error.clone())).await;
                    return Err(error);
                }
            };
            let Some(working) = working else {
                say(&mut line, Word::Busy).await;
                return Ok(exit::SUCCEEDED);
            };
            let on = working.until_over(&mut line).await?;
            working.end(on, Launch::of(context, context.settings()?)).await;
            Ok(exit::SUCCEEDED)
        })
    }
}

async fn say(line: &mut Option<Line<Order>>, word: Word) {
    if let Some(line) = line {
        line.say(&word).await;
    }
}

/// The next word of the command that began it.
async fn hear(line: &mut Option<Line<Order>>) -> Option<Order> {
    match line {
        Some(line) => line.hear().await,
        None => std::future::pending().await,
    }
}

/// An engine that takes requests.
struct Working {
    engine: executor::Engine,
    serving: JoinSet<()>,
    stop: watch::Sender<bool>,
    lock: LockFile,
    data_dir: PathBuf,
}

impl Working {
    /// Becomes the engine of the data directory; none if another process is.
    fn begin(context: &Context) -> Result<Option<Self>, Error> {
        let settings = context.settings()?;
        let data_dir = settings.data.path.clone();
        settings.data.ensure()?;
        let lock = lock_file::try_lock(&data_dir).map_err(|error| Error::file(&data_dir, "lock", &error))?;
        let Some(lock) = lock else { return Ok(None) };
        let engine = start(context, settings)?;
        let server =
            Server::bind(&data_dir).map_err(|error| Error::file(&data_dir, "make the socket in", &error))?;
        let (stop, mut stopped) = watch::channel(false);
        let mut serving = JoinSet::new();
        let handle = engine.clone();
        serving.spawn(async move {
            let shutdown = async move { drop(stopped.wait_for(|stop| *stop).await) };
            server.serve(handle, shutdown).await;
        });
        Ok(Some(Self { engine, serving, stop, lock, data_dir }))
    }

    /// Works until no run needs an engine and nobody waits for it, or someone wants the process to end; whether another engine
    /// may follow it.
    async fn until_over(&self, line: &mut Option<Line<Order>>) -> Result<bool, Error> {
        let listen = |kind| {
            signal(kind).map_err(|error| Error::environment(format!("cannot listen for signals: {error}")))
        };
        let mut terminate = listen(SignalKind::terminate())?;
        let mut interrupt = listen(SignalKind::interrupt())?;
        // Whose terminal is gone is no matter of the engine.
        let _hangup = listen(SignalKind::hangup())?;
        let aside = self.engine.set_aside().into_iter();
        let aside = aside.map(|(run, aside)| SetAside { run, why: aside.why }).collect();
        say(line, Word::Ready { aside }).await;
        let on = tokio::select! {
            () = self.needed(line) => true,
            _ = terminate.recv() => false,
            _ = interrupt.recv() => false,
            () = self.engine.audit().failed() => false,
            () = self.displaced() => false,
        };
        if let Some(failure) = self.engine.audit().failure() {
            say(line, Word::Failed(failure.into())).await;
        }
        Ok(on)
    }

    /// Until the command that began it is done or gone, and no run needs an engine.
    async fn needed(&self, line: &mut Option<Line<Order>>) {
        if line.is_some()
            && let Some(Order::Done { followed }) = hear(line).await
        {
            if let Some(run) = followed {
                // Its log is read faster than its tasks end.
                let _ = tokio::time::timeout(PATIENCE, self.engine.settled(&run)).await;
            }
            if self.engine.busy() == 0 {
                return;
            }
            say(line, Word::Stays).await;
        }
        loop {
            self.engine.idle().await;
            tokio::time::sleep(LINGER).await;
            if self.engine.busy() == 0 {
                return;
            }
        }
    }

    /// Until an emergency has fenced the directory, or it is not there any more.
    async fn displaced(&self) {
        while !emergency::is_closed(&self.data_dir) && self.lock.is_in_place(&self.data_dir) {
            tokio::time::sleep(LOOK).await;
        }
    }

    /// Answers who has asked, then hands the directory over. Whoever asks meanwhile is told to ask the next one, for as long as a
    /// write that is under way takes to end. Where runs are left that need an engine, another is begun if it may.
    async fn end(self, on: bool, launch: Launch) {
        let ended = if on {
            Some(self.drain().await)
        } else {
            tokio::time::timeout(LAST_PATIENCE, self.drain()).await.ok()
        };
        match ended {
            // Someone may have asked for something in the very moment this engine went away.
            Some(true) if on => {
                if let Err(error) = launch.begin_next() {
                    tracing::error!(%error, "nobody carries on the unfinished runs; the next command will");
                }
            }
            Some(_) => {}
            None => tracing::error!(
                "what is under way did not end in time; the next engine looks what became of it"
            ),
        }
    }

    /// Whether runs are left that need an engine.
    async fn drain(mut self) -> bool {
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

fn start(context: &Context, settings: &Settings) -> Result<executor::Engine, Error> {
    Ok(executor::Engine::start(EngineConfig {
        data_dir: settings.data.path.clone(),
        targets: settings.connections(),
        name: name(),
        actor: settings.actor.clone(),
        secrets: context.keeper()?,
        quota: settings.quota.0,
        user_name: crate::config::name_of_user,
    })?)
}

fn name() -> String {
    let host = rustix::system::uname().nodename().to_string_lossy().into_owned();
    format!("{}:{}", crate::error::printable(&host), std::process::id())
}
