//! What the journal holds about one step or item: its attempts and their host calls, what it waits for, why it was
//! skipped. Does not know which events may follow which.

use serde_json::Value;

use crate::event::{Outcome, Settlement, SkipReason, Wait};
use crate::question::{Answer, MANUAL, Question};
use words::effect::Effect;
use words::ids::{Digest, RunId};

/// What is known of one step or item.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Progress {
    /// The number of the event that first named it: a larger one is newer.
    pub order: u32,
    /// The items of a `for_each`.
    pub items: Option<Vec<Value>>,
    /// How many of the first items there are until none is named in any event: they are pending.
    pub items_named: u32,
    /// Why it did not run.
    pub skipped: Option<SkipReason>,
    /// The confirmation asked for with `--step`.
    pub confirm: Option<Asked>,
    /// In order; the first is attempt 1.
    pub attempts: Vec<Attempt>,
    /// Of an undo: whether its `holds` held.
    pub check: Option<Check>,
}

/// Whether an undo's `holds` held.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Check {
    /// Whether it did.
    pub holds: bool,
    /// Why not.
    pub message: Option<String>,
}

/// A question to a person, and the answer.
#[derive(Debug, Clone, PartialEq)]
pub struct Asked {
    /// When it was asked.
    pub at_ms: u64,
    /// The attempt that asks.
    pub attempt: u32,
    /// What is asked.
    pub question: Question,
    /// The answer.
    pub answer: Option<Answer>,
}

/// What an attempt waits for.
#[derive(Debug, Clone, PartialEq)]
pub enum Waiting {
    /// This time.
    Until(u64),
    /// An approval.
    Approval(Asked),
    /// A "done".
    Manual(Asked),
}

impl Waiting {
    pub(super) fn new(at_ms: u64, attempt: u32, wait: &Wait) -> Self {
        let asked = |question: &Question| Asked { at_ms, attempt, question: question.clone(), answer: None };
        match wait {
            Wait::Until(until_ms) => Self::Until(*until_ms),
            Wait::Approval(question) => Self::Approval(asked(question)),
            Wait::Manual(question) => Self::Manual(asked(question)),
            Wait::Confirm(_) => unreachable!("a confirmation precedes the attempt"),
        }
    }

    /// The question, if a person is asked.
    pub fn asked(&self) -> Option<&Asked> {
        match self {
            Self::Until(_) => None,
            Self::Approval(asked) | Self::Manual(asked) => Some(asked),
        }
    }

    pub(super) fn asked_mut(&mut self) -> Option<&mut Asked> {
        match self {
            Self::Until(_) => None,
            Self::Approval(asked) | Self::Manual(asked) => Some(asked),
        }
    }
}

/// One try of a step.
#[derive(Debug, Clone, PartialEq)]
pub struct Attempt {
    /// When it began, or when it was found that it cannot begin.
    pub started_ms: u64,
    /// False if it could not begin: its input could not be evaluated, or no time was left.
    pub began: bool,
    /// `service.restart`; empty if it could not begin.
    pub uses: String,
    /// The evaluated input.
    pub with: Value,
    /// The plugin's bytes; none for decisions of the run machine.
    pub plugin: Option<Digest>,
    /// As recorded at its start; see [`State::extended`](super::State::extended).
    pub deadline_ms: u64,
    /// The host calls it made, by ordinal.
    pub calls: Vec<RecordedCall>,
    /// What it waits for.
    pub waiting: Option<Waiting>,
    /// The child run it waits for.
    pub child: Option<RunId>,
    /// When it ended.
    pub finished_ms: Option<u64>,
    /// The number of the event that ended it: of two, the smaller came first.
    pub finished_order: u32,
    /// Its output or failure, once it ended.
    pub outcome: Option<Outcome>,
    /// With `until`: whether the condition held.
    pub met: Option<bool>,
    /// The last lines the plugin logged.
    pub lines: Vec<String>,
}

/// The host calls that change the state kept with the audit log. They commit with the entry that tells of them, so that
/// nothing announces them: they are known by these names.
const STATE_CALLS: [&str; 2] = ["state.set", "state.delete"];

/// The host call that keeps an artifact. It commits like a change of state.
const KEEP: &str = "artifacts.keep";

impl Attempt {
    /// Whether there is something that an undo could take back: a write that was announced, a change of state, an artifact,
    /// a child run that may have written (one that was rolled back has changed nothing for good), or the work of a person.
    pub fn wrote(&self) -> bool {
        let by_hand = self.uses == MANUAL && matches!(self.outcome, Some(Outcome::Ok(_)));
        by_hand || self.changed() || self.calls.iter().any(|call| call.kept(&[KEEP]))
    }

    /// Whether something is not as it was, also where no undo was written for it. Artifacts are evidence, and what a person
    /// did is known to that person: neither counts.
    pub fn changed(&self) -> bool {
        let harmless =
            matches!(&self.outcome, Some(Outcome::Error(failure)) if failure.code == "child.rolled-back");
        (self.child.is_some() && !harmless)
            || self.calls.iter().any(|call| call.changes() && call.function != KEEP)
    }

    /// Whether a call of it is in doubt and undecided.
    pub fn in_doubt(&self) -> bool {
        self.calls.last().is_some_and(RecordedCall::in_doubt)
    }

    /// Whether a person decided that a call of it failed.
    pub fn settled_as_failed(&self) -> bool {
        self.calls.iter().any(|call| call.settled == Some(Settlement::Fail))
    }
}

/// A host call as the journal holds it.
#[derive(Debug, Clone, PartialEq)]
pub struct RecordedCall {
    /// For example `containers.stop`.
    pub function: String,
    /// Its arguments.
    pub arguments: Value,
    /// How it was announced; none for reads.
    pub intent: Option<Intent>,
    /// What came of it.
    pub outcome: Option<Outcome>,
    /// Why it could not be established.
    pub doubted: Option<String>,
    /// What a person decided about the doubt.
    pub settled: Option<Settlement>,
    /// The number of the newest event about it: of two, the smaller came first.
    pub order: u32,
    /// When that was, milliseconds since 1970.
    pub at_ms: u64,
}

impl RecordedCall {
    /// Whether it was announced as something that changes the world.
    pub fn writes(&self) -> bool {
        self.intent.as_ref().is_some_and(|intent| intent.effect.writes())
    }

    /// Whether it is one of these, and has changed what is kept with the audit log.
    fn kept(&self, functions: &[&str]) -> bool {
        functions.contains(&self.function.as_str()) && matches!(self.outcome, Some(Outcome::Ok(_)))
    }

    /// Whether it is a write, announced or committed with its entry.
    pub fn changes(&self) -> bool {
        self.writes() || self.kept(&STATE_CALLS) || self.kept(&[KEEP])
    }

    /// Whether a person has yet to decide.
    pub fn in_doubt(&self) -> bool {
        self.doubted.is_some() && self.settled.is_none() && self.outcome.is_none()
    }
}

/// The announcement of a call.
#[derive(Debug, Clone, PartialEq)]
pub struct Intent {
    /// Its class.
    pub effect: Effect,
    /// What was seen of the target before.
    pub before: Value,
    /// When it was announced.
    pub at_ms: u64,
}

impl Progress {
    /// One attempt, from 1.
    pub fn attempt(&self, number: u32) -> Option<&Attempt> {
        self.attempts.get(usize::try_from(number).ok()?.checked_sub(1)?)
    }

    pub(super) fn attempt_mut(&mut self, number: u32) -> Option<&mut Attempt> {
        self.attempts.get_mut(usize::try_from(number).ok()?.checked_sub(1)?)
    }

    /// How many attempts there are.
    pub fn attempt_count(&self) -> u32 {
        u32::try_from(self.attempts.len()).unwrap_or(u32::MAX)
    }

    /// The newest attempt with its number.
    pub fn last(&self) -> Option<(u32, &Attempt)> {
        Some((self.attempt_count(), self.attempts.last()?))
    }

    /// The attempt under way with its number.
    pub fn unfinished(&self) -> Option<(u32, &Attempt)> {
        self.last().filter(|(_, attempt)| attempt.outcome.is_none())
    }

    /// Whether any attempt wrote something that an undo could take back; see [`Attempt::wrote`].
    pub fn wrote(&self) -> bool {
        self.attempts.iter().any(Attempt::wrote)
    }

    /// Whether any attempt left something that is not as it was; see [`Attempt::changed`].
    pub fn changed(&self) -> bool {
        self.attempts.iter().any(Attempt::changed)
    }

    /// The question a person has yet to answer.
    pub fn question(&self) -> Option<&Asked> {
        if self.skipped.is_some() {
            return None;
        }
        if self.attempts.is_empty() {
            return self.confirm.as_ref().filter(|asked| asked.answer.is_none());
        }
        let (_, attempt) = self.unfinished()?;
        attempt.waiting.as_ref()?.asked().filter(|asked| asked.answer.is_none())
    }

    /// Whether it may begin as far as `--step` goes: nobody was asked, or the answer was yes.
    pub(super) fn confirmed(&self) -> bool {
        let answer = |asked: &Asked| asked.answer.as_ref().is_some_and(|answer| answer.yes);
        self.confirm.as_ref().is_none_or(answer)
    }

    pub(super) fn in_doubt(&self) -> bool {
        self.unfinished().is_some_and(|(_, attempt)| attempt.in_doubt())
    }

    pub(super) fn working(&self) -> bool {
        self.unfinished().is_some_and(|(_, attempt)| attempt.waiting.is_none())
    }

    pub(super) fn waiting(&self) -> bool {
        self.question().is_some() || self.unfinished().is_some_and(|(_, attempt)| attempt.waiting.is_some())
    }
}
