//! `runbook schema`: the runbook format for editors.

use clap::Args;

use super::Ended;
use super::context::Context;
use crate::error::exit;
use model::schema::schema;

/// Print the JSON Schema of the runbook format, for editors
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  runbook schema > runbook.schema.json
  # yaml-language-server: $schema=./runbook.schema.json      as the first line of a runbook")]
pub(super) struct Schema {}

impl Schema {
    #[expect(clippy::unused_self, reason = "every command has the same shape")]
    pub(super) fn run(self, context: &Context) -> Ended {
        context.out.json(&schema(&context.catalogue()?));
        Ok(exit::SUCCEEDED)
    }
}
