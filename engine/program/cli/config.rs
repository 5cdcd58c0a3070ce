//! `runbook config`: what is set, and by whom.

use clap::Subcommand;
use serde_json::json;

use super::Ended;
use super::context::Context;
use super::output::table::Table;
use crate::config::{Settings, Target};
use crate::error::exit;
use secrets::KEY_VARIABLE;
use words::duration::format_size;

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

  [audit]
  quota = "1GiB"                                  # the most that is kept beside the log

  [targets.local]
  connection = "unix:///var/run/docker.sock"      # else DOCKER_HOST, else this

  [targets.prod-1]
  connection  = "tcp://prod-1.example.com:2376"
  environment = "production"
  tls = { ca = "ca.pem", cert = "cert.pem", key = "key.pem" }

  [secrets]
  identity = "/etc/runbook/secrets-identity"      # the key of the secrets; never in the data directory

  [[secrets.directories]]
  name = "team"                                   # its secrets are called team/...
  path = "/etc/team-secrets"                      # NAME.age files, encrypted to our key"#;

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
        "audit": { "quota": value(format_size(settings.quota.0), settings.quota.1.to_string()) },
        "actor": settings.actor,
        "secrets": {
            "identity": value(key_place(settings), key_origin(settings)),
            "directories": settings.secrets.directories,
        },
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
    row("audit.quota", format_size(settings.quota.0), settings.quota.1.to_string());
    for target in &settings.targets {
        for (key, value) in keys(target) {
            row(&format!("targets.{}.{key}", target.name), value, target.origin.to_string());
        }
    }
    row("secrets.identity", key_place(settings), key_origin(settings));
    for directory in &settings.secrets.directories {
        let origin = settings.file.as_ref().map(|file| file.display().to_string()).unwrap_or_default();
        row(&format!("secrets.directories.{}", directory.name), directory.path.display().to_string(), origin);
    }
    row("actor", settings.actor.clone(), "kernel".to_owned());
    table
}

/// Never the key itself.
fn key_place(settings: &Settings) -> String {
    match &settings.secrets.identity {
        _ if settings.secrets.given.key.is_some() => "(given)".to_owned(),
        Some(path) => path.display().to_string(),
        None => "-".to_owned(),
    }
}

fn key_origin(settings: &Settings) -> String {
    if settings.secrets.given.key.is_some() {
        return KEY_VARIABLE.to_owned();
    }
    settings.secrets_origin.to_string()
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
