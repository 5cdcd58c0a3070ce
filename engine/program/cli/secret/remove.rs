//! `runbook secret remove`.

use clap::Args;
use serde_json::json;

use super::{Need, own, record, store};
use crate::cli::Ended;
use crate::cli::context::Context;
use crate::error::{Error, Kind, exit};

/// Remove a secret with all its versions, or one version
#[derive(Debug, Args)]
#[command(disable_version_flag = true)]
#[command(after_help = "Examples:
  runbook secret remove mail/password
  runbook secret remove mail/password --version 2 --yes

Runs that have begun with a version that is removed fail when they use it. Numbers are never given again.")]
pub(in crate::cli) struct Remove {
    /// Its name
    name: String,
    /// Only this version
    #[arg(id = "number", long = "version", value_name = "N")]
    version: Option<u64>,
    /// Do not ask
    #[arg(short, long)]
    yes: bool,
}

impl Remove {
    pub(super) fn run(self, context: &Context) -> Ended {
        let name = own(context, &self.name)?;
        let store = store(context, Need::Nothing)?;
        let found = store.find(&name)?;
        let what = match self.version {
            Some(version) => format!("version {version} of `{name}`"),
            None => format!("`{name}` with {} versions", found.versions.len()),
        };
        if !self.yes {
            if !context.out.can_ask() {
                return Err(
                    Error::usage(format!("{what} would be gone, and nobody can be asked")).hint("give --yes")
                );
            }
            if !context.out.confirm(&format!("remove {what}?")) {
                return Err(Error::new(Kind::Interrupted, "nothing was removed"));
            }
        }
        let change = store.remove(&name, self.version)?;
        let gone = change.facts().first().map(|fact| fact.data["versions"].clone()).unwrap_or_default();
        record::commit(context, change)?;
        if context.out.is_json() {
            context.out.json(&json!({ "name": name, "removed": gone }));
        } else {
            context.out.line(format!("removed {what}"));
        }
        Ok(exit::SUCCEEDED)
    }
}
