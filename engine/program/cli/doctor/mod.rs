//! `runbook doctor`: whether everything is in place, and what to do where it is not. Changes nothing.

mod machine;
mod memory;
mod secrets;
mod seven;

use clap::Args;
use serde::Serialize;
use serde_json::json;

use super::Ended;
use super::context::Context;
use super::output::table::{Cell, Table};
use crate::error::exit;
use docker::Daemon;

/// Check Docker, disk, data directory, clock and services, and say what to do
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  runbook doctor
  runbook doctor --target prod-1 --output json

Seven things every service should have: how to check health, restart, scale, roll back, read logs, known issues and
fixes, and whom to escalate to. The last two are labels of its containers: runbook.issues and runbook.owner.

Exit code 4 if anything failed.")]
pub(super) struct Doctor {
    /// Do not look at the services
    #[arg(long)]
    no_services: bool,
}

/// One thing that was looked at.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
struct Check {
    name: String,
    status: Status,
    found: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    todo: Option<String>,
}

/// How it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
enum Status {
    Ok,
    Warn,
    Fail,
}

impl Check {
    fn ok(name: impl Into<String>, found: impl Into<String>) -> Self {
        Self { name: name.into(), status: Status::Ok, found: found.into(), todo: None }
    }

    fn warn(name: impl Into<String>, found: impl Into<String>, todo: impl Into<String>) -> Self {
        Self { name: name.into(), status: Status::Warn, found: found.into(), todo: Some(todo.into()) }
    }

    fn fail(name: impl Into<String>, found: impl Into<String>, todo: impl Into<String>) -> Self {
        Self { name: name.into(), status: Status::Fail, found: found.into(), todo: Some(todo.into()) }
    }
}

impl Status {
    fn word(self) -> &'static str {
        match self {
            Self::Ok => "ok",
            Self::Warn => "warn",
            Self::Fail => "fail",
        }
    }
}

impl Doctor {
    pub(super) fn run(self, context: &Context) -> Ended {
        let settings = context.settings()?;
        let mut checks = machine::checks(settings);
        checks.extend(memory::checks(settings));
        checks.push(secrets::check(settings));
        context.wait(async {
            checks.push(memory::engine(settings).await);
            for target in &settings.targets {
                let (check, daemon) = machine::docker(target).await;
                checks.push(check);
                if let Some(daemon) = daemon.filter(|_| !self.no_services && target.name == settings.target.0)
                {
                    checks.extend(services(context, &daemon).await);
                }
            }
            Ok(())
        })?;
        tell(context, &checks);
        let failed = checks.iter().any(|check| check.status == Status::Fail);
        Ok(if failed { exit::ENVIRONMENT } else { exit::SUCCEEDED })
    }
}

async fn services(context: &Context, daemon: &Daemon) -> Vec<Check> {
    match seven::checks(context, daemon).await {
        Ok(checks) => checks,
        Err(error) => vec![Check::warn("services", error.message, "see `runbook service list`")],
    }
}

fn tell(context: &Context, checks: &[Check]) {
    let out = &context.out;
    if out.is_json() {
        let worst = checks.iter().map(|check| check.status as u8).max().unwrap_or(0);
        let status = ["ok", "warn", "fail"][usize::from(worst)];
        out.json(&json!({ "status": status, "checks": checks }));
        return;
    }
    let mut table = Table::new(&["STATUS", "CHECK", "FOUND"]);
    for check in checks {
        table.row(vec![
            Cell::status(check.status.word()),
            check.name.as_str().into(),
            check.found.as_str().into(),
        ]);
    }
    out.raw(&table.render(out.paint, out.table_width()));
    for check in checks {
        if let Some(todo) = &check.todo {
            out.line(format!(
                "{} {}",
                out.paint.like(check.status.word(), &format!("{}:", check.name)),
                todo
            ));
        }
    }
}
