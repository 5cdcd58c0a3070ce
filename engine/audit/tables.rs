//! The rows that one commit writes.
//!
//! Knows SQL, not order, versions or time.

use rusqlite::{Connection, OptionalExtension as _, Row as SqlRow, params};
use serde_json::Value;

use words::ids::{Digest, RunId};

use super::body::Prepared;
use super::entry::{Blob, Note, RunRow, StateChange};
use super::error::Error;
use super::schema::{signed, unsigned};
use super::tree::{Frontier, Hash};

/// The most notes kept of one run; the oldest go first.
pub const MAX_NOTES_PER_RUN: u32 = 10_000;

/// The most notes kept in all.
pub const MAX_NOTES: u64 = 1_000_000;

/// An entry with its place.
pub(super) struct Row {
    pub(super) prepared: Prepared,
    pub(super) seq: u64,
    pub(super) time_ms: u64,
    pub(super) version: Option<u32>,
    pub(super) body: String,
    pub(super) hash: Hash,
}

/// What the tree is after a commit.
pub(super) struct TreeRow<'a> {
    pub(super) tree: &'a Frontier,
    pub(super) checkpoint: &'a str,
    pub(super) trusted: &'a Frontier,
    pub(super) clean: bool,
}

/// Gives the bytes of those of its blobs that were not there before.
pub(super) fn write_entry(db: &Connection, row: &Row) -> Result<u64, Error> {
    let Row { prepared, seq, time_ms, version, body, hash } = row;
    db.prepare_cached(
        "INSERT INTO entry (seq, time_ms, actor, run, version, kind, body, hash) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)",
    )?
    .execute(params![
        signed(*seq),
        signed(*time_ms),
        prepared.actor,
        prepared.run.as_ref().map(RunId::as_str),
        version,
        prepared.kind,
        body,
        &hash[..],
    ])?;
    let new = prepared.blobs.iter().try_fold(0, |sum, blob| Ok::<_, Error>(sum + write_blob(db, blob)?))?;
    prepared.prune.iter().try_for_each(|digest| delete_blob(db, digest))?;
    prepared.row.iter().try_for_each(|row| write_run(db, row))?;
    prepared.state.iter().try_for_each(|change| write_state(db, change))?;
    Ok(new)
}

fn write_blob(db: &Connection, blob: &Blob) -> Result<u64, Error> {
    let rows = db
        .prepare_cached("INSERT OR IGNORE INTO blob (digest, bytes) VALUES (?1, ?2)")?
        .execute(params![blob.digest.as_str(), blob.bytes])?;
    Ok(if rows == 0 { 0 } else { blob.bytes.len() as u64 })
}

fn delete_blob(db: &Connection, digest: &Digest) -> Result<(), Error> {
    db.prepare_cached("DELETE FROM blob WHERE digest = ?1")?.execute([digest.as_str()])?;
    Ok(())
}

fn write_run(db: &Connection, row: &RunRow) -> Result<(), Error> {
    db.prepare_cached(
        "INSERT OR REPLACE INTO run (run, runbook, status, actor, trigger, target, started_ms, finished_ms, parent, reason,
         subject, message) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12)",
    )?
    .execute(params![
        row.run.as_str(),
        row.runbook.as_str(),
        row.status,
        row.actor,
        trigger_word(row)?,
        row.target.as_str(),
        signed(row.started_ms),
        row.finished_ms.map(signed),
        row.parent.as_ref().map(RunId::as_str),
        row.reason,
        row.subject,
        row.message,
    ])?;
    Ok(())
}

fn trigger_word(row: &RunRow) -> Result<String, Error> {
    match serde_json::to_value(row.trigger) {
        Ok(serde_json::Value::String(word)) => Ok(word),
        _ => Err(Error::Invalid { what: "a trigger without a word".to_owned() }),
    }
}

fn write_state(db: &Connection, change: &StateChange) -> Result<(), Error> {
    let (bucket, key, value) = change.parts();
    match value {
        Some(value) => db
            .prepare_cached("INSERT OR REPLACE INTO state (bucket, key, value) VALUES (?1, ?2, ?3)")?
            .execute(params![bucket, key, value.to_string()])?,
        None => db
            .prepare_cached("DELETE FROM state WHERE bucket = ?1 AND key = ?2")?
            .execute(params![bucket, key])?,
    };
    Ok(())
}

pub(super) fn write_tile(db: &Connection, number: u64, root: &Hash) -> Result<(), Error> {
    db.prepare_cached("INSERT INTO tile (number, root) VALUES (?1, ?2)")?
        .execute(params![signed(number), &root[..]])?;
    Ok(())
}

pub(super) fn write_tree(db: &Connection, row: &TreeRow<'_>) -> Result<(), Error> {
    db.prepare_cached(
        "INSERT OR REPLACE INTO tree (one, size, frontier, checkpoint, trusted_size, trusted_frontier, clean)
         VALUES (1, ?1, ?2, ?3, ?4, ?5, ?6)",
    )?
    .execute(params![
        signed(row.tree.size()),
        row.tree.to_bytes(),
        row.checkpoint,
        signed(row.trusted.size()),
        row.trusted.to_bytes(),
        row.clean,
    ])?;
    Ok(())
}

pub(super) fn write_note(db: &Connection, time_ms: u64, note: &Note) -> Result<(), Error> {
    db.prepare_cached(
        "INSERT INTO note (time_ms, run, path, attempt, level, text) VALUES (?1, ?2, ?3, ?4, ?5, ?6)",
    )?
    .execute(params![
        signed(time_ms),
        note.run.as_str(),
        note.path.to_string(),
        note.attempt,
        note.level,
        note.text
    ])?;
    Ok(())
}

/// Keeps the notes within their limits.
pub(super) fn prune_notes(db: &Connection, run: &RunId) -> Result<(), Error> {
    db.prepare_cached(
        "DELETE FROM note WHERE run = ?1
         AND id <= (SELECT id FROM note WHERE run = ?1 ORDER BY id DESC LIMIT 1 OFFSET ?2)",
    )?
    .execute(params![run.as_str(), MAX_NOTES_PER_RUN])?;
    db.prepare_cached("DELETE FROM note WHERE id <= (SELECT max(id) FROM note) - ?1")?
        .execute([signed(MAX_NOTES)])?;
    Ok(())
}

/// How many entries the journal of a run has.
pub(super) fn run_version(db: &Connection, run: &RunId) -> Result<u32, Error> {
    let version: Option<u32> = db
        .prepare_cached("SELECT max(version) FROM entry WHERE run = ?1")?
        .query_row([run.as_str()], |row| row.get(0))?;
    Ok(version.unwrap_or(0))
}

/// How many runs have not ended.
pub(super) fn unfinished(db: &Connection) -> Result<u64, Error> {
    let sql = "SELECT count(*) FROM run WHERE finished_ms IS NULL";
    unsigned(db.prepare_cached(sql)?.query_row([], |row| row.get(0))?)
}

/// The sequence and time of the newest entry.
pub(super) fn newest(db: &Connection) -> Result<Option<(u64, u64)>, Error> {
    let newest: Option<(i64, i64)> = db
        .query_row("SELECT seq, time_ms FROM entry ORDER BY seq DESC LIMIT 1", [], |row| {
            Ok((row.get(0)?, row.get(1)?))
        })
        .optional()?;
    newest.map(|(seq, time_ms)| Ok((unsigned(seq)?, unsigned(time_ms)?))).transpose()
}

pub(super) const SELECT_RUN: &str = "SELECT run, runbook, status, actor, trigger, target, started_ms, finished_ms, parent, reason, \
                          subject, message FROM run";

/// The outer error is SQLite's, the inner one that of a row which nobody of ours wrote.
pub(super) fn run_row(row: &SqlRow<'_>) -> rusqlite::Result<Result<RunRow, Error>> {
    let texts: [String; 4] = [row.get(0)?, row.get(1)?, row.get(4)?, row.get(5)?];
    let parent: Option<String> = row.get(8)?;
    let times: (i64, Option<i64>) = (row.get(6)?, row.get(7)?);
    let (status, actor, reason) = (row.get(2)?, row.get(3)?, row.get(9)?);
    let (subject, message) = (row.get(10)?, row.get(11)?);
    let [run, runbook, trigger, target] = texts;
    let name = run.clone();
    let build = || -> Result<RunRow, Box<dyn std::error::Error>> {
        Ok(RunRow {
            run: run.try_into()?,
            runbook: runbook.try_into()?,
            status,
            actor,
            trigger: serde_json::from_value(Value::String(trigger))?,
            target: target.try_into()?,
            started_ms: unsigned(times.0)?,
            finished_ms: times.1.map(unsigned).transpose()?,
            parent: parent.map(RunId::new).transpose()?,
            reason,
            subject,
            message,
        })
    };
    Ok(build().map_err(|error| Error::damaged(format!("the row of run `{}`: {error}", name.escape_debug()))))
}
