//! What one look at a run found to do: decisions to record, things to begin, and what to wait for.

use super::Action;
use crate::event::Event;

/// Collects what is to be done.
///
/// A decision may rest on what an earlier one changes, so decisions come one at a time; only the skips of a run that stops
/// share an answer, as far as nothing else is to be decided between them. So every prefix of a journal leads to the same
/// rest, entry by entry.
#[derive(Debug, Default)]
pub(super) struct Agenda {
    decisions: Vec<Event>,
    full: bool,
    begin: Vec<Action>,
    until_ms: Option<u64>,
    person: bool,
    busy: bool,
}

impl Agenda {
    /// A decision that others may rest on.
    pub(super) fn decide(&mut self, event: Event) {
        if self.decisions.is_empty() {
            self.decisions.push(event);
        }
        self.full = true;
    }

    /// A skip that no other rests on.
    pub(super) fn skip(&mut self, event: Event) {
        if !self.full {
            self.decisions.push(event);
        }
    }

    /// What follows may rest on the skips so far.
    pub(super) fn settle(&mut self) {
        self.full |= !self.decisions.is_empty();
    }

    /// Something to begin now.
    pub(super) fn begin(&mut self, action: Action) {
        self.begin.push(action);
    }

    /// Ask again at this time at the latest.
    pub(super) fn wait_until(&mut self, ms: u64) {
        self.until_ms = Some(self.until_ms.map_or(ms, |earlier| earlier.min(ms)));
    }

    /// What waits for something waits at most until this time.
    pub(super) fn limit(&mut self, ms: u64) {
        if self.until_ms.is_some() || self.person {
            self.wait_until(ms);
        }
    }

    /// A person is needed.
    pub(super) fn wait_for_person(&mut self) {
        self.person = true;
    }

    /// Something is under way.
    pub(super) fn busy(&mut self) {
        self.busy = true;
    }

    /// The answer of one look.
    pub(super) fn into_actions(self) -> Vec<Action> {
        if !self.decisions.is_empty() {
            return self.decisions.into_iter().map(Action::Append).collect();
        }
        let mut actions = self.begin;
        actions.extend(self.until_ms.map(|until_ms| Action::Wait { until_ms }));
        if self.person {
            actions.push(Action::WaitForPerson);
        }
        if actions.is_empty() && self.busy {
            actions.push(Action::Idle);
        }
        actions
    }
}
