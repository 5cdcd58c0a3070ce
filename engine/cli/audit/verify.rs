//! `runbook audit verify`.

use std::path::{Path, PathBuf};

use clap::Args;
use serde_json::json;

use crate::audit::{
    MAX_CHECKPOINT_BYTES, Tampered, Verified, VerifierKey, VerifyError, VerifyOptions, verify,
};
use crate::cli::Ended;
use crate::cli::context::Context;
use crate::error::{Error, Kind, exit};

/// Check every byte of the audit log against its signed checkpoints
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  runbook audit verify
  runbook audit verify --checkpoint /mnt/elsewhere/checkpoint      also finds a cut tail or an old copy
  runbook audit verify /backup/audit.db --public-key runbook.pub

Exit code 5 if anything is not what was written; the place is named.")]
pub(in crate::cli) struct Verify {
    /// A data directory or a copy of its database [default: the data directory]
    path: Option<PathBuf>,
    /// A checkpoint of this log that was kept elsewhere
    #[arg(long, value_name = "FILE")]
    checkpoint: Option<PathBuf>,
    /// The public key that was kept elsewhere, or a file with it [default: the one beside the log]
    #[arg(long, value_name = "KEY|FILE")]
    public_key: Option<String>,
}

impl Verify {
    pub(super) fn run(self, context: &Context) -> Ended {
        let path = match self.path {
            Some(path) => path,
            None => context.settings()?.data.path.clone(),
        };
        let options = VerifyOptions {
            checkpoint: self.checkpoint.as_deref().map(note).transpose()?,
            public_key: self.public_key.as_deref().map(key).transpose()?,
        };
        match verify(&path, &options) {
            Ok(verified) => {
                good(context, &verified);
                Ok(exit::SUCCEEDED)
            }
            Err(VerifyError::Tampered(tampered)) => Err(bad(&tampered)),
            Err(VerifyError::Unreadable(error)) => Err(error.into()),
        }
    }
}

fn good(context: &Context, verified: &Verified) {
    let out = &context.out;
    if out.is_json() {
        out.json(&json!({
            "verified": true, "entries": verified.entries, "runs": verified.runs, "blobs": verified.blobs,
            "pruned": verified.pruned, "root": verified.root, "public_key": verified.public_key,
            "checkpoint": verified.checkpoint, "witnessed": verified.witnessed,
        }));
        return;
    }
    out.line(format!(
        "{} {} entries of {} runs are what was written, root {}",
        out.paint.green("verified"),
        verified.entries,
        verified.runs,
        verified.root
    ));
    match verified.witnessed {
        Some(size) => out.line(format!("the checkpoint kept elsewhere vouches for the first {size}")),
        None => {
            out.line("self-signed only: the keys are on the same machine as the log");
            out.hint("keep a checkpoint elsewhere and give it with --checkpoint: `runbook audit verify --output json` prints it");
        }
    }
}

fn bad(tampered: &Tampered) -> Error {
    Error::new(Kind::Directory, format!("the audit log is not what was written: {}: {}", tampered.place, tampered.what))
        .hint("keep a copy of the data directory as it is before anything else; what is urgent: `run --emergency --reason WHY`")
}

/// A signed note.
fn note(path: &Path) -> Result<String, Error> {
    let text = std::fs::read_to_string(path).map_err(|error| Error::file(path, "read", &error))?;
    if text.len() > MAX_CHECKPOINT_BYTES {
        return Err(Error::invalid(format!("`{}` is no checkpoint: it is too large", path.display())));
    }
    Ok(text)
}

/// The key itself, or a file that holds it.
fn key(text: &str) -> Result<VerifierKey, Error> {
    if let Ok(key) = text.parse() {
        return Ok(key);
    }
    let path = Path::new(text);
    let held = std::fs::read_to_string(path).map_err(|error| Error::file(path, "read", &error))?;
    held.parse().map_err(|error: crate::audit::InvalidKey| {
        Error::invalid(format!("`{text}` holds no public key: {error}"))
    })
}
