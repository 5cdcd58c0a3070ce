//! What a plan cannot know stays unknown: where an answer was only supposed, the output of its step is unknown, and so is
//! everything that rests on it. A step that cannot do with it what it would do with the real thing does not fail for that.

use super::Simulation;
use crate::refusal::Refusal;
use model::unknown::{holds_unknown, unknown};
use run::event::{Event, Outcome, SkipReason};
use run::next::{Ended, Resting, resting};
use words::effect::FailureKind;
use words::ids::StepPath;

impl Simulation<'_> {
    /// Takes in a decision of the run machine, and lists what it rests on.
    pub(super) fn decide(&mut self, event: Event) -> Result<(), Refusal> {
        let Resting { on, fate, items } =
            self.sketch.with(|state| resting(&self.prepared.runbook, state, &event));
        for sentence in on {
            self.overlay().assume(sentence);
        }
        if let Some(path) = event.path().filter(|_| fate) {
            self.unknown.insert(path.clone());
        }
        match event {
            Event::Skipped { path, reason: SkipReason::NoItems } if items => self.without_items(path),
            Event::AttemptFinished { path, attempt, outcome, met, lines } => {
                if self.is_supposed(&path, attempt, &outcome) {
                    return self.comes_to(path, attempt, outcome);
                }
                self.take_in(&Event::AttemptFinished { path, attempt, outcome, met, lines })
            }
            event => self.take_in(&event),
        }
    }

    /// A step whose items cannot be known: it comes to a list that cannot be known either.
    fn without_items(&mut self, path: StepPath) -> Result<(), Refusal> {
        let now_ms = self.overlay().now_ms();
        let uses = self.uses(&path);
        let started = Event::AttemptStarted {
            path: path.clone(),
            attempt: 1,
            uses,
            with: unknown(),
            plugin: None,
            deadline_ms: now_ms,
        };
        self.take_in(&started)?;
        self.ended(Ended { path, attempt: 1, outcome: Outcome::Ok(unknown()), lines: Vec::new() })
    }

    fn uses(&self, path: &StepPath) -> String {
        let runbook = &self.prepared.runbook;
        let mut steps = runbook.steps.iter().chain(&runbook.finally);
        steps.find(|step| step.id == path.id).map(|step| step.uses.to_string()).unwrap_or_default()
    }

    /// Whether an attempt that the run machine itself has ended rests on something unknown: on a person's words, or on an
    /// input that it could not take.
    fn is_supposed(&self, path: &StepPath, attempt: u32, outcome: &Outcome) -> bool {
        self.sketch.with(|state| {
            state.attempt(path, attempt).is_some_and(|attempt| match outcome {
                Outcome::Ok(_) => attempt.waiting.as_ref().is_some_and(|waiting| waiting.asked().is_some()),
                Outcome::Error(_) => holds_unknown(&attempt.with),
            })
        })
    }

    /// Records the end of an attempt that rests on something unknown. A missing grant is known for all that.
    pub(super) fn comes_to(&mut self, path: StepPath, attempt: u32, outcome: Outcome) -> Result<(), Refusal> {
        let outcome = match outcome {
            Outcome::Ok(_) => Outcome::Ok(unknown()),
            Outcome::Error(failure) if failure.kind == FailureKind::Denied => Outcome::Error(failure),
            Outcome::Error(_) => {
                self.unknown.insert(path.clone());
                self.overlay().assume(format!("what step `{path}` does: it rests on what is not known yet"));
                Outcome::Ok(unknown())
            }
        };
        self.ended(Ended { path, attempt, outcome, lines: Vec::new() })
    }
}
