//! Why an engine does not do what it is asked for. Nothing was changed.

use super::holder::Holder;
use super::set_aside::Aside;
use model::trouble::Troubles;
use words::effect::{Failure, FailureKind};
use words::ids::RunId;

/// See the module.
#[derive(Debug, thiserror::Error)]
pub enum Refusal {
    /// The runbook's text is wrong.
    #[error("{0}")]
    Runbook(Troubles),
    /// A parameter cannot be used; one sentence each.
    #[error("{}", .0.join("; "))]
    Input(Vec<String>),
    /// A grant makes no sense with these parameters.
    #[error("{0}")]
    Grant(String),
    /// The target does not exist, cannot be told apart, or does not answer.
    #[error("{0}")]
    Target(Failure),
    /// There is no such target in the configuration.
    #[error("there is no target `{name}`")]
    UnknownTarget {
        /// As asked for.
        name: String,
        /// Those there are.
        known: Vec<String>,
    },
    /// Another run holds a lock, and the request does not wait.
    #[error("{}", .holder.words(lock))]
    Locked {
        /// Which.
        lock: String,
        /// Who, and how it stands.
        holder: Box<Holder>,
    },
    /// Another engine of this machine holds a lock, and the request does not wait.
    #[error("{words}")]
    HeldHere {
        /// Who, and since when.
        words: String,
        /// What frees it.
        hint: String,
    },
    /// The plan asked for is not the plan of now.
    #[error("the world has changed since the plan: it is `{now}` now, not `{asked}`; nothing was done")]
    PlanChanged {
        /// As asked for.
        asked: String,
        /// As it is now.
        now: String,
    },
    /// The plan does not reach to the end of the run.
    #[error("no run can be held to this plan, since it does not reach to the end: {why}")]
    PlanNotWhole {
        /// The limit.
        why: String,
    },
    /// The dedupe key belongs to a run of another runbook.
    #[error(
        "the dedupe key `{}` belongs to run `{run}` of runbook `{runbook}`",
        super::telling::printable(key)
    )]
    KeyTaken {
        /// As given.
        key: String,
        /// Whose it is.
        run: RunId,
        /// What that run does.
        runbook: String,
    },
    /// The halt switch is on.
    #[error("halted: {0}")]
    Halted(String),
    /// There is no such run, or it is not in this engine's hands.
    #[error("there is no unfinished run `{0}`")]
    UnknownRun(RunId),
    /// The run cannot be read.
    #[error("run `{run}` is set aside, since it cannot be read: {}", .aside.why)]
    SetAside {
        /// Which.
        run: RunId,
        /// Why.
        aside: Aside,
    },
    /// The run is not in a state for it.
    #[error("{0}")]
    Conflict(String),
    /// Too many runs at once.
    #[error("{0}")]
    Exhausted(String),
    /// The audit log.
    #[error(transparent)]
    Audit(#[from] audit::Error),
    /// A plugin cannot be used.
    #[error(transparent)]
    Plugin(#[from] host::Error),
    /// The engine ends; the next one takes requests again.
    #[error("the engine ends and takes nothing further")]
    Leaving,
    /// An emergency run has fenced this data directory.
    #[error("an emergency run has fenced this data directory: its engine must not act")]
    Fenced,
    /// Our own fault.
    #[error("{0}")]
    Internal(String),
}

impl Refusal {
    /// What to do next.
    pub fn hint(&self) -> Option<String> {
        Some(match self {
            Self::UnknownTarget { known, .. } => format!("known targets: {}", known.join(", ")),
            Self::Locked { holder, .. } => format!("{}; `--wait-lock` waits", holder.ways_out()),
            Self::HeldHere { hint, .. } => hint.clone(),
            Self::Grant(_) => "look at the parameters: a grant must say whom it is about".to_owned(),
            Self::KeyTaken { run, .. } => {
                format!("give another key; `runbook runs show {run}` shows the run it belongs to")
            }
            Self::PlanChanged { .. } => "look at the new plan with `runbook plan`".to_owned(),
            Self::PlanNotWhole { .. } => {
                "run it without --plan, or split it into smaller runbooks that are planned one by one"
                    .to_owned()
            }
            Self::Halted(_) => "`runbook halt off --reason WHY` ends it".to_owned(),
            Self::Leaving => "try again in a moment".to_owned(),
            Self::Fenced => {
                "`runbook audit join` takes the emergency's segment in and opens the fence".to_owned()
            }
            Self::Conflict(_) => "`runbook runs list --unfinished` shows how each run stands".to_owned(),
            Self::SetAside { run, .. } => format!(
                "look at what it changed, then `runbook runs cancel {run}` ends it and gives up its locks; \
                 `runbook audit verify` tells whether it was changed; what is urgent: `run --emergency --reason WHY`"
            ),
            Self::UnknownRun(_) => "`runbook runs list` shows all".to_owned(),
            Self::Target(failure) if failure.kind == FailureKind::Unavailable => {
                "`runbook doctor` tells whether the daemon answers".to_owned()
            }
            _ => return None,
        })
    }
}
