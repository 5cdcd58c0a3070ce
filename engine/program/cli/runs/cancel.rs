//! `runbook runs cancel`.

use clap::Args;

use super::super::Ended;
use super::super::context::Context;
use super::command;
use executor::request::Command;

/// End a run at its next safe point
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  runbook runs cancel last --reason 'wrong service'
  runbook runs cancel 0mabc --undo             and undo what it did")]
pub(in crate::cli) struct Cancel {
    /// Its id, the beginning of it, or `last`
    run: String,
    /// Undo what was done, newest first
    #[arg(long)]
    undo: bool,
    /// Why; kept in the audit log
    #[arg(long, value_name = "TEXT", default_value = "a person said so")]
    reason: String,
}

impl Cancel {
    pub(super) fn run(self, context: &Context) -> Ended {
        let done =
            if self.undo { "ends at the next safe point and undoes" } else { "ends at the next safe point" };
        command(context, &self.run, Command::Cancel { reason: self.reason, undo: self.undo }, done)
    }
}
