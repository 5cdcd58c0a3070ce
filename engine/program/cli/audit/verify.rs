//! `runbook audit verify`.

use std::io::ErrorKind;
use std::io::Read as _;
use std::path::{Path, PathBuf};

use clap::Args;
use serde_json::json;

use crate::cli::Ended;
use crate::cli::context::Context;
use crate::error::{Error, Kind, exit};
use audit::{
    CHECKPOINT_DIR, CHECKPOINT_FILE, DATABASE_FILE, ENTRIES_FILE, EXPORT_FORMAT, Exported, MARK_FILE,
    MAX_CHECKPOINT_BYTES, MAX_ENTRY_BYTES, PRIVATE_KEY_FILE, PUBLIC_KEY_FILE, Proven, Receipt, Tampered,
    Verified, VerifierKey, VerifyError, VerifyOptions, verify, verify_export, verify_folder, verify_receipt,
};
use words::own_file;

/// How a database begins.
const SQLITE: &[u8; 16] = b"SQLite format 3\0";

/// How much of a file is looked at to tell what it is.
const HEAD_BYTES: u64 = 64 * 1024;

/// What can be verified.
const NAME: &str = "name a data directory, a copy of `audit.db`, an export or a receipt";

/// A receipt is an entry, as JSON inside JSON, and a short proof.
const MAX_RECEIPT_BYTES: u64 = 8 * MAX_ENTRY_BYTES as u64;

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
        let (path, kept) = match self.path {
            Some(path) => {
                let path = there(path)?;
                let kept = kind(&path)?;
                (path, kept)
            }
            None => (context.settings()?.data.path.clone(), Kept::Log),
        };
        let options = VerifyOptions {
            checkpoint: self.checkpoint.as_deref().map(note).transpose()?,
            public_key: self.public_key.as_deref().map(key).transpose()?,
        };
        let of_export = !matches!(kept, Kept::Log);
        let verified = match (kept, options.public_key.clone()) {
            (Kept::Log, _) => verify(&path, &options).map(|verified| good(context, &verified)),
            (_, None) => {
                return Err(Error::usage(
                    "a public key is required: an export or a receipt proves nothing without it",
                )
                .hint("give it with --public-key; its owner prints it with `runbook audit key`"));
            }
            (Kept::Export, Some(key)) => {
                let witness = options.checkpoint.as_deref();
                let verified = if path.is_dir() {
                    verify_folder(&path, &key, witness, self.no_blob_list)
                } else {
                    verify_export(&path, &key, witness)
                };
                verified.map(|exported| exported_well(context, &exported))
            }
            (Kept::Receipt(receipt), Some(key)) => {
                verify_receipt(&receipt, &key, None).map(|proven| proven_well(context, &proven))
            }
        };
        match verified {
            Ok(()) => Ok(exit::SUCCEEDED),
            Err(VerifyError::Tampered(tampered)) => Err(bad(&tampered, of_export)),
            Err(VerifyError::Unreadable(error)) => Err(error.into()),
        }
    }
}

/// What a path holds.
enum Kept {
    /// A data directory or a copy of its database.
    Log,
    /// What `audit export` wrote.
    Export,
    /// What `audit prove` printed.
    Receipt(Box<Receipt>),
}

/// Nothing at all is not something that was changed. Whether a database that is gone was ever there, the log itself knows.
fn there(path: PathBuf) -> Result<PathBuf, Error> {
    match std::fs::metadata(&path) {
        Ok(_) => Ok(path),
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => Err(Error::file(&path, "read", &error)),
        Err(_) if path.file_name().is_some_and(|name| name == DATABASE_FILE) => Ok(path),
        Err(_) => Err(Error::not_found(format!("there is no `{}`", path.display())).hint(NAME)),
    }
}

/// Says in plain words what is none of these.
fn kind(path: &Path) -> Result<Kept, Error> {
    let shown = path.display();
    let holds = |names: &[&str]| names.iter().any(|name| path.join(name).exists());
    if path.is_dir() {
        return if holds(&[ENTRIES_FILE, CHECKPOINT_FILE]) {
            Ok(Kept::Export)
        } else if holds(&[DATABASE_FILE, PRIVATE_KEY_FILE, PUBLIC_KEY_FILE, MARK_FILE, CHECKPOINT_DIR]) {
            Ok(Kept::Log)
        } else {
            Err(Error::invalid(format!("`{shown}` holds neither an audit log nor an export of one"))
                .hint(NAME))
        };
    }
    if path.file_name().is_some_and(|name| name == DATABASE_FILE) {
        return Ok(Kept::Log);
    }
    let mut head = Vec::new();
    std::fs::File::open(path)
        .and_then(|file| file.take(HEAD_BYTES).read_to_end(&mut head))
        .map_err(|error| Error::file(path, "read", &error))?;
    if head.is_empty() {
        return Err(Error::invalid(format!("`{shown}` is empty")).hint(NAME));
    }
    if head.starts_with(SQLITE) {
        return Ok(Kept::Log);
    }
    let receipt = own_file::read_named(path, MAX_RECEIPT_BYTES).ok();
    if let Some(receipt) = receipt.and_then(|bytes| serde_json::from_slice(&bytes).ok()) {
        return Ok(Kept::Receipt(Box::new(receipt)));
    }
    let line = String::from_utf8_lossy(head.split(|byte| *byte == b'\n').next().unwrap_or_default());
    // Its first line, or an entry where the first line is gone.
    if ["\"checkpoint\"", "\"public_key\"", "\"actor\"", EXPORT_FORMAT].iter().any(|word| line.contains(word))
    {
        return Ok(Kept::Export);
    }
    Err(Error::invalid(format!("`{shown}` is not an export of an audit log")).hint(NAME))
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
    if let Ok(key) = text.parse() {
        return Ok(key);
    }
    let path = Path::new(text);
    let held = own_file::read_named_text(path, MAX_CHECKPOINT_BYTES as u64)
        .map_err(|error| Error::file(path, "read", &error))?;
    held.parse()
        .map_err(|error: audit::InvalidKey| Error::invalid(format!("`{text}` holds no public key: {error}")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_that_is_not_there_is_no_tampering() {
        let dir = tempfile::tempdir().unwrap();
        let missing = there(dir.path().join("log.jsonl")).unwrap_err();
        assert_eq!(missing.kind, Kind::NotFound);
        assert!(missing.hint.is_some());
        let database = dir.path().join(DATABASE_FILE);
        assert_eq!(there(database.clone()).unwrap(), database);
        let below = there(dir.path().join("x/../../\0").join("y")).unwrap_err();
        assert_eq!(below.kind, Kind::Environment);
    }
}
