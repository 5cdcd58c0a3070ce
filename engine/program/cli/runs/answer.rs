//! `runbook runs approve`, `reject` and `answer`.

use clap::Args;

use super::super::Ended;
use super::super::context::Context;
use super::command;
use crate::error::Error;
use executor::request::Command;
use run::question;
use words::ids::StepPath;

/// What every answer needs.
#[derive(Debug, Args)]
struct Whom {
    /// Its id, the beginning of it, or `last`
    run: String,
    /// Which step, if several ask
    #[arg(long, value_name = "STEP")]
    step: Option<String>,
    /// Words or evidence; kept in the audit log
    #[arg(long, value_name = "TEXT")]
    text: Option<String>,
}

/// Let a run go on that asked for approval
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  runbook runs approve last
  runbook runs approve 0mabc --step ask --text 'agreed with the shop team'")]
pub(in crate::cli) struct Approve {
    #[command(flatten)]
    whom: Whom,
}

/// Refuse a run what it asked approval for
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  runbook runs reject last --text 'not before the release'")]
pub(in crate::cli) struct Reject {
    #[command(flatten)]
    whom: Whom,
}

/// Say that a manual step is done, or that it cannot be
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  runbook runs answer last --done
  runbook runs answer last --done --text 'ticket 4711'
  runbook runs answer last --no --text 'the rack is locked'")]
#[command(group(clap::ArgGroup::new("word").required(true).args(["done", "no"])))]
pub(in crate::cli) struct Answer {
    #[command(flatten)]
    whom: Whom,
    /// It is done
    #[arg(long)]
    done: bool,
    /// It cannot be done
    #[arg(long)]
    no: bool,
}

impl Approve {
    pub(super) fn run(self, context: &Context) -> Ended {
        answer(context, self.whom, true, "approved")
    }
}

impl Reject {
    pub(super) fn run(self, context: &Context) -> Ended {
        answer(context, self.whom, false, "rejected")
    }
}

impl Answer {
    pub(super) fn run(self, context: &Context) -> Ended {
        let word = if self.done { "answered: it is done" } else { "answered: it cannot be done" };
        answer(context, self.whom, self.done, word)
    }
}

fn answer(context: &Context, whom: Whom, yes: bool, word: &str) -> Ended {
    let path = whom.step.map(|step| step.parse::<StepPath>()).transpose();
    let path = path.map_err(|error| Error::usage(error.to_string()))?;
    let by = context.settings()?.actor.clone();
    let answer = question::Answer { yes, text: whom.text, by };
    command(context, &whom.run, Command::Answer { path, answer }, word)
}
