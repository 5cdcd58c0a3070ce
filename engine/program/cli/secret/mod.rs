//! `runbook secret`: what runbooks may use and nobody may read. Every change and every look at a value is an entry of the
//! audit log before it takes effect.

mod export;
mod import;
mod list;
mod prompt;
mod record;
mod rekey;
mod remove;
mod set;
mod show;
mod versions;

use std::sync::Arc;

use clap::Subcommand;

use super::Ended;
use super::context::Context;
use crate::error::Error;
use secrets::Store;
use words::secret::SecretName;

/// Keep passwords and keys, encrypted, for runbooks to use without seeing them
#[derive(Debug, Subcommand)]
pub(super) enum Secret {
    Set(set::Set),
    List(list::List),
    Show(show::Show),
    Versions(versions::Versions),
    Remove(remove::Remove),
    Export(export::Export),
    Import(import::Import),
    Rekey(rekey::Rekey),
}

impl Secret {
    pub(super) fn run(self, context: &Context) -> Ended {
        match self {
            Self::Set(command) => command.run(context),
            Self::List(command) => command.run(context),
            Self::Show(command) => command.run(context),
            Self::Versions(command) => command.run(context),
            Self::Remove(command) => command.run(context),
            Self::Export(command) => command.run(context),
            Self::Import(command) => command.run(context),
            Self::Rekey(command) => command.run(context),
        }
    }
}

/// Whether a command will need the key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Need {
    /// It will: a person is asked for the passphrase now.
    Key,
    /// Names and times are in clear.
    Nothing,
}

/// The store of the data directory.
fn store(context: &Context, need: Need) -> Result<Store, Error> {
    let settings = context.settings()?;
    let store = Store::new(&settings.data.path, settings.secrets.clone());
    if need == Need::Nothing || !store.wants_passphrase()? || !prompt::possible() {
        return Ok(store);
    }
    let mut secrets = settings.secrets.clone();
    secrets.given.passphrase = Some(Arc::new(prompt::once(context, "Passphrase of the secrets:")?));
    Ok(Store::new(&settings.data.path, secrets))
}

/// Whether a name is one of an outside store.
fn is_outside(context: &Context, name: &SecretName) -> Result<bool, Error> {
    Ok(context.settings()?.secrets.directory_of(name).is_some())
}

/// The name of a secret that this program can change.
fn own(context: &Context, text: &str) -> Result<SecretName, Error> {
    let name = name(text)?;
    if is_outside(context, &name)? {
        return Err(Error::not_found(format!(
            "`{name}` lies in an outside store, which keeps one version of it"
        ))
        .hint("its file is changed there; `runbook secret list` shows which store"));
    }
    Ok(name)
}

fn name(text: &str) -> Result<SecretName, Error> {
    Ok(SecretName::new(text)?)
}
