//! Forgetting what was kept beside old entries: artifacts, and long outputs that were moved to blobs. Which ones, an entry
//! says; the entries themselves stay as they are, with the digests of what is gone.

use std::collections::HashMap;
use std::path::Path;

use rusqlite::Connection;
use serde_json::json;

use words::ids::Digest;

use super::body::Outline;
use super::entry::Draft;
use super::error::Error;
use super::join::JOINED;
use super::log::{Audit, Options};
use super::schema::{self, signed, unsigned};
use super::standing::{STANDING, STOPPED};

/// The kind of the entries that say what was forgotten.
pub const PRUNED: &str = "audit.pruned";

/// Kinds whose blobs are not forgotten: the texts and plugins of runs, which replays need, joined segments, and the lists of
/// unfinished runs, of which each forgets the one before.
const KEPT: [&str; 4] = ["run.accepted", JOINED, STANDING, STOPPED];

/// How many digests one entry names.
const DIGESTS_PER_ENTRY: usize = 500;

/// What was forgotten.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize)]
pub struct Pruned {
    /// How many blobs.
    pub blobs: u64,
    /// How large they were, bytes; new entries fill the room.
    pub bytes: u64,
}

/// Forgets what only entries from before a time name, milliseconds since 1970, of runs that are over. The caller holds the
/// data directory's lock, and nobody has the log open.
pub fn prune(dir: &Path, actor: &str, before_ms: u64) -> Result<Pruned, Error> {
    let db = schema::open_reader(&schema::database(dir))?;
    let old = old_blobs(&db, before_ms)?;
    let mut bytes = 0;
    for digest in &old {
        let sql = "SELECT length(bytes) FROM blob WHERE digest = ?1";
        bytes += unsigned(db.prepare_cached(sql)?.query_row([digest.as_str()], |row| row.get(0))?)?;
    }
    drop(db);
    let entry = |digests: &[Digest]| Draft {
        prune: digests.to_vec(),
        ..Draft::fact(actor, PRUNED, json!({ "before_ms": before_ms, "blobs": digests.len() }))
    };
    let drafts: Vec<Draft> = old.chunks(DIGESTS_PER_ENTRY).map(entry).collect();
    if !drafts.is_empty() {
        let audit = Audit::open(dir, &Options::default())?;
        audit.append_blocking(drafts, None)?;
        audit.close()?;
    }
    Ok(Pruned { blobs: old.len() as u64, bytes })
}

/// Blobs that are there, and whose newest entry is old enough and not of those that keep theirs.
fn old_blobs(db: &Connection, before_ms: u64) -> Result<Vec<Digest>, Error> {
    let mut needed: HashMap<Digest, bool> = HashMap::new();
    let sql = "SELECT body, time_ms >= ?1 OR run IN (SELECT run FROM run WHERE finished_ms IS NULL)
               FROM entry WHERE instr(body, '\"blobs\":[') > 0";
    let mut statement = db.prepare(sql)?;
    let mut rows = statement.query([signed(before_ms)])?;
    while let Some(row) = rows.next()? {
        let body = Outline::read(row.get_ref(0)?.as_bytes().unwrap_or_default()).map_err(Error::damaged)?;
        let young: Option<bool> = row.get(1)?;
        let keeps = young.unwrap_or(false) || KEPT.contains(&body.kind.as_str());
        for digest in body.blobs {
            *needed.entry(digest).or_default() |= keeps;
        }
    }
    let mut statement = db.prepare("SELECT digest FROM blob ORDER BY digest")?;
    let there: Vec<String> = statement.query_map([], |row| row.get(0))?.collect::<Result<_, _>>()?;
    let there = there.into_iter().filter_map(|digest| Digest::new(digest).ok());
    Ok(there.filter(|digest| needed.get(digest) == Some(&false)).collect())
}
