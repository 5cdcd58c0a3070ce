//! `runbook audit`: what was asked, decided and done, and the proof that nobody changed it since.

mod archive;
mod export;
pub(super) mod join;
mod prune;
mod show;
mod tail;
mod verify;

use clap::{Args, Subcommand};
use serde_json::json;

use super::Ended;
use super::context::Context;
use crate::error::exit;
use audit::public_key;

/// Read the audit log, and prove that nobody changed it
#[derive(Debug, Subcommand)]
pub(super) enum Audit {
    Tail(tail::Tail),
    Show(show::Show),
    Verify(verify::Verify),
    Export(export::Export),
    Prove(export::Prove),
    Archive(archive::Archive),
    Prune(prune::Prune),
    Join(join::Join),
    Key(Key),
}

/// Print the public key that the log is signed with
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  runbook audit key > runbook.pub              keep it elsewhere: it is what others verify exports with")]
pub(super) struct Key {}

impl Audit {
    pub(super) fn run(self, context: &Context) -> Ended {
        match self {
            Self::Tail(command) => command.run(context),
            Self::Show(command) => command.run(context),
            Self::Verify(command) => command.run(context),
            Self::Export(command) => command.run(context),
            Self::Prove(command) => command.run(context),
            Self::Archive(command) => command.run(context),
            Self::Prune(command) => command.run(context),
            Self::Join(command) => command.run(context),
            Self::Key(_) => key(context),
        }
    }
}

fn key(context: &Context) -> Ended {
    let key = public_key(&context.settings()?.data.path)?;
    if context.out.is_json() {
        context.out.json(&json!({ "name": key.name(), "public_key": key.to_string() }));
    } else {
        context.out.line(key.to_string());
    }
    Ok(exit::SUCCEEDED)
}
