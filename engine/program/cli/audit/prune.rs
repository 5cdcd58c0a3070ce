//! `runbook audit prune`: forgets what was kept beside old entries.

use std::time::Duration;

use clap::Args;

use super::archive::{age, alone, before_ms};
use crate::cli::Ended;
use crate::cli::context::Context;
use crate::error::exit;
use words::clock;
use words::size;

/// Forget artifacts and long outputs of old runs; the entries stay
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  runbook audit prune                             what no entry of the last 90 days names
  runbook audit prune --older-than 30d

Runbooks and plugins of runs are kept, so that they can still be replayed; what was forgotten is itself an entry, and
`audit verify` names it. The room is used by new entries. Nobody may be the engine meanwhile.")]
pub(in crate::cli) struct Prune {
    /// Forget what is older than this
    #[arg(long, value_name = "DURATION", default_value = "90d", value_parser = age)]
    older_than: Duration,
}

impl Prune {
    pub(super) fn run(self, context: &Context) -> Ended {
        let settings = context.settings()?;
        let dir = &settings.data.path;
        settings.data.refuse_of_another()?;
        let _lock = alone(dir)?;
        let before_ms = before_ms(clock::now_ms(), self.older_than);
        let pruned = audit::prune(dir, &settings.actor, before_ms)?;
        if context.out.is_json() {
            context.out.json(&pruned);
        } else {
            context.out.line(format!("forgot {} blobs, {}", pruned.blobs, size::bytes(pruned.bytes)));
        }
        Ok(exit::SUCCEEDED)
    }
}
