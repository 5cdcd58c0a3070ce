//! What is often asked of a container.

use crate::{Container, Error, Health, Host, JsonSchema, Serialize, State, milliseconds};

impl Container {
    /// Whether its process is meant to be running: also while the daemon restarts it.
    pub fn up(&self) -> bool {
        matches!(self.state, State::Running | State::Restarting)
    }

    /// Whether it has processes: those of a paused one stand still.
    pub fn alive(&self) -> bool {
        self.up() || self.state == State::Paused
    }

    /// Whether it serves: running, and healthy if it has a health check.
    pub fn available(&self) -> bool {
        self.state == State::Running && matches!(self.health, Health::Healthy | Health::None)
    }

    /// Whether the daemon checks its health.
    pub fn has_health_check(&self) -> bool {
        self.health != Health::None
    }

    /// When it was last started, milliseconds since 1970.
    pub fn started_ms(&self) -> Option<u64> {
        milliseconds(&self.started_at)
    }

    /// When it last stopped, milliseconds since 1970.
    pub fn finished_ms(&self) -> Option<u64> {
        milliseconds(&self.finished_at)
    }

    /// When it was created, milliseconds since 1970.
    pub fn created_ms(&self) -> Option<u64> {
        milliseconds(&self.created_at)
    }
}

impl State {
    /// The word people see.
    pub fn word(self) -> &'static str {
        match self {
            Self::Created => "created",
            Self::Running => "running",
            Self::Paused => "paused",
            Self::Restarting => "restarting",
            Self::Removing => "removing",
            Self::Exited => "exited",
            Self::Dead => "dead",
        }
    }
}

impl Health {
    /// The word people see.
    pub fn word(self) -> &'static str {
        match self {
            Self::None => "none",
            Self::Starting => "starting",
            Self::Healthy => "healthy",
            Self::Unhealthy => "unhealthy",
        }
    }
}

/// A container as an output shows it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
pub struct Facts {
    /// Its name.
    pub name: String,
    /// `created`, `running`, `paused`, `restarting`, `removing`, `exited` or `dead`.
    pub state: String,
    /// `none` (there is no health check), `starting`, `healthy` or `unhealthy`.
    pub health: String,
    /// The image as it was asked for.
    pub image: String,
    /// When it was last started (RFC 3339); empty if never.
    pub started_at: String,
    /// How often the daemon's restart policy has started it again.
    pub restart_count: u32,
    /// Of the last life.
    pub exit_code: i32,
    /// Whether the kernel killed it for memory.
    pub out_of_memory: bool,
    /// Processor limit in thousandths of a core; 0 is unlimited.
    pub cpu_millis: u64,
    /// Memory limit in bytes; 0 is unlimited.
    pub memory_bytes: u64,
}

impl From<&Container> for Facts {
    fn from(container: &Container) -> Self {
        Self {
            name: container.name.clone(),
            state: container.state.word().to_owned(),
            health: container.health.word().to_owned(),
            image: container.image.clone(),
            started_at: container.started_at.clone(),
            restart_count: container.restart_count,
            exit_code: container.exit_code,
            out_of_memory: container.out_of_memory,
            cpu_millis: container.limits.cpu_millis,
            memory_bytes: container.limits.memory_bytes,
        }
    }
}

/// The containers meant by an input that takes either `service` or `container`: all replicas, or that one.
pub fn select(
    host: &impl Host,
    service: Option<&str>,
    container: Option<&str>,
) -> Result<Vec<Container>, Error> {
    match (service, container) {
        (Some(service), None) => host.service(service),
        (None, Some(container)) => Ok(vec![host.inspect(container)?]),
        _ => Err(Error::invalid("step.input", "give either `service` or `container`")),
    }
}
