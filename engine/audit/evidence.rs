//! What someone holds who wants to verify: a log, an export of one, or a receipt. A path says which by what it holds.

use std::io::{self, Read as _};
use std::path::Path;

use words::own_file;

use super::body::MAX_ENTRY_BYTES;
use super::checkpoint::MAX_CHECKPOINT_BYTES;
use super::checkpoint_files::CHECKPOINT_DIR;
use super::export::{CHECKPOINT_FILE, ENTRIES_FILE, EXPORT_FORMAT, Exported, verify_export, verify_folder};
use super::key::{InvalidKey, PRIVATE_KEY_FILE, PUBLIC_KEY_FILE, VerifierKey};
use super::mark::MARK_FILE;
use super::receipt::{Proven, Receipt, verify_receipt};
use super::schema::DATABASE_FILE;
use super::tampered::VerifyError;
use super::verify::{Verified, VerifyOptions, verify};

/// How a database begins.
const SQLITE: &[u8; 16] = b"SQLite format 3\0";
/// How much of a file is looked at to tell what it is.
const HEAD_BYTES: u64 = 64 * 1024;
/// A receipt is an entry, as JSON inside JSON, and a short proof.
const MAX_RECEIPT_BYTES: u64 = 8 * MAX_ENTRY_BYTES as u64;

/// What can be verified.
#[derive(Debug)]
pub enum Evidence {
    /// A data directory or a copy of its database.
    Log,
    /// What `audit export` or `audit archive` wrote.
    Export,
    /// What `audit prove` printed.
    Receipt(Box<Receipt>),
}

/// Why a path holds nothing that can be verified.
#[derive(Debug, thiserror::Error)]
pub enum NotEvidence {
    /// There is nothing.
    #[error("there is no `{0}`")]
    Absent(String),
    /// It holds something else.
    #[error("`{path}` {what}")]
    Other {
        /// The path.
        path: String,
        /// What it holds instead, as the rest of a sentence.
        what: &'static str,
    },
    /// It cannot be looked at.
    #[error(transparent)]
    Io(#[from] io::Error),
}

/// What was verified, and what there is to tell of it.
#[derive(Debug)]
pub enum Proof {
    /// A whole log.
    Log(Verified),
    /// An export.
    Export(Exported),
    /// One entry.
    Receipt(Proven),
}

/// Why something is not proved.
#[derive(Debug, thiserror::Error)]
pub enum Unproved {
    /// An export or a receipt proves nothing without the key of whoever signed it.
    #[error("a public key is required: an export or a receipt proves nothing without it")]
    NoKey,
    /// It is not what was written, or cannot be read.
    #[error(transparent)]
    Verify(#[from] VerifyError),
}

/// Why what was given is no public key.
#[derive(Debug, thiserror::Error)]
pub enum NotAKey {
    /// It is no key, and no file that can be read.
    #[error("cannot read `{0}`: {1}")]
    Unread(String, io::Error),
    /// The file holds none.
    #[error("`{0}` holds no public key: {1}")]
    Invalid(String, InvalidKey),
}

/// The public key as a person gives it: itself, or a file that holds it.
pub fn given_key(given: &str) -> Result<VerifierKey, NotAKey> {
    if let Ok(key) = given.parse() {
        return Ok(key);
    }
    let held = own_file::read_named_text(Path::new(given), MAX_CHECKPOINT_BYTES as u64)
        .map_err(|error| NotAKey::Unread(given.to_owned(), error))?;
    held.parse().map_err(|error| NotAKey::Invalid(given.to_owned(), error))
}

impl Evidence {
    /// What this path holds. A database that is gone is a log: whether it was ever there, the files beside it know.
    pub fn at(path: &Path) -> Result<Self, NotEvidence> {
        let shown = || path.display().to_string();
        let other = |what| NotEvidence::Other { path: shown(), what };
        let database = path.file_name().is_some_and(|name| name == DATABASE_FILE);
        match std::fs::metadata(path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error.into()),
            Err(_) if !database => return Err(NotEvidence::Absent(shown())),
            Ok(found) if found.is_dir() => {
                return Self::in_folder(path)
                    .ok_or_else(|| other("holds neither an audit log nor an export of one"));
            }
            _ => {}
        }
        if database {
            return Ok(Self::Log);
        }
        let mut head = Vec::new();
        std::fs::File::open(path)?.take(HEAD_BYTES).read_to_end(&mut head)?;
        if head.is_empty() {
            return Err(other("is empty"));
        }
        if head.starts_with(SQLITE) {
            return Ok(Self::Log);
        }
        let receipt = own_file::read_named(path, MAX_RECEIPT_BYTES).ok();
        if let Some(receipt) = receipt.and_then(|bytes| serde_json::from_slice(&bytes).ok()) {
            return Ok(Self::Receipt(Box::new(receipt)));
        }
        let line = String::from_utf8_lossy(head.split(|byte| *byte == b'\n').next().unwrap_or_default());
        // Its first line, or an entry where the first line is gone.
        if ["\"checkpoint\"", "\"public_key\"", "\"actor\"", EXPORT_FORMAT]
            .iter()
            .any(|word| line.contains(word))
        {
            return Ok(Self::Export);
        }
        Err(other("is not an export of an audit log"))
    }

    fn in_folder(path: &Path) -> Option<Self> {
        let holds = |names: &[&str]| names.iter().any(|name| path.join(name).exists());
        if holds(&[ENTRIES_FILE, CHECKPOINT_FILE]) {
            Some(Self::Export)
        } else if holds(&[DATABASE_FILE, PRIVATE_KEY_FILE, PUBLIC_KEY_FILE, MARK_FILE, CHECKPOINT_DIR]) {
            Some(Self::Log)
        } else {
            None
        }
    }

    /// Verifies what this path holds. `no_blob_list` accepts an archive of version 0.1, which has no list of its blobs.
    pub fn verify(
        &self,
        path: &Path,
        options: &VerifyOptions,
        no_blob_list: bool,
    ) -> Result<Proof, Unproved> {
        let key = || options.public_key.as_ref().ok_or(Unproved::NoKey);
        let witness = options.checkpoint.as_deref();
        Ok(match self {
            Self::Log => Proof::Log(verify(path, options)?),
            Self::Export if path.is_dir() => {
                Proof::Export(verify_folder(path, key()?, witness, no_blob_list)?)
            }
            Self::Export => Proof::Export(verify_export(path, key()?, witness)?),
            Self::Receipt(receipt) => Proof::Receipt(verify_receipt(receipt, key()?, None)?),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_that_is_not_there_is_no_tampering() {
        let dir = tempfile::tempdir().unwrap();
        let at = |name: &str| Evidence::at(&dir.path().join(name));
        assert!(matches!(at("log.jsonl"), Err(NotEvidence::Absent(_))));
        assert!(matches!(at(DATABASE_FILE), Ok(Evidence::Log)));
        assert!(matches!(at("x/../../\0/y"), Err(NotEvidence::Io(_))));
        std::fs::write(dir.path().join("notes"), "some text\n").unwrap();
        assert!(matches!(at("notes"), Err(NotEvidence::Other { .. })));
    }
}
