//! `runbook secret import`.

use std::path::PathBuf;
use std::sync::Arc;

use clap::{Args, ValueEnum};
use serde_json::json;

use super::set::tell;
use super::{Need, prompt, record, store};
use crate::cli::Ended;
use crate::cli::context::Context;
use crate::error::exit;
use secrets::{self, With};

/// Take in what `runbook secret export` wrote, all of it or nothing
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  runbook secret import secrets.age
  runbook secret import secrets.age --identity old-key.txt
  runbook secret import secrets.age --existing replace

The passphrase of an export that has one is asked for on a terminal, else it is the first line of stdin. Versions keep who set
them and when; a name that was removed before goes on counting.")]
pub(in crate::cli) struct Import {
    /// The export
    file: PathBuf,
    /// The file with the key it was encrypted to [default: the store's own]
    #[arg(long, value_name = "FILE")]
    identity: Option<PathBuf>,
    /// What to do with names that are there already
    #[arg(long, value_name = "WHAT", default_value = "refuse")]
    existing: Existing,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum Existing {
    /// Import nothing
    Refuse,
    /// Leave them as they are
    Keep,
    /// Make the newest value of the export their next version
    Replace,
}

impl Import {
    pub(super) fn run(self, context: &Context) -> Ended {
        context.settings()?.data.ensure()?;
        let store = store(context, Need::Key)?;
        let with = match self.identity {
            Some(file) => With::File(file),
            None if secrets::wants_passphrase(&self.file)? => {
                With::Passphrase(Arc::new(prompt::passphrase(context, "Passphrase of the export:")?))
            }
            None => With::OwnKey,
        };
        let existing = match self.existing {
            Existing::Refuse => secrets::Existing::Refuse,
            Existing::Keep => secrets::Existing::Keep,
            Existing::Replace => secrets::Existing::Replace,
        };
        let import = store.import(&self.file, &with, existing, &context.settings()?.actor)?;
        if let Some(change) = import.change {
            let made = change.made().cloned();
            record::commit(context, change)?;
            if let Some(origin) = made {
                tell(context, &origin)?;
            }
        }
        if context.out.is_json() {
            context.out.json(&json!({ "imported": import.taken, "kept": import.kept }));
        } else {
            let (taken, kept) = (import.taken.len(), import.kept.len());
            context.out.line(format!("{taken} secrets imported, {kept} left as they were"));
        }
        Ok(exit::SUCCEEDED)
    }
}
