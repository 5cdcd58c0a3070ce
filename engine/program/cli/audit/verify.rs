//! `runbook audit verify`.

use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use clap::Args;
use serde_json::json;

use crate::cli::Ended;
use crate::cli::context::Context;
use crate::error::{Error, Kind, exit};
use audit::{
    Evidence, Exported, MAX_CHECKPOINT_BYTES, NotAKey, NotEvidence, Proof, Proven, Tampered, Unproved,
    Verified, VerifierKey, VerifyError, VerifyOptions, given_key,
};
use words::own_file;

/// What can be verified.
const NAME: &str = "name a data directory, a copy of `audit.db`, an export or a receipt";

/// Check every byte of the audit log against its signed checkpoints
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  runbook audit verify
  runbook audit verify --checkpoint /mnt/elsewhere/checkpoint      also finds a cut tail or an old copy
  runbook audit verify /backup/audit.db --public-key runbook.pub
  runbook audit verify log.jsonl --public-key runbook.pub          an export, or a receipt of `audit prove`
  runbook audit verify evidence/ --public-key runbook.pub          an exported folder or an archive, with its blobs

Exit code 5 if anything is not what was written; the place is named.")]
pub(in crate::cli) struct Verify {
    /// A data directory, a copy of its database, an export or a receipt [default: the data directory]
    path: Option<PathBuf>,
    /// A checkpoint of this log that was kept elsewhere
    #[arg(long, value_name = "FILE")]
    checkpoint: Option<PathBuf>,
    /// Accept an archive of version 0.1, which has no list of its blobs: those there are checked, missing and extra ones told
    #[arg(long)]
    no_blob_list: bool,
    /// The public key that was kept elsewhere, or a file with it [default: the one beside the log]
    #[arg(long, value_name = "KEY|FILE")]
    public_key: Option<String>,
}

impl Verify {
    pub(super) fn run(self, context: &Context) -> Ended {
        let (path, evidence) = match self.path {
            Some(path) => {
                let evidence = Evidence::at(&path).map_err(|error| nothing(&path, error))?;
                (path, evidence)
            }
            None => (context.settings()?.data.path.clone(), Evidence::Log),
        };
        let options = VerifyOptions {
            checkpoint: self.checkpoint.as_deref().map(note).transpose()?,
            public_key: self.public_key.as_deref().map(key).transpose()?,
        };
        match evidence.verify(&path, &options, self.no_blob_list) {
            Ok(Proof::Log(verified)) => good(context, &verified),
            Ok(Proof::Export(exported)) => exported_well(context, &exported),
            Ok(Proof::Receipt(proven)) => proven_well(context, &proven),
            Err(error @ Unproved::NoKey) => {
                return Err(Error::usage(error.to_string())
                    .hint("give it with --public-key; its owner prints it with `runbook audit key`"));
            }
            Err(Unproved::Verify(VerifyError::Tampered(tampered))) => {
                return Err(bad(&tampered, !matches!(evidence, Evidence::Log)));
            }
            Err(Unproved::Verify(VerifyError::Unreadable(error))) => return Err(error.into()),
        }
        Ok(exit::SUCCEEDED)
    }
}

/// Nothing at all is not something that was changed.
fn nothing(path: &Path, error: NotEvidence) -> Error {
    match error {
        NotEvidence::Absent(_) => Error::not_found(error.to_string()).hint(NAME),
        NotEvidence::Other { .. } => Error::invalid(error.to_string()).hint(NAME),
        NotEvidence::Io(error) => Error::file(path, "read", &error),
    }
}

fn exported_well(context: &Context, exported: &Exported) {
    if context.out.is_json() {
        let mut document = json!(exported);
        document["verified"] = json!(true);
        context.out.json(&document);
    } else {
        let verified = context.out.paint.green("verified");
        let Exported { after, entries, public_key, .. } = exported;
        let which = match after {
            0 => format!("{entries} entries"),
            _ => format!("entries {} to {entries}", after + 1),
        };
        context.out.line(format!("{verified} an export of {which}, signed by {public_key}"));
        let Some(blobs) = &exported.blobs else { return };
        context.out.line(format!("{} blobs are what their names say", blobs.checked));
        for (found, words) in
            [(&blobs.missing, "are missing"), (&blobs.extra, "are not named by its entries")]
        {
            if let Some(first) = found.first() {
                let count = found.len();
                context.out.warning(&format!("{count} blobs {words}, for example `{first}`"));
            }
        }
    }
}

fn proven_well(context: &Context, proven: &Proven) {
    if context.out.is_json() {
        context.out.json(&json!({
            "verified": true, "entry": proven.seq, "entries": proven.entries, "body": proven.body,
        }));
        return;
    }
    let verified = context.out.paint.green("verified");
    context
        .out
        .line(format!("{verified} entry {} stands in a log of {} entries", proven.seq, proven.entries));
    if let Some(body) = &proven.body {
        context.out.line(body);
    }
}

fn good(context: &Context, verified: &Verified) {
    let out = &context.out;
    if out.is_json() {
        out.json(&json!({
            "verified": true, "entries": verified.entries, "runs": verified.runs, "blobs": verified.blobs,
            "archived": verified.archived, "pruned": verified.pruned, "root": verified.root, "public_key": verified.public_key,
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
    if verified.archived > 0 {
        out.line(format!(
            "the first {} were moved to archives, and the log vouches for them",
            verified.archived
        ));
    }
    if let Some(size) = verified.witnessed {
        out.line(format!("the checkpoint kept elsewhere vouches for the first {size}"));
    } else {
        out.line("self-signed only: the keys are on the same machine as the log");
        out.hint("keep a checkpoint elsewhere and give it with --checkpoint: `runbook audit verify --output json` prints it");
    }
}

pub(super) fn bad(tampered: &Tampered, of_export: bool) -> Error {
    let Tampered { place, what } = tampered;
    if of_export {
        return Error::new(Kind::Directory, format!("the export is not what was signed: {place}: {what}"))
            .hint("ask for it again; of an archive of version 0.1 that lacks blobs, see --no-blob-list");
    }
    Error::new(Kind::Directory, format!("the audit log is not what was written: {place}: {what}"))
        .hint("keep a copy of the data directory as it is before anything else; what is urgent: `run --emergency --reason WHY`")
}

/// A signed note.
fn note(path: &Path) -> Result<String, Error> {
    own_file::read_named_text(path, MAX_CHECKPOINT_BYTES as u64).map_err(|error| match error.kind() {
        ErrorKind::FileTooLarge => {
            Error::invalid(format!("`{}` is no checkpoint: it is too large", path.display()))
        }
        _ => Error::file(path, "read", &error),
    })
}

/// The key itself, or a file that holds it.
fn key(text: &str) -> Result<VerifierKey, Error> {
    given_key(text).map_err(|error| match error {
        NotAKey::Unread(path, error) => Error::file(Path::new(&path), "read", &error),
        NotAKey::Invalid(..) => Error::invalid(error.to_string()),
    })
}
