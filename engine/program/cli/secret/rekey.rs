//! `runbook secret rekey`.

use std::path::PathBuf;
use std::sync::Arc;

use clap::Args;
use serde_json::json;

use super::{Need, prompt, record, store};
use crate::cli::Ended;
use crate::cli::context::Context;
use crate::error::exit;
use secrets::{KEY_VARIABLE, NewKey, Origin, PASSPHRASE_VARIABLE};

/// Rotate the store's own key: a new one, and every value encrypted to it
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  runbook secret rekey
  runbook secret rekey --forget-old                               if somebody else may have read the key
  runbook secret rekey --identity-file /etc/runbook/new-identity
  runbook secret rekey --passphrase                               from now on a passphrase opens the store

The old key stays below the new one, marked as replaced: it opens older copies of the data directory, and what others have
encrypted to it. With --passphrase it is asked for twice on a terminal, else it is the first line of stdin.

Whoever had the old key and a copy of the data directory has the values: then set new ones, too.")]
pub(in crate::cli) struct Rekey {
    /// Put the new key into this file, or take the one that it holds already
    #[arg(long, value_name = "FILE", conflicts_with = "passphrase")]
    identity_file: Option<PathBuf>,
    /// Keep the new key in the store, behind a new passphrase
    #[arg(long)]
    passphrase: bool,
    /// Remove the old keys from where the new one is put
    #[arg(long)]
    forget_old: bool,
}

impl Rekey {
    pub(super) fn run(self, context: &Context) -> Ended {
        context.settings()?.data.ensure()?;
        let store = store(context, Need::Key)?;
        let how = match self.identity_file {
            Some(path) => NewKey::File(std::path::absolute(&path).unwrap_or(path)),
            None if self.passphrase => NewKey::Passphrase(Arc::new(prompt::new_passphrase(
                context,
                "New passphrase of the secrets:",
            )?)),
            None => NewKey::SamePlace,
        };
        let (place, change) = store.rekey(how, self.forget_old)?;
        let told = change.facts().first().map(|fact| fact.data.clone()).unwrap_or_default();
        record::commit(context, change)?;
        if context.out.is_json() {
            let document =
                json!({ "recipient": told["to"], "versions": told["versions"], "key": place.to_string() });
            context.out.json(&document);
        } else {
            context.out.line(format!("{} values encrypted to a new key: {place}", told["versions"]));
        }
        self::hint(context, &place);
        Ok(exit::SUCCEEDED)
    }
}

/// What is left for the person to do.
fn hint(context: &Context, place: &Origin) {
    let Ok(settings) = context.settings() else { return };
    match place {
        Origin::Passphrase(_) => {
            context
                .out
                .hint(&format!("an engine needs it, too: in {PASSPHRASE_VARIABLE} or as a credential"));
        }
        Origin::File(path) if settings.secrets.given.key.is_some() => {
            context.out.hint(&format!("put what is in `{}` into {KEY_VARIABLE}", path.display()));
        }
        Origin::File(path) if settings.secrets.identity.as_ref() != Some(path) => {
            context.out.hint(&format!(
                "name it in runbook.toml: [secrets] identity = \"{}\"; or give it where the old one was given",
                path.display()
            ));
        }
        _ => context
            .out
            .hint("keep a copy of the new key apart from the data directory, as you did of the old"),
    }
}
