//! What a journal can hold. This is the on-disk format: a variant or field, once released, is only ever added to.

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::question::{Answer, Question};
use model::grant::RunGrants;
use words::effect::{Effect, Failure};
use words::ids::{Digest, PluginName, RunId, RunbookName, StepPath, TargetName};
use words::trigger::TriggerKind;

pub use super::end::EndStatus;
pub use super::planned::{HeldWrite, PlannedWrites};

/// One thing that happened to a run.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", content = "data")]
pub enum Event {
    /// The wish became durable; nothing has been done.
    #[serde(rename = "run.accepted")]
    Accepted(Box<Accepted>),
    /// Its locks are held; steps may begin.
    #[serde(rename = "run.started")]
    Started {
        /// The engine, `host:pid`.
        engine: String,
    },
    /// An engine found it unfinished and carries it on.
    #[serde(rename = "run.resumed")]
    Resumed {
        /// The engine, `host:pid`.
        engine: String,
        /// Asked for by a person rather than by the engine itself.
        by_person: bool,
    },
    /// The engine did not run for a while and goes on with what it had under way: its process was stopped, or the machine
    /// slept. That time does not count against deadlines.
    #[serde(rename = "run.paused")]
    Paused {
        /// For how long, up to now, in milliseconds.
        missed_ms: u64,
    },
    /// A person wants to leave it unfinished: each attempt goes on until nothing is down that it took down, then the run is
    /// left.
    #[serde(rename = "run.leave-requested")]
    LeaveRequested {
        /// Why.
        reason: String,
    },
    /// A person left it unfinished on purpose: only a person resumes it.
    #[serde(rename = "run.left")]
    Left {
        /// Why.
        reason: String,
    },
    /// A person wants it to end at the next safe point.
    #[serde(rename = "run.cancel-requested")]
    CancelRequested {
        /// Why.
        reason: String,
        /// Whether what was done is to be undone.
        undo: bool,
    },
    /// Another run was given its locks by a person.
    #[serde(rename = "run.lock-taken")]
    LockTaken {
        /// The run that has them now.
        by: RunId,
        /// Why.
        reason: String,
    },
    /// The items of a `for_each`, evaluated once.
    #[serde(rename = "step.items")]
    Items {
        /// The step, without item.
        path: StepPath,
        /// The items.
        items: Vec<Value>,
    },
    /// The step does not run.
    #[serde(rename = "step.skipped")]
    Skipped {
        /// The step or item.
        path: StepPath,
        /// Why.
        reason: SkipReason,
    },
    /// An attempt begins; everything evaluated is here and never evaluated again.
    #[serde(rename = "attempt.started")]
    AttemptStarted {
        /// The step or item.
        path: StepPath,
        /// From 1.
        attempt: u32,
        /// `service.restart`
        uses: String,
        /// The evaluated input.
        with: Value,
        /// The plugin's bytes; none for decisions of the run machine.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        plugin: Option<Digest>,
        /// When it must have ended, milliseconds since 1970.
        deadline_ms: u64,
    },
    /// A host call is about to act.
    #[serde(rename = "call.intended")]
    CallIntended {
        /// Which call.
        #[serde(flatten)]
        call: CallId,
        /// For example `containers.stop`.
        function: String,
        /// Its arguments.
        arguments: Value,
        /// Its class.
        effect: Effect,
        /// What was seen of the target before, to tell later whether it happened.
        before: Value,
    },
    /// A host call ended.
    #[serde(rename = "call.finished")]
    CallFinished {
        /// Which call.
        #[serde(flatten)]
        call: CallId,
        /// For example `containers.stop`.
        function: String,
        /// Its arguments, unless an intent already holds them.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        arguments: Option<Value>,
        /// What came of it.
        outcome: Outcome,
        /// How the outcome is known, unless it was simply answered.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        established: Option<Established>,
    },
    /// A host call was announced, and whether it happened cannot be told: a person decides.
    #[serde(rename = "call.doubted")]
    CallDoubted {
        /// Which call.
        #[serde(flatten)]
        call: CallId,
        /// What was expected and what was seen.
        message: String,
    },
    /// A person decided what to make of a call in doubt.
    #[serde(rename = "call.settled")]
    CallSettled {
        /// Which call.
        #[serde(flatten)]
        call: CallId,
        /// What it is to be.
        decision: Settlement,
    },
    /// An attempt ended.
    #[serde(rename = "attempt.finished")]
    AttemptFinished {
        /// The step or item.
        path: StepPath,
        /// From 1.
        attempt: u32,
        /// Its output or failure.
        outcome: Outcome,
        /// With `until`: whether the condition held.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        met: Option<bool>,
        /// The last lines the plugin logged, at most [`MAX_KEPT_LINES`].
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        lines: Vec<String>,
    },
    /// A step waits for a time or a person.
    #[serde(rename = "wait.started")]
    WaitStarted {
        /// The step or item.
        path: StepPath,
        /// The attempt that waits.
        attempt: u32,
        /// For what.
        wait: Wait,
    },
    /// A person answered.
    #[serde(rename = "wait.answered")]
    Answered {
        /// The step or item.
        path: StepPath,
        /// The answer.
        answer: Answer,
    },
    /// A child run was accepted.
    #[serde(rename = "child.started")]
    ChildStarted {
        /// The step or item.
        path: StepPath,
        /// The attempt that waits for it.
        attempt: u32,
        /// The child.
        run: RunId,
    },
    /// What was done is being undone.
    #[serde(rename = "undo.started")]
    UndoStarted {
        /// The steps to undo, in order.
        paths: Vec<StepPath>,
    },
    /// Whether what an undo promised is true now.
    #[serde(rename = "undo.checked")]
    UndoChecked {
        /// The undo.
        path: StepPath,
        /// Whether `holds` held.
        holds: bool,
        /// Why not, if it could not be told.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        message: Option<String>,
    },
    /// The end.
    #[serde(rename = "run.finished")]
    Finished {
        /// How.
        status: EndStatus,
        /// The evaluated outputs.
        outputs: Value,
        /// One sentence for people.
        message: String,
    },
}

impl Event {
    /// The step or item it is about, if it is about one.
    pub fn path(&self) -> Option<&StepPath> {
        match self {
            Self::CallIntended { call, .. }
            | Self::CallFinished { call, .. }
            | Self::CallDoubted { call, .. }
            | Self::CallSettled { call, .. } => Some(&call.path),
            Self::Items { path, .. }
            | Self::Skipped { path, .. }
            | Self::AttemptStarted { path, .. }
            | Self::AttemptFinished { path, .. }
            | Self::WaitStarted { path, .. }
            | Self::Answered { path, .. }
            | Self::ChildStarted { path, .. }
            | Self::UndoChecked { path, .. } => Some(path),
            Self::Accepted(_)
            | Self::Started { .. }
            | Self::Resumed { .. }
            | Self::Paused { .. }
            | Self::LeaveRequested { .. }
            | Self::Left { .. }
            | Self::CancelRequested { .. }
            | Self::LockTaken { .. }
            | Self::UndoStarted { .. }
            | Self::Finished { .. } => None,
        }
    }

    /// The word in the log, for example `attempt.started`.
    pub fn kind(&self) -> &'static str {
        match self {
            Self::Accepted(_) => "run.accepted",
            Self::Started { .. } => "run.started",
            Self::Resumed { .. } => "run.resumed",
            Self::Paused { .. } => "run.paused",
            Self::LeaveRequested { .. } => "run.leave-requested",
            Self::Left { .. } => "run.left",
            Self::CancelRequested { .. } => "run.cancel-requested",
            Self::LockTaken { .. } => "run.lock-taken",
            Self::Items { .. } => "step.items",
            Self::Skipped { .. } => "step.skipped",
            Self::AttemptStarted { .. } => "attempt.started",
            Self::CallIntended { .. } => "call.intended",
            Self::CallFinished { .. } => "call.finished",
            Self::CallDoubted { .. } => "call.doubted",
            Self::CallSettled { .. } => "call.settled",
            Self::AttemptFinished { .. } => "attempt.finished",
            Self::WaitStarted { .. } => "wait.started",
            Self::Answered { .. } => "wait.answered",
            Self::ChildStarted { .. } => "child.started",
            Self::UndoStarted { .. } => "undo.started",
            Self::UndoChecked { .. } => "undo.checked",
            Self::Finished { .. } => "run.finished",
        }
    }
}

/// The most lines of a plugin's log kept in an [`Event::AttemptFinished`]; all of them are in the side table.
pub const MAX_KEPT_LINES: usize = 20;

/// Everything a run needs to be carried out, fixed at acceptance.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Accepted {
    /// The runbook.
    pub runbook: RunbookName,
    /// Where its text came from, for messages: a file or `library/NAME`.
    #[serde(default)]
    pub file: String,
    /// The digest of its text, which is kept as a blob; child runbooks' too.
    pub texts: Vec<(RunbookName, Digest)>,
    /// The plugins' bytes by digest.
    pub plugins: Vec<(PluginName, Digest)>,
    /// Whether those of its child runs are among them; older runs let each child choose.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub plugins_of_children: bool,
    /// Checked and complete.
    pub parameters: Value,
    /// Why it was asked for.
    pub trigger: TriggerKind,
    /// Facts of the trigger, for expressions (`trigger`, `alert`).
    pub trigger_data: Value,
    /// The person's words.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// The person who asked, who may not answer what the run asks of named people; none in a run that an older version
    /// accepted, and in its child runs: there they may.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub asked_by: Option<String>,
    /// What `SUDO_USER` said to the one who asked, where the kernel knows somebody else: a remark, acted on by nobody.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sudo_user: Option<String>,
    /// A second request with the same key is the same run.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub dedupe: Option<String>,
    /// The container daemon.
    pub target: TargetName,
    /// Evaluated grants.
    pub grants: RunGrants,
    /// Services it locks while it runs, `target/project/service`, sorted.
    pub locks: Vec<String>,
    /// Whether it takes them from whoever holds them, for its reason.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub takes_locks: bool,
    /// The run whose step this is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub parent: Option<RunId>,
    /// The plan it is held to.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub plan: Option<PlannedWrites>,
    /// Ask before each step.
    #[serde(default)]
    pub step_by_step: bool,
    /// When the whole run must have ended, counted from its start, in milliseconds.
    pub timeout_ms: u64,
    /// How old it may be to be resumed without a person, in milliseconds.
    pub resume_within_ms: u64,
}

/// Which host call: the attempt and the ordinal of the call in it, from 0; notes are not counted.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct CallId {
    /// The step or item.
    pub path: StepPath,
    /// From 1.
    pub attempt: u32,
    /// From 0.
    pub ordinal: u32,
}

/// What came of a call or an attempt.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Outcome {
    /// It answered.
    Ok(Value),
    /// It failed, or was refused.
    Error(Failure),
}

/// How the outcome of a call is known after doubt.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Established {
    /// The world showed that it had happened.
    Adopted,
    /// The world showed that it had not, so it was done.
    Redone,
    /// A person said so.
    Settled,
}

/// What a person makes of a call in doubt.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Settlement {
    /// It happened, with this answer.
    Done(Value),
    /// It did not; do it.
    Retry,
    /// Let the step fail.
    Fail,
}

/// Why a step does not run.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum SkipReason {
    /// Its `if` does not hold.
    Condition,
    /// Its `for_each` has no items.
    NoItems,
    /// An earlier step failed or the time was over; a clause that says so.
    Failed(String),
    /// Enough items failed.
    StopAfter,
    /// The run is being cancelled.
    Cancelled,
    /// A person said so at the prompt of `--step`.
    Person,
}

impl std::fmt::Display for SkipReason {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Condition => "its `if` does not hold",
            Self::NoItems => "there are no items",
            Self::Failed(why) => why,
            Self::StopAfter => "enough items failed",
            Self::Cancelled => "the run was cancelled",
            Self::Person => "a person said no",
        })
    }
}

/// What a step waits for.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Wait {
    /// This time, milliseconds since 1970.
    Until(u64),
    /// A person's approval.
    Approval(Question),
    /// A person's "done".
    Manual(Question),
    /// A person's confirmation of the next step (`--step`).
    Confirm(Question),
}
