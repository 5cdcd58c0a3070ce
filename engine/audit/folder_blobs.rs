//! The blobs in the folder of an export: each must be what its name says, and there must be those that belong to it, no more
//! and no fewer.
//!
//! Which ones belong to it, the entries tell. Of an archive a signed list tells: entries that are not in it may have
//! forgotten some.

use std::collections::BTreeSet;
use std::io::Read as _;
use std::path::Path;

use serde::Serialize;

use words::ids::Digest;
use words::own_file;

use super::error::Error;
use super::fold::Fold;
use super::key::{SignerKey, VerifierKey};
use super::moved::MAX_BLOB_BYTES;
use super::note;
use super::tampered::{VerifyError, tampered};

/// The blobs in an exported directory, each named by its digest.
pub const BLOBS_DIR: &str = "blobs";

/// The signed list of the blobs of an archive, in its folder.
pub(super) const BLOB_LIST_FILE: &str = "blobs.note";

/// What the list begins with.
const FIRST_LINE: &str = "runbook-audit-blobs/1";

/// No list is longer, in bytes: a million blobs.
const MAX_LIST_BYTES: u64 = 65 << 20;

/// What was found in the folder.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize)]
pub struct FolderBlobs {
    /// How many are there, all of them what their names say.
    pub checked: u64,
    /// Those that the entries name and that are not there; only of an archive without a list.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub missing: Vec<Digest>,
    /// Those that are there and that the entries do not name; only of an archive without a list.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub extra: Vec<Digest>,
}

/// The signed list of these blobs, of an archive up to this entry.
pub(super) fn list(entries: u64, blobs: &BTreeSet<Digest>, key: &SignerKey) -> String {
    let lines: String = blobs.iter().flat_map(|digest| [digest.as_str(), "\n"]).collect();
    note::sign(&format!("{FIRST_LINE}\n{entries}\n{lines}"), key)
}

/// Checks the blobs of an exported folder. `unlisted`: an archive of version 0.1, of which nothing tells which belong to it.
pub(super) fn check(
    folder: &Path,
    entries: u64,
    key: &VerifierKey,
    fold: &Fold,
    unlisted: bool,
) -> Result<FolderBlobs, VerifyError> {
    let listed = listed(folder, entries, key)?;
    let unlisted = unlisted && listed.is_none();
    let belong = listed.unwrap_or_else(|| fold.named());
    let there = there(&folder.join(BLOBS_DIR))?;
    let missing: Vec<Digest> = belong.difference(&there).cloned().collect();
    let extra: Vec<Digest> = there.difference(&belong).cloned().collect();
    let checked = there.len() as u64;
    if unlisted {
        return Ok(FolderBlobs { checked, missing, extra });
    }
    if let Some(digest) = missing.first() {
        return Err(tampered(format!("blob `{digest}`"), "is missing"));
    }
    if let Some(digest) = extra.first() {
        return Err(tampered(format!("blob `{digest}`"), "does not belong to this export"));
    }
    Ok(FolderBlobs { checked, ..FolderBlobs::default() })
}

/// The blobs that the signed list names; none if there is no list.
fn listed(folder: &Path, entries: u64, key: &VerifierKey) -> Result<Option<BTreeSet<Digest>>, VerifyError> {
    let place = format!("`{BLOB_LIST_FILE}`");
    let path = folder.join(BLOB_LIST_FILE);
    let file = match own_file::open(&path) {
        Ok(file) => file,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(VerifyError::Unreadable(Error::io("read", &path, &error))),
    };
    let mut text = String::new();
    file.take(MAX_LIST_BYTES)
        .read_to_string(&mut text)
        .map_err(|error| tampered(&*place, error.to_string()))?;
    let text = note::open(&text, key).map_err(|error| tampered(&*place, error.to_string()))?;
    let mut lines = text.lines();
    if lines.next() != Some(FIRST_LINE) || lines.next() != Some(&*entries.to_string()) {
        return Err(tampered(place, "is the list of another archive"));
    }
    let blobs: Result<_, _> = lines.map(|line| Digest::new(line.to_owned())).collect();
    blobs.map(Some).map_err(|error| tampered(place, error.to_string()))
}

/// What is in the folder, each looked at whole.
fn there(folder: &Path) -> Result<BTreeSet<Digest>, VerifyError> {
    let unreadable = |error| VerifyError::Unreadable(Error::io("read", folder, &error));
    let files = match std::fs::read_dir(folder) {
        Ok(files) => files,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(BTreeSet::new()),
        Err(error) => return Err(unreadable(error)),
    };
    let mut found = BTreeSet::new();
    for file in files {
        let file = file.map_err(unreadable)?;
        let name = file.file_name().to_string_lossy().into_owned();
        let place = format!("`{BLOBS_DIR}/{}`", name.escape_debug());
        let plain = file.file_type().map_err(unreadable)?.is_file();
        let Some(digest) = Digest::new(name).ok().filter(|_| plain) else {
            return Err(tampered(place, "does not belong to this export: its name is not a digest"));
        };
        let mut bytes = Vec::new();
        own_file::open(&file.path())
            .and_then(|file| file.take(MAX_BLOB_BYTES as u64 + 1).read_to_end(&mut bytes))
            .map_err(unreadable)?;
        if Digest::of(&bytes) != digest {
            return Err(tampered(format!("blob `{digest}`"), "its content does not match its digest"));
        }
        found.insert(digest);
    }
    Ok(found)
}
