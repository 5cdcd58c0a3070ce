//! `runbook secret set`.

use std::path::PathBuf;

use clap::Args;
use serde_json::json;

use super::{Need, name, prompt, record, store};
use crate::cli::Ended;
use crate::cli::context::Context;
use crate::error::{Error, exit};
use secrets::Origin;
use secrets::scrub::{self, MIN_BYTES};
use words::secret::SecretValue;

/// Set a secret, or its next version: asked for on a terminal, else read from stdin
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  runbook secret set mail/password                                asks twice, shows nothing
  pass mail | runbook secret set mail/password
  runbook secret set deploy/key --file id_ed25519

From stdin one end of line at the end is taken off; a file is taken as it is. 1 byte to 64 KiB of UTF-8 text without NUL.
The last 10 versions are kept; runs that have begun go on with theirs. The first secret makes the store and, if none is
given, a key outside the data directory.")]
pub(in crate::cli) struct Set {
    /// What it is called, for example mail/password
    name: String,
    /// Take the value from this file, byte for byte
    #[arg(long, value_name = "FILE")]
    file: Option<PathBuf>,
    /// Never from the command line: taken only to be refused.
    #[arg(hide = true, trailing_var_arg = true, allow_hyphen_values = true, num_args = 0..)]
    refused: Vec<String>,
}

impl Set {
    pub(super) fn run(self, context: &Context) -> Ended {
        let inline = self.name.split_once('=').map(|(name, _)| name.to_owned());
        if !self.refused.is_empty() || inline.is_some() {
            return Err(on_the_command_line(inline.as_deref().unwrap_or(&self.name)));
        }
        let name = name(&self.name)?;
        context.settings()?.data.ensure()?;
        let store = store(context, Need::Key)?;
        store.may_set(&name)?;
        let value = match &self.file {
            Some(path) => {
                let file = std::fs::File::open(path).map_err(|error| Error::file(path, "read", &error))?;
                SecretValue::read(file, false)?
            }
            None if prompt::possible() => prompt::twice(context, &format!("Value of {name}:"))?,
            None => SecretValue::read(std::io::stdin().lock(), true)?,
        };
        // Nothing that this process says from now on holds it.
        scrub::learn(&name, &value);
        if value.expose().len() < MIN_BYTES {
            context.out.warning(&format!(
                "the value has fewer than {MIN_BYTES} bytes: where it turns up in logs and outputs it is not taken out"
            ));
        }
        let (version, change) = store.set(&name, &value, &context.settings()?.actor)?;
        let made = change.made().cloned();
        record::commit(context, change)?;
        if let Some(origin) = made {
            tell(context, &origin)?;
        }
        if context.out.is_json() {
            context.out.json(&json!({ "name": name, "version": version }));
        } else {
            context.out.line(format!("{name} version {version}"));
        }
        Ok(exit::SUCCEEDED)
    }
}

/// Where the key is, once.
pub(super) fn tell(context: &Context, origin: &Origin) -> Result<(), Error> {
    let data = context.settings()?.data.path.display();
    match origin {
        Origin::Passphrase(_) => {
            context
                .out
                .talk("made a key, which the passphrase opens: without it nobody can read the secrets");
        }
        origin => {
            context.out.talk(format!("made a key: {origin}"));
            context.out.hint(&format!(
                "keep a copy of it apart from `{data}`: without it nobody can read the secrets, with both anybody can"
            ));
        }
    }
    Ok(())
}

fn on_the_command_line(name: &str) -> Error {
    let shown = name.split_whitespace().next().unwrap_or("NAME");
    Error::usage("a value is never taken from the command line: other users see it there, and the shell remembers it")
        .hint(format!(
            "`runbook secret set {shown}` asks for it; or give it on stdin or with --file. If what you typed was the real one, change it: it is in the shell's history"
        ))
}
