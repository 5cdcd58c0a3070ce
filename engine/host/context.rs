//! What the attempts of one run share, and the seam through which the door writes things down.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::atomic::{AtomicBool, AtomicU8, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use futures_util::future::BoxFuture;
use serde_json::Value;
use tokio::sync::watch;

use super::halt::HaltSwitch;
use super::held::Held;
use super::losses::Losses;
use super::seen::Sights;
use super::signal::aftermath;
use super::way_back::WayBack;
use super::world::World;
use docker::types::Container;
use model::grant::RunGrants;
use run::event::{CallId, Event, HeldWrite, Outcome};
use words::ids::{Digest, RunId, Section, StepPath, TargetName};

/// Why an attempt came to no outcome of its own.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum Stop {
    /// The run is to stay resumable: a person left it, or the daemon cannot be asked.
    #[error("{0}")]
    Left(String),
    /// The engine ends; another one carries the run on.
    #[error("the engine ends")]
    Drained,
    /// The engine was halted.
    #[error("halted: {0}")]
    Halted(String),
    /// A call cannot be established; it has been recorded as doubted.
    #[error("in doubt: {0}")]
    InDoubt(String),
    /// The plugin did not make the call that the journal holds.
    #[error("replay diverged: {0}")]
    Diverged(String),
    /// The replayed journal ends here.
    #[error("the journal of this attempt ends here")]
    JournalEnds,
    /// An emergency run has taken over.
    #[error("an emergency run has fenced this engine")]
    Fenced,
    /// What the attempt did or was told cannot be written down; everything else can.
    #[error("{0}")]
    Unwritable(String),
    /// The audit log could not be written: nothing may be done any more.
    #[error("the audit log cannot be written: {0}")]
    Audit(String),
}

/// Where the door writes things down. The executor's journal is one, a plan's and a replay's the others.
pub trait Ledger: Send + Sync {
    /// Appends, and returns when it is durable.
    fn announce(&self, event: Event, local: LocalChanges) -> BoxFuture<'_, Result<(), Stop>>;
    /// Hands over at once; order is kept.
    fn record(&self, event: &Event) -> Result<(), Stop>;
    /// Tells people something that is no entry.
    fn note(&self, path: &StepPath, attempt: u32, level: &'static str, text: String);
}

/// What commits together with an entry.
#[derive(Debug, Default)]
pub struct LocalChanges {
    /// State.
    pub state: Vec<audit::StateChange>,
    /// Blobs.
    pub blobs: Vec<Vec<u8>>,
}

/// How host calls are answered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mode {
    /// For real.
    Live,
    /// Reads for real, writes from the overlay.
    Plan,
    /// From the journal only.
    Replay,
}

const STEPS: u8 = 1;
const STEPS_AND_UNDO: u8 = 2;

/// The call that brings a container back.
pub(super) const START: &str = "containers.start";
/// The call that sends a signal.
pub(super) const KILL: &str = "containers.kill";

/// Wishes that reach an attempt while it is under way.
#[derive(Debug, Default)]
pub struct Control {
    cancelled: AtomicU8,
    failed: AtomicBool,
    left: Mutex<Option<Stop>>,
    at_once: AtomicBool,
    changed: watch::Sender<()>,
}

impl Control {
    /// The next call of a step is answered `cancelled`, and so is a read under way; undo and `finally` go on.
    pub fn cancel(&self) {
        self.cancelled.fetch_max(STEPS, Ordering::SeqCst);
        self.changed.send_replace(());
    }

    /// The run has lost its locks: undo is over as well.
    pub fn cancel_writes(&self) {
        self.cancelled.fetch_max(STEPS_AND_UNDO, Ordering::SeqCst);
        self.changed.send_replace(());
    }

    /// The next call stops the attempt, and so does a read under way, as soon as nothing is down that its step took down.
    pub fn stop(&self, why: Stop) {
        *lock(&self.left) = Some(why);
        self.changed.send_replace(());
    }

    /// What is to stop stops now, whatever is down.
    pub fn stop_at_once(&self) {
        self.at_once.store(true, Ordering::SeqCst);
        self.changed.send_replace(());
    }

    /// Takes the wish to stop back, for a run that is carried on.
    pub fn carry_on(&self) {
        *lock(&self.left) = None;
    }

    /// A step has failed: from here on the run need not go as planned.
    pub fn fail(&self) {
        self.failed.store(true, Ordering::SeqCst);
    }

    /// Whether a step has failed or the run is being cancelled.
    pub(super) fn went_wrong(&self) -> bool {
        self.failed.load(Ordering::SeqCst) || self.cancelled.load(Ordering::SeqCst) >= STEPS
    }

    /// Whether another run has the locks now.
    pub(super) fn lost_locks(&self) -> bool {
        self.cancelled.load(Ordering::SeqCst) >= STEPS_AND_UNDO
    }

    pub(super) fn cancelled(&self, section: Section) -> bool {
        let level = match section {
            Section::Steps => STEPS,
            Section::Undo => STEPS_AND_UNDO,
            Section::Finally => return false,
        };
        self.cancelled.load(Ordering::SeqCst) >= level
    }

    /// Whether the run is to be left, or the engine ends.
    pub fn is_stopped(&self) -> bool {
        self.stopped().is_some()
    }

    /// Why attempts are to stop at their safe point.
    pub(super) fn stopped(&self) -> Option<Stop> {
        lock(&self.left).clone()
    }

    /// Whether they are to stop before it.
    pub(super) fn stops_at_once(&self) -> bool {
        self.at_once.load(Ordering::SeqCst)
    }

    /// Tells of every wish from now on.
    pub(super) fn wishes(&self) -> watch::Receiver<()> {
        self.changed.subscribe()
    }
}

/// What the attempts of one run share.
pub struct RunContext {
    /// The run.
    pub run: RunId,
    /// Where its runbook stands, for messages: `runbooks/db.yaml`.
    pub file: String,
    /// The container daemon.
    pub target: TargetName,
    /// What it may do.
    pub grants: RunGrants,
    /// How calls are answered.
    pub mode: Mode,
    /// The engine's halt switch.
    pub halt: HaltSwitch,
    /// Wishes.
    pub control: Arc<Control>,
    /// Where things are written down.
    pub ledger: Arc<dyn Ledger>,
    /// The world.
    pub world: World,
    pub(super) memory: Mutex<Memory>,
}

/// What the door remembers from call to call, across the attempts of a run.
#[derive(Debug, Default)]
pub(super) struct Memory {
    /// How an earlier engine saw containers: one must still be as in one of these before this engine may write to it. The
    /// journal does not tell which of two steps looked last, hence all of them. What this engine reads is not among them,
    /// or a person's change would pass for the run's own.
    pub(super) unverified: HashMap<String, Sights>,
    /// Containers made by this run: id → the place of the call that made them.
    pub(super) created: HashMap<String, String>,
    /// Which container had this address when it was last seen.
    pub(super) addresses: HashMap<IpAddr, String>,
    /// The plan it is held to.
    pub(super) held: Option<Held>,
    /// What its steps may take back.
    pub(super) way_back: WayBack,
    /// What its commands took down.
    pub(super) losses: Losses,
}

impl RunContext {
    /// `planned`: the writes this run is held to. Everything recorded before `replayed` was done by an earlier engine.
    pub fn new(parts: RunParts) -> Self {
        let RunParts { run, file, target, grants, mode, halt, ledger, world, planned, is_child } = parts;
        Self {
            run,
            file,
            target,
            grants,
            mode,
            halt,
            control: Arc::default(),
            ledger,
            world,
            memory: Mutex::new(Memory {
                held: planned.map(|writes| Held::new(writes, is_child)),
                ..Memory::default()
            }),
        }
    }

    /// Takes in what an earlier engine recorded: its containers must be looked at again before they are written to.
    pub fn recall(&self, call: &CallId, function: &str, answer: &Value) {
        let mut memory = lock(&self.memory);
        for container in containers_in(answer) {
            self.world.remember(&container);
            memory.verify(&container);
            memory.learn(&container, (function == "containers.create").then(|| place(call)));
            memory.way_back.mark(&container, &call.path, function);
        }
    }

    /// Takes in what an earlier engine announced: what it saw before, and that a signal may still be at work.
    pub fn recall_announced(&self, function: &str, arguments: &Value, before: &Value) {
        for container in containers_in(before) {
            lock(&self.memory).verify(&container);
            if let (KILL, Some(signal)) = (function, arguments["signal"].as_str()) {
                self.world.budgets().signalled(&self.target, &container, aftermath(signal));
            }
        }
    }

    /// What its steps took down and have not brought back, in words; none if that is nothing.
    pub fn down(&self) -> Option<String> {
        told_down(&lock(&self.memory).way_back.down(None))
    }

    /// A person has looked at it and decided: it is as they want it.
    pub fn trust(&self, before: &Value) {
        for container in containers_in(before) {
            lock(&self.memory).unverified.remove(&container.id);
        }
    }

    /// The plan's entry for a write was used by an earlier engine.
    pub fn recall_write(
        &self,
        call: &CallId,
        (function, arguments): (&str, &Value),
        outcome: Option<&Outcome>,
    ) {
        let key = self.write_key(&call.path, function, arguments);
        let mut memory = lock(&self.memory);
        if let Some(Outcome::Ok(_)) = outcome {
            memory.way_back.removed(function, arguments);
        }
        if let Some(held) = &mut memory.held {
            held.took(&key);
        }
    }

    /// Names a call for ever.
    pub(super) fn key(&self, call: &CallId) -> Digest {
        Digest::of(format!("{}\n{}\n{}\n{}", self.run, call.path, call.attempt, call.ordinal))
    }

    /// Names a write independently of run and attempt, so that a plan and a run can be compared: a container made by the
    /// run itself goes by the place of the call that made it.
    pub(super) fn write_key(&self, path: &StepPath, function: &str, arguments: &Value) -> Digest {
        let mut arguments = arguments.clone();
        if let Some(id) = arguments.get("id").and_then(Value::as_str) {
            let made = lock(&self.memory).created.get(id).cloned();
            if let Some(made) = made {
                arguments["id"] = Value::String(made);
            }
        }
        // What is kept or remembered is no more foreseen than the output of a command: only that it is.
        if let ("artifacts.keep" | "state.set", Some(fields)) = (function, arguments.as_object_mut()) {
            fields.retain(|field, _| field != "digest" && field != "bytes" && field != "value");
        }
        // Plugins may name what they make after the run.
        let arguments = arguments.to_string().replace(self.run.as_str(), "RUN");
        Digest::of(format!("{path}\n{function}\n{arguments}"))
    }

    pub(super) fn learn(&self, call: &CallId, function: &str, answer: &Value) {
        let found = containers_in(answer);
        if found.is_empty() {
            return;
        }
        let mut memory = lock(&self.memory);
        for container in found {
            let made = (function == "containers.create").then(|| place(call));
            memory.learn(&container, made);
            memory.way_back.mark(&container, &call.path, function);
        }
    }
}

impl Memory {
    /// It must still be like this, or as it was seen another time, when it is written to.
    fn verify(&mut self, container: &Container) {
        let sights = self.unverified.entry(container.id.clone());
        sights.and_modify(|sights| sights.add(container)).or_insert_with(|| Sights::of(container));
    }

    /// Whether somebody has changed it since an earlier engine looked: how it was and how it is. Only asked once: then it
    /// is for a person to decide.
    pub(super) fn moved(&mut self, container: &Container) -> Option<String> {
        let made = self.created.contains_key(&container.id);
        self.unverified.remove(&container.id)?.difference(container, made)
    }

    fn learn(&mut self, container: &Container, made_by: Option<String>) {
        for address in container.addresses.iter().filter_map(|address| address.parse().ok()) {
            self.addresses.insert(address, container.id.clone());
        }
        if let Some(place) = made_by {
            self.created.insert(container.id.clone(), place);
        }
    }
}

/// `web-1` is down until the run is resumed.
pub(super) fn told_down(down: &[String]) -> Option<String> {
    let names: Vec<String> = down.iter().map(|name| format!("`{name}`")).collect();
    let is = match names.len() {
        0 => return None,
        1 => "is",
        _ => "are",
    };
    Some(format!("{} {is} down until the run is resumed", names.join(", ")))
}

/// Where a call stands, in whatever run.
fn place(call: &CallId) -> String {
    format!("made at {} attempt {} call {}", call.path, call.attempt, call.ordinal)
}

/// The parts of a [`RunContext`].
#[expect(missing_docs, reason = "as in `RunContext`")]
pub struct RunParts {
    pub run: RunId,
    pub file: String,
    pub target: TargetName,
    pub grants: RunGrants,
    pub mode: Mode,
    pub halt: HaltSwitch,
    pub ledger: Arc<dyn Ledger>,
    pub world: World,
    /// The plan's writes, in order.
    pub planned: Option<Vec<HeldWrite>>,
    /// Whether a parent run shares the plan, and may have done something of it.
    pub is_child: bool,
}

/// The containers in an answer: one, or a list.
pub(super) fn containers_in(answer: &Value) -> Vec<Container> {
    match answer {
        Value::Array(items) if items.first().is_some_and(|i| i.get("started_at").is_some()) => {
            items.iter().filter_map(|item| serde_json::from_value(item.clone()).ok()).collect()
        }
        Value::Object(map) if map.contains_key("started_at") => {
            serde_json::from_value(answer.clone()).into_iter().collect()
        }
        _ => Vec::new(),
    }
}

/// A poisoned lock means a panic elsewhere; the data is still whole, since no lock is held over a panic-prone step.
pub(super) fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use docker::types::{Health, State};

    pub(crate) fn container(id: &str) -> Container {
        serde_json::from_value(serde_json::json!({
            "id": id, "name": "shop-web-1", "service": "shop/web", "depends_on": [], "state": "exited",
            "health": "none", "started_at": "", "finished_at": "", "created_at": "", "image": "", "image_id": "",
            "exit_code": 0, "out_of_memory": false, "restart_count": 0,
            "limits": { "cpu_millis": 0, "memory_bytes": 0, "memory_swap_bytes": 0, "pids": 0 },
            "ports": [], "addresses": [], "auto_remove": false, "replica": 1, "labels": [],
        }))
        .unwrap()
    }

    type By = fn(&mut Container);

    #[test]
    fn what_this_engine_reads_does_not_hide_what_a_person_changed() {
        let old = container("1");
        let mut memory = Memory::default();
        memory.verify(&old);
        memory.learn(&old, None);
        let change = |by: fn(&mut Container)| {
            let mut new = container("1");
            by(&mut new);
            new
        };
        let changes: [(By, &str); 4] = [
            (|c| c.started_at = "now".to_owned(), "stopped since now"),
            (|c| c.state = State::Paused, "is paused now"),
            (|c| c.limits.memory_bytes = 300, "are 0 thousandths of a core, 300 bytes"),
            (|c| c.name = "other".to_owned(), "is `other` now"),
        ];
        for (by, words) in changes {
            let new = change(by);
            memory.verify(&old);
            memory.learn(&new, None);
            let moved = memory.moved(&new).unwrap();
            assert!(moved.contains(words), "{moved}");
            assert_eq!(memory.moved(&new), None, "it is asked once");
        }
        let (new, unhealthy) =
            (change(|c| c.state = State::Paused), change(|c| c.health = Health::Unhealthy));
        memory.verify(&new);
        memory.verify(&old);
        assert_eq!(memory.moved(&new), None, "the run itself left it so");
        memory.verify(&old);
        assert_eq!(memory.moved(&unhealthy), None, "health comes and goes");

        let mut running = container("1");
        running.state = State::Running;
        memory.verify(&running);
        assert!(memory.moved(&old).unwrap().contains("is stopped now"));
        memory.learn(&running, Some("made at a".to_owned()));
        memory.verify(&running);
        assert_eq!(memory.moved(&old), None, "the run's own may end by itself");
        memory.verify(&running);
        assert!(memory.moved(&change(|c| c.started_at = "now".to_owned())).is_some());
    }

    #[test]
    fn a_lost_lock_is_no_mere_cancel() {
        let control = Control::default();
        control.cancel();
        assert!(control.cancelled(Section::Steps) && control.went_wrong() && !control.lost_locks());
        control.cancel_writes();
        assert!(control.lost_locks());
    }
}
