//! What runs and plans reach: plugins, container daemons, secrets, state, and the counts that runs share. An engine has one
//! for its runs; a command that only plans has one of its own, which writes nothing.

use std::collections::{BTreeMap, HashMap};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use super::acceptance::{self, Parent, Prepared};
use super::plugins::Plugins;
use super::refusal::Refusal;
use super::request::{Plan, Request};
use docker::{Connection, Daemon};
use host::{Budgets, Quota, World};
use secrets::Keeper;
use words::ids::TargetName;

/// See the module.
pub struct Reach {
    data_dir: PathBuf,
    targets: BTreeMap<TargetName, Connection>,
    secrets: Keeper,
    pub(super) plugins: Plugins,
    pub(super) budgets: Arc<Budgets>,
    pub(super) quota: Arc<Quota>,
    daemons: Mutex<HashMap<TargetName, Daemon>>,
}

impl Reach {
    /// Of a command that only looks at a data directory, which need not exist. What an engine's runs take down in the same
    /// moment is seen on the daemon, not in its counts.
    pub fn looking(
        data_dir: &Path,
        targets: BTreeMap<TargetName, Connection>,
        secrets: Keeper,
        quota: u64,
    ) -> Self {
        let quota = Quota::new(quota, Arc::default());
        Self::new(Plugins::looking(data_dir), targets, secrets, quota)
    }

    pub(super) fn new(
        plugins: Plugins,
        targets: BTreeMap<TargetName, Connection>,
        secrets: Keeper,
        quota: Quota,
    ) -> Self {
        Self {
            data_dir: plugins.data_dir().to_owned(),
            targets,
            secrets,
            plugins,
            budgets: Arc::default(),
            quota: Arc::new(quota),
            daemons: Mutex::default(),
        }
    }

    /// What a run would do. Changes nothing.
    pub async fn plan(&self, request: Request) -> Result<Plan, Refusal> {
        super::planner::plan(self, &request.printable()).await.map(|planned| planned.plan)
    }

    pub(super) fn daemon(&self, target: &TargetName) -> Result<Daemon, Refusal> {
        let mut daemons = self.daemons.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(daemon) = daemons.get(target) {
            return Ok(daemon.clone());
        }
        let connection = self.targets.get(target).ok_or_else(|| Refusal::UnknownTarget {
            name: target.to_string(),
            known: self.targets.keys().map(ToString::to_string).collect(),
        })?;
        let daemon = Daemon::connect(connection).map_err(|e| Refusal::Target(e.failure))?;
        daemons.insert(target.clone(), daemon.clone());
        Ok(daemon)
    }

    pub(super) fn world(&self, daemon: Option<Daemon>) -> World {
        let shared = (Arc::clone(&self.budgets), Arc::clone(&self.quota));
        World::live(daemon, self.data_dir.clone(), shared, self.secrets.clone())
    }

    /// Checks a request and resolves what it names.
    pub(super) async fn prepare(
        &self,
        request: &Request,
        parent: Option<Parent>,
    ) -> Result<Prepared, Refusal> {
        let daemon = async |target: &TargetName| self.daemon(target);
        acceptance::prepare(request, parent, self.plugins.catalogue(), daemon).await
    }
}
