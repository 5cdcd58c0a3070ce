//! What to do next: a pure function of the runbook, the state, the time and what is under way. Decides; performs nothing,
//! knows neither clock nor log nor container.

mod agenda;
mod attempt;
pub(super) mod fate;
mod finish;
mod items;
mod leave;
mod moment;
mod scope;
mod section;
mod stop;
mod undo;
mod unknown;
mod verdict;
mod wait;

use std::collections::BTreeSet;

use serde_json::Value;

use super::event::{CallId, Event, Settlement};
use super::state::State;
use model::runbook::Runbook;
use words::ids::{Digest, RunId, RunbookName, Section, StepPath};

use agenda::Agenda;
use moment::Moment;

pub use finish::{Ended, abandon, child_outcome, finish};
pub use items::Ended as EndedItems;
pub use moment::TIDY_UP_MS;
pub use section::MAX_ITEMS;
pub use unknown::{Resting, resting};

/// What the executor does for the run right now. Lost in a crash, and rightly so: what it held is begun again.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct InFlight {
    /// Attempts being performed, children being started or awaited: step or item, and the attempt from 1.
    pub attempts: BTreeSet<(StepPath, u32)>,
    /// Attempts that stopped at their safe point, since a person leaves the run.
    pub rested: BTreeSet<(StepPath, u32)>,
    /// Children that were told to end.
    pub told: BTreeSet<RunId>,
    /// What is known to be over, so that it is not looked at again; see [`over`].
    pub over: Over,
}

/// What is over, as far as nothing before it is open.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Over {
    /// How many of the first steps.
    pub steps: usize,
    /// How many of the first items of the step after them.
    pub items: items::Ended,
}

/// What is over, given that this is: what is over stays so.
pub fn over(runbook: &Runbook, state: &State, known: Over) -> Over {
    let mut over = known;
    while let Some(step) = runbook.steps.get(over.steps) {
        let path = StepPath::step(step.id.clone());
        let ended = match state.progress(&path).and_then(|progress| progress.items.as_ref()) {
            None => fate::step_fate(state, step, &path).over(),
            Some(values) => {
                over.items = items::ended(state, step, &path, over.items);
                over.items.all == values.len()
            }
        };
        if !ended {
            break;
        }
        over = Over { steps: over.steps + 1, ..Over::default() };
    }
    over
}

/// What the executor is to do.
#[derive(Debug, Clone, PartialEq)]
pub enum Action {
    /// Record this decision. If an answer of [`next`] holds one, it holds nothing else: append all in order, apply them,
    /// and ask again.
    Append(Event),
    /// Perform an attempt with a plugin. Recorded calls of the same attempt are its cursor. Then append what
    /// [`finish`] makes of its outcome.
    Perform(Perform),
    /// Have a child run accepted, once per step and attempt, and append `child.started`.
    StartChild(StartChild),
    /// Wait for a child run to end, then append what [`finish`] makes of [`child_outcome`].
    AwaitChild {
        /// The step or item.
        path: StepPath,
        /// From 1.
        attempt: u32,
        /// The child.
        run: RunId,
    },
    /// Ask a child run to end, and go on waiting for it; note it in [`InFlight::told`].
    CancelChild {
        /// The child.
        run: RunId,
        /// Why.
        reason: String,
        /// Whether it is to undo what it did.
        undo: bool,
    },
    /// Ask again at this time at the latest, milliseconds since 1970. Whatever else the same answer holds comes first: a
    /// simulation lets time pass only if there is nothing else.
    Wait {
        /// When.
        until_ms: u64,
    },
    /// Only a person can go on: an answer, a decision about a call in doubt, or a resume.
    WaitForPerson,
    /// Everything there is to do is under way; ask again when something of it has ended.
    Idle,
}

/// An attempt for a plugin.
#[derive(Debug, Clone, PartialEq)]
pub struct Perform {
    /// The step or item.
    pub path: StepPath,
    /// From 1.
    pub attempt: u32,
    /// `service.restart`
    pub uses: String,
    /// The evaluated input.
    pub with: Value,
    /// The plugin's bytes, as pinned at acceptance.
    pub plugin: Option<Digest>,
    /// When it must have ended, milliseconds since 1970; later than recorded if the run had to pause.
    pub deadline_ms: u64,
}

/// A child run to be accepted.
#[derive(Debug, Clone, PartialEq)]
pub struct StartChild {
    /// The step or item.
    pub path: StepPath,
    /// From 1.
    pub attempt: u32,
    /// The runbook.
    pub runbook: RunbookName,
    /// Its parameters.
    pub with: Value,
    /// When it must have ended, milliseconds since 1970.
    pub deadline_ms: u64,
}

/// What is to be done next. Either only [`Action::Append`]s, or what is to begin now (never what is in flight) followed by
/// what to wait for; empty once the run has ended.
pub fn next(runbook: &Runbook, state: &State, now_ms: u64, in_flight: &InFlight) -> Vec<Action> {
    let mut agenda = Agenda::default();
    if state.accepted().is_none() || state.end().is_some() {
        return Vec::new();
    }
    if state.started_ms().is_none() {
        match state.cancel() {
            Some(cancel) => agenda.decide(verdict::never_started(&cancel.reason)),
            None => agenda.busy(),
        }
        return agenda.into_actions();
    }
    if let Some(reason) = state.leaving().filter(|_| state.lock_loss().is_none()) {
        leave::drive(state, in_flight, reason, &mut agenda);
        return agenda.into_actions();
    }
    if state.left().is_some() {
        if in_flight.attempts.is_empty() {
            agenda.wait_for_person();
        } else {
            agenda.busy();
        }
        return agenda.into_actions();
    }
    let hold = state.has_doubt();
    let moment = Moment { runbook, state, now_ms, in_flight, hold };
    let over = section::drive(&moment, Section::Steps, &mut agenda)
        && undo::drive(&moment, &mut agenda)
        && section::drive(&moment, Section::Finally, &mut agenda);
    if over {
        agenda.decide(verdict::finish(&moment));
    }
    let actions = agenda.into_actions();
    match undecided(state, in_flight, &actions) {
        Some(call) => vec![Action::Append(Event::CallSettled { call, decision: Settlement::Fail })],
        None => actions,
    }
}

/// The call in doubt for which a run would wait that lost its locks: whoever has them need not wait for a person's decision
/// about it, and what happened stays unknown.
fn undecided(state: &State, in_flight: &InFlight, actions: &[Action]) -> Option<CallId> {
    let rests = actions.iter().all(|action| matches!(action, Action::WaitForPerson | Action::Wait { .. }));
    let lost = state.lock_loss().is_some() && in_flight.attempts.is_empty();
    state.doubts().into_iter().next().filter(|_| lost && rests)
}
