//! `runbook config`: what is set, and by whom.

use clap::Subcommand;
use serde_json::json;

use super::Ended;
use super::context::Context;
use super::output::table::Table;
use crate::config::{Settings, Target};
use crate::error::exit;

/// What is set, and by whom.
#[derive(Debug, Subcommand)]
pub(super) enum Config {
    /// Print the effective configuration, and where each value came from
    #[command(after_help = EXAMPLES)]
    Show,
}

const EXAMPLES: &str = r#"Examples:
  runbook config show
  runbook config show --output json

runbook.toml, every key optional:
  data_dir = "/var/lib/runbook"                   # relative to the file
  runbooks = "runbooks"                           # the folder of your own runbooks, relative to the file
  target   = "local"                              # for commands without --target

  [targets.local]
  connection = "unix:///var/run/docker.sock"      # else DOCKER_HOST, else this

  [targets.prod-1]
  connection  = "tcp://prod-1.example.com:2376"
  environment = "production"
  tls = { ca = "ca.pem", cert = "cert.pem", key = "key.pem" }"#;

impl Config {
    pub(super) fn run(self, context: &Context) -> Ended {
        match self {
            Self::Show => show(context),
        }
    }
}

fn show(context: &Context) -> Ended {
    let settings = context.settings()?;
    if context.out.is_json() {
        context.out.json(&document(settings));
    } else {
        context.out.raw(&table(settings).render(context.out.paint, None));
    }
    Ok(exit::SUCCEEDED)
}

fn document(settings: &Settings) -> serde_json::Value {
    let value = |value: String, from: String| json!({ "value": value, "from": from });
    json!({
        "file": settings.file,
        "data_dir": value(settings.data.path.display().to_string(), settings.data.origin.to_string()),
        "runbooks": value(settings.runbooks.0.display().to_string(), settings.runbooks.1.to_string()),
        "target": value(settings.target.0.to_string(), settings.target.1.to_string()),
        "actor": settings.actor,
        "targets": settings.targets,
    })
}

fn table(settings: &Settings) -> Table {
    let mut table = Table::new(&["KEY", "VALUE", "FROM"]);
    let mut row = |key: &str, value: String, from: String| {
        table.row(vec![key.into(), value.into(), from.into()]);
    };
    row("data_dir", settings.data.path.display().to_string(), settings.data.origin.to_string());
    row("runbooks", settings.runbooks.0.display().to_string(), settings.runbooks.1.to_string());
    row("target", settings.target.0.to_string(), settings.target.1.to_string());
    for target in &settings.targets {
        for (key, value) in keys(target) {
            row(&format!("targets.{}.{key}", target.name), value, target.origin.to_string());
        }
    }
    row("actor", settings.actor.clone(), "login".to_owned());
    table
}

fn keys(target: &Target) -> Vec<(&'static str, String)> {
    let mut keys = vec![("connection", target.connection.clone())];
    if let Some(tls) = &target.tls {
        let files = [("tls.ca", &tls.ca), ("tls.cert", &tls.cert), ("tls.key", &tls.key)];
        keys.extend(files.map(|(key, file)| (key, file.display().to_string())));
    }
    keys.extend(target.environment.clone().map(|environment| ("environment", environment)));
    keys
}
