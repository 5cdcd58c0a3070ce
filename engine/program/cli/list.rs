//! `runbook list`: the runbooks there are.

use clap::Args;
use serde_json::json;

use super::Ended;
use super::context::Context;
use super::output::table::Table;
use super::render::card;
use crate::error::exit;
use executor::library::Found;
use model::parse::risk;

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

/// What stands before the summary of a runbook whose plugins may see the plain text of a secret.
const REVEALS: &str = "REVEALS SECRETS";

/// Reads whole only those that may be meant.
fn reveals(context: &Context, found: &Found) -> bool {
    found.text.contains("reveal")
        && context.runbook(&found.file).is_ok_and(|(_, runbook)| runbook.grants.reveals())
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
                .map(|found| {
                    let mut document = json!({
                        "name": found.name, "summary": found.summary, "file": found.file,
                        "risk": risk(&found.text),
                    });
                    if reveals(context, found) {
                        document["reveals_secrets"] = json!(true);
                    }
                    document
                })
                .collect();
            context.out.json(&documents);
            return Ok(exit::SUCCEEDED);
        }
        let mut table = Table::new(&["NAME", "RISK", "FROM", "SUMMARY"]);
        for found in &all {
            let from = if found.file.starts_with("library/") { "library" } else { &found.file };
            let loud = if reveals(context, found) { format!("{REVEALS}: ") } else { String::new() };
            let summary = format!("{loud}{}", found.summary);
            let risk = card::risk(risk(&found.text));
            table.row(vec![found.name.as_str().into(), risk.into(), from.into(), summary.into()]);
        }
        let width = context.out.can_redraw().then(|| context.out.width());
        context.out.raw(&table.render(context.out.paint, width));
        if all.is_empty() {
            context.out.hint("`runbook new NAME` writes one to start from");
        }
        Ok(exit::SUCCEEDED)
    }
}
