//! What a run's plugins may do, to what, and how much of it at once. Deny by default.

use serde::{Deserialize, Serialize};

use super::runbook::Template;

/// What may be done to a container.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ContainerAction {
    /// list, inspect, logs, stats, top, events
    Read,
    /// stop and start
    Restart,
    /// stop
    Stop,
    /// start
    Start,
    /// kill
    Kill,
    /// pause and unpause
    Pause,
    /// a new container cloned from one of the selected
    Create,
    /// remove and rename
    Remove,
    /// live limits
    Update,
    /// run a command inside
    Exec,
}

impl ContainerAction {
    /// Every action, in the order of the documentation.
    pub const ALL: [Self; 10] = [
        Self::Read,
        Self::Restart,
        Self::Stop,
        Self::Start,
        Self::Kill,
        Self::Pause,
        Self::Create,
        Self::Remove,
        Self::Update,
        Self::Exec,
    ];

    /// The word in YAML.
    pub fn word(self) -> &'static str {
        match self {
            Self::Read => "read",
            Self::Restart => "restart",
            Self::Stop => "stop",
            Self::Start => "start",
            Self::Kill => "kill",
            Self::Pause => "pause",
            Self::Create => "create",
            Self::Remove => "remove",
            Self::Update => "update",
            Self::Exec => "exec",
        }
    }

    /// Whether a grant of `self` covers a need of `need`: `restart` covers `stop` and `start`; any action covers `read`.
    pub fn covers(self, need: Self) -> bool {
        self == need
            || need == Self::Read
            || (self == Self::Restart && matches!(need, Self::Stop | Self::Start))
    }

    /// Whether it changes anything.
    pub fn writes(self) -> bool {
        self != Self::Read
    }
}

/// What may be done to a bucket of state.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum StateAction {
    /// get and list
    Read,
    /// set and delete
    Write,
}

/// Which containers; in a [`Runbook`](super::runbook::Runbook) `T` is [`Template`], in a run `String`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Selector<T> {
    /// The replicas of a service, `project/service`, a bare service or a single container's name.
    Service(T),
    /// Every service of a Compose project.
    Project(T),
    /// Containers with this label, `name=value`.
    Label(T),
}

/// A grant on containers.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ContainerGrant<T, N> {
    /// Which ones.
    pub select: Selector<T>,
    /// What may be done to them.
    pub actions: Vec<ContainerAction>,
    /// How many replicas of one service may be down or unhealthy at once; without it, one.
    pub max_unavailable: Option<N>,
    /// How many replicas of one service must stay healthy.
    pub min_healthy: Option<N>,
    /// The line in the runbook, from 1, so that a denial can point there.
    pub line: u32,
}

/// A grant on a bucket of state.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct StateGrant<T> {
    /// The bucket.
    pub bucket: T,
    /// What may be done.
    pub actions: Vec<StateAction>,
    /// The line in the runbook.
    pub line: u32,
}

/// All grants; generic over what a text and a number are before and after evaluation.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct GrantSet<T, N> {
    /// Containers.
    pub containers: Vec<ContainerGrant<T, N>>,
    /// URL patterns: `scheme://host:port/path`, `*` stands for any text inside one part; the path may end in `*`.
    pub http: Vec<T>,
    /// State buckets.
    pub state: Vec<StateGrant<T>>,
    /// The line of the key `grants`, 0 if there is none.
    pub line: u32,
}

/// As written in a runbook.
pub type Grants = GrantSet<Template, Template>;

/// As evaluated when a run is accepted.
pub type RunGrants = GrantSet<String, u32>;

impl<T, N> Default for GrantSet<T, N> {
    fn default() -> Self {
        Self { containers: Vec::new(), http: Vec::new(), state: Vec::new(), line: 0 }
    }
}
