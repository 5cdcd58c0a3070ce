//! The log as a file for strangers: a line that holds the signed checkpoint and the public key, then the exact body of
//! every entry, one to a line. Or a directory that holds the same in three files, and the blobs.
//!
//! `SHA-256(0x00 || line)` are the leaves of the tree whose root the checkpoint signs (RFC 6962), so that any program can
//! verify it.

use std::collections::BTreeSet;
use std::fs::{File, OpenOptions};
use std::io::{BufRead, BufReader, BufWriter, Read as _, Write};
use std::path::Path;

use rusqlite::Connection;
use serde::{Deserialize, Serialize};

use words::ids::Digest;
use words::own_file;

use super::base::{self, After};
use super::body::{MAX_ENTRY_BYTES, Outline};
use super::checkpoint::{Checkpoint, MAX_CHECKPOINT_BYTES};
use super::error::Error;
use super::fold::Fold;
use super::folder_blobs::{self, BLOB_LIST_FILE, BLOBS_DIR, FolderBlobs};
use super::key::{self, PUBLIC_KEY_FILE, SignerKey, VerifierKey};
use super::schema;
use super::tampered::{VerifyError, tampered};
use super::tree::{self, Frontier};
use super::trust::TrustRow;
use super::witness::{Witness, Witnesses};

/// What the first line of an export says it is.
pub const EXPORT_FORMAT: &str = "runbook-audit-export/1";

/// The entries in an exported directory.
pub const ENTRIES_FILE: &str = "entries.jsonl";

/// The signed checkpoint in an exported directory.
pub const CHECKPOINT_FILE: &str = "checkpoint.note";

/// In an exported directory: the tree before its first entry, where older ones were archived.
pub(super) const AFTER_FILE: &str = "after.json";

/// The longest first line that is read, in bytes.
const MAX_HEADER_BYTES: usize = 2 * MAX_CHECKPOINT_BYTES;

/// What was exported, or found in an export.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Exported {
    /// The number of the last entry.
    pub entries: u64,
    /// How many entries before the first are not in it.
    pub after: u64,
    /// The signed checkpoint over all of them.
    pub checkpoint: String,
    /// The key that signed it.
    pub public_key: String,
    /// The blobs in the folder that was verified.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub blobs: Option<FolderBlobs>,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Header {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    after: Option<After>,
    checkpoint: String,
    entries: u64,
    format: String,
    public_key: String,
}

/// Exports the log in a data directory. To a directory if `to` is one or ends in a slash, else to a file; nothing that
/// exists is overwritten.
pub fn export(dir: &Path, to: &Path) -> Result<Exported, Error> {
    let (db, header) = snapshot(dir)?;
    if to.is_dir() || to.as_os_str().as_encoded_bytes().ends_with(b"/") {
        export_directory(&db, &header, None, to)?;
    } else {
        create(to, |file| {
            write_header(&header, file)?;
            write_bodies(&db, header.entries, file)
        })?;
    }
    Ok(header.into())
}

/// Exports the entries up to the one a checkpoint is over to a new directory, which is there whole or not at all.
pub(super) fn export_part(
    db: &Connection,
    (checkpoint, entries): (&str, u64),
    key: &SignerKey,
    after: Option<After>,
    to: &Path,
) -> Result<(), Error> {
    let name = to.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
    let partial = to.with_file_name(format!(".{name}.partial"));
    if to.exists() {
        let exists = std::io::Error::from(std::io::ErrorKind::AlreadyExists);
        return Err(Error::io("make the directory", to, &exists));
    }
    if partial.exists() {
        // Left by one that was killed: nothing was deleted for its sake.
        std::fs::remove_dir_all(&partial).map_err(|error| Error::io("remove", &partial, &error))?;
    }
    let header = Header {
        after,
        checkpoint: checkpoint.to_owned(),
        entries,
        format: EXPORT_FORMAT.to_owned(),
        public_key: key.public().to_string(),
    };
    export_directory(db, &header, Some(key), &partial).inspect_err(|_| {
        // Half an archive only takes room.
        let _ = std::fs::remove_dir_all(&partial);
    })?;
    std::fs::rename(&partial, to).map_err(|error| Error::io("rename", &partial, &error))?;
    let parent = to.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
    File::open(parent)
        .and_then(|folder| folder.sync_all())
        .map_err(|error| Error::io("write", parent, &error))
}

/// The export as bytes, in the form of one file.
pub(super) fn export_bytes(dir: &Path) -> Result<(Vec<u8>, Exported), Error> {
    let (db, header) = snapshot(dir)?;
    let mut bytes = Vec::new();
    let written =
        write_header(&header, &mut bytes).and_then(|()| write_bodies(&db, header.entries, &mut bytes));
    written.map_err(|failure| failure.at(dir))?;
    Ok((bytes, header.into()))
}

/// Verifies an export with nothing but the public key, and against a checkpoint that was kept elsewhere, a signed note.
pub fn verify_export(
    path: &Path,
    public_key: &VerifierKey,
    witness: Option<&str>,
) -> Result<Exported, VerifyError> {
    let read = |path: &Path| {
        File::open(path).map_err(|error| VerifyError::Unreadable(Error::io("read", path, &error)))
    };
    if !path.is_dir() {
        return verify_stream(&mut BufReader::new(read(path)?), public_key, witness);
    }
    verify_folder(path, public_key, witness, false)
}

/// Verifies an exported folder: entries, checkpoint and blobs. `unlisted` is for archives of version 0.1, which have no list
/// of their blobs: what is there is checked, what is missing or extra is told and no error.
pub fn verify_folder(
    path: &Path,
    public_key: &VerifierKey,
    witness: Option<&str>,
    unlisted: bool,
) -> Result<Exported, VerifyError> {
    let read = |name: &str| {
        let path = path.join(name);
        own_file::open(&path).map_err(|error| match error.kind() {
            std::io::ErrorKind::NotFound => tampered(format!("`{name}`"), "is missing"),
            _ => VerifyError::Unreadable(Error::io("read", &path, &error)),
        })
    };
    let mut checkpoint = String::new();
    (read(CHECKPOINT_FILE)?.take(MAX_CHECKPOINT_BYTES as u64).read_to_string(&mut checkpoint))
        .map_err(|error| tampered(format!("`{CHECKPOINT_FILE}`"), error.to_string()))?;
    let mut entries = BufReader::new(read(ENTRIES_FILE)?);
    let after = match own_file::open(&path.join(AFTER_FILE)) {
        Ok(file) => Some(
            serde_json::from_reader(file.take(MAX_HEADER_BYTES as u64))
                .map_err(|error| tampered(format!("`{AFTER_FILE}`"), error.to_string()))?,
        ),
        Err(_) => None,
    };
    let (exported, fold) = Claim { after, checkpoint, witness }.verify(&mut entries, public_key)?;
    let blobs = folder_blobs::check(path, exported.entries, public_key, &fold, unlisted)?;
    Ok(Exported { blobs: Some(blobs), ..exported })
}

/// Verifies an export in the form of one file, wherever it comes from.
pub fn verify_stream(
    lines: &mut impl BufRead,
    key: &VerifierKey,
    witness: Option<&str>,
) -> Result<Exported, VerifyError> {
    let line = next_line(lines, MAX_HEADER_BYTES)
        .and_then(|line| line.ok_or_else(|| "is missing".to_owned()))
        .map_err(|what| tampered("the first line", what))?;
    let header: Header =
        serde_json::from_slice(&line).map_err(|error| tampered("the first line", error.to_string()))?;
    if header.format != EXPORT_FORMAT {
        let what = format!("says the format is `{}`, not `{EXPORT_FORMAT}`", header.format.escape_debug());
        return Err(tampered("the first line", what));
    }
    let claim = Claim { after: header.after, checkpoint: header.checkpoint, witness };
    claim.verify(lines, key).map(|(exported, _)| exported)
}

/// What the lines of an export are held against.
struct Claim<'a> {
    after: Option<After>,
    checkpoint: String,
    witness: Option<&'a str>,
}

impl Claim<'_> {
    fn verify(self, lines: &mut impl BufRead, key: &VerifierKey) -> Result<(Exported, Fold), VerifyError> {
        let checkpoint = Checkpoint::open(&self.checkpoint, key)
            .map_err(|error| tampered("the signed checkpoint", error.to_string()))?;
        let tree = self.after.as_ref().map_or_else(|| Some(Frontier::default()), After::tree);
        let tree = tree.ok_or_else(|| tampered("the tree before the first entry", "cannot be read"))?;
        let after = tree.size();
        if after > checkpoint.size {
            let what = format!("counts more than the {} entries of the signed checkpoint", checkpoint.size);
            return Err(tampered("the tree before the first entry", what));
        }
        let mut witnesses = Witnesses::default();
        if let Some(note) = self.witness {
            let witness = Witness::outside(note, key)?;
            if witness.checkpoint.size <= after {
                let what = format!(
                    "the checkpoint kept elsewhere is over less than the {after} entries before these"
                );
                return Err(VerifyError::Unreadable(Error::Invalid { what }));
            }
            witnesses.add(witness);
        }
        let (tree, fold) = verify_bodies(lines, &checkpoint, tree, &mut witnesses)?;
        witnesses.finish(tree.size())?;
        let Self { checkpoint, .. } = self;
        let (entries, public_key) = (tree.size(), key.to_string());
        Ok((Exported { entries, after, checkpoint, public_key, blobs: None }, fold))
    }
}

fn verify_bodies(
    lines: &mut impl BufRead,
    checkpoint: &Checkpoint,
    mut tree: Frontier,
    witnesses: &mut Witnesses,
) -> Result<(Frontier, Fold), VerifyError> {
    let mut fold = Fold::default();
    loop {
        let seq = tree.size() + 1;
        let place = || format!("entry {seq}");
        let Some(body) = next_line(lines, MAX_ENTRY_BYTES).map_err(|what| tampered(place(), what))? else {
            break;
        };
        if seq > checkpoint.size {
            let what = format!("is not covered by the signed checkpoint, which counts {}", checkpoint.size);
            return Err(tampered(place(), what));
        }
        let told = fold.body(seq, &body).map_err(|what| tampered(place(), what))?;
        fold.take(seq, told);
        tree.push(tree::leaf(&body));
        witnesses.reached(&tree)?;
    }
    if tree.size() < checkpoint.size {
        let what = format!("is missing: the signed checkpoint counts {} entries", checkpoint.size);
        return Err(tampered(format!("entry {}", tree.size() + 1), what));
    }
    if tree.root() != checkpoint.root {
        return Err(tampered("the entries", "do not hash to the root of the signed checkpoint"));
    }
    Ok((tree, fold))
}

fn next_line(lines: &mut impl BufRead, limit: usize) -> Result<Option<Vec<u8>>, String> {
    let mut line = Vec::new();
    lines
        .take(limit as u64 + 1)
        .read_until(b'\n', &mut line)
        .map_err(|error| format!("cannot be read: {error}"))?;
    match line.pop() {
        None => Ok(None),
        Some(b'\n') => Ok(Some(line)),
        Some(_) if line.len() >= limit => Err(format!("is longer than {limit} bytes")),
        Some(_) => Err("is cut off".to_owned()),
    }
}

/// One snapshot of the database with its checkpoint.
fn snapshot(dir: &Path) -> Result<(Connection, Header), Error> {
    let db = schema::open_reader(&schema::database(dir))?;
    db.execute_batch("BEGIN")?;
    let row = TrustRow::read(&db)?;
    let public_key = key::public_key(dir)?.to_string();
    let header = Header {
        after: After::of(&base::base(&db)?),
        checkpoint: row.checkpoint,
        entries: row.size,
        format: EXPORT_FORMAT.to_owned(),
        public_key,
    };
    Ok((db, header))
}

/// With a key, the blobs are those that the entries name, and a signed list tells which they are: other entries may have
/// forgotten some, or name more.
fn export_directory(
    db: &Connection,
    header: &Header,
    key: Option<&SignerKey>,
    to: &Path,
) -> Result<(), Error> {
    let blobs = to.join(BLOBS_DIR);
    std::fs::create_dir_all(&blobs).map_err(|error| Error::io("make the directory", &blobs, &error))?;
    create(&to.join(ENTRIES_FILE), |file| write_bodies(db, header.entries, file))?;
    if let Some(after) = &header.after {
        create(&to.join(AFTER_FILE), |file| {
            Ok(serde_json::to_writer(file, after).map_err(std::io::Error::from)?)
        })?;
    }
    create(&to.join(CHECKPOINT_FILE), |file| Ok(file.write_all(header.checkpoint.as_bytes())?))?;
    create(&to.join(PUBLIC_KEY_FILE), |file| Ok(writeln!(file, "{}", header.public_key)?))?;
    let named = key.map(|_| named(db, header.entries)).transpose()?;
    let mut kept = BTreeSet::new();
    each_blob(db, |digest, bytes| {
        if named.as_ref().is_some_and(|named| !named.contains(digest)) {
            return Ok(());
        }
        kept.insert(digest.clone());
        create(&blobs.join(digest.as_str()), |file| Ok(file.write_all(bytes)?))
    })?;
    match key {
        None => Ok(()),
        Some(key) => create(&to.join(BLOB_LIST_FILE), |file| {
            Ok(file.write_all(folder_blobs::list(header.entries, &kept, key).as_bytes())?)
        }),
    }
}

/// The blobs that the entries up to this one name.
fn named(db: &Connection, last: u64) -> Result<BTreeSet<Digest>, Error> {
    let mut named = BTreeSet::new();
    let mut statement = db.prepare("SELECT seq, body FROM entry WHERE seq <= ?1 ORDER BY seq")?;
    let mut rows = statement.query([schema::signed(last)])?;
    while let Some(row) = rows.next()? {
        let seq = schema::unsigned(row.get(0)?)?;
        let body = Outline::read(row.get_ref(1)?.as_bytes().unwrap_or_default())
            .map_err(|why| Error::damaged(format!("entry {seq}: {why}")))?;
        named.extend(body.blobs);
    }
    Ok(named)
}

/// Visits every blob.
pub(super) fn each_blob(
    db: &Connection,
    mut visit: impl FnMut(&Digest, &[u8]) -> Result<(), Error>,
) -> Result<(), Error> {
    let mut statement = db.prepare("SELECT digest, bytes FROM blob")?;
    let mut rows = statement.query([])?;
    while let Some(row) = rows.next()? {
        let digest: String = row.get(0)?;
        // Becomes a file's name: must be nothing but a digest.
        let digest = Digest::new(digest).map_err(|error| Error::damaged(error.to_string()))?;
        visit(&digest, row.get_ref(1)?.as_bytes().unwrap_or_default())?;
    }
    Ok(())
}

fn write_header(header: &Header, to: &mut impl Write) -> Result<(), Failure> {
    serde_json::to_writer(&mut *to, header).map_err(std::io::Error::from)?;
    Ok(to.write_all(b"\n")?)
}

fn write_bodies(db: &Connection, last: u64, to: &mut impl Write) -> Result<(), Failure> {
    let mut statement = db.prepare("SELECT body FROM entry WHERE seq <= ?1 ORDER BY seq")?;
    let mut rows = statement.query([schema::signed(last)])?;
    while let Some(row) = rows.next()? {
        to.write_all(row.get_ref(0)?.as_bytes().unwrap_or_default())?;
        to.write_all(b"\n")?;
    }
    Ok(())
}

/// Makes a new file and writes it whole, synced.
fn create(path: &Path, write: impl FnOnce(&mut BufWriter<File>) -> Result<(), Failure>) -> Result<(), Error> {
    let make = || -> Result<(), Failure> {
        let file = OpenOptions::new().write(true).create_new(true).open(path)?;
        let mut file = BufWriter::new(file);
        write(&mut file)?;
        file.flush()?;
        Ok(file.get_ref().sync_data()?)
    };
    make().map_err(|failure| failure.at(path))
}

/// Of the file that is written or the database that is read.
#[derive(Debug, thiserror::Error)]
enum Failure {
    #[error(transparent)]
    File(#[from] std::io::Error),
    #[error(transparent)]
    Database(#[from] rusqlite::Error),
}

impl Failure {
    fn at(self, path: &Path) -> Error {
        match self {
            Self::File(error) => Error::io("write", path, &error),
            Self::Database(error) => error.into(),
        }
    }
}

impl From<Header> for Exported {
    fn from(header: Header) -> Self {
        let after = header.after.map_or(0, |after| after.entries);
        let Header { checkpoint, entries, public_key, .. } = header;
        Self { entries, after, checkpoint, public_key, blobs: None }
    }
}
