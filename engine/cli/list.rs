//! `runbook list`: the runbooks there are.

use clap::Args;
use serde_json::json;

use super::Ended;
use super::context::Context;
use super::output::table::Table;
use crate::error::exit;

/// List the runbooks: the standard library and the folder `runbooks` here
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  runbook list
  runbook list restart
  runbook list --output json")]
pub(super) struct List {
    /// Only those whose name or summary holds this text
    text: Option<String>,
}

impl List {
    pub(super) fn run(self, context: &Context) -> Ended {
        let wanted = self.text.unwrap_or_default().to_lowercase();
        let mut all = context.library()?.all()?;
        all.retain(|found| {
            found.name.as_str().contains(&wanted) || found.summary.to_lowercase().contains(&wanted)
        });
        if context.out.is_json() {
            let documents: Vec<_> = all
                .iter()
                .map(|found| json!({ "name": found.name, "summary": found.summary, "file": found.file }))
                .collect();
            context.out.json(&documents);
            return Ok(exit::SUCCEEDED);
        }
        let mut table = Table::new(&["NAME", "FROM", "SUMMARY"]);
        for found in &all {
            let from = if found.file.starts_with("library/") { "library" } else { &found.file };
            table.row(vec![found.name.as_str().into(), from.into(), found.summary.as_str().into()]);
        }
        let width = context.out.can_redraw().then(|| context.out.width());
        context.out.raw(&table.render(context.out.paint, width));
        if all.is_empty() {
            context.out.hint("`runbook new NAME` writes one to start from");
        }
        Ok(exit::SUCCEEDED)
    }
}
