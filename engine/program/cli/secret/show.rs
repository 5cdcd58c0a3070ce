//! `runbook secret show`.

use clap::Args;
use serde_json::json;

use super::list::document;
use super::{Need, is_outside, name, record, store};
use crate::cli::Ended;
use crate::cli::context::Context;
use crate::error::{Error, exit};
use words::clock;
use words::secret::SecretName;

/// Tell what is known of a secret; with --reveal, print it
#[derive(Debug, Args)]
#[command(disable_version_flag = true)]
#[command(after_help = "Examples:
  runbook secret show mail/password
  runbook secret show mail/password --reveal                      an entry of the audit log, then the text
  runbook secret show deploy/key --version 2 --reveal > id_ed25519")]
pub(in crate::cli) struct Show {
    /// Its name
    name: String,
    /// This version [default: the newest]
    #[arg(id = "number", long = "version", value_name = "N", requires = "reveal")]
    version: Option<u64>,
    /// Print the text; the audit log keeps that you did
    #[arg(long)]
    reveal: bool,
}

impl Show {
    pub(super) fn run(self, context: &Context) -> Ended {
        let name = name(&self.name)?;
        if is_outside(context, &name)? {
            return outside(context, &name, &self);
        }
        if self.reveal {
            let (version, value) = store(context, Need::Key)?.value(&name, self.version)?;
            return reveal(context, &name, &version.to_string(), value.expose());
        }
        let found = store(context, Need::Nothing)?.find(&name)?;
        if context.out.is_json() {
            context.out.json(&document(&found));
            return Ok(exit::SUCCEEDED);
        }
        let newest = found.versions.last();
        context.out.line(format!("name      {name}"));
        if let Some(newest) = newest {
            context.out.line(format!(
                "version   {}, set {} by {}",
                newest.version,
                clock::rfc3339(newest.created_ms),
                newest.by
            ));
        }
        context.out.line(format!("versions  {}", found.versions.len()));
        context.out.line(format!("created   {}", clock::rfc3339(found.created_ms)));
        context.out.line(format!("changed   {}", clock::rfc3339(found.updated_ms)));
        Ok(exit::SUCCEEDED)
    }
}

fn outside(context: &Context, name: &SecretName, show: &Show) -> Ended {
    let keeper = context.keeper()?;
    let version = keeper.current(name)?;
    if let Some(wanted) = show.version {
        return Err(Error::usage(format!("`{name}` is kept outside and has no version {wanted}"))
            .hint("leave --version away: the newest is printed"));
    }
    if show.reveal {
        let value = keeper.value(name, &version)?;
        return reveal(context, name, version.as_str(), value.expose());
    }
    if context.out.is_json() {
        context.out.json(&json!({ "name": name, "version": version }));
    } else {
        context.out.line(format!("name      {name}"));
        context.out.line(format!("version   {version}, kept outside"));
    }
    Ok(exit::SUCCEEDED)
}

/// The entry is durable before anything is shown.
fn reveal(context: &Context, name: &SecretName, version: &str, text: &str) -> Ended {
    record::entry(context, "secret.revealed", json!({ "name": name, "version": version }))?;
    if context.out.is_json() {
        let document = json!({ "name": name, "version": version, "value": text });
        context.out.revealed(&format!("{document:#}\n"));
    } else if context.out.can_redraw() {
        context.out.revealed(&format!("{text}\n"));
    } else {
        context.out.revealed(text);
    }
    Ok(exit::SUCCEEDED)
}
