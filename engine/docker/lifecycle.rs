//! Stopping, starting and the like: changes that converge on a state, by a container's id.
//!
//! Each looks first, so that what is already so is a success and what cannot be is refused before acting, and looks
//! again afterwards, since the container as it then is is the answer.

use std::time::Duration;

use bollard::query_parameters::{
    KillContainerOptionsBuilder, RemoveContainerOptionsBuilder, RenameContainerOptionsBuilder,
    StopContainerOptionsBuilder,
};

use crate::daemon::{Daemon, WRITE_DEADLINE, write};
use crate::error::{Call, Error};
use crate::name::{check_container, signal};
use crate::types::{Container, State, Stopped};
use words::clock::{self, Deadline};

/// The longest grace of a stop.
const MAX_GRACE: Duration = Duration::from_hours(1);
/// The exit code of a container whose process was ended by KILL.
const KILLED: i32 = 137;
/// How long a removal may take that somebody else asked for.
const REMOVAL: Duration = Duration::from_secs(20);
/// The pause between two looks for its end.
const PAUSE: Duration = Duration::from_millis(100);

impl Daemon {
    /// The container's own stop signal, then after the grace KILL; without a grace, after the container's own stop timeout.
    /// Stopped already is a success.
    pub async fn stop(&self, id: &str, grace: impl Into<Option<Duration>>) -> Result<Stopped, Error> {
        let asked: Option<Duration> = grace.into();
        if asked.is_some_and(|grace| grace > MAX_GRACE) {
            let most = MAX_GRACE.as_secs();
            return Err(Error::invalid("containers.grace", format!("a grace is at most {most} s")));
        }
        let before = self.inspect(id).await?;
        refuse_auto_remove(&before)?;
        let mut options = StopContainerOptionsBuilder::default();
        if let Some(grace) = asked {
            // The daemon counts whole seconds; a grace is never cut short.
            let seconds = grace.as_secs() + u64::from(grace.subsec_nanos() > 0);
            options = options.t(i32::try_from(seconds).unwrap_or(i32::MAX));
        }
        let options = options.build();
        let grace = asked.unwrap_or(Duration::from_millis(before.own_grace_ms()));
        let call = Call { deadline: grace + WRITE_DEADLINE, ..write("stop container", &before.name) };
        let since_ms = clock::now_ms();
        let stop =
            async |docker: bollard::Docker| docker.stop_container(&before.id, Some(options.clone())).await;
        self.ask(call, stop).await?;
        let container = self.afterwards(&before).await?;
        let killed = self.was_killed(&container, since_ms).await.unwrap_or(true);
        Ok(Stopped { container, killed })
    }

    /// Whether the daemon sent KILL to a container that somebody asked to stop since then, and not as its stop signal.
    pub async fn was_killed(&self, stopped: &Container, since_ms: u64) -> Result<bool, Error> {
        if stopped.exit_code != KILLED || stopped.stop_signal == "SIGKILL" {
            return Ok(false);
        }
        // The daemon stamps events with its own clock, which may differ from ours a little.
        let events =
            self.events(Some(&stopped.id), since_ms.saturating_sub(1_000), clock::now_ms() + 1).await?;
        let by_kill = |(name, value): &(String, String)| name == "signal" && value == "9";
        Ok(events.iter().any(|event| event.action == "kill" && event.attributes.iter().any(by_kill)))
    }

    /// Started already is a success.
    pub async fn start(&self, id: &str) -> Result<Container, Error> {
        let before = self.inspect(id).await?;
        if before.state == State::Paused {
            return Err(not_possible(&before, "start", "it is paused; unpause it"));
        }
        let call = write("start container", &before.name);
        self.ask(call, async |docker| docker.start_container(&before.id, None).await).await?;
        self.afterwards(&before).await
    }

    /// A signal by name. KILL of what does not run is a success; any other signal needs a running container.
    pub async fn kill(&self, id: &str, name: &str) -> Result<Container, Error> {
        let signal = signal(name)?;
        let before = self.inspect(id).await?;
        refuse_auto_remove(&before)?;
        let lives = matches!(before.state, State::Running | State::Paused | State::Restarting);
        if !lives && signal == "SIGKILL" {
            return Ok(before);
        }
        let options = KillContainerOptionsBuilder::default().signal(&signal).build();
        let call = write("signal container", &before.name);
        let kill =
            async |docker: bollard::Docker| docker.kill_container(&before.id, Some(options.clone())).await;
        self.ask(call, kill).await?;
        self.afterwards(&before).await
    }

    /// Paused already is a success.
    pub async fn pause(&self, id: &str) -> Result<Container, Error> {
        let before = self.inspect(id).await?;
        refuse_auto_remove(&before)?;
        match before.state {
            State::Paused => return Ok(before),
            State::Running => {}
            _ => return Err(not_possible(&before, "pause", "it does not run")),
        }
        let call = write("pause container", &before.name);
        self.ask(call, async |docker| docker.pause_container(&before.id).await).await?;
        self.afterwards(&before).await
    }

    /// Running already is a success.
    pub async fn unpause(&self, id: &str) -> Result<Container, Error> {
        let before = self.inspect(id).await?;
        match before.state {
            State::Running => return Ok(before),
            State::Paused => {}
            _ => return Err(not_possible(&before, "unpause", "it does not run")),
        }
        let call = write("unpause container", &before.name);
        self.ask(call, async |docker| docker.unpause_container(&before.id).await).await?;
        self.afterwards(&before).await
    }

    /// A running one only with `force`. Named volumes stay; those without a name go only with a one-off container,
    /// since a service's data may be in them.
    pub async fn remove(&self, id: &str, force: bool) -> Result<(), Error> {
        let raw = self.raw(id).await?;
        let labels = raw.config.as_ref().and_then(|config| config.labels.clone()).unwrap_or_default();
        let one_off = crate::labels::Labels(&labels).one_off();
        let before = self.narrow(raw);
        if !force && matches!(before.state, State::Running | State::Paused | State::Restarting) {
            return Err(not_possible(&before, "remove", "it runs; stop it first, or force it"));
        }
        let options = RemoveContainerOptionsBuilder::default().force(force).v(one_off).build();
        let call = write("remove container", &before.name);
        let remove =
            async |docker: bollard::Docker| docker.remove_container(&before.id, Some(options.clone())).await;
        match self.ask(call, remove).await {
            // Somebody else was as quick.
            Err(error) if error.is_not_found() => Ok(()),
            Err(error) if error.failure.message.contains("already in progress") => {
                if self.vanished(&before.id).await.map_err(Error::after_change)? {
                    return Ok(());
                }
                Err(error.after_change())
            }
            other => other,
        }
    }

    /// Waits for the end of a removal that is under way; whether the container is gone then.
    pub async fn vanished(&self, id: &str) -> Result<bool, Error> {
        let deadline = Deadline::after(REMOVAL);
        loop {
            match self.inspect(id).await {
                Ok(_) if deadline.passed() => return Ok(false),
                Ok(_) => tokio::time::sleep(PAUSE).await,
                Err(error) if error.is_not_found() => return Ok(true),
                Err(error) => return Err(error),
            }
        }
    }

    /// Named so already is a success.
    pub async fn rename(&self, id: &str, name: &str) -> Result<Container, Error> {
        check_container(name)?;
        let before = self.inspect(id).await?;
        if before.name == name {
            return Ok(before);
        }
        let options = RenameContainerOptionsBuilder::default().name(name).build();
        let call = write("rename container", &before.name);
        let rename =
            async |docker: bollard::Docker| docker.rename_container(&before.id, options.clone()).await;
        self.ask(call, rename).await?;
        self.afterwards(&before).await
    }

    /// The container after a change; not being able to look does not undo the change.
    pub(crate) async fn afterwards(&self, before: &Container) -> Result<Container, Error> {
        self.inspect(&before.id).await.map_err(Error::after_change)
    }
}

/// With `--rm` a stop is a removal, and nothing could be started again.
fn refuse_auto_remove(container: &Container) -> Result<(), Error> {
    if !container.auto_remove {
        return Ok(());
    }
    Err(Error::conflict(
        "containers.auto-remove",
        format!(
            "container `{}` was started with `--rm`: it would vanish when stopped; start it without `--rm`",
            container.name
        ),
    ))
}

fn not_possible(container: &Container, verb: &str, why: &str) -> Error {
    Error::conflict("containers.conflict", format!("cannot {verb} container `{}`: {why}", container.name))
}
