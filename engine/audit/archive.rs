//! Moving the oldest entries out of the log, into an export behind a signed checkpoint, so that it need not grow for ever.
//!
//! What is moved stays provable: the export hashes to its checkpoint, the log's tree still begins with the roots of the
//! moved tiles, and one entry `audit.archived` vouches for what was moved. Only whole runs are moved. What is still in
//! force (state) is said again before, what is still named (blobs) stays as well. Nothing is deleted before the export
//! was read back and verified, and everything is deleted in one transaction: a kill leaves the log whole, moved or not.

use std::path::{Path, PathBuf};

use rusqlite::{Connection, TransactionBehavior, params};
use serde_json::json;

use super::base::{self, ARCHIVED, After};
use super::entry::{Draft, StateChange};
use super::error::Error;
use super::export;
use super::fold::Fold;
use super::hashes;
use super::key::SignerKey;
use super::log::{Audit, Options};
use super::schema::{self, signed, unsigned};
use super::tampered::VerifyError;
use super::tree::{Frontier, TILE_LEAVES};
use super::trust;
use super::verify::{VerifyOptions, verify};

/// The kind of entries that say again what is still in force.
pub const CARRIED: &str = "audit.carried";

/// How much state one entry says again, in bytes; a larger value has an entry of its own.
const CARRIED_BYTES: usize = 16 * 1024;

/// What was moved.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub struct Archived {
    /// The first and the last entry.
    pub first: u64,
    /// See `first`.
    pub last: u64,
    /// Where they are now: an exported directory.
    pub to: PathBuf,
    /// The signed checkpoint over everything up to `last`.
    pub checkpoint: String,
    /// How large the database was, in bytes, and is now.
    pub bytes_before: u64,
    /// See `bytes_before`.
    pub bytes_after: u64,
    /// Whether the room was given back to the file system; else the log will fill it again.
    pub compacted: bool,
}

/// Why nothing was moved.
#[derive(Debug, thiserror::Error)]
pub enum ArchiveError {
    /// The log, or the export just made, is not what was written.
    #[error(transparent)]
    Unverified(#[from] VerifyError),
    /// No whole run and no whole tile is old enough.
    #[error("{0}")]
    Nothing(String),
    /// The archive cannot be written; nothing was moved.
    #[error("cannot write the archive: {0}")]
    Place(Error),
    /// The log cannot be read or written.
    #[error(transparent)]
    Log(#[from] Error),
}

/// Moves the entries of runs that ended before a time, milliseconds since 1970, to a new directory. The caller holds the
/// data directory's lock, and nobody has the log open.
pub fn archive(dir: &Path, actor: &str, before_ms: u64, to: &Path) -> Result<Archived, ArchiveError> {
    verify(dir, &VerifyOptions::default())?;
    let database = schema::database(dir);
    let bytes_before = size(&database);
    let cut = Cut::find(&schema::open_reader(&database)?, before_ms)?;
    let key = SignerKey::load(dir)?.ok_or_else(|| Error::damaged("the private key is missing"))?;
    let signed = cut.write(dir, &key, to).map_err(ArchiveError::Place)?;
    export::verify_export(to, key.public(), None)?;
    cut.announce(dir, actor, &signed, to)?;
    let (checkpoint, tree) = signed;
    let compacted = cut.forget(dir, &tree)?;
    let bytes_after = size(&database);
    let Cut { first, last, .. } = cut;
    Ok(Archived { first, last, to: to.to_owned(), checkpoint, bytes_before, bytes_after, compacted })
}

/// Which entries are moved, and what of the rest still needs them.
struct Cut {
    first: u64,
    last: u64,
    later: Fold,
}

impl Cut {
    /// The most that can be moved: of no run only a part.
    fn find(db: &Connection, before_ms: u64) -> Result<Self, ArchiveError> {
        let first = base::first_entry(db)?;
        let sql = "SELECT coalesce(max(seq), 0) FROM entry WHERE time_ms < ?1";
        let old = unsigned(db.query_row(sql, [signed(before_ms)], |row| row.get(0)).map_err(Error::from)?)?;
        let last = quiet(old, journals(db)?);
        if last < first {
            let why = if old < first {
                "no entry is that old".to_owned()
            } else {
                format!(
                    "of those that are old enough, entry {} belongs to a run that ended later, or not yet",
                    last + 1
                )
            };
            return Err(ArchiveError::Nothing(format!("there is nothing to move: {why}")));
        }
        Ok(Self { first, last, later: later(db, last)? })
    }

    /// Writes the export; returns its checkpoint and the tree this is over.
    fn write(&self, dir: &Path, key: &SignerKey, to: &Path) -> Result<(String, Frontier), Error> {
        let db = schema::open_reader(&schema::database(dir))?;
        let base = base::base(&db)?;
        let tree = frontier(&db, base.clone(), self.last)?;
        let checkpoint = trust::checkpoint_of(&tree, key);
        export::export_part(&db, (&checkpoint, self.last), key, After::of(&base), to)?;
        Ok((checkpoint, tree))
    }

    /// Says again what is still in force, and vouches for what is moved.
    fn announce(
        &self,
        dir: &Path,
        actor: &str,
        (checkpoint, tree): &(String, Frontier),
        to: &Path,
    ) -> Result<(), Error> {
        let audit = Audit::open(dir, &Options::default())?;
        let tree = After::of(tree);
        let to = to.display().to_string();
        let data = json!({ "checkpoint": checkpoint, "first": self.first, "last": self.last, "to": to, "tree": tree });
        let mut drafts = self.carried(&schema::open_reader(&schema::database(dir))?, actor)?;
        drafts.push(Draft::fact(actor, ARCHIVED, data));
        audit.append_blocking(drafts, None)?;
        audit.close()
    }

    /// The state that only moved entries tell of.
    fn carried(&self, db: &Connection, actor: &str) -> Result<Vec<Draft>, Error> {
        let mut statement = db.prepare("SELECT bucket, key, value FROM state ORDER BY bucket, key")?;
        let mut rows = statement.query([])?;
        let (mut drafts, mut open, mut bytes) = (Vec::new(), Vec::new(), 0);
        let entry = |state| Draft { state, ..Draft::fact(actor, CARRIED, json!({ "entries": self.last })) };
        while let Some(row) = rows.next()? {
            let (bucket, key, text): (String, String, String) = (row.get(0)?, row.get(1)?, row.get(2)?);
            if self.later.tells_of_state(&bucket, &key) {
                continue;
            }
            let value = serde_json::from_str(&text)
                .map_err(|error| Error::damaged(format!("the value of `{bucket}/{key}`: {error}")))?;
            if bytes + text.len() > CARRIED_BYTES && !open.is_empty() {
                drafts.push(entry(std::mem::take(&mut open)));
                bytes = 0;
            }
            bytes += bucket.len() + key.len() + text.len();
            open.push(StateChange::Set { bucket, key, value });
        }
        if !open.is_empty() {
            drafts.push(entry(open));
        }
        Ok(drafts)
    }

    /// Deletes what was moved, all at once. Whether the room was given back.
    fn forget(&self, dir: &Path, tree: &Frontier) -> Result<bool, Error> {
        let (mut db, _) = schema::open_writer(dir)?;
        let transaction = db.transaction_with_behavior(TransactionBehavior::Immediate)?;
        let last = signed(self.last);
        let runs = "(SELECT DISTINCT run FROM entry WHERE seq <= ?1 AND run IS NOT NULL)";
        transaction.execute(&format!("DELETE FROM run WHERE run IN {runs}"), [last])?;
        transaction.execute(&format!("DELETE FROM note WHERE run IN {runs}"), [last])?;
        let mut unnamed = Vec::new();
        {
            let mut statement = transaction.prepare("SELECT digest FROM blob")?;
            let mut rows = statement.query([])?;
            while let Some(row) = rows.next()? {
                let digest: String = row.get(0)?;
                if !self.later.tells_of_blob(&digest) {
                    unnamed.push(digest);
                }
            }
        }
        for digest in unnamed {
            transaction.execute("DELETE FROM blob WHERE digest = ?1", [digest])?;
        }
        transaction.execute("DELETE FROM entry WHERE seq <= ?1", [last])?;
        // A start begins to read no earlier than where the entries do.
        let base = tree.to_bytes();
        let sql = "UPDATE tree SET trusted_size = ?1, trusted_frontier = ?2 WHERE trusted_size < ?1";
        transaction.execute(sql, params![last, base])?;
        transaction.commit()?;
        Ok(compact(&db, dir))
    }
}

/// The first and the last entry of each run, the youngest first; the last of one that is not over is still to come.
fn journals(db: &Connection) -> Result<Vec<(u64, u64)>, Error> {
    let sql = "SELECT min(seq), max(seq), run IN (SELECT run FROM run WHERE finished_ms IS NULL) FROM entry
               WHERE run IS NOT NULL GROUP BY run ORDER BY 1 DESC";
    let mut statement = db.prepare(sql)?;
    let mut rows = statement.query([])?;
    let mut found = Vec::new();
    while let Some(row) = rows.next()? {
        let last = if row.get(2)? { u64::MAX } else { unsigned(row.get(1)?)? };
        found.push((unsigned(row.get(0)?)?, last));
    }
    Ok(found)
}

/// The last entry up to `last` after which no run goes on that began before.
fn quiet(last: u64, journals: Vec<(u64, u64)>) -> u64 {
    // The youngest first: no later one can go on past a place that an earlier one made lower.
    journals
        .into_iter()
        .fold(last, |cut, (first, end)| if first <= cut && cut < end { first - 1 } else { cut })
}

/// What the entries after this one tell of.
fn later(db: &Connection, last: u64) -> Result<Fold, Error> {
    let mut later = Fold::default();
    let mut statement = db.prepare("SELECT seq, body FROM entry WHERE seq > ?1 ORDER BY seq")?;
    let mut rows = statement.query([signed(last)])?;
    while let Some(row) = rows.next()? {
        let seq = unsigned(row.get(0)?)?;
        let body = row.get_ref(1)?.as_bytes().unwrap_or_default();
        later.read(seq, body).map_err(|what| Error::damaged(format!("entry {seq}: {what}")))?;
    }
    Ok(later)
}

/// The tree over the first entries, given that over those that were moved. Tiles outlive their entries.
fn frontier(db: &Connection, base: Frontier, size: u64) -> Result<Frontier, Error> {
    let whole = size - size % TILE_LEAVES;
    let mut tree = if whole >= base.size() { hashes::tiles(db, 0, whole)? } else { base };
    hashes::leaves(db, 0, size, &mut tree)?;
    Ok(tree)
}

/// Gives the room back to the file system, if there is enough to do it in. Not doing it loses nothing.
fn compact(db: &Connection, dir: &Path) -> bool {
    let free = rustix::fs::statvfs(dir).map_or(0, |found| found.f_bavail * found.f_frsize);
    // The new database is made beside the old one, and goes through the WAL.
    let needed = size(&schema::database(dir)).saturating_mul(2);
    let done = free > needed
        && db.execute_batch("VACUUM").is_ok()
        && db.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |_| Ok(())).is_ok();
    if !done {
        tracing::info!("the database keeps its size: there is not enough room to write it anew");
    }
    done
}

fn size(path: &Path) -> u64 {
    std::fs::metadata(path).map_or(0, |file| file.len())
}

#[cfg(test)]
mod tests {
    use super::super::Reader;
    use super::*;

    #[test]
    fn a_cut_is_where_no_run_goes_on() {
        assert_eq!(quiet(10, vec![]), 10);
        assert_eq!(quiet(10, vec![(11, 12), (9, 10), (1, 3)]), 10);
        assert_eq!(quiet(10, vec![(9, 11), (6, 9), (5, 5), (1, 3)]), 5);
        assert_eq!(quiet(10, vec![(4, u64::MAX)]), 3);
        assert_eq!(quiet(10, vec![(8, 20), (1, 8)]), 0);
    }

    #[test]
    fn a_kill_before_anything_is_deleted_leaves_a_log_that_can_be_archived_again() {
        let dir = tempfile::tempdir().unwrap();
        let audit = Audit::open(dir.path(), &Options::default()).unwrap();
        let facts = (0..600).map(|n| Draft::fact("ann", "test.fact", json!(n))).collect();
        audit.append_blocking(facts, None).unwrap();
        audit.close().unwrap();
        let cut =
            Cut::find(&schema::open_reader(&schema::database(dir.path())).unwrap(), u64::MAX >> 1).unwrap();
        let key = SignerKey::load(dir.path()).unwrap().unwrap();
        let to = dir.path().join("a");
        let signed = cut.write(dir.path(), &key, &to).unwrap();
        assert_eq!(verify(dir.path(), &VerifyOptions::default()).unwrap().entries, 600);
        cut.announce(dir.path(), "ann", &signed, &to).unwrap();
        let verified = verify(dir.path(), &VerifyOptions::default()).unwrap();
        assert_eq!((verified.entries, verified.archived), (601, 0));
        let again = archive(dir.path(), "ann", u64::MAX >> 1, &dir.path().join("b")).unwrap();
        assert_eq!((again.first, again.last), (1, 601));
        assert_eq!(verify(dir.path(), &VerifyOptions::default()).unwrap().archived, 601);
        assert_eq!(Reader::open(dir.path()).unwrap().last_seq().unwrap(), 602);
    }
}
