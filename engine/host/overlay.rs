//! The simulated world of a plan: what the run's own writes would have changed, laid over what is really there.

use std::collections::{BTreeMap, HashMap, HashSet};

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::held::facts;
use docker::types::{Condition, Container, Health, State};
use words::clock;
use words::effect::{Failure, FailureKind};
use words::ids::{Digest, StepPath};

/// A write that a run would make.
#[derive(Debug, Clone, PartialEq)]
pub struct ImaginedWrite {
    /// The step.
    pub path: StepPath,
    /// `containers.stop`
    pub function: String,
    /// What people call the thing.
    pub target: String,
    /// Its arguments.
    pub arguments: Value,
    /// What was seen of the target before.
    pub before: Value,
    /// False if it rests on something assumed.
    pub certain: bool,
    /// The write's name, the same in plan and run.
    pub key: Digest,
    /// The facts of the target, where it is first touched; null for later touches, and for what the run itself made.
    pub seen: Value,
}

/// A use of a secret that a run would make.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct PlannedSecret {
    /// The step.
    pub path: StepPath,
    /// Its name.
    pub secret: String,
    /// The version that is current now.
    pub version: String,
    /// Where the host puts it; `the plugin, in plain text` where it is revealed.
    pub place: String,
    /// Whether a plugin sees the text.
    pub revealed: bool,
}

/// See the module.
#[derive(Debug, Default)]
pub struct Overlay {
    containers: HashMap<String, Container>,
    removed: HashSet<String>,
    /// Made by the run: nobody knows what is in their logs, and none can be asked for a copy of it.
    made: HashSet<String>,
    /// Made for one command: of a service by its labels, in no list of its replicas.
    one_off: HashSet<String>,
    /// Made by the run, or touched before: what the plan itself has changed is no fact of the world.
    touched: HashSet<String>,
    state: BTreeMap<(String, String), Option<Value>>,
    artifacts: HashMap<Digest, u64>,
    writes: Vec<ImaginedWrite>,
    unknown: Vec<String>,
    /// How many answers were supposed so far.
    supposed: usize,
    secrets: Vec<PlannedSecret>,
    now_ms: u64,
}

impl Overlay {
    /// An empty one whose time starts at `now_ms`.
    pub fn new(now_ms: u64) -> Self {
        Self { now_ms, ..Self::default() }
    }

    /// The writes so far, in order.
    pub fn writes(&self) -> &[ImaginedWrite] {
        &self.writes
    }

    /// What cannot be known, one sentence each.
    pub fn unknown(&self) -> &[String] {
        &self.unknown
    }

    /// The uses of secrets so far, each once.
    pub fn secrets(&self) -> &[PlannedSecret] {
        &self.secrets
    }

    pub(super) fn put_secret(&mut self, used: PlannedSecret) {
        if !self.secrets.contains(&used) {
            self.secrets.push(used);
        }
    }

    /// Virtual time.
    pub fn now_ms(&self) -> u64 {
        self.now_ms
    }

    /// Lets virtual time pass.
    pub fn advance(&mut self, ms: u64) {
        self.now_ms = self.now_ms.saturating_add(ms);
    }

    /// Lets virtual time pass up to an instant.
    pub fn advance_to(&mut self, at_ms: u64) {
        self.now_ms = self.now_ms.max(at_ms);
    }

    /// Something that cannot be known before; what comes after rests on it.
    pub fn assume(&mut self, sentence: String) {
        if !self.unknown.contains(&sentence) {
            self.unknown.push(sentence);
        }
    }

    /// How many answers were supposed so far: what a plugin makes of one cannot be known.
    pub fn supposed(&self) -> usize {
        self.supposed
    }

    /// An answer was supposed.
    pub(super) fn suppose(&mut self) {
        self.supposed += 1;
    }

    pub(super) fn push_write(&mut self, mut write: ImaginedWrite) {
        write.certain = self.unknown.is_empty();
        if let Some(id) = write.arguments["id"].as_str()
            && self.touched.insert(id.to_owned())
        {
            write.seen = facts(&write.before, clock::now_ms());
        }
        self.writes.push(write);
    }

    /// What is really there, with the run's own changes.
    pub(super) fn view(&self, real: Container) -> Option<Container> {
        if self.removed.contains(&real.id) {
            return None;
        }
        Some(self.containers.get(&real.id).cloned().unwrap_or(real))
    }

    /// One that the run itself made or changed, by id or name.
    pub(super) fn find(&self, id: &str) -> Option<&Container> {
        self.containers.get(id).or_else(|| self.containers.values().find(|c| c.name == id))
    }

    /// A container that the run makes; one for one command is in no list.
    pub(super) fn put_made(&mut self, made: Container, one_off: bool) {
        self.touched.insert(made.id.clone());
        self.made.insert(made.id.clone());
        if one_off {
            self.one_off.insert(made.id.clone());
        }
        self.put(made);
    }

    /// One that the run makes, by id or name, as it would be now.
    pub(super) fn made(&self, id: &str) -> Option<&Container> {
        self.find(id).filter(|container| self.made.contains(&container.id))
    }

    pub(super) fn is_removed(&self, id: &str) -> bool {
        self.removed.contains(id)
    }

    /// A list of what is there, changed; made ones of the same scope are added and the order of the daemon is kept.
    pub(super) fn view_all(
        &self,
        real: Vec<Container>,
        belongs: impl Fn(&Container) -> bool,
    ) -> Vec<Container> {
        let known: HashSet<String> = real.iter().map(|c| c.id.clone()).collect();
        let mut all: Vec<Container> = real.into_iter().filter_map(|c| self.view(c)).collect();
        let made = |c: &&Container| !known.contains(&c.id) && !self.one_off.contains(&c.id) && belongs(c);
        all.extend(self.containers.values().filter(made).cloned());
        all.sort_by(|a, b| a.replica.cmp(&b.replica).then_with(|| a.name.cmp(&b.name)));
        all
    }

    pub(super) fn put(&mut self, container: Container) {
        self.removed.remove(&container.id);
        self.containers.insert(container.id.clone(), container);
    }

    pub(super) fn remove(&mut self, id: &str) {
        self.containers.remove(id);
        self.removed.insert(id.to_owned());
    }

    /// The present virtual instant as the daemon would print it.
    pub(super) fn instant(&self) -> String {
        clock::rfc3339(self.now_ms)
    }

    /// Supposes that a wait ends well, as far as nothing speaks against it.
    pub(super) fn wait(
        &mut self,
        mut container: Container,
        condition: Condition,
    ) -> Result<Container, Failure> {
        let conflict = |what: &str| {
            Failure::new(
                FailureKind::Conflict,
                "containers.cannot-become",
                format!("`{}` {what}", container.name),
            )
        };
        let running = container.state == State::Running;
        match condition {
            Condition::Exited => {
                if running && !self.containers.contains_key(&container.id) {
                    self.assume(format!("that `{}` ends by itself", container.name));
                }
                container.state = State::Exited;
                container.health = Health::None;
            }
            Condition::Running | Condition::HealthyFor(_) if !running => {
                return Err(conflict("is not running"));
            }
            Condition::Running => {}
            Condition::HealthyFor(ms) => {
                if container.health == Health::Unhealthy && !self.containers.contains_key(&container.id) {
                    self.assume(format!("that `{}`, unhealthy now, becomes healthy", container.name));
                }
                if container.health != Health::None {
                    container.health = Health::Healthy;
                }
                self.advance(ms);
            }
        }
        self.put(container.clone());
        Ok(container)
    }

    pub(super) fn state(&self, bucket: &str, key: &str) -> Option<&Option<Value>> {
        self.state.get(&(bucket.to_owned(), key.to_owned()))
    }

    pub(super) fn set_state(&mut self, bucket: &str, key: &str, value: Option<Value>) {
        self.state.insert((bucket.to_owned(), key.to_owned()), value);
    }

    /// The bytes of all artifacts so far, and whether this one is among them.
    pub(super) fn kept(&self, digest: &Digest) -> (u64, bool) {
        let bytes = self.artifacts.values().fold(0, |sum: u64, bytes| sum.saturating_add(*bytes));
        (bytes, self.artifacts.contains_key(digest))
    }

    pub(super) fn keep(&mut self, digest: Digest, bytes: u64) {
        self.artifacts.insert(digest, bytes);
    }

    pub(super) fn state_keys(&self, bucket: &str, mut keys: Vec<String>) -> Vec<String> {
        for ((b, key), value) in &self.state {
            if b == bucket {
                keys.retain(|k| k != key);
                if value.is_some() {
                    keys.push(key.clone());
                }
            }
        }
        keys.sort();
        keys
    }
}
