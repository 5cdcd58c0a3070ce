//! One look at a run: the runbook, its state, the time and what is under way, with the questions every decision asks.

use std::time::Duration;

use serde_json::Value;

use super::InFlight;
use super::fate::{Fate, fate, millis};
use crate::event::{Event, Outcome};
use crate::state::{Progress, State};
use model::runbook::{Runbook, Step, Template, Uses};
use words::effect::Failure;
use words::ids::{Section, StepPath};

/// How much time the undo and `finally` have, each, in milliseconds; the run's own timeout does not touch them.
pub const TIDY_UP_MS: u64 = 10 * 60 * 1000;

/// One look at a run.
#[derive(Debug, Clone, Copy)]
pub(super) struct Moment<'a> {
    pub(super) runbook: &'a Runbook,
    pub(super) state: &'a State,
    pub(super) now_ms: u64,
    pub(super) in_flight: &'a InFlight,
    /// A call is in doubt: what is under way may end, nothing new is started.
    pub(super) hold: bool,
}

/// One unit of work: a step, an item of one, or the undo of either.
#[derive(Debug, Clone)]
pub(super) struct Unit<'a> {
    pub(super) path: StepPath,
    pub(super) step: &'a Step,
    pub(super) uses: &'a Uses,
    pub(super) with: &'a Template,
    pub(super) item: Option<&'a Value>,
}

impl<'a> Unit<'a> {
    /// A step without items.
    pub(super) fn step(step: &'a Step, path: StepPath) -> Self {
        Self { path, step, uses: &step.uses, with: &step.with, item: None }
    }

    /// An item of a step.
    pub(super) fn item(step: &'a Step, path: StepPath, item: &'a Value) -> Self {
        Self { path, step, uses: &step.uses, with: &step.with, item: Some(item) }
    }

    /// The step as far as it says what follows a failure; an undo has one attempt.
    fn policy(&self) -> Option<&'a Step> {
        (self.path.section != Section::Undo).then_some(self.step)
    }

    /// How long one attempt may take, or with `until` all of them.
    pub(super) fn timeout(&self) -> Duration {
        if self.path.section == Section::Undo { Duration::from_millis(TIDY_UP_MS) } else { self.step.timeout }
    }

    /// Whether it waits for a condition.
    pub(super) fn has_until(&self) -> bool {
        self.policy().is_some_and(|step| step.until.is_some())
    }

    /// The event of an attempt that could not begin.
    pub(super) fn not_begun(&self, attempt: u32, failure: Failure) -> Event {
        Event::AttemptFinished {
            path: self.path.clone(),
            attempt,
            outcome: Outcome::Error(failure),
            met: None,
            lines: Vec::new(),
        }
    }

    /// The event of an attempt that ended by a decision taken here.
    pub(super) fn ended(&self, attempt: u32, outcome: Outcome) -> Event {
        Event::AttemptFinished { path: self.path.clone(), attempt, outcome, met: None, lines: Vec::new() }
    }
}

impl<'a> Moment<'a> {
    /// The steps of a section as written.
    pub(super) fn steps(&self, section: Section) -> &'a [Step] {
        match section {
            Section::Steps | Section::Undo => &self.runbook.steps,
            Section::Finally => &self.runbook.finally,
        }
    }

    /// What is known of a step or item.
    pub(super) fn progress(&self, path: &StepPath) -> Option<&'a Progress> {
        self.state.progress(path)
    }

    /// What has become of a unit.
    pub(super) fn fate(&self, unit: &Unit<'_>) -> Fate<'a> {
        fate(unit.policy(), self.progress(&unit.path))
    }

    /// How many attempts a unit has had.
    pub(super) fn attempts(&self, unit: &Unit<'_>) -> u32 {
        self.progress(&unit.path).map_or(0, Progress::attempt_count)
    }

    /// The item a path stands for.
    pub(super) fn item(&self, path: &StepPath) -> Option<&'a Value> {
        let section = if path.section == Section::Undo { Section::Steps } else { path.section };
        let parent = StepPath { section, id: path.id.clone(), item: None };
        self.progress(&parent)?.items.as_ref()?.get(usize::try_from(path.item?).ok()?)
    }

    /// Whether the executor is at an attempt right now.
    pub(super) fn is_in_flight(&self, path: &StepPath, attempt: u32) -> bool {
        self.in_flight.attempts.contains(&(path.clone(), attempt))
    }

    /// When everything of a section must have ended.
    pub(super) fn section_deadline_ms(&self, section: Section) -> u64 {
        let tidy_up = |since_ms: Option<u64>| {
            let since_ms = since_ms.unwrap_or(self.now_ms);
            self.state.extended(since_ms.saturating_add(TIDY_UP_MS), since_ms)
        };
        match section {
            Section::Steps => self.state.deadline_ms().unwrap_or(u64::MAX),
            Section::Undo => tidy_up(self.state.undoing().map(|undoing| undoing.at_ms)),
            Section::Finally => tidy_up(self.state.finally_ms()),
        }
    }

    /// When the next attempt of a unit must have ended; with `until`, every attempt of it.
    pub(super) fn deadline_ms(&self, unit: &Unit<'_>) -> u64 {
        let first = self.progress(&unit.path).and_then(|progress| progress.attempts.first());
        let since_ms = match first {
            Some(first) if unit.has_until() => first.started_ms,
            _ => self.now_ms,
        };
        let own_ms = self.state.extended(since_ms.saturating_add(millis(unit.timeout())), since_ms);
        own_ms.min(self.section_deadline_ms(unit.path.section))
    }
}
