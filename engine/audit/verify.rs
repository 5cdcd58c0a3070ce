//! Proves that the log is what was written: every body hashes to the signed root, every other column and table says what
//! the bodies say, nothing is missing.
//!
//! Reads in one pass over its own connection and trusts nothing it finds but the public key. Against someone who owns the
//! machine and its key only a checkpoint that was kept elsewhere helps; without one the result says so.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};

use rusqlite::Connection;
use rusqlite::types::ValueRef;

use words::ids::Digest;

use super::base;
use super::checkpoint::Checkpoint;
use super::checkpoint_files::CHECKPOINT_DIR;
use super::error::Error;
use super::fold::{Columns, Fold};
use super::hashes;
use super::key::{self, SignerKey, VerifierKey};
use super::mark::Known;
use super::schema::{self, unsigned};
use super::tampered::{VerifyError, tampered};
use super::tree::{self, Frontier, Hash, TILE_LEAVES};
use super::trust::TrustRow;
use super::witness::{Witness, Witnesses};

/// What to hold the log against.
#[derive(Debug, Clone, Default)]
pub struct VerifyOptions {
    /// A signed note of this log that was kept elsewhere.
    pub checkpoint: Option<String>,
    /// The public key that was kept elsewhere; else the one beside the log.
    pub public_key: Option<VerifierKey>,
}

/// A log that is what was written.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub struct Verified {
    /// How many entries.
    pub entries: u64,
    /// The root over them, hex.
    pub root: Digest,
    /// The newest checkpoint, a signed note.
    pub checkpoint: String,
    /// The key that signed it.
    pub public_key: String,
    /// The size that a checkpoint kept elsewhere vouches for; none: self-signed only.
    pub witnessed: Option<u64>,
    /// How many of the entries are no longer here but in an archive.
    pub archived: u64,
    /// How many runs.
    pub runs: u64,
    /// How many blobs.
    pub blobs: u64,
    /// Blobs that are gone, as entries tell.
    pub pruned: Vec<Digest>,
}

/// Verifies the log in a data directory, or a copy of its database.
pub fn verify(path: &Path, options: &VerifyOptions) -> Result<Verified, VerifyError> {
    // What is not there is meant as a directory.
    let database = if path.is_file() { path.to_owned() } else { schema::database(path) };
    let dir = database.parent().map_or_else(PathBuf::new, Path::to_owned);
    // First of all: where there is no log, no key is missing.
    let db = schema::open_reader(&database)?;
    let public_key = match &options.public_key {
        Some(key) => key.clone(),
        None => own_key(&dir)?,
    };
    let mut witnesses = Witnesses::beside(&dir.join(CHECKPOINT_DIR), &public_key);
    let mut vouched_size = None;
    if let Some(note) = &options.checkpoint {
        let witness = Witness::outside(note, &public_key)?;
        vouched_size = Some(witness.checkpoint.size);
        witnesses.add(witness);
    }
    let known = Known::beside(&dir);
    // One snapshot, whatever is appended meanwhile.
    db.execute_batch("BEGIN")?;
    let trusted_size = TrustRow::read(&db).map_or(0, |row| row.trusted_size);
    let mut pass = Pass { witnesses, trusted_size, ..Pass::default() };
    pass.archived(&db, &public_key)?;
    let archived = pass.tree.size();
    if let Some(size) = vouched_size.filter(|size| *size < archived) {
        let what = format!("vouches for the first {size} entries, and the first {archived} were archived");
        let place = "the checkpoint kept elsewhere";
        return Err(VerifyError::Unreadable(Error::Invalid {
            what: format!("{place} {what}: verify their archive with it"),
        }));
    }
    pass.entries(&db)?;
    pass.witnesses.finish(pass.tree.size())?;
    known.against(&pass.tree, &public_key)?;
    let (checkpoint, root) = pass.against_checkpoint(&db, &public_key)?;
    pass.fold.against_tables(&db)?;
    against_indexes(&db)?;
    Ok(Verified {
        entries: pass.tree.size(),
        root: hex(&root)?,
        checkpoint,
        public_key: public_key.to_string(),
        witnessed: vouched_size,
        archived,
        runs: pass.fold.runs(),
        blobs: pass.fold.blobs(),
        pruned: pass.fold.pruned(),
    })
}

/// The public key beside the log. Where the private one can be read, they must belong together.
fn own_key(dir: &Path) -> Result<VerifierKey, VerifyError> {
    let public = key::public_key(dir)?;
    match SignerKey::load(dir) {
        Ok(Some(key)) if key.public() != &public => {
            Err(tampered(format!("`{}`", key::PUBLIC_KEY_FILE), "is not the public key of the private one"))
        }
        _ => Ok(public),
    }
}

/// What is read by way of an index is what stands in its table: SQLite looks up every row of every table in every index,
/// counts both, and visits every page once.
fn against_indexes(db: &Connection) -> Result<(), VerifyError> {
    let found: String = db.query_row("PRAGMA integrity_check(1)", [], |row| row.get(0))?;
    if found == "ok" {
        return Ok(());
    }
    let found = found.lines().last().unwrap_or_default().escape_debug().to_string();
    Err(tampered(
        "audit.db",
        format!("an index is not its table, or a page is not where it belongs: {found}"),
    ))
}

/// What is known after reading so many entries.
#[derive(Default)]
struct Pass {
    tree: Frontier,
    witnesses: Witnesses,
    fold: Fold,
    /// What an opening after a crash trusts, and the frontier that it must find there.
    trusted_size: u64,
    trusted_frontier: Option<Vec<u8>>,
}

impl Pass {
    fn reached(&mut self) -> Result<(), VerifyError> {
        if self.tree.size() == self.trusted_size {
            self.trusted_frontier = Some(self.tree.to_bytes());
        }
        self.witnesses.reached(&self.tree)
    }

    /// Begins where the entries do: what was moved to an archive is known by the roots of its tiles, and one entry vouches
    /// for it.
    fn archived(&mut self, db: &Connection, key: &VerifierKey) -> Result<(), VerifyError> {
        let first: Option<i64> = db.query_row("SELECT min(seq) FROM entry", [], |row| row.get(0))?;
        let moved =
            first.and_then(|first| u64::try_from(first).ok()).map_or(0, |first| first.saturating_sub(1));
        if moved == 0 {
            return Ok(());
        }
        let missing = || tampered("entry 1", "is missing");
        self.tree = base::vouched(db, key, moved)?.ok_or_else(missing)?;
        let mut tiles = self.tree.clone();
        tiles.truncate(TILE_LEAVES);
        if hashes::tiles(db, 0, tiles.size()).ok() != Some(tiles) {
            return Err(tampered("the tree over the archived entries", "is not the one the log vouches for"));
        }
        self.witnesses.skip_below(moved);
        Ok(())
    }

    fn entries(&mut self, db: &Connection) -> Result<(), VerifyError> {
        let mut tiles = db.prepare("SELECT number, root FROM tile WHERE number >= ?1 ORDER BY number")?;
        let mut tiles = tiles.query([schema::signed(self.tree.size() / TILE_LEAVES)])?;
        self.reached()?;
        let sql =
            "SELECT seq, hash, body, time_ms, actor, run, version, kind FROM entry NOT INDEXED ORDER BY seq";
        let mut statement = db.prepare(sql)?;
        let mut rows = statement.query([])?;
        while let Some(row) = rows.next()? {
            let expected = self.tree.size() + 1;
            match row.get_ref(0)? {
                ValueRef::Integer(seq) if u64::try_from(seq) == Ok(expected) => {}
                ValueRef::Integer(seq) if seq < 1 => {
                    return Err(tampered(format!("entry {seq}"), "was never written"));
                }
                _ => return Err(tampered(format!("entry {expected}"), "is missing")),
            }
            let place = || format!("entry {expected}");
            let ValueRef::Text(body) = row.get_ref(2)? else {
                return Err(tampered(place(), "its body is not text"));
            };
            let hash = tree::leaf(body);
            if row.get_ref(1)? != ValueRef::Blob(&hash) {
                return Err(tampered(place(), "the body does not match its hash"));
            }
            self.fold.entry(expected, body, &Columns::of(row)?).map_err(|what| tampered(place(), what))?;
            if let Some(root) = self.tree.push(hash) {
                let number = self.tree.size() / TILE_LEAVES - 1;
                let same = match tiles.next()? {
                    Some(tile) => {
                        unsigned(tile.get(0)?)? == number && tile.get_ref(1)? == ValueRef::Blob(&root)
                    }
                    None => false,
                };
                if !same {
                    let first = number * TILE_LEAVES + 1;
                    let place = format!("entries {first} to {expected}");
                    return Err(tampered(place, "are not the ones the tree was made of"));
                }
            }
            self.reached()?;
        }
        match tiles.next()? {
            None => Ok(()),
            Some(_) => {
                Err(tampered(format!("entry {}", self.tree.size() + 1), "is missing: the tree knows more"))
            }
        }
    }

    /// The signed checkpoint inside of the database, and the root.
    fn against_checkpoint(&self, db: &Connection, key: &VerifierKey) -> Result<(String, Hash), VerifyError> {
        let place = "the signed checkpoint";
        let row = TrustRow::read(db)?;
        let checkpoint =
            Checkpoint::open(&row.checkpoint, key).map_err(|error| tampered(place, error.to_string()))?;
        let size = self.tree.size();
        if checkpoint.size > size {
            let what = format!("is missing: the signed checkpoint counts {} entries", checkpoint.size);
            return Err(tampered(format!("entry {}", size + 1), what));
        }
        if checkpoint.size < size {
            let what =
                format!("is not covered by the signed checkpoint, which counts {} entries", checkpoint.size);
            return Err(tampered(format!("entry {}", checkpoint.size + 1), what));
        }
        let root = self.tree.root();
        if checkpoint.root != root {
            let first = size - size % TILE_LEAVES + 1;
            let place =
                if first > size { "the entries".to_owned() } else { format!("entries {first} to {size}") };
            return Err(tampered(place, "do not hash to the root of the signed checkpoint"));
        }
        if row.size != size || row.frontier != self.tree.to_bytes() {
            return Err(tampered("the frontier of the tree", "is not that of the entries"));
        }
        if self.trusted_frontier.as_ref() != Some(&row.trusted_frontier) {
            return Err(tampered("the last trusted frontier", "is not that of the entries"));
        }
        Ok((row.checkpoint, root))
    }
}

fn hex(hash: &Hash) -> Result<Digest, VerifyError> {
    let mut text = String::with_capacity(64);
    for byte in hash {
        let _ = write!(text, "{byte:02x}");
    }
    Digest::new(text).map_err(|error| tampered("the root", error.to_string()))
}
