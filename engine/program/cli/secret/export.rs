//! `runbook secret export`.

use std::path::PathBuf;
use std::sync::Arc;

use clap::Args;
use serde_json::json;

use super::{Need, prompt, record, store};
use crate::cli::Ended;
use crate::cli::context::Context;
use crate::error::exit;
use secrets::For;

/// Write all secrets into one encrypted file, which the program `age` opens, too
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  runbook secret export --to secrets.age                          for whoever has the store's own key
  runbook secret export --to secrets.age --passphrase
  runbook secret export --to secrets.age --recipient age1yubikey…
  age --decrypt -i ~/.config/runbook/secrets-identity secrets.age

With --passphrase it is asked for twice on a terminal, else it is the first line of stdin. The file is for its owner alone;
nothing that exists is overwritten. Inside is one JSON document with every name, version and value.")]
pub(in crate::cli) struct Export {
    /// The file to write
    #[arg(long, value_name = "FILE")]
    to: PathBuf,
    /// Encrypt it to this public key; may be given many times
    #[arg(long, value_name = "AGE1...", conflicts_with = "passphrase")]
    recipient: Vec<String>,
    /// Encrypt it with a passphrase
    #[arg(long)]
    passphrase: bool,
}

impl Export {
    pub(super) fn run(self, context: &Context) -> Ended {
        let store = store(context, Need::Key)?;
        let whom = if self.passphrase {
            For::Passphrase(Arc::new(prompt::new_passphrase(context, "New passphrase of the export:")?))
        } else if self.recipient.is_empty() {
            For::Ourselves
        } else {
            For::Recipients(self.recipient)
        };
        let export = store.export(&whom)?;
        record::facts(context, export.facts())?;
        export.write(&self.to)?;
        if context.out.is_json() {
            let document = json!({ "file": self.to, "secrets": export.secrets, "versions": export.versions });
            context.out.json(&document);
        } else {
            let shown = self.to.display();
            context.out.line(format!("{} secrets, {} versions in {shown}", export.secrets, export.versions));
        }
        Ok(exit::SUCCEEDED)
    }
}
