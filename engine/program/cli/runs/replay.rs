//! `runbook runs replay`.

use clap::Args;

use super::super::Ended;
use super::super::context::Context;
use super::{find, reader};
use crate::error::exit;
use executor::replay::replay;

/// Do every step again from the audit log alone, and tell whether it does the same
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  runbook runs replay last
  runbook runs replay 0mabc --output json

Nothing is touched: every host call is answered from the log. Exit code 10 if anything differs. The key of the secrets is
needed only for a run in which a plugin saw the plain text of one.")]
pub(in crate::cli) struct Replay {
    /// Its id, the beginning of it, or `last`
    run: String,
}

impl Replay {
    pub(super) fn run(self, context: &Context) -> Ended {
        let run = find(&reader(context)?, &self.run)?;
        let settings = context.settings()?;
        let secrets = context.keeper()?;
        let found = context.wait_many(async { Ok(replay(&settings.data.path, &run, &secrets).await?) })?;
        let same = found.differences.is_empty();
        if context.out.is_json() {
            let mut document = serde_json::json!(found);
            document["run"] = serde_json::json!(run);
            document["identical"] = serde_json::json!(same);
            context.out.json(&document);
        } else {
            for difference in &found.differences {
                context.out.line(crate::error::printable(difference));
            }
            let word =
                if same { context.out.paint.green("identical") } else { context.out.paint.red("different") };
            context
                .out
                .line(format!("{word} {run}: {} attempts, {} calls replayed", found.attempts, found.calls));
        }
        Ok(if same { exit::SUCCEEDED } else { exit::FAILED })
    }
}
