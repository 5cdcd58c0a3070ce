//! A narrow view of containers; environment values are never part of it. The same shapes as in `wit/containers`.

use serde::{Deserialize, Serialize};

/// The daemon's word for what a container is doing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[expect(missing_docs, reason = "the daemon's own words")]
pub enum State {
    Created,
    Running,
    Paused,
    Restarting,
    Removing,
    Exited,
    Dead,
}

/// What the health check says.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Health {
    /// There is no health check.
    None,
    /// Not known yet.
    Starting,
    /// It passes.
    Healthy,
    /// It fails.
    Unhealthy,
}

/// Resource limits; 0 means unlimited.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Limits {
    /// Thousandths of a core.
    pub cpu_millis: u64,
    /// Bytes.
    pub memory_bytes: u64,
    /// Memory plus swap, bytes.
    pub memory_swap_bytes: u64,
}

/// A port.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Port {
    /// Inside.
    pub container_port: u16,
    /// Outside; 0 when not published.
    pub host_port: u16,
    /// `tcp`, `udp` or `sctp`.
    pub protocol: String,
}

/// A container.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Container {
    /// 64 hex digits.
    pub id: String,
    /// Without the leading slash.
    pub name: String,
    /// `project/service` from Compose's labels, the value of `runbook.service`, or the container's name.
    pub service: String,
    /// `project/service` of what this one needs first.
    pub depends_on: Vec<String>,
    /// What it is doing.
    pub state: State,
    /// Its health.
    pub health: Health,
    /// RFC 3339 as Docker prints it; empty if never.
    pub started_at: String,
    /// See `started_at`.
    pub finished_at: String,
    /// See `started_at`.
    pub created_at: String,
    /// The image as asked for.
    pub image: String,
    /// The image's content id.
    pub image_id: String,
    /// Of the last life.
    pub exit_code: i32,
    /// Whether the kernel killed it for memory.
    pub out_of_memory: bool,
    /// By the daemon's restart policy.
    pub restart_count: u32,
    /// Limits.
    pub limits: Limits,
    /// Ports, sorted.
    pub ports: Vec<Port>,
    /// One address per network.
    pub addresses: Vec<String>,
    /// `--rm`.
    pub auto_remove: bool,
    /// Compose's replica number, 0 if none.
    pub replica: u32,
    /// Without Docker's and Compose's own; sorted.
    pub labels: Vec<(String, String)>,
    /// Those of `depends_on` whose restart must restart this one too.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub restarts_with: Vec<String>,
    /// How long it may take to stop before KILL; none is [`DEFAULT_STOP_TIMEOUT_MS`].
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stop_timeout_ms: Option<u64>,
    /// The signal that asks it to stop.
    #[serde(default = "default_stop_signal", skip_serializing_if = "is_default_stop_signal")]
    pub stop_signal: String,
    /// The id of the container whose network it shares.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub network_owner: Option<String>,
}

/// What the daemon gives a container to stop that has no stop timeout of its own, milliseconds.
pub const DEFAULT_STOP_TIMEOUT_MS: u64 = 10_000;

/// What the daemon sends to a container that has no stop signal of its own.
pub(crate) fn default_stop_signal() -> String {
    "SIGTERM".to_owned()
}

fn is_default_stop_signal(signal: &str) -> bool {
    signal == "SIGTERM"
}

impl Container {
    /// How long it may take to stop by itself where nobody says otherwise, milliseconds.
    pub fn own_grace_ms(&self) -> u64 {
        self.stop_timeout_ms.unwrap_or(DEFAULT_STOP_TIMEOUT_MS)
    }

    /// Whether it serves: running, and healthy if it has a health check.
    pub fn available(&self) -> bool {
        self.state == State::Running && matches!(self.health, Health::Healthy | Health::None)
    }
}

/// What to wait for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Condition {
    /// Available for so many milliseconds without a break.
    HealthyFor(u64),
    /// Running.
    Running,
    /// No longer running.
    Exited,
}

/// What differs from the container that is cloned.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Overrides {
    /// `name=value` adds or replaces, `name` removes.
    pub env: Vec<String>,
    /// The same for labels.
    pub labels: Vec<String>,
    /// None keeps it.
    pub image: Option<String>,
    /// Replaces entrypoint and command.
    pub command: Option<Vec<String>>,
    /// No restart policy, no published ports, no health check; labelled as Compose labels one-off containers.
    pub one_shot: bool,
    /// 0 for none. That of the original makes the new one its replacement.
    pub replica: u32,
    /// None keeps it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub user: Option<String>,
    /// None keeps it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub workdir: Option<String>,
}

/// A container after a stop.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Stopped {
    /// As it is now.
    #[serde(flatten)]
    pub container: Container,
    /// It did not end within the grace: the daemon sent KILL.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub killed: bool,
}

/// What a command printed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[expect(missing_docs, reason = "the words say it")]
pub struct ExecOutput {
    pub exit_code: i32,
    pub stdout: String,
    pub stderr: String,
    pub truncated: bool,
}

/// Use of resources at one moment.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[expect(missing_docs, reason = "the words say it")]
pub struct Sample {
    pub cpu_percent: f64,
    pub memory_bytes: u64,
    pub memory_limit_bytes: u64,
    pub pids: u64,
}

/// Something the daemon reported.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[expect(missing_docs, reason = "the words say it")]
pub struct ContainerEvent {
    pub time_ms: u64,
    pub action: String,
    pub id: String,
    pub attributes: Vec<(String, String)>,
}
