//! Questions to the log, over a connection that cannot write and needs no lock.
//!
//! Feeds views and proves nothing (that is `verify`), but for the journals of runs: those are acted on.

use std::cell::RefCell;
use std::fmt::Write as _;
use std::path::{Path, PathBuf};

use rusqlite::types::Value as Sql;
use rusqlite::{Connection, OptionalExtension as _, Row, params, params_from_iter};
use serde_json::Value;

use words::ids::{Digest, RunId};

use super::body::Body;
use super::entry::{Entry, KeptNote, Note, RunRow};
use super::error::Error;
use super::key::{self, VerifierKey};
use super::proofs::Proofs;
use super::schema::{self, signed, unsigned};
use super::tables::{SELECT_RUN, run_row};
use super::tree::{self, Hash};
use super::trust::TrustRow;

/// How many rows a question returns if it does not say.
pub const DEFAULT_LIMIT: usize = 1000;

/// Which entries.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EntryFilter {
    /// Only this run's journal.
    pub run: Option<RunId>,
    /// Only these kinds; one that ends in `*` means all that begin so. Empty: all.
    pub kinds: Vec<String>,
    /// Only later ones.
    pub after_seq: u64,
    /// Only earlier ones.
    pub before_seq: Option<u64>,
    /// At most so many.
    pub limit: usize,
    /// The newest first, and if there are too many the oldest are left out.
    pub newest_first: bool,
}

impl Default for EntryFilter {
    fn default() -> Self {
        let (run, kinds, before_seq) = (None, Vec::new(), None);
        Self { run, kinds, after_seq: 0, before_seq, limit: DEFAULT_LIMIT, newest_first: false }
    }
}

impl EntryFilter {
    /// The whole journal of a run, in order.
    pub fn journal(run: &RunId) -> Self {
        Self { run: Some(run.clone()), limit: usize::MAX, ..Self::default() }
    }
}

/// Which runs; always the newest first.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RunFilter {
    /// Only of this runbook.
    pub runbook: Option<String>,
    /// Only in one of these states. Empty: all.
    pub statuses: Vec<String>,
    /// Only about this, for example a service.
    pub subject: Option<String>,
    /// Only steps of this run.
    pub parent: Option<RunId>,
    /// Only runs that somebody asked for: no steps of others.
    pub whole: bool,
    /// Only accepted at or after this time, milliseconds since 1970.
    pub since_ms: Option<u64>,
    /// Only runs older than this one, for the next page.
    pub before: Option<RunId>,
    /// At most so many.
    pub limit: usize,
}

impl Default for RunFilter {
    fn default() -> Self {
        let (runbook, statuses, subject, parent, since_ms, before) =
            (None, Vec::new(), None, None, None, None);
        Self { runbook, statuses, subject, parent, whole: false, since_ms, before, limit: DEFAULT_LIMIT }
    }
}

/// How large the log is and how fast it grows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize)]
pub struct Growth {
    /// The database with its WAL.
    pub bytes: u64,
    /// All entries.
    pub entries: u64,
    /// The time of the first entry, milliseconds since 1970; 0 if there is none.
    pub first_ms: u64,
    /// The time of the last entry.
    pub last_ms: u64,
    /// Bytes per day between the two, a day at least.
    pub bytes_per_day: u64,
}

/// Reads the log. Not shared between threads; opening another is cheap.
pub struct Reader {
    db: Connection,
    path: PathBuf,
    /// What is written later is not seen.
    frozen: bool,
    /// What signatures are checked with; none: the public key beside the log.
    key: Option<VerifierKey>,
    proofs: RefCell<Option<Proofs>>,
}

/// The journal of a run, as it was signed.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Journal {
    /// Its entries, by version, from 1 on.
    pub entries: Vec<Entry>,
    /// The row of the run, as the newest entry that carries one has it.
    pub row: Option<RunRow>,
}

/// See [`Reader::snapshot`].
pub struct Snapshot<'r> {
    _transaction: rusqlite::Transaction<'r>,
}

impl Reader {
    /// Opens the log in this data directory.
    pub fn open(dir: &Path) -> Result<Self, Error> {
        let path = schema::database(dir);
        let (db, frozen) = schema::open_looking(&path)?;
        Ok(Self { db, path, frozen, key: None, proofs: RefCell::default() })
    }

    /// Opens the log again if an engine has begun to write since, and this reader would not see it: it was opened where its
    /// user may not write, while nobody wrote.
    pub fn renew(&mut self) -> Result<(), Error> {
        if self.frozen && schema::is_outdated(&self.path) {
            (self.db, self.frozen) = schema::open_looking(&self.path)?;
            self.proofs = RefCell::default();
        }
        Ok(())
    }

    /// While it lives, everything is read as it is at the first look.
    pub fn snapshot(&self) -> Result<Snapshot<'_>, Error> {
        Ok(Snapshot { _transaction: self.db.unchecked_transaction()? })
    }

    /// The same, with a key that the caller holds instead of the one beside the log.
    #[must_use]
    pub fn with_key(mut self, key: &VerifierKey) -> Self {
        self.key = Some(key.clone());
        self
    }

    /// Entries, what was moved to blobs put back. Of one that cannot be read the data says why.
    pub fn entries(&self, filter: &EntryFilter) -> Result<Vec<Entry>, Error> {
        let mut query = Query::new("SELECT seq, body FROM entry WHERE seq > ?", signed(filter.after_seq));
        if let Some(before) = filter.before_seq {
            query.and("seq < ?", signed(before));
        }
        if let Some(run) = &filter.run {
            query.and("run = ?", run.as_str().to_owned());
        }
        query.any(&filter.kinds, |kind| match kind.strip_suffix('*') {
            Some(prefix) => ("substr(kind, 1, length(?)) = ?", vec![Sql::from(prefix.to_owned()); 2]),
            None => ("kind = ?", vec![Sql::from(kind.clone())]),
        });
        // In a run's journal versions and sequences have the same order, and the index holds the versions.
        let column = if filter.run.is_some() { "version" } else { "seq" };
        query.order(column, filter.newest_first, filter.limit);
        let bodies: Vec<(i64, Vec<u8>)> = query.rows(&self.db, |row| {
            Ok((row.get(0)?, row.get_ref(1)?.as_bytes().unwrap_or_default().to_vec()))
        })?;
        let entries = bodies.into_iter().map(|(seq, body)| {
            let entry = self.shown(unsigned(seq)?, &body)?;
            // An index may have been exchanged: nobody is shown what another run did.
            match &filter.run {
                Some(run) if entry.run.as_ref() != Some(run) => {
                    Err(Error::damaged(format!("entry {seq} is not one of run `{run}`")))
                }
                _ => Ok(entry),
            }
        });
        entries.collect()
    }

    /// The journal of a run as it was signed: each entry is held against the signed tree, and their versions follow each
    /// other from the first on. What is to be acted on is read in this way.
    pub fn journal(&self, run: &RunId) -> Result<Journal, Error> {
        // The index tells where to look, not what to believe.
        let sql = "SELECT seq, body FROM entry WHERE run = ?1 ORDER BY version";
        let mut statement = self.db.prepare_cached(sql)?;
        let mut rows = statement.query([run.as_str()])?;
        let mut journal = Journal::default();
        while let Some(row) = rows.next()? {
            let (seq, body) = (unsigned(row.get(0)?)?, row.get_ref(1)?.as_bytes().unwrap_or_default());
            self.prove(seq, &tree::leaf(body))?;
            let mut body = Body::parse(seq, body)?;
            let next = u32::try_from(journal.entries.len() + 1).ok();
            if body.seq != seq || body.run.as_ref() != Some(run) || body.version != next {
                let why = format!("it is not version {} of run `{run}`", journal.entries.len() + 1);
                return Err(Error::Unreadable { entry: seq, why, changed: true });
            }
            if let Some(row) = body.row.take() {
                journal.row = Some(row);
            }
            journal.entries.push(body.into_entry(&mut |digest| self.blob(digest))?);
        }
        Ok(journal)
    }

    /// Refuses an entry that is not the one that was signed.
    fn prove(&self, seq: u64, hash: &Hash) -> Result<(), Error> {
        let mut proofs = self.proofs.borrow_mut();
        let known = if let Some(known) = proofs.take().filter(|proofs| proofs.size() >= seq) {
            known
        } else {
            let key = match &self.key {
                Some(key) => key.clone(),
                None => key::public_key(self.path.parent().unwrap_or(&self.path))?,
            };
            Proofs::of(&self.db, &key)?
        };
        proofs.insert(known).check(&self.db, seq, hash)
    }

    /// One entry.
    pub fn entry(&self, seq: u64) -> Result<Option<Entry>, Error> {
        self.body(seq)?.map(|body| self.shown(seq, body.as_bytes())).transpose()
    }

    /// The exact bytes of one entry that are hashed.
    pub fn body(&self, seq: u64) -> Result<Option<String>, Error> {
        let sql = "SELECT body FROM entry NOT INDEXED WHERE seq = ?1";
        Ok(self.db.prepare_cached(sql)?.query_row([signed(seq)], |row| row.get(0)).optional()?)
    }

    /// The sequence of the newest entry; 0 if there is none.
    pub fn last_seq(&self) -> Result<u64, Error> {
        let last: Option<i64> =
            self.db.prepare_cached("SELECT max(seq) FROM entry")?.query_row([], |row| row.get(0))?;
        unsigned(last.unwrap_or(0))
    }

    /// How many entries a run's journal has; 0 if there is no such run.
    pub fn version(&self, run: &RunId) -> Result<u32, Error> {
        super::tables::run_version(&self.db, run)
    }

    /// Runs, the newest first.
    pub fn runs(&self, filter: &RunFilter) -> Result<Vec<RunRow>, Error> {
        let mut query = Query::new(&format!("{SELECT_RUN} WHERE run > ?"), String::new());
        let texts = [
            ("runbook = ?", filter.runbook.clone()),
            ("subject = ?", filter.subject.clone()),
            ("parent = ?", filter.parent.clone().map(String::from)),
            ("run < ?", filter.before.clone().map(String::from)),
        ];
        for (condition, value) in texts {
            if let Some(value) = value {
                query.and(condition, value);
            }
        }
        if filter.whole {
            query.sql.push_str(" AND parent IS NULL");
        }
        if let Some(since) = filter.since_ms {
            query.and("started_ms >= ?", signed(since));
        }
        query.any(&filter.statuses, |status| ("status = ?", vec![Sql::from(status.clone())]));
        query.order("run", true, filter.limit);
        query.rows(&self.db, run_row)?.into_iter().collect()
    }

    /// One run.
    pub fn run(&self, run: &RunId) -> Result<Option<RunRow>, Error> {
        let sql = format!("{SELECT_RUN} WHERE run = ?1");
        self.db.prepare_cached(&sql)?.query_row([run.as_str()], run_row).optional()?.transpose()
    }

    /// Runs that have not ended, the oldest first.
    pub fn unfinished(&self) -> Result<Vec<RunRow>, Error> {
        let sql = format!("{SELECT_RUN} WHERE finished_ms IS NULL ORDER BY run");
        let mut statement = self.db.prepare_cached(&sql)?;
        let rows: Vec<_> = statement.query_map([], run_row)?.collect::<Result<_, _>>()?;
        rows.into_iter().collect()
    }

    /// At most `limit` runs whose id begins so, the newest first.
    pub fn resolve_prefix(&self, prefix: &str, limit: usize) -> Result<Vec<RunId>, Error> {
        let sql = "SELECT run FROM run WHERE run >= ?1 AND run < ?2 ORDER BY run DESC LIMIT ?3";
        let mut statement = self.db.prepare_cached(sql)?;
        // Ids hold digits and lower-case letters only, all of which sort before the tilde.
        let end = format!("{prefix}~");
        let ids: Vec<String> = statement
            .query_map(params![prefix, end, limit_of(limit)], |row| row.get(0))?
            .collect::<Result<_, _>>()?;
        ids.into_iter().map(|id| RunId::new(id).map_err(|error| Error::damaged(error.to_string()))).collect()
    }

    /// Which of these blobs are there.
    pub fn kept<'d>(&self, digests: impl Iterator<Item = &'d Digest>) -> Result<Vec<Digest>, Error> {
        let mut statement = self.db.prepare("SELECT 1 FROM blob WHERE digest = ?1")?;
        let mut kept = Vec::new();
        for digest in digests {
            if statement.exists([digest.as_str()])? {
                kept.push(digest.clone());
            }
        }
        Ok(kept)
    }

    /// The bytes of all blobs together. Looks at every row but at no content: a tenth of a second for 100,000 blobs of 1 GB
    /// in all (measured).
    pub fn kept_bytes(&self) -> Result<u64, Error> {
        let sql = "SELECT coalesce(sum(length(bytes)), 0) FROM blob";
        unsigned(self.db.query_row(sql, [], |row| row.get(0))?)
    }

    /// The bytes of a blob; none if it is unknown or was pruned.
    pub fn blob(&self, digest: &Digest) -> Result<Option<Vec<u8>>, Error> {
        let sql = "SELECT bytes FROM blob WHERE digest = ?1";
        let bytes: Option<Vec<u8>> =
            self.db.prepare_cached(sql)?.query_row([digest.as_str()], |row| row.get(0)).optional()?;
        match bytes {
            Some(bytes) if Digest::of(&bytes) != *digest => {
                let short = digest.short();
                Err(Error::damaged(format!("blob `{short}`: its content does not match its digest")))
            }
            other => Ok(other),
        }
    }

    /// The value of a key in a bucket.
    pub fn state_get(&self, bucket: &str, key: &str) -> Result<Option<Value>, Error> {
        let sql = "SELECT value FROM state WHERE bucket = ?1 AND key = ?2";
        let text: Option<String> =
            self.db.prepare_cached(sql)?.query_row([bucket, key], |row| row.get(0)).optional()?;
        text.map(|text| state_value(bucket, key, &text)).transpose()
    }

    /// Keys and values of a bucket whose key begins so, sorted.
    pub fn state_list(&self, bucket: &str, prefix: &str) -> Result<Vec<(String, Value)>, Error> {
        let sql =
            "SELECT key, value FROM state WHERE bucket = ?1 AND substr(key, 1, length(?2)) = ?2 ORDER BY key";
        let mut statement = self.db.prepare_cached(sql)?;
        let rows: Vec<(String, String)> = statement
            .query_map([bucket, prefix], |row| Ok((row.get(0)?, row.get(1)?)))?
            .collect::<Result<_, _>>()?;
        rows.into_iter().map(|(key, text)| Ok((key.clone(), state_value(bucket, &key, &text)?))).collect()
    }

    /// The buckets that hold anything, sorted.
    pub fn state_buckets(&self) -> Result<Vec<String>, Error> {
        let mut statement = self.db.prepare_cached("SELECT DISTINCT bucket FROM state ORDER BY bucket")?;
        Ok(statement.query_map([], |row| row.get(0))?.collect::<Result<_, _>>()?)
    }

    /// Notes of a run after the one with this id, oldest first.
    pub fn notes(&self, run: &RunId, after: u64, limit: usize) -> Result<Vec<KeptNote>, Error> {
        let sql = "SELECT id, time_ms, path, attempt, level, text FROM note WHERE run = ?1 AND id > ?2 ORDER BY id LIMIT ?3";
        let mut statement = self.db.prepare_cached(sql)?;
        let rows: Vec<_> = statement
            .query_map(params![run.as_str(), signed(after), limit_of(limit)], |row| {
                let (id, time_ms, path): (i64, i64, String) = (row.get(0)?, row.get(1)?, row.get(2)?);
                Ok((id, time_ms, path, row.get(3)?, row.get(4)?, row.get(5)?))
            })?
            .collect::<Result<_, _>>()?;
        let kept = rows.into_iter().map(|(id, time_ms, path, attempt, level, text)| {
            let path = path.try_into().map_err(|error| Error::damaged(format!("note {id}: {error}")))?;
            let note = Note { run: run.clone(), path, attempt, level, text };
            Ok(KeptNote { id: unsigned(id)?, time_ms: unsigned(time_ms)?, note })
        });
        kept.collect()
    }

    /// The newest signed checkpoint, as a signed note.
    pub fn checkpoint(&self) -> Result<String, Error> {
        Ok(TrustRow::read(&self.db)?.checkpoint)
    }

    /// How large the log is and how fast it grows.
    pub fn growth(&self) -> Result<Growth, Error> {
        const DAY_MS: u64 = 24 * 60 * 60 * 1000;
        let time = |order: &str| -> Result<u64, Error> {
            let sql = format!("SELECT time_ms FROM entry ORDER BY seq {order} LIMIT 1");
            unsigned(self.db.query_row(&sql, [], |row| row.get(0)).optional()?.unwrap_or(0))
        };
        let (first_ms, last_ms) = (time("ASC")?, time("DESC")?);
        let size = |suffix: &str| {
            let path = format!("{}{suffix}", self.path.display());
            std::fs::metadata(path).map_or(0, |file| file.len())
        };
        let bytes = size("") + size("-wal");
        let days_ms = (last_ms - first_ms.min(last_ms)).max(DAY_MS);
        let bytes_per_day = u128::from(bytes) * u128::from(DAY_MS) / u128::from(days_ms);
        let bytes_per_day = u64::try_from(bytes_per_day).unwrap_or(u64::MAX);
        Ok(Growth { bytes, entries: self.last_seq()?, first_ms, last_ms, bytes_per_day })
    }

    fn shown(&self, seq: u64, body: &[u8]) -> Result<Entry, Error> {
        match self.entry_of(seq, body) {
            Err(Error::Unreadable { why, .. }) => Entry::unreadable(seq, body, &why),
            other => other,
        }
    }

    fn entry_of(&self, seq: u64, body: &[u8]) -> Result<Entry, Error> {
        Body::parse(seq, body)?.into_entry(&mut |digest| self.blob(digest))
    }
}

/// SQL and its values, put together as a filter asks.
struct Query {
    sql: String,
    values: Vec<Sql>,
}

impl Query {
    fn new(sql: &str, first: impl Into<Sql>) -> Self {
        Self { sql: sql.to_owned(), values: vec![first.into()] }
    }

    fn and(&mut self, condition: &str, value: impl Into<Sql>) {
        self.sql.push_str(" AND ");
        self.sql.push_str(condition);
        self.values.push(value.into());
    }

    /// One of several conditions; all if there are none.
    fn any<T>(&mut self, wishes: &[T], condition: impl Fn(&T) -> (&'static str, Vec<Sql>)) {
        for (n, wish) in wishes.iter().enumerate() {
            let (sql, values) = condition(wish);
            self.sql.push_str(if n == 0 { " AND (" } else { " OR " });
            self.sql.push_str(sql);
            self.values.extend(values);
        }
        if !wishes.is_empty() {
            self.sql.push(')');
        }
    }

    fn order(&mut self, column: &str, descending: bool, limit: usize) {
        let direction = if descending { "DESC" } else { "ASC" };
        let _ = write!(self.sql, " ORDER BY {column} {direction} LIMIT ?");
        self.values.push(limit_of(limit).into());
    }

    fn rows<T>(
        &self,
        db: &Connection,
        read: impl FnMut(&Row<'_>) -> rusqlite::Result<T>,
    ) -> Result<Vec<T>, Error> {
        let mut statement = db.prepare_cached(&self.sql)?;
        Ok(statement.query_map(params_from_iter(&self.values), read)?.collect::<Result<_, _>>()?)
    }
}

fn limit_of(limit: usize) -> i64 {
    i64::try_from(limit).unwrap_or(i64::MAX)
}

fn state_value(bucket: &str, key: &str, text: &str) -> Result<Value, Error> {
    serde_json::from_str(text)
        .map_err(|error| Error::damaged(format!("the value of `{bucket}/{key}` is not JSON: {error}")))
}
