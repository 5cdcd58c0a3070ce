//! What the entries say all the other columns and tables must hold: the fold that `verify` compares with what is there.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};

use rusqlite::Connection;
use rusqlite::types::ValueRef;

use words::ids::{Digest, RunId};

use super::body::Outline;
use super::entry::RunRow;
use super::schema::signed;
use super::tables;
use super::tampered::{VerifyError, tampered};

/// What the bodies say so far.
#[derive(Default)]
pub(super) struct Fold {
    last_ms: u64,
    versions: HashMap<RunId, u32>,
    rows: BTreeMap<RunId, RunRow>,
    state: BTreeMap<(String, String), String>,
    /// Each blob that must be there, with the entry that first named it.
    blobs: HashMap<Digest, u64>,
    pruned: HashSet<Digest>,
    /// Keys of state that [`Fold::read`] has come across.
    told: HashSet<(String, String)>,
}

impl Fold {
    /// Takes in one entry; the error says what is wrong with it.
    pub(super) fn entry(&mut self, seq: u64, bytes: &[u8], columns: &Columns<'_>) -> Result<(), String> {
        let body = self.body(seq, bytes)?;
        let run = body.run.as_ref().map(RunId::as_str);
        compare("time_ms", columns.time_ms, ValueRef::Integer(signed(body.time_ms)))?;
        compare("actor", columns.actor, ValueRef::Text(body.actor.as_bytes()))?;
        compare("run", columns.run, run.map_or(ValueRef::Null, |run| ValueRef::Text(run.as_bytes())))?;
        let version = body.version.map_or(ValueRef::Null, |version| ValueRef::Integer(i64::from(version)));
        compare("version", columns.version, version)?;
        compare("kind", columns.kind, ValueRef::Text(body.kind.as_bytes()))?;
        self.take(seq, body);
        Ok(())
    }

    /// Reads a body and checks its place in the log and in its run's journal.
    pub(super) fn body(&mut self, seq: u64, bytes: &[u8]) -> Result<Outline, String> {
        let body = Outline::read(bytes)?;
        if body.seq != seq {
            return Err(format!("its body says that it is entry {}", body.seq));
        }
        if body.time_ms < self.last_ms {
            return Err("is older than the entry before it".to_owned());
        }
        self.last_ms = body.time_ms;
        match (&body.run, body.version) {
            (None, None) => {}
            (Some(run), Some(version)) => {
                let last = match self.versions.get_mut(run) {
                    Some(last) => last,
                    None => self.versions.entry(run.clone()).or_default(),
                };
                if version != *last + 1 {
                    return Err(format!("is version {version} of run `{run}`, but {} comes next", *last + 1));
                }
                *last = version;
            }
            _ => return Err("has a run without a version, or a version without a run".to_owned()),
        }
        if let Some(row) = &body.row
            && Some(&row.run) != body.run.as_ref()
        {
            return Err(format!("carries the row of another run, `{}`", row.run));
        }
        Ok(body)
    }

    /// Takes in the body of an entry whose columns are of no interest.
    pub(super) fn read(&mut self, seq: u64, bytes: &[u8]) -> Result<(), String> {
        let body = self.body(seq, bytes)?;
        for change in &body.state {
            let (bucket, key, _) = change.parts();
            self.told.insert((bucket.to_owned(), key.to_owned()));
        }
        self.take(seq, body);
        Ok(())
    }

    /// Whether an entry that was read says what this key holds, or that it holds nothing.
    pub(super) fn tells_of_state(&self, bucket: &str, key: &str) -> bool {
        self.told.contains(&(bucket.to_owned(), key.to_owned()))
    }

    /// Whether an entry that was taken in names this blob.
    pub(super) fn tells_of_blob(&self, digest: &str) -> bool {
        Digest::new(digest.to_owned()).is_ok_and(|digest| self.blobs.contains_key(&digest))
    }

    /// The blobs that the entries name and did not forget.
    pub(super) fn named(&self) -> BTreeSet<Digest> {
        self.blobs.keys().cloned().collect()
    }

    pub(super) fn take(&mut self, seq: u64, body: Outline) {
        for digest in body.blobs {
            self.pruned.remove(&digest);
            self.blobs.entry(digest).or_insert(seq);
        }
        for digest in body.pruned {
            self.blobs.remove(&digest);
            self.pruned.insert(digest);
        }
        if let Some(row) = body.row {
            self.rows.insert(row.run.clone(), row);
        }
        for change in body.state {
            let (bucket, key, value) = change.parts();
            let name = (bucket.to_owned(), key.to_owned());
            match value {
                Some(value) => self.state.insert(name, value.to_owned()),
                None => self.state.remove(&name),
            };
        }
    }

    /// Compares every other table with what the entries say.
    pub(super) fn against_tables(&self, db: &Connection) -> Result<(), VerifyError> {
        self.against_runs(db)?;
        self.against_state(db)?;
        self.against_blobs(db)
    }

    pub(super) fn runs(&self) -> u64 {
        self.rows.len() as u64
    }

    pub(super) fn blobs(&self) -> u64 {
        self.blobs.len() as u64
    }

    pub(super) fn pruned(&self) -> Vec<Digest> {
        let mut pruned: Vec<_> = self.pruned.iter().cloned().collect();
        pruned.sort();
        pruned
    }

    fn against_runs(&self, db: &Connection) -> Result<(), VerifyError> {
        let mut statement = db.prepare(&format!("{} ORDER BY run", tables::SELECT_RUN))?;
        let mut rows = statement.query([])?;
        let mut expected = self.rows.values();
        loop {
            let found = match rows.next()? {
                Some(row) => Some(tables::run_row(row)??),
                None => None,
            };
            match (found, expected.next()) {
                (None, None) => return Ok(()),
                (Some(found), Some(row)) if &found == row => {}
                (found, Some(row)) if found.as_ref().is_none_or(|found| found.run > row.run) => {
                    return Err(tampered(format!("run `{}`", row.run), "its row is missing"));
                }
                (Some(found), Some(row)) if found.run == row.run => {
                    return Err(tampered(
                        format!("run `{}`", row.run),
                        "its row is not the one its entries tell",
                    ));
                }
                (Some(found), _) => {
                    return Err(tampered(format!("run `{}`", found.run), "no entry tells of it"));
                }
                (None, Some(_)) => unreachable!("a missing row was found missing above"),
            }
        }
    }

    fn against_state(&self, db: &Connection) -> Result<(), VerifyError> {
        let mut statement = db.prepare("SELECT bucket, key, value FROM state ORDER BY bucket, key")?;
        let mut rows = statement.query([])?;
        let mut seen = 0;
        while let Some(row) = rows.next()? {
            let name: (String, String) = (row.get(0)?, row.get(1)?);
            let place = || format!("state `{}/{}`", name.0.escape_debug(), name.1.escape_debug());
            match self.state.get(&name) {
                None => return Err(tampered(place(), "no entry tells of it")),
                Some(value) if row.get_ref(2)? != ValueRef::Text(value.as_bytes()) => {
                    return Err(tampered(place(), "its value is not the one its entries tell"));
                }
                Some(_) => seen += 1,
            }
        }
        if seen == self.state.len() {
            return Ok(());
        }
        for (bucket, key) in self.state.keys() {
            let sql = "SELECT count(*) FROM state WHERE bucket = ?1 AND key = ?2";
            let count: u32 = db.prepare_cached(sql)?.query_row([bucket, key], |row| row.get(0))?;
            if count == 0 {
                let place = format!("state `{}/{}`", bucket.escape_debug(), key.escape_debug());
                return Err(tampered(place, "is missing"));
            }
        }
        Err(tampered("state", "holds fewer keys than the entries tell"))
    }

    fn against_blobs(&self, db: &Connection) -> Result<(), VerifyError> {
        let mut statement = db.prepare("SELECT digest, bytes FROM blob")?;
        let mut rows = statement.query([])?;
        let mut missing: HashMap<&str, u64> = self.blobs.iter().map(|(d, seq)| (d.as_str(), *seq)).collect();
        while let Some(row) = rows.next()? {
            let digest: String = row.get(0)?;
            let place = || format!("blob `{}`", digest.escape_debug());
            let ValueRef::Blob(bytes) = row.get_ref(1)? else {
                return Err(tampered(place(), "its content is not bytes"));
            };
            if Digest::of(bytes).as_str() != digest {
                return Err(tampered(place(), "its content does not match its digest"));
            }
            if missing.remove(digest.as_str()).is_none() {
                return Err(tampered(place(), "no entry tells of it"));
            }
        }
        match missing.into_iter().min_by_key(|(_, seq)| *seq) {
            None => Ok(()),
            Some((digest, seq)) => Err(tampered(format!("blob `{digest}` of entry {seq}"), "is missing")),
        }
    }
}

fn compare(column: &str, found: ValueRef<'_>, told: ValueRef<'_>) -> Result<(), String> {
    if found == told {
        return Ok(());
    }
    Err(format!("column `{column}` says {}, the body says {}", shown(found), shown(told)))
}

fn shown(value: ValueRef<'_>) -> String {
    match value {
        ValueRef::Null => "nothing".to_owned(),
        ValueRef::Integer(number) => number.to_string(),
        ValueRef::Real(number) => number.to_string(),
        ValueRef::Text(bytes) => format!("`{}`", String::from_utf8_lossy(bytes).escape_debug()),
        ValueRef::Blob(bytes) => format!("{} bytes", bytes.len()),
    }
}

/// Everything of a row that the body says, too.
pub(super) struct Columns<'a> {
    pub(super) time_ms: ValueRef<'a>,
    pub(super) actor: ValueRef<'a>,
    pub(super) run: ValueRef<'a>,
    pub(super) version: ValueRef<'a>,
    pub(super) kind: ValueRef<'a>,
}

impl<'a> Columns<'a> {
    pub(super) fn of(row: &'a rusqlite::Row<'_>) -> rusqlite::Result<Self> {
        let (time_ms, actor, run) = (row.get_ref(3)?, row.get_ref(4)?, row.get_ref(5)?);
        Ok(Self { time_ms, actor, run, version: row.get_ref(6)?, kind: row.get_ref(7)? })
    }
}
