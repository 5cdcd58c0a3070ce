//! `runbook audit export` and `prove`: evidence for strangers.

use std::path::PathBuf;

use clap::Args;

use crate::cli::Ended;
use crate::cli::context::Context;
use crate::error::{Error, exit};
use audit::{export, prove};

/// Write the whole log to a file that anyone can verify with the public key alone
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  runbook audit export log.jsonl
  runbook audit export evidence/                                      entries, checkpoint and blobs
  runbook audit verify log.jsonl --public-key runbook.pub             elsewhere, by someone else")]
pub(in crate::cli) struct Export {
    /// A file, or a folder if it ends in a slash; nothing that exists is overwritten
    to: PathBuf,
}

/// Print a receipt: the proof that one entry stands in the log
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  runbook audit prove 17 > receipt.json
  runbook audit verify receipt.json --public-key runbook.pub          elsewhere, by someone else")]
pub(in crate::cli) struct Prove {
    /// The entry's number
    entry: u64,
    /// Without the entry itself, to be handed over separately
    #[arg(long)]
    no_body: bool,
}

impl Export {
    pub(super) fn run(self, context: &Context) -> Ended {
        let exported = export(&context.settings()?.data.path, &self.to)?;
        if context.out.is_json() {
            context.out.json(&exported);
            return Ok(exit::SUCCEEDED);
        }
        let shown = self.to.display();
        context.out.line(format!("{} entries in {shown}", exported.entries - exported.after));
        context.out.hint(&format!("whoever has the public key (`runbook audit key`) can `runbook audit verify {shown} --public-key KEY`"));
        Ok(exit::SUCCEEDED)
    }
}

impl Prove {
    pub(super) fn run(self, context: &Context) -> Ended {
        let receipt = prove(&context.settings()?.data.path, self.entry)?;
        let mut receipt = receipt.ok_or_else(|| {
            Error::not_found(format!("there is no entry {}", self.entry))
                .hint("`runbook audit tail` shows the newest; the oldest may have been moved to an archive")
        })?;
        if self.no_body {
            receipt.body = None;
        }
        context.out.json(&receipt);
        Ok(exit::SUCCEEDED)
    }
}
