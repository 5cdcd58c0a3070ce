//! `runbook secret list`.

use clap::Args;
use serde_json::{Value, json};

use super::{Need, store};
use crate::cli::Ended;
use crate::cli::context::Context;
use crate::cli::output::table::Table;
use crate::cli::output::time;
use crate::error::exit;
use secrets::Summary;
use words::clock;
use words::secret::SecretName;

/// List secrets: names and versions, no values
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  runbook secret list
  runbook secret list db/ --output json")]
pub(in crate::cli) struct List {
    /// Only names that begin so
    prefix: Option<String>,
}

impl List {
    pub(super) fn run(self, context: &Context) -> Ended {
        let store = store(context, Need::Nothing)?;
        let prefix = self.prefix.unwrap_or_default();
        let own: Vec<Summary> =
            store.list()?.into_iter().filter(|one| one.name.as_str().starts_with(&prefix)).collect();
        let keeper = context.keeper()?;
        let mut outside = keeper.outside_names()?;
        outside.retain(|(_, name)| name.as_str().starts_with(&prefix));
        if context.out.is_json() {
            let mut all: Vec<Value> = own.iter().map(document).collect();
            for (place, name) in &outside {
                let version = keeper.current(name)?;
                all.push(json!({ "name": name, "store": place, "version": version }));
            }
            context.out.json(&json!({ "recipient": store.recipient()?, "secrets": all }));
            return Ok(exit::SUCCEEDED);
        }
        let now_ms = clock::now_ms();
        let mut table = Table::new(&["NAME", "VERSION", "KEPT", "CHANGED", "BY", "STORE"]);
        for one in &own {
            let newest = one.versions.last();
            let version = newest.map(|newest| newest.version.to_string()).unwrap_or_default();
            let by = newest.map(|newest| newest.by.clone()).unwrap_or_default();
            table.row(vec![
                one.name.as_str().into(),
                version.as_str().into(),
                one.versions.len().to_string().as_str().into(),
                time::ago(one.updated_ms, now_ms).as_str().into(),
                by.as_str().into(),
                "own".into(),
            ]);
        }
        for (place, name) in &outside {
            let version = keeper.current(name)?;
            table.row(vec![
                SecretName::as_str(name).into(),
                version.as_str().into(),
                "1".into(),
                "-".into(),
                "-".into(),
                place.as_str().into(),
            ]);
        }
        context.out.raw(&table.render(context.out.paint, context.out.table_width()));
        if own.is_empty() && outside.is_empty() && prefix.is_empty() {
            context.out.hint("`runbook secret set NAME` keeps the first");
        }
        Ok(exit::SUCCEEDED)
    }
}

/// A secret of the own store for programs.
pub(super) fn document(one: &Summary) -> Value {
    let versions: Vec<Value> = one
        .versions
        .iter()
        .map(|kept| json!({ "version": kept.version, "created": clock::rfc3339(kept.created_ms), "by": kept.by }))
        .collect();
    json!({
        "name": one.name,
        "store": "own",
        "version": one.versions.last().map(|newest| newest.version),
        "created": clock::rfc3339(one.created_ms),
        "updated": clock::rfc3339(one.updated_ms),
        "versions": versions,
    })
}
