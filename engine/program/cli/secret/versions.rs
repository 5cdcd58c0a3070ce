//! `runbook secret versions`.

use clap::Args;

use super::list::document;
use super::{Need, own, store};
use crate::cli::Ended;
use crate::cli::context::Context;
use crate::cli::output::table::Table;
use crate::error::exit;
use words::clock;

/// List the versions of a secret that are kept, the newest first
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  runbook secret versions mail/password
  runbook secret versions mail/password --output json")]
pub(in crate::cli) struct Versions {
    /// Its name
    name: String,
}

impl Versions {
    pub(super) fn run(self, context: &Context) -> Ended {
        let found = store(context, Need::Nothing)?.find(&own(context, &self.name)?)?;
        if context.out.is_json() {
            context.out.json(&document(&found)["versions"]);
            return Ok(exit::SUCCEEDED);
        }
        let mut table = Table::new(&["VERSION", "SET", "BY"]);
        for kept in found.versions.iter().rev() {
            table.row(vec![
                kept.version.to_string().as_str().into(),
                clock::rfc3339(kept.created_ms).as_str().into(),
                kept.by.as_str().into(),
            ]);
        }
        context.out.raw(&table.render(context.out.paint, context.out.table_width()));
        Ok(exit::SUCCEEDED)
    }
}
