//! A run that a person leaves: nothing new begins, what is under way goes on to its safe point, then the run is left.

use super::agenda::Agenda;
use super::{Action, InFlight, Perform};
use crate::event::Event;
use crate::state::State;

/// Carries each attempt on until it rests. After a crash as well: only its plugin knows what it must bring back.
pub(super) fn drive(state: &State, in_flight: &InFlight, reason: &str, agenda: &mut Agenda) {
    let mut rests = true;
    for (path, number, attempt) in state.performing() {
        let place = (path.clone(), number);
        if in_flight.rested.contains(&place) {
            continue;
        }
        rests = false;
        if in_flight.attempts.contains(&place) {
            agenda.busy();
            continue;
        }
        agenda.begin(Action::Perform(Perform {
            path: path.clone(),
            attempt: number,
            uses: attempt.uses.clone(),
            with: attempt.with.clone(),
            plugin: attempt.plugin.clone(),
            deadline_ms: state.extended(attempt.deadline_ms, attempt.started_ms),
        }));
    }
    if rests {
        agenda.decide(Event::Left { reason: reason.to_owned() });
    }
}
