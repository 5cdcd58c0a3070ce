//! The calls that converge on a state of one container: stop, start, kill, pause, unpause, rename, update, remove.

use std::time::Duration;

use futures_util::future::FutureExt as _;
use serde::Serialize;
use serde_json::Value;

use super::super::call::{Asked, Call, Found, Imagined, Intent, Need, Trouble};
use super::super::limits;
use super::super::overlay::Overlay;
use super::super::world::World;
use docker::types::{Container, Health, Limits, State, Stopped};
use model::grant::ContainerAction;
use words::clock::{self, Deadline};
use words::effect::{Effect, Failure, FailureKind};
use words::ids::Digest;

/// What is done to a container; its fields are the recorded arguments.
#[derive(Debug, Clone, Serialize)]
#[serde(untagged)]
pub(crate) enum Change {
    Stop {
        id: String,
        /// None is the container's own stop timeout.
        #[serde(skip_serializing_if = "Option::is_none")]
        grace_ms: Option<u64>,
    },
    Start {
        id: String,
    },
    Kill {
        id: String,
        signal: String,
    },
    Pause {
        id: String,
        pause: bool,
    },
    Unpause {
        id: String,
        unpause: bool,
    },
    Rename {
        id: String,
        name: String,
    },
    Update {
        id: String,
        limits: Limits,
    },
    Remove {
        id: String,
        force: bool,
    },
}

impl Change {
    fn id(&self) -> &str {
        match self {
            Self::Stop { id, .. }
            | Self::Start { id }
            | Self::Kill { id, .. }
            | Self::Pause { id, .. }
            | Self::Unpause { id, .. }
            | Self::Rename { id, .. }
            | Self::Update { id, .. }
            | Self::Remove { id, .. } => id,
        }
    }

    fn is_kill(&self) -> bool {
        matches!(self, Self::Kill { signal, .. } if matches!(signal.as_str(), "KILL" | "SIGKILL" | "9"))
    }

    /// Whether the container is as the call would leave it. `before` tells a new life from the old one; a new life that
    /// the restart policy began is nobody's doing.
    fn reached(&self, before: &Container, now: &Container) -> bool {
        match self {
            Self::Stop { .. } | Self::Kill { .. } => !up(now) && same_hand(before, now),
            Self::Start { .. } => now.started_at != before.started_at,
            Self::Pause { .. } => now.state == State::Paused && now.started_at == before.started_at,
            Self::Unpause { .. } => now.state == State::Running && now.started_at == before.started_at,
            Self::Rename { name, .. } => now.name == *name,
            Self::Update { limits, .. } => as_wished(limits, &now.limits),
            Self::Remove { .. } => false,
        }
    }

    /// Whether the container is as it was before the call.
    fn untouched(&self, before: &Container, now: &Container) -> bool {
        let same_life = up(now) == up(before) && same_hand(before, now);
        match self {
            Self::Rename { .. } => same_life && now.name == before.name,
            Self::Update { .. } => same_life && now.limits == before.limits,
            Self::Pause { .. } | Self::Unpause { .. } => same_life && now.state == before.state,
            Self::Stop { .. } | Self::Start { .. } | Self::Kill { .. } | Self::Remove { .. } => same_life,
        }
    }

    /// A stop or a KILL that the daemon is still carrying out cannot be seen in the container's state; the events tell: the signal
    /// has been sent. Then its end is waited for, since a second request would signal the container again.
    async fn await_stop_under_way(
        &self,
        world: &World,
        before: &Container,
        intent: &Intent,
    ) -> Result<bool, Trouble> {
        let (id, grace_ms) = match self {
            Self::Stop { id, grace_ms } => (id, grace_ms.unwrap_or(before.own_grace_ms())),
            Self::Kill { id, .. } if self.is_kill() => (id, 0),
            _ => return Ok(false),
        };
        // The daemon stamps events with its own clock, which on one machine is ours; a second of slack costs nothing,
        // since a signal before the announcement would have ended the life that `before` saw.
        let since = intent.at_ms.saturating_sub(1_000);
        let signalled = world
            .daemon()?
            .events(Some(id), since, clock::now_ms() + 1)
            .await?
            .iter()
            .any(|event| event.action == "kill" || event.action == "stop");
        if !signalled {
            return Ok(false);
        }
        let give_up = Deadline::after_ms(grace_ms + limits::STOP_SLACK_MS);
        while !give_up.passed() {
            let now = world.inspect(id).await?;
            if self.reached(before, &now) {
                return Ok(true);
            }
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
        Ok(false)
    }

    /// The answer of a call that was found done; of a stop it tells whether the daemon had to kill.
    async fn answer(&self, world: &World, now: Container, intent: &Intent) -> Result<Value, Trouble> {
        if !matches!(self, Self::Stop { .. }) {
            return Ok(to_value(&now));
        }
        let killed = world.daemon()?.was_killed(&now, intent.at_ms).await?;
        Ok(stopped_value(&Stopped { container: now, killed }))
    }

    async fn look(&self, world: &World, intent: &Intent) -> Result<Found, Trouble> {
        let Ok(before) = serde_json::from_value::<Container>(intent.before.clone()) else {
            return Ok(Found::Doubt("what was seen before the call cannot be read".to_owned()));
        };
        let now = match world.inspect(self.id()).await {
            Ok(now) => now,
            Err(trouble) if trouble.failure.kind == FailureKind::NotFound => {
                return Ok(match self {
                    Self::Remove { .. } => Found::Done(Value::Null),
                    _ => Found::Doubt(format!("container `{}` is gone", before.name)),
                });
            }
            Err(trouble) => return Err(trouble),
        };
        if matches!(self, Self::Remove { .. })
            && now.state == State::Removing
            && world.daemon()?.vanished(&now.id).await?
        {
            return Ok(Found::Done(Value::Null));
        }
        if self.reached(&before, &now) {
            return Ok(Found::Done(self.answer(world, now, intent).await?));
        }
        if !self.untouched(&before, &now) {
            return Ok(Found::Doubt(format!(
                "container `{}` was {:?} since {}, and is {:?} since {} now: someone else changed it",
                before.name, before.state, before.started_at, now.state, now.started_at
            )));
        }
        if self.await_stop_under_way(world, &before, intent).await? {
            let now = world.inspect(self.id()).await?;
            return Ok(Found::Done(self.answer(world, now, intent).await?));
        }
        if matches!(self, Self::Kill { .. }) && !self.is_kill() {
            return Ok(Found::Doubt(format!("whether `{}` got its signal cannot be seen", before.name)));
        }
        Ok(Found::NotDone)
    }
}

/// Whether it lives the same life, or one that its restart policy began after a crash.
fn same_hand(before: &Container, now: &Container) -> bool {
    now.started_at == before.started_at || now.restart_count > before.restart_count
}

/// The daemon fills in what was not asked for (0).
fn as_wished(wished: &Limits, now: &Limits) -> bool {
    let fits = |wish: u64, is: u64| wish == 0 || wish == is;
    fits(wished.cpu_millis, now.cpu_millis)
        && fits(wished.memory_bytes, now.memory_bytes)
        && fits(wished.memory_swap_bytes, now.memory_swap_bytes)
}

fn up(container: &Container) -> bool {
    matches!(container.state, State::Running | State::Paused | State::Restarting)
}

fn stopped_value(stopped: &Stopped) -> Value {
    serde_json::to_value(stopped).unwrap_or(Value::Null)
}

/// A container as the journal keeps it.
pub(super) fn to_value(container: &Container) -> Value {
    serde_json::to_value(container).unwrap_or(Value::Null)
}

impl Call for Change {
    fn function(&self) -> &'static str {
        match self {
            Self::Stop { .. } => "containers.stop",
            Self::Start { .. } => "containers.start",
            Self::Kill { .. } => "containers.kill",
            Self::Pause { .. } => "containers.pause",
            Self::Unpause { .. } => "containers.unpause",
            Self::Rename { .. } => "containers.rename",
            Self::Update { .. } => "containers.update",
            Self::Remove { .. } => "containers.remove",
        }
    }

    fn arguments(&self) -> Value {
        serde_json::to_value(self).unwrap_or(Value::Null)
    }

    fn effect(&self) -> Effect {
        if matches!(self, Self::Kill { .. }) && !self.is_kill() { Effect::Once } else { Effect::Idempotent }
    }

    fn need(&self) -> Need {
        let (action, takes_down) = match self {
            Self::Stop { .. } => (ContainerAction::Stop, true),
            Self::Start { .. } => (ContainerAction::Start, false),
            // Any signal may end a container.
            Self::Kill { .. } => (ContainerAction::Kill, true),
            Self::Pause { .. } => (ContainerAction::Pause, true),
            Self::Unpause { .. } => (ContainerAction::Unpause, false),
            Self::Rename { .. } => (ContainerAction::Remove, false),
            Self::Update { .. } => (ContainerAction::Update, false),
            Self::Remove { force, .. } => (ContainerAction::Remove, *force),
        };
        Need::Container { id: self.id().to_owned(), action, takes_down }
    }

    fn time_ms(&self) -> u64 {
        match self {
            Self::Stop { grace_ms, .. } => {
                grace_ms.unwrap_or(limits::MAX_OWN_GRACE_MS).saturating_add(limits::READ_DEADLINE_MS)
            }
            _ => limits::READ_DEADLINE_MS,
        }
    }

    fn check(&self) -> Result<(), Failure> {
        match self {
            Self::Stop { grace_ms: Some(grace_ms), .. } if *grace_ms > limits::MAX_GRACE_MS => {
                Err(Failure::new(
                    FailureKind::Invalid,
                    "containers.grace",
                    format!("a grace of {grace_ms} ms is longer than {} ms", limits::MAX_GRACE_MS),
                ))
            }
            _ => Ok(()),
        }
    }

    fn perform<'a>(&'a self, world: &'a World, _key: &'a Digest) -> Asked<'a> {
        async move {
            let daemon = world.daemon()?;
            let container = match self {
                Self::Stop { id, grace_ms } => {
                    return Ok(stopped_value(&daemon.stop(id, grace_ms.map(Duration::from_millis)).await?));
                }
                Self::Start { id } => daemon.start(id).await?,
                Self::Kill { id, signal } => daemon.kill(id, signal).await?,
                Self::Pause { id, .. } => daemon.pause(id).await?,
                Self::Unpause { id, .. } => daemon.unpause(id).await?,
                Self::Rename { id, name } => daemon.rename(id, name).await?,
                Self::Update { id, limits } => daemon.update(id, limits).await?,
                Self::Remove { id, force } => {
                    daemon.remove(id, *force).await?;
                    return Ok(Value::Null);
                }
            };
            Ok(to_value(&container))
        }
        .boxed()
    }

    fn before<'a>(&'a self, world: &'a World) -> Asked<'a> {
        async move {
            let now = world.inspect(self.id()).await?;
            if matches!(self, Self::Remove { force: false, .. }) && up(&now) {
                return Err(Trouble::certain(
                    FailureKind::Conflict,
                    "containers.running",
                    format!("container `{}` is running: stop it first", now.name),
                ));
            }
            if let Self::Rename { name, .. } = self {
                world.refuse_taken(name, Some(&now.id)).await?;
            }
            Ok(to_value(&now))
        }
        .boxed()
    }

    fn establish<'a>(&'a self, world: &'a World, intent: &'a Intent) -> Asked<'a, Found> {
        self.look(world, intent).boxed()
    }

    fn imagine(&self, overlay: &mut Overlay, before: &Value, _key: &Digest) -> Result<Imagined, Failure> {
        let mut container: Container = serde_json::from_value(before.clone())
            .map_err(|e| Failure::new(FailureKind::Internal, "plan.before", e.to_string()))?;
        let target = container.name.clone();
        match self {
            Self::Stop { .. } | Self::Kill { .. } => {
                container.state = State::Exited;
                container.finished_at = overlay.instant();
                if container.health != Health::None {
                    container.health = Health::Unhealthy;
                }
            }
            Self::Start { .. } => {
                overlay.advance(1);
                container.state = State::Running;
                container.started_at = overlay.instant();
                if container.health != Health::None {
                    container.health = Health::Starting;
                }
            }
            Self::Pause { .. } => container.state = State::Paused,
            Self::Unpause { .. } => container.state = State::Running,
            Self::Rename { name, .. } => container.name.clone_from(name),
            Self::Update { limits, .. } => container.limits = *limits,
            Self::Remove { .. } => {
                overlay.remove(&container.id);
                return Ok(Imagined { answer: Value::Null, target, assumption: None });
            }
        }
        let answer = to_value(&container);
        overlay.put(container);
        Ok(Imagined { answer, target, assumption: None })
    }

    fn settled_answer<'a>(&'a self, world: &'a World) -> Asked<'a> {
        async move {
            match self {
                Self::Remove { .. } => Ok(Value::Null),
                _ => Ok(to_value(&world.inspect(self.id()).await?)),
            }
        }
        .boxed()
    }
}
