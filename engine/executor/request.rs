//! What may be asked of an engine, by the command line and over its socket alike.

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::telling::printable;
use host::PlannedSecret;
use model::grant::RunGrants;
use model::runbook::Risk;
use run::event::{EndStatus, Settlement};
use run::question::Answer;
use secrets::scrub;
use words::effect::FailureKind;
use words::ids::{Digest, RunbookName, StepPath, TargetName};
use words::trigger::TriggerKind;

/// A wish: not yet durable.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Request {
    /// Which runbook.
    pub runbook: Source,
    /// Parameters as given; defaults are filled in at acceptance.
    pub parameters: Map<String, Value>,
    /// The person who asks. Never taken from a document: the engine asks the kernel who is at the other end.
    #[serde(default, skip_serializing)]
    pub actor: String,
    /// What `SUDO_USER` said to the one who asks, where it is somebody else: a remark.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sudo_user: Option<String>,
    /// Why it is asked for.
    pub trigger: TriggerKind,
    /// The person's words.
    pub reason: Option<String>,
    /// The container daemon; `local` if none is named.
    pub target: Option<TargetName>,
    /// A second request with the same key is the same run.
    pub dedupe: Option<String>,
    /// The plan it is held to.
    pub plan: Option<Digest>,
    /// Ask before each step.
    pub step_by_step: bool,
    /// What to do if another run holds a lock.
    pub lock: LockWish,
}

impl Request {
    /// What the person said, as it may stand in an entry.
    pub(super) fn printable(self) -> Self {
        let lock = match self.lock {
            LockWish::Take { reason } => LockWish::Take { reason: printable(&reason) },
            other => other,
        };
        let text = |text: Option<String>| text.as_deref().map(printable);
        let parameters = match scrub::document(Value::Object(self.parameters)) {
            Value::Object(parameters) => parameters,
            _ => Map::new(),
        };
        let (reason, dedupe, sudo_user) = (text(self.reason), text(self.dedupe), text(self.sudo_user));
        Self { parameters, sudo_user, reason, dedupe, lock, ..self }
    }
}

/// Where the text of a runbook comes from. The one who asks reads the files; the engine reads none.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Source {
    /// The file's name as the person wrote it, or `library/NAME`.
    pub file: String,
    /// Its text.
    pub text: String,
    /// Name, file and text of every other runbook it may use, from the same places.
    pub others: Vec<(RunbookName, String, String)>,
}

/// What to do if another run holds a lock.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum LockWish {
    /// Wait for it, first come first served.
    Wait,
    /// Refuse to start.
    Fail,
    /// Take it away; the holder goes on without writing.
    Take {
        /// Why.
        reason: String,
    },
}

/// What may be asked of a run under way.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Command {
    /// End at the next safe point.
    Cancel {
        /// Why.
        reason: String,
        /// Undo what was done.
        undo: bool,
    },
    /// Stop at the next safe point and stay resumable.
    Leave {
        /// Why.
        reason: String,
    },
    /// Carry on a run that was interrupted, left, or is too old to be carried on by itself.
    Resume,
    /// Answer what the step waits for.
    Answer {
        /// Which step; the only waiting one if none is named.
        path: Option<StepPath>,
        /// The answer.
        answer: Answer,
    },
    /// Decide a call in doubt.
    Settle(Settlement),
}

impl Command {
    /// What the person said, as it may stand in an entry.
    pub(super) fn printable(self) -> Self {
        match self {
            Self::Cancel { reason, undo } => Self::Cancel { reason: printable(&reason), undo },
            Self::Leave { reason } => Self::Leave { reason: printable(&reason) },
            Self::Answer { path, answer } => {
                let text = answer.text.as_deref().map(printable);
                Self::Answer { path, answer: Answer { text, ..answer } }
            }
            other => other,
        }
    }
}

/// What a run would do, and what that rests on.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Plan {
    /// Of runbook, plugins, parameters, target, and writes with what was seen of their targets.
    pub digest: Digest,
    /// The runbook.
    pub runbook: RunbookName,
    /// Complete.
    pub parameters: Value,
    /// The container daemon.
    pub target: TargetName,
    /// In order.
    pub writes: Vec<PlannedWrite>,
    /// What cannot be known before, one sentence each; empty if the plan is whole.
    pub unknown: Vec<String>,
    /// The secrets it would use, and where each goes.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub secrets: Vec<PlannedSecret>,
    /// Every step and what would become of it.
    pub steps: Vec<PlannedStep>,
    /// How the run would end.
    pub status: EndStatus,
    /// The kind of the failure, if it would fail.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cause: Option<FailureKind>,
    /// One sentence about that end.
    pub message: String,
    /// What it may do at most.
    pub card: Card,
}

/// How the sentence begins that tells where a plan ends before its run does.
pub(super) const NOT_PLANNED: &str = "what comes next is not planned: ";

impl Plan {
    /// Whether it reaches to the end of the run; else no run can be held to it.
    pub fn is_whole(&self) -> bool {
        !self.unknown.iter().any(|sentence| sentence.starts_with(NOT_PLANNED))
    }
}

/// One write of a plan.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct PlannedWrite {
    /// The step.
    pub path: StepPath,
    /// `containers.stop`
    pub function: String,
    /// What people call the thing, for example `shop-web-1`.
    pub target: String,
    /// Its arguments.
    pub arguments: Value,
    /// What was seen of the target before.
    pub before: Value,
    /// False if it rests on something unknown.
    pub certain: bool,
}

/// One step of a plan.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct PlannedStep {
    /// The step or item.
    pub path: StepPath,
    /// `service.restart`
    pub uses: String,
    /// `runs`, `skipped`, `fails`, `asks`, `waits` or `unknown`.
    pub fate: String,
    /// Why, in words.
    pub note: Option<String>,
}

/// The capability card: what a run may do at most, to what, how much at once.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Card {
    /// See [`Risk`].
    pub risk: Risk,
    /// Evaluated grants.
    pub grants: RunGrants,
    /// Services it locks.
    pub locks: Vec<String>,
}
