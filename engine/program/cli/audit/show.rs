//! `runbook audit show`.

use clap::Args;

use crate::cli::Ended;
use crate::cli::context::Context;
use crate::error::{Error, exit};
use audit::Reader;

/// Print one entry, whole
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  runbook audit show 17
  runbook audit show 17 --body         the exact bytes that are hashed")]
pub(in crate::cli) struct Show {
    /// Its number
    entry: u64,
    /// The exact bytes that are hashed
    #[arg(long)]
    body: bool,
}

impl Show {
    pub(super) fn run(self, context: &Context) -> Ended {
        let reader = Reader::open(&context.settings()?.data.path)?;
        let absent = || {
            Error::not_found(format!("there is no entry {}", self.entry))
                .hint("`runbook audit tail` shows the newest")
        };
        if self.body {
            context.out.exact(&format!("{}\n", reader.body(self.entry)?.ok_or_else(absent)?));
        } else {
            context.out.json(&reader.entry(self.entry)?.ok_or_else(absent)?);
        }
        Ok(exit::SUCCEEDED)
    }
}
