//! A daemon that can be asked.
//!
//! Knows deadlines and how to reach the daemon on first use; does not know what the questions mean.

use std::future::Future;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use bollard::Docker;
use bollard::models::ContainerInspectResponse;
use serde::Serialize;
use tokio::sync::OnceCell;

use crate::connection::{ApiVersion, Connection, Link};
use crate::container::narrow;
use crate::crashes::Crashes;
use crate::error::{Call, Error, NOT_FOUND};
use crate::name;
use crate::types::Container;
use crate::wire::{CUT_OFF, Wire};
use words::clock;
use words::effect::FailureKind;

/// How long a question may take. The daemon answers from memory, but waits for a container that is just being changed.
pub(crate) const READ_DEADLINE: Duration = Duration::from_secs(30);
/// How long a change may take that has no grace of its own.
pub(crate) const WRITE_DEADLINE: Duration = Duration::from_mins(1);

/// How often the daemon is asked something whose answer comes damaged.
const READ_TRIES: u32 = 3;
/// The pause before it is asked again.
const READ_PAUSE: Duration = Duration::from_millis(100);

/// A container daemon; cheap to clone. The connection is made when it is first needed, so that an engine starts and
/// can report without one.
#[derive(Clone)]
pub struct Daemon {
    inner: Arc<Inner>,
}

struct Inner {
    connection: Connection,
    link: OnceCell<Link>,
    id: OnceCell<Option<String>>,
    crashes: Crashes,
}

/// What a daemon says of itself.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Info {
    /// Its name, usually the machine's.
    pub name: String,
    /// Of the daemon, for example `20.10.24`.
    pub version: String,
    /// How many containers run.
    pub running: u32,
    /// How many containers there are.
    pub containers: u32,
    /// `1` or `2`.
    pub cgroup_version: String,
    /// Where it keeps its data, on its own machine.
    pub root: String,
    /// What it warns of.
    pub warnings: Vec<String>,
}

impl Daemon {
    /// A daemon at this place. Files and sockets are looked at on first use.
    pub fn connect(connection: &Connection) -> Result<Self, Error> {
        let inner = Inner {
            connection: connection.clone(),
            link: OnceCell::new(),
            id: OnceCell::new(),
            crashes: Crashes::default(),
        };
        Ok(Self { inner: Arc::new(inner) })
    }

    /// Where it is.
    pub fn connection(&self) -> &Connection {
        &self.inner.connection
    }

    /// Whether it answers; the error says why not.
    pub async fn ping(&self) -> Result<(), Error> {
        let call = read("greet", "the daemon");
        self.ask(call, async |docker| docker.ping().await).await.map(drop)
    }

    /// What it says of itself.
    pub async fn info(&self) -> Result<Info, Error> {
        let info = self.ask(read("ask about", "the daemon"), async |docker| docker.info().await).await?;
        let count = |number: Option<i64>| number.and_then(|number| u32::try_from(number).ok()).unwrap_or(0);
        Ok(Info {
            name: info.name.unwrap_or_default(),
            version: info.server_version.unwrap_or_default(),
            running: count(info.containers_running),
            containers: count(info.containers),
            cgroup_version: info.cgroup_version.map(|version| version.to_string()).unwrap_or_default(),
            root: info.docker_root_dir.unwrap_or_default(),
            warnings: info.warnings.unwrap_or_default(),
        })
    }

    /// Its own id, which it keeps for life: the same daemon behind another address has the same. None if it has none.
    pub async fn id(&self) -> Result<Option<String>, Error> {
        let ask = async || {
            let info = self.ask(read("ask about", "the daemon"), async |docker| docker.info().await).await?;
            Ok(info.id.filter(|id| !id.trim().is_empty()))
        };
        self.inner.id.get_or_try_init(ask).await.cloned()
    }

    /// One container, by its whole id or its name.
    pub async fn inspect(&self, id: &str) -> Result<Container, Error> {
        self.raw(id).await.map(|raw| self.narrow(raw))
    }

    pub(crate) fn narrow(&self, raw: ContainerInspectResponse) -> Container {
        let container = narrow(raw, self.connection().host_address());
        self.crashes().note(&container);
        container
    }

    /// The deaths of containers that were seen.
    pub(crate) fn crashes(&self) -> &Crashes {
        &self.inner.crashes
    }

    /// The daemon's whole document, environment values included: never hand it out of this module.
    pub(crate) async fn raw(&self, id: &str) -> Result<ContainerInspectResponse, Error> {
        name::check_container(id)?;
        let call = read("inspect container", id);
        let found = self.ask(call, async |docker| docker.inspect_container(id, None).await).await?;
        // The daemon also takes the beginning of an id for an id; we do not.
        let same_id = found.id.as_deref() == Some(id);
        let same_name = found.name.as_deref().map(|name| name.trim_start_matches('/')) == Some(id);
        if same_id || same_name {
            return Ok(found);
        }
        Err(Error::certain(
            FailureKind::NotFound,
            NOT_FOUND,
            format!("no container is named `{id}`, and it is not a whole id (64 hex digits)"),
        ))
    }

    /// Asks under the deadline of the call: for a change once, for an answer that only tells something again if it came
    /// damaged.
    pub(crate) async fn ask<T, F>(&self, call: Call<'_>, ask: impl Fn(Docker) -> F) -> Result<T, Error>
    where
        F: Future<Output = Result<T, bollard::errors::Error>>,
    {
        let mut tries = if call.writes { 1 } else { READ_TRIES };
        loop {
            let docker = self.docker().await?;
            tries -= 1;
            let cut_off = Arc::new(OnceLock::new());
            let asked = clock::within(call.deadline, ask(docker));
            let error = match CUT_OFF.scope(Arc::clone(&cut_off), asked).await {
                Ok(Ok(answer)) => return Ok(answer),
                Ok(Err(error)) => match cut_off.get() {
                    Some(limit) => call.too_large(self.connection(), *limit),
                    None => call.failed(self.connection(), &error),
                },
                Err(_) => call.timed_out(self.connection()),
            };
            if tries == 0 || !error.is_damaged_answer() {
                return Err(error);
            }
            tokio::time::sleep(READ_PAUSE).await;
        }
    }

    pub(crate) async fn docker(&self) -> Result<Docker, Error> {
        Ok(self.link().await?.docker)
    }

    /// The version of the daemon's interface that is spoken; none where the daemon names none.
    pub(crate) async fn api_version(&self) -> Result<Option<ApiVersion>, Error> {
        Ok(self.link().await?.version)
    }

    /// The wire below bollard.
    pub(super) async fn wire(&self) -> Result<Wire, Error> {
        Ok(self.link().await?.wire)
    }

    async fn link(&self) -> Result<Link, Error> {
        self.inner.link.get_or_try_init(|| self.inner.connection.open()).await.cloned()
    }
}

/// A question with the usual deadline.
pub(crate) fn read<'a>(verb: &'static str, name: &'a str) -> Call<'a> {
    Call { verb, name, writes: false, deadline: READ_DEADLINE }
}

/// A change with the usual deadline.
pub(crate) fn write<'a>(verb: &'static str, name: &'a str) -> Call<'a> {
    Call { verb, name, writes: true, deadline: WRITE_DEADLINE }
}
