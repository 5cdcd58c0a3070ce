//! A run's turn on this machine: before it acts it has the machine's lock on each of its services, whoever else acts here.

use std::sync::Arc;
use std::time::Duration;

use super::engine::{Engine, Inner};
use super::holder::Holder;
use super::host_holder::{Greeting, Neighbour};
use super::host_lock::{Names, Refused, name};
use super::refusal::Refusal;
use super::request::LockWish;
use super::runner::{Quit, Runner};
use docker::is_away;
use host::Ledger as _;
use host::limits::PATIENCE_MS;
use run::event::Accepted;
use run::next::Action;
use words::clock::{self, Deadline};
use words::ids::{RunId, Section};

/// The pause before a lock is tried again that was given back just now.
const MOMENT: Duration = Duration::from_millis(10);
/// The pause before a daemon that is away is asked for its id again.
const PAUSE: Duration = Duration::from_millis(500);

impl Runner {
    /// Whether something is to begin that may act, and the locks are still to be taken. A run that lost its locks acts in
    /// `finally` alone.
    pub(super) fn must_take_host_locks(&self, actions: &[Action]) -> bool {
        let lost = self.has_lost();
        let acts = actions.iter().any(|action| match action {
            Action::Perform(perform) => !lost || perform.path.section == Section::Finally,
            Action::StartChild(_) => !lost,
            _ => false,
        });
        acts && !self.host.as_ref().is_some_and(|names| self.inner.host_locks.has(self.journal.run(), names))
    }

    /// Waits until it has the machine's locks; commands are obeyed meanwhile. False if there is something else to do first:
    /// a person left or ended it.
    pub(super) async fn take_host_locks(&mut self, told: &mut String) -> Result<bool, Quit> {
        let Some(names) = self.host_names().await? else { return Ok(false) };
        let (run, lost) = (self.journal.run().clone(), self.has_lost());
        let greeting = greeting(&self.inner, &run, self.journal.runbook());
        loop {
            if self.is_called_away()? || self.has_lost() != lost {
                return Ok(false);
            }
            let name = match self.inner.host_locks.take(&names, &self.ancestors(&run), &greeting) {
                Ok(()) => return Ok(true),
                Err(Refused::Taken(name)) => name,
                Err(Refused::Broken(error)) => {
                    self.warn(&format!(
                        "this machine gives no lock, and others on it may act at once: {error}"
                    ));
                    self.host = Some(Names::new());
                    return Ok(true);
                }
            };
            let asked = tokio::select! {
                asked = Neighbour::ask(&name) => asked,
                Some(message) = self.inbox.recv() => {
                    self.hear(*message).await?;
                    continue;
                }
            };
            let Some((neighbour, line)) = asked else {
                tokio::time::sleep(MOMENT).await;
                continue;
            };
            let service = names.get(&name).map(String::as_str).unwrap_or_default();
            self.tell_of(&words(&self.inner, &neighbour, service), told);
            tokio::select! {
                () = line.until_free() => {}
                Some(message) = self.inbox.recv() => self.hear(*message).await?,
            }
        }
    }

    fn has_lost(&self) -> bool {
        self.journal.with(|state| state.lock_loss().is_some())
    }

    /// Whether it has something else to do than to wait for the machine.
    fn is_called_away(&self) -> Result<bool, Quit> {
        if self.draining {
            return Err(Quit::Drained);
        }
        Ok(self.journal.with(|state| {
            let never_began = state.cancel().is_some() && state.started_ms().is_none();
            state.end().is_some() || state.left().is_some() || never_began
        }))
    }

    fn warn(&self, words: &str) {
        let (path, attempt) = self.place();
        self.journal.note(&path, attempt, "warn", words.to_owned());
    }

    /// The names of its locks. A daemon that is away is asked again; one that names no id, or stays away, is known by its
    /// address.
    async fn host_names(&mut self) -> Result<Option<Names>, Quit> {
        if let Some(names) = &self.host {
            return Ok(Some(names.clone()));
        }
        let Some(accepted) = self.journal.with(|state| state.accepted().cloned()) else { return Ok(None) };
        let give_up = Deadline::after_ms(PATIENCE_MS);
        let inner = Arc::clone(&self.inner);
        while !accepted.locks.is_empty() {
            if self.is_called_away()? {
                return Ok(None);
            }
            let asked = tokio::select! {
                asked = daemon_id(&inner, &accepted) => asked,
                Some(message) = self.inbox.recv() => {
                    self.hear(*message).await?;
                    continue;
                }
            };
            match asked {
                Ok(id) => {
                    if id.is_none() {
                        self.warn("the daemon names no id: on this machine only who uses the same address is kept from acting at once");
                    }
                    self.host = Some(names(&inner, &accepted, id));
                    break;
                }
                Err(refusal) if is_patient(&refusal) && !give_up.passed() => {
                    tokio::time::sleep(PAUSE).await;
                }
                Err(refusal) => {
                    self.warn(&format!("the daemon cannot be asked for its id: {refusal}"));
                    return Ok(Some(names(&inner, &accepted, None)));
                }
            }
        }
        Ok(Some(self.host.get_or_insert_default().clone()))
    }
}

fn is_patient(refusal: &Refusal) -> bool {
    matches!(refusal, Refusal::Target(failure) if is_away(failure))
}

async fn daemon_id(inner: &Inner, accepted: &Accepted) -> Result<Option<String>, Refusal> {
    inner.reach.daemon(&accepted.target)?.id().await.map_err(|error| Refusal::Target(error.failure))
}

fn names(inner: &Inner, accepted: &Accepted, id: Option<String>) -> Names {
    let address = || {
        let daemon = inner.reach.daemon(&accepted.target).map(|daemon| format!("at {}", daemon.connection()));
        daemon.unwrap_or_default()
    };
    let daemon = id.unwrap_or_else(address);
    let target = format!("{}/", accepted.target);
    let services = accepted.locks.iter().map(|lock| lock.strip_prefix(&target).unwrap_or(lock));
    services.map(|service| (name(&daemon, service), service.to_owned())).collect()
}

fn greeting(inner: &Inner, run: &RunId, runbook: String) -> Greeting {
    let data_dir = inner.config.data_dir.display().to_string();
    Greeting { run: run.clone(), runbook, since_ms: clock::now_ms(), data_dir }
}

/// Who is in the way, and what frees the lock.
fn words(inner: &Inner, neighbour: &Neighbour, service: &str) -> String {
    if let Some(said) = neighbour.said.as_ref().filter(|_| neighbour.is_here()) {
        let holder = Holder::of(inner, std::slice::from_ref(&said.run));
        return format!("{}. {}", holder.words(service), holder.ways_out());
    }
    let user = (inner.config.user_name)(neighbour.uid);
    format!("{}. {}", neighbour.words(service, &user), neighbour.ways_out(&user))
}

impl Engine {
    /// For a request that does not wait, or takes locks: the machine's locks are taken before it is accepted. What another
    /// engine holds cannot be taken from here.
    pub(super) async fn reserve(
        &self,
        run: &RunId,
        accepted: &Accepted,
        ancestors: &[RunId],
        wish: &LockWish,
    ) -> Result<(), Refusal> {
        if *wish == LockWish::Wait || accepted.locks.is_empty() {
            return Ok(());
        }
        let inner = self.inner();
        let names = names(inner, accepted, daemon_id(inner, accepted).await.unwrap_or_default());
        let greeting = greeting(inner, run, accepted.runbook.to_string());
        loop {
            let Err(Refused::Taken(name)) = inner.host_locks.take(&names, ancestors, &greeting) else {
                return Ok(());
            };
            let Some((neighbour, _)) = Neighbour::ask(&name).await else {
                tokio::time::sleep(MOMENT).await;
                continue;
            };
            // A run of this engine: its own locks decide.
            if neighbour.is_here() {
                return Ok(());
            }
            let user = (inner.config.user_name)(neighbour.uid);
            let service = names.get(&name).map(String::as_str).unwrap_or_default();
            let mut hint = neighbour.ways_out(&user);
            if matches!(wish, LockWish::Take { .. }) {
                hint = format!("--take-lock takes no lock of another engine: {hint}");
            }
            return Err(Refusal::HeldHere { words: neighbour.words(service, &user), hint });
        }
    }
}
