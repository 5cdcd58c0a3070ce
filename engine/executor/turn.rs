//! A run's turn: it holds all of its locks before it does anything. While it rests and nothing is down because of it, it
//! gives them back, and takes them anew before it goes on.

use std::sync::Arc;

use serde_json::json;

use super::holder::Holder;
use super::lock_table::{Deadlock, Turn};
use super::recall;
use super::runner::{Message, Quit, Rest, Runner};
use host::Ledger as _;
use run::event::{EndStatus, Event};
use run::keeping::keeping;
use run::state::{RunStatus, State};
use words::ids::{RunId, StepPath};

/// The level of a note that says for whom a run waits.
pub const WAITS: &str = "waits";
/// The level of the note that it waits no longer.
pub const HOLDS: &str = "holds";

/// Whether a run that rests like this needs its locks no longer: a person left it, and nothing is down or unknown because
/// of it.
pub(super) fn stands_aside(state: &State) -> bool {
    state.left().is_some() && (state.started_ms().is_none() || keeping(state).is_empty())
}

impl Runner {
    /// A run that was left does not wait for the runs of its steps either: it does so again when it is carried on.
    pub(super) fn rest_with_children(&mut self) {
        if !self.waits.is_empty() && self.journal.with(|state| state.left().is_some()) {
            for (_, waits) in self.waits.drain() {
                waits.abort();
            }
        }
    }

    /// Whether nothing of it is under way.
    pub(super) fn is_at_rest(&self) -> bool {
        self.work.is_empty()
    }

    /// Whether it rests and gives its locks back.
    pub(super) fn gives_back(&self) -> bool {
        !self.draining && self.is_at_rest() && self.journal.with(stands_aside)
    }

    /// Holds all locks before anything is done; commands are obeyed meanwhile.
    pub(super) async fn take_locks(&mut self) -> Result<(), Quit> {
        let run = self.journal.run().clone();
        let (inner, mut told) = (Arc::clone(&self.inner), String::new());
        loop {
            if self.gives_back() {
                self.stand_aside().await?;
            }
            if self.draining {
                return Err(Quit::Drained);
            }
            if self.needs_no_turn() {
                return Ok(());
            }
            let changed = inner.locks.changed();
            tokio::pin!(changed);
            changed.as_mut().enable();
            let is_child = inner.handle(&run).is_some_and(|handle| handle.parent.is_some());
            let fresh = self.journal.with(|state| state.started_ms().is_none());
            match inner.locks.turn(&run, fresh || is_child) {
                Turn::Held => {
                    if self.rests() || self.take_host_locks(&mut told).await? {
                        return self.has_its_turn(!told.is_empty());
                    }
                    continue;
                }
                Turn::Deadlock(deadlock) => {
                    self.give_up(&deadlock).await?;
                    continue;
                }
                Turn::Waits { family, lock } => {
                    let holder = Holder::of(&inner, &family);
                    self.tell_of(&format!("{}. {}", holder.words(&lock), holder.ways_out()), &mut told);
                }
                // It will hear of it.
                Turn::Lost => {}
            }
            if !self.rests() {
                self.tell(Rest::Working);
            }
            tokio::select! {
                () = changed => {}
                Some(message) = self.inbox.recv() => self.hear(*message).await?,
            }
        }
    }

    /// Whether only a person carries it on: then it holds its locks in this engine, and asks for those of the machine when
    /// it goes on.
    fn rests(&self) -> bool {
        self.journal.with(|state| match state.status() {
            RunStatus::InDoubt | RunStatus::Left => true,
            RunStatus::Waiting => !state.questions().is_empty(),
            RunStatus::Queued | RunStatus::Running | RunStatus::Ended(_) => false,
        })
    }

    /// A run that ends without acting, or whose locks another one has now, waits for none.
    pub(super) fn needs_no_turn(&self) -> bool {
        self.journal.with(|state| {
            let never_began = state.cancel().is_some() && state.started_ms().is_none();
            state.end().is_some() || state.lock_loss().is_some() || never_began
        })
    }

    /// The time for which it waited does not count, and what it knew of the world may be wrong now.
    pub(super) fn has_its_turn(&self, waited: bool) -> Result<(), Quit> {
        if waited {
            let (path, attempt) = self.place();
            self.journal.note(&path, attempt, HOLDS, "holds its locks now".to_owned());
        }
        if !self.begun || !(waited || self.journal.with(State::waits_for_turn)) {
            return Ok(());
        }
        let resumed = Event::Resumed { engine: self.inner.config.name.clone(), by_person: false };
        let goes_on = |state: &State| state.started_ms().is_some() && !state.has_doubt();
        if self.journal.with(|state| goes_on(state) && state.check(&resumed).is_ok()) {
            self.journal.record(&resumed)?;
        }
        Ok(())
    }

    /// Tells whoever follows the run for whom it waits, once for each wording.
    pub(super) fn tell_of(&self, holder: &str, told: &mut String) {
        let words = format!("waits: {holder}");
        if *told != words {
            let (path, attempt) = self.place();
            self.journal.note(&path, attempt, WAITS, words.clone());
            *told = words;
        }
    }

    /// The step that people look at: what is under way, else the first.
    pub(super) fn place(&self) -> (StepPath, u32) {
        let open = self.journal.with(|state| {
            state.paths().find_map(|(path, progress)| Some((path.clone(), progress.unfinished()?.0)))
        });
        open.unwrap_or_else(|| (StepPath::step(self.reading.runbook.steps[0].id.clone()), 1))
    }

    /// Two families wait for each other. A run that has done nothing yet ends rather than wait for ever; one that has is
    /// left for a person.
    async fn give_up(&self, deadlock: &Deadlock) -> Result<(), Quit> {
        let Deadlock { holder, lock } = deadlock;
        let why = format!(
            "run {holder} holds the lock on {lock} and itself waits for what this run's parents hold"
        );
        let event = if self.journal.with(|state| state.started_ms().is_none()) {
            let message = format!("gave up before it began: {why}");
            Event::Finished { status: EndStatus::Failed, outputs: json!({}), message }
        } else {
            Event::Left { reason: format!("it would wait for ever: {why}") }
        };
        Ok(self.journal.append(&event, None).await?)
    }

    /// Gives up its place until a person resumes or ends it: nobody need wait for it meanwhile. Then it stands in line
    /// again, and looks at the world as an engine does that finds a run of another one.
    async fn stand_aside(&mut self) -> Result<(), Quit> {
        let run = self.journal.run().clone();
        self.inner.locks.leave(&run);
        self.inner.host_locks.leave(&run);
        self.tell_rest(None);
        while self.gives_back() {
            match self.inbox.recv().await {
                Some(message) => self.hear(*message).await?,
                None => return Err(Quit::Drained),
            }
        }
        if self.draining || self.needs_no_turn() {
            return Ok(());
        }
        let locks = self.journal.with(|state| state.accepted().map(|a| a.locks.clone()).unwrap_or_default());
        self.inner.locks.enter(&run, &locks, self.ancestors(&run), false);
        self.context = Arc::new(recall::context(&self.inner, &self.journal));
        self.tell_rest(None);
        Ok(())
    }

    /// Another run was given its locks: it ends, whoever had left it, and whatever is in doubt or asked. Its children too.
    pub(super) async fn lose_locks(&mut self, by: RunId, reason: String, actor: &str) -> Result<(), Quit> {
        let lost = Event::LockTaken { by: by.clone(), reason: reason.clone() };
        if self.journal.with(|state| state.check(&lost).is_ok()) {
            self.journal.append(&lost, Some(actor)).await?;
            if !self.draining {
                self.context.control.carry_on();
            }
            self.context.control.cancel_writes();
        } else {
            // It has not begun, or is ending already.
            let reason = format!("run `{by}` was given its locks: {reason}");
            let cancelled = Event::CancelRequested { reason, undo: false };
            if self.journal.with(|state| state.started_ms().is_none() && state.check(&cancelled).is_ok()) {
                self.journal.append(&cancelled, Some(actor)).await?;
            }
        }
        for child in self.inner.children(self.journal.run()) {
            let (by, reason, actor) = (by.clone(), reason.clone(), actor.to_owned());
            if child.inbox.try_send(Box::new(Message::LockTaken { by, reason, actor })).is_err() {
                tracing::info!(run = %child.journal.run(), "a child run could not be told");
            }
        }
        Ok(())
    }

    /// Why a run that lost its locks ends though it cannot go on: it came to rest once more.
    pub(super) fn forsaken(&self) -> Option<String> {
        let look = |state: &State| {
            let (loss, left) = (state.lock_loss()?, state.left()?);
            let kept = Some(keeping(state).words()).filter(|kept| !kept.is_empty());
            let kept = kept.map(|kept| format!("; {kept}")).unwrap_or_default();
            Some(format!("cancelled: run `{}` was given its locks: {}; {left}{kept}", loss.by, loss.reason))
        };
        self.journal.with(look).filter(|_| self.is_at_rest())
    }

    pub(super) fn ancestors(&self, run: &RunId) -> Vec<RunId> {
        let parent = self.inner.handle(run).and_then(|handle| handle.parent);
        self.inner.ancestors(parent.as_ref())
    }
}
