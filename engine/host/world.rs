//! What host calls reach: the daemon, the state tables, the network; in a plan seen through the overlay.

use std::path::PathBuf;
use std::sync::{Arc, Mutex};

use serde_json::Value;

use super::budget::Budgets;
use super::call::Trouble;
use super::context::lock;
use super::overlay::Overlay;
use super::quota::{Quota, Room};
use audit::Reader;
use docker::Daemon;
use docker::types::{Condition, Container, Overrides, State};
use secrets::Keeper;
use words::effect::FailureKind;
use words::ids::Digest;

/// See the module; cheap to clone.
#[derive(Clone)]
pub struct World {
    daemon: Option<Daemon>,
    state: StateTables,
    budgets: Arc<Budgets>,
    quota: Arc<Quota>,
    keeper: Keeper,
    overlay: Option<Arc<Mutex<Overlay>>>,
}

impl World {
    /// The real world. Without a daemon every container call fails; that is what a replay wants.
    pub fn live(
        daemon: Option<Daemon>,
        data_dir: PathBuf,
        (budgets, quota): (Arc<Budgets>, Arc<Quota>),
        keeper: Keeper,
    ) -> Self {
        Self { daemon, state: StateTables::new(data_dir), budgets, quota, keeper, overlay: None }
    }

    /// The same world through an overlay.
    #[must_use]
    pub fn through(&self, overlay: Arc<Mutex<Overlay>>) -> Self {
        let state = StateTables { may_be_absent: true, ..self.state.clone() };
        Self { overlay: Some(overlay), state, ..self.clone() }
    }

    pub(super) fn overlay(&self) -> Option<&Arc<Mutex<Overlay>>> {
        self.overlay.as_ref()
    }

    pub(super) fn budgets(&self) -> &Budgets {
        &self.budgets
    }

    /// Room for an artifact.
    pub(super) fn room(&self, digest: &Digest, bytes: u64) -> Result<Room, Trouble> {
        let (planned, again) = match &self.overlay {
            Some(overlay) => lock(overlay).kept(digest),
            None => (0, false),
        };
        let bytes = if again { 0 } else { bytes };
        let known = || self.state.with(|reader| Ok(!reader.kept(std::iter::once(digest))?.is_empty()));
        self.quota.room(bytes, planned, || self.state.with(Reader::kept_bytes), known)
    }

    pub(super) fn keeper(&self) -> &Keeper {
        &self.keeper
    }

    pub(super) fn state(&self) -> &StateTables {
        &self.state
    }

    pub(super) fn daemon(&self) -> Result<&Daemon, Trouble> {
        self.daemon.as_ref().ok_or_else(|| {
            Trouble::certain(
                FailureKind::Unavailable,
                "containers.no-daemon",
                "there is no container daemon here",
            )
        })
    }

    pub(super) fn now_ms(&self) -> u64 {
        match &self.overlay {
            Some(overlay) => lock(overlay).now_ms(),
            None => words::clock::now_ms(),
        }
    }

    pub(super) async fn service(&self, service: &str) -> Result<Vec<Container>, Trouble> {
        let real = self.daemon()?.service(service).await?;
        // One that was asked for by its own name stands for itself, not for its service.
        let alone = real.iter().all(|r| r.name == service && !names_service(service, &r.service));
        Ok(self.seen_as(real, |made, real| !alone && real.iter().any(|r| r.service == made.service)))
    }

    pub(super) async fn project(&self, project: &str) -> Result<Vec<Container>, Trouble> {
        let real = self.daemon()?.project(project).await?;
        let prefix = format!("{project}/");
        Ok(self.seen_as(real, |made, _| made.service.starts_with(&prefix)))
    }

    /// Those of other services that share the network of one of its containers or are restarted with it.
    pub(super) async fn dependents(&self, service: &str) -> Result<Vec<Container>, Trouble> {
        let owners = self.service(service).await?;
        let real = self.daemon()?.dependents(&owners).await?;
        Ok(self.seen_as(real, |_, _| false))
    }

    fn seen_as(
        &self,
        real: Vec<Container>,
        belongs: impl Fn(&Container, &[Container]) -> bool,
    ) -> Vec<Container> {
        match &self.overlay {
            None => real,
            Some(overlay) => {
                let reference = real.clone();
                lock(overlay).view_all(real, |made| belongs(made, &reference))
            }
        }
    }

    pub(super) async fn inspect(&self, id: &str) -> Result<Container, Trouble> {
        if let Some(overlay) = &self.overlay {
            let overlay = lock(overlay);
            if let Some(known) = overlay.find(id) {
                return Ok(known.clone());
            }
            if overlay.is_removed(id) {
                return Err(gone(id));
            }
        }
        let real = self.daemon()?.inspect(id).await?;
        match &self.overlay {
            None => Ok(real),
            Some(overlay) => lock(overlay).view(real).ok_or_else(|| gone(id)),
        }
    }

    /// Refuses a copy that the daemon could not make or start, before anything is announced, and so in a plan too. What
    /// only the plan has made cannot be looked at.
    pub(super) async fn refuse_uncopyable(&self, from: &str, overrides: &Overrides) -> Result<(), Trouble> {
        if self.overlay.as_ref().is_some_and(|overlay| lock(overlay).made(from).is_some()) {
            return Ok(());
        }
        let leaves = |id: &str| {
            let Some(overlay) = &self.overlay else { return false };
            let overlay = lock(overlay);
            overlay.is_removed(id) || overlay.find(id).is_some_and(|now| now.state != State::Running)
        };
        Ok(self.daemon()?.refuse_uncopyable(from, overrides, leaves).await?)
    }

    /// Refuses a name that another container has, before anything is announced, and so in a plan too.
    pub(super) async fn refuse_taken(&self, name: &str, by: Option<&str>) -> Result<(), Trouble> {
        match self.inspect(name).await {
            // Containers are found by the beginning of their id as well, and by a name that the plan has changed.
            Ok(other) if other.name == name && by != Some(other.id.as_str()) => {
                let id = other.id.get(..12).unwrap_or(&other.id);
                let words = format!(
                    "the name `{name}` is taken by another container, {id}: rename or remove that one first"
                );
                Err(Trouble::certain(FailureKind::AlreadyExists, "containers.name-taken", words))
            }
            Err(trouble) if trouble.failure.kind != FailureKind::NotFound => Err(trouble),
            _ => Ok(()),
        }
    }

    /// What an earlier engine saw of a container's crashes.
    pub(super) fn remember(&self, container: &Container) {
        if let Some(daemon) = &self.daemon {
            daemon.remember(container);
        }
    }

    /// Those that look well and crash again and again; what the plan itself has changed is as it says.
    pub(super) async fn unsteady(&self, replicas: &[Container]) -> Result<Vec<String>, Trouble> {
        let imagined =
            |c: &&Container| self.overlay.as_ref().is_some_and(|overlay| lock(overlay).find(&c.id).is_some());
        let real: Vec<Container> = replicas.iter().filter(|c| !imagined(c)).cloned().collect();
        Ok(self.daemon()?.unsteady(&real).await)
    }

    pub(super) async fn wait_until(
        &self,
        id: &str,
        condition: Condition,
        timeout: std::time::Duration,
    ) -> Result<Container, Trouble> {
        match &self.overlay {
            None => Ok(self.daemon()?.wait_until(id, condition, timeout).await?),
            Some(overlay) => {
                let now = self.inspect(id).await?;
                lock(overlay).wait(now, condition).map_err(|failure| Trouble { failure, certain: true })
            }
        }
    }
}

/// Whether `words` are the service `whole`, with or without its project.
fn names_service(words: &str, whole: &str) -> bool {
    words == whole || whole.split_once('/').is_some_and(|(_, bare)| words == bare)
}

fn gone(id: &str) -> Trouble {
    Trouble::certain(
        FailureKind::NotFound,
        docker::NOT_FOUND,
        format!("container `{}` would have been removed", id.escape_debug()),
    )
}

/// The state tables, opened when first asked for.
#[derive(Clone)]
pub(super) struct StateTables {
    dir: PathBuf,
    /// Where nothing was ever kept, a plan finds nothing. A run has a log.
    may_be_absent: bool,
    reader: Arc<Mutex<Option<Reader>>>,
}

impl StateTables {
    fn new(dir: PathBuf) -> Self {
        Self { dir, may_be_absent: false, reader: Arc::default() }
    }

    fn with<T: Default>(&self, ask: impl FnOnce(&Reader) -> Result<T, audit::Error>) -> Result<T, Trouble> {
        let failed = |e: audit::Error| {
            Trouble::certain(
                FailureKind::Unavailable,
                "state.unreadable",
                format!("state cannot be read: {e}"),
            )
        };
        let mut reader = lock(&self.reader);
        if reader.is_none() {
            match Reader::open(&self.dir) {
                Err(audit::Error::Absent { .. }) if self.may_be_absent => return Ok(T::default()),
                opened => *reader = Some(opened.map_err(failed)?),
            }
        }
        match reader.as_ref() {
            Some(reader) => ask(reader).map_err(failed),
            None => unreachable!("it was just opened"),
        }
    }

    pub(super) fn get(&self, bucket: &str, key: &str) -> Result<Option<Value>, Trouble> {
        self.with(|reader| reader.state_get(bucket, key))
    }

    pub(super) fn keys(&self, bucket: &str, prefix: &str, limit: usize) -> Result<Vec<String>, Trouble> {
        let mut found = self.with(|reader| reader.state_list(bucket, prefix))?;
        found.truncate(limit);
        Ok(found.into_iter().map(|(key, _)| key).collect())
    }
}
