//! `runbook audit verify`.

use std::io::Read as _;
use std::path::{Path, PathBuf};

use clap::Args;
use serde_json::json;

use crate::audit::{
    ENTRIES_FILE, Exported, MAX_CHECKPOINT_BYTES, MAX_ENTRY_BYTES, Proven, Receipt, Tampered, Verified,
    VerifierKey, VerifyError, VerifyOptions, verify, verify_export, verify_receipt,
};
use crate::cli::Ended;
use crate::cli::context::Context;
use crate::error::{Error, Kind, exit};

/// How a database begins.
const SQLITE: &[u8; 16] = b"SQLite format 3\0";

/// A receipt is an entry, as JSON inside JSON, and a short proof.
const MAX_RECEIPT_BYTES: u64 = 8 * MAX_ENTRY_BYTES as u64;

/// Check every byte of the audit log against its signed checkpoints
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  runbook audit verify
  runbook audit verify --checkpoint /mnt/elsewhere/checkpoint      also finds a cut tail or an old copy
  runbook audit verify /backup/audit.db --public-key runbook.pub
  runbook audit verify log.jsonl --public-key runbook.pub          an export, or a receipt of `audit prove`

Exit code 5 if anything is not what was written; the place is named.")]
pub(in crate::cli) struct Verify {
    /// A data directory, a copy of its database, an export or a receipt [default: the data directory]
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
        let verified = match (kind(&path), options.public_key.clone()) {
            (Kept::Log, _) => verify(&path, &options).map(|verified| good(context, &verified)),
            (_, None) => {
                return Err(Error::usage(
                    "whom must it be from? an export or a receipt proves nothing without the public key",
                )
                .hint("give it with --public-key; its owner prints it with `runbook audit key`"));
            }
            (Kept::Export, Some(key)) => {
                verify_export(&path, &key).map(|exported| exported_well(context, &exported))
            }
            (Kept::Receipt(receipt), Some(key)) => {
                verify_receipt(&receipt, &key, None).map(|proven| proven_well(context, &proven))
            }
        };
        match verified {
            Ok(()) => Ok(exit::SUCCEEDED),
            Err(VerifyError::Tampered(tampered)) => Err(bad(&tampered)),
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

fn kind(path: &Path) -> Kept {
    if path.is_dir() {
        return if path.join(ENTRIES_FILE).exists() { Kept::Export } else { Kept::Log };
    }
    let mut head = [0; SQLITE.len()];
    let read = std::fs::File::open(path).and_then(|mut file| file.read_exact(&mut head));
    if read.is_err() || head == *SQLITE {
        return Kept::Log;
    }
    let receipt = std::fs::metadata(path).is_ok_and(|found| found.len() <= MAX_RECEIPT_BYTES);
    let receipt = receipt.then(|| std::fs::read(path).ok()).flatten();
    match receipt.and_then(|bytes| serde_json::from_slice(&bytes).ok()) {
        Some(receipt) => Kept::Receipt(Box::new(receipt)),
        None => Kept::Export,
    }
}

fn exported_well(context: &Context, exported: &Exported) {
    if context.out.is_json() {
        let mut document = json!(exported);
        document["verified"] = json!(true);
        context.out.json(&document);
    } else {
        let verified = context.out.paint.green("verified");
        context.out.line(format!(
            "{verified} an export of {} entries, signed by {}",
            exported.entries, exported.public_key
        ));
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
    if let Some(size) = verified.witnessed {
        out.line(format!("the checkpoint kept elsewhere vouches for the first {size}"));
    } else {
        out.line("self-signed only: the keys are on the same machine as the log");
        out.hint("keep a checkpoint elsewhere and give it with --checkpoint: `runbook audit verify --output json` prints it");
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
