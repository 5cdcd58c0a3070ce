//! The database file: its tables, how it is opened, and which formats are understood.
//!
//! Knows nothing of what the rows mean.

use std::path::{Path, PathBuf};
use std::sync::OnceLock;
use std::time::Duration;

use rusqlite::config::DbConfig;
use rusqlite::{Connection, OpenFlags};

use super::checkpoint_files::CheckpointFiles;
use super::error::{Error, NOT_ALLOWED};

/// The database, in the data directory.
pub const DATABASE_FILE: &str = "audit.db";

/// The format this program writes. Opening a newer one is refused.
pub const SCHEMA_VERSION: u32 = 1;

/// The version of the SQLite inside this program.
pub fn sqlite_version() -> &'static str {
    rusqlite::version()
}

/// How long another program's lock on the database is waited for.
const BUSY_WAIT: Duration = Duration::from_secs(5);

/// How many prepared statements a connection keeps; there are about thirty.
const KEPT_STATEMENTS: usize = 48;

/// What is left of the WAL after a checkpoint, in bytes, so that it is not allocated anew all the time.
const WAL_KEPT_BYTES: u32 = 8 * 1024 * 1024;

// `entry` is the truth; `run`, `state` and `tile` can be made again from it. Columns have no constraints that would keep a
// tamperer from leaving traces: `verify` compares every one with what the body says.
const TABLES: &str = "
CREATE TABLE entry (
    seq INTEGER PRIMARY KEY,
    time_ms INTEGER NOT NULL,
    actor TEXT NOT NULL,
    run TEXT,
    version INTEGER,
    kind TEXT NOT NULL,
    body TEXT NOT NULL,
    hash BLOB NOT NULL
);
CREATE INDEX entry_run ON entry (run, version) WHERE run IS NOT NULL;
CREATE TABLE blob (digest TEXT PRIMARY KEY, bytes BLOB NOT NULL);
CREATE TABLE run (
    run TEXT PRIMARY KEY,
    runbook TEXT NOT NULL,
    status TEXT NOT NULL,
    actor TEXT NOT NULL,
    trigger TEXT NOT NULL,
    target TEXT NOT NULL,
    started_ms INTEGER NOT NULL,
    finished_ms INTEGER,
    parent TEXT,
    reason TEXT,
    subject TEXT NOT NULL,
    message TEXT NOT NULL
) WITHOUT ROWID;
CREATE INDEX run_unfinished ON run (run) WHERE finished_ms IS NULL;
CREATE TABLE state (bucket TEXT, key TEXT, value TEXT NOT NULL, PRIMARY KEY (bucket, key)) WITHOUT ROWID;
CREATE TABLE note (
    id INTEGER PRIMARY KEY,
    time_ms INTEGER NOT NULL,
    run TEXT NOT NULL,
    path TEXT NOT NULL,
    attempt INTEGER NOT NULL,
    level TEXT NOT NULL,
    text TEXT NOT NULL
);
CREATE INDEX note_run ON note (run, id);
CREATE TABLE tile (number INTEGER PRIMARY KEY, root BLOB NOT NULL);
CREATE TABLE tree (
    one INTEGER PRIMARY KEY,
    size INTEGER NOT NULL,
    frontier BLOB NOT NULL,
    checkpoint TEXT NOT NULL,
    trusted_size INTEGER NOT NULL,
    trusted_frontier BLOB NOT NULL,
    clean INTEGER NOT NULL
);
";

/// Where the database of a data directory is.
pub(super) fn database(dir: &Path) -> PathBuf {
    dir.join(DATABASE_FILE)
}

/// The writer's connection; the file is made if there is none. `Some` version if it holds tables.
pub(super) fn open_writer(dir: &Path) -> Result<(Connection, Option<u32>), Error> {
    let path = database(dir);
    // Before SQLite looks: it would make the file anew, and delete a WAL that has none.
    let trace = Trace::beside(&path);
    if is_blank(&path) {
        trace.refuse_lost(&path)?;
    }
    let flags =
        OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_CREATE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let db = Connection::open_with_flags(&path, flags).map_err(|error| at(&path, error))?;
    db.busy_timeout(BUSY_WAIT)?;
    db.set_prepared_statement_cache_capacity(KEPT_STATEMENTS);
    let found = version(&db)?;
    if found.is_none() {
        trace.refuse_lost(&path)?;
    }
    db.set_db_config(DbConfig::SQLITE_DBCONFIG_DEFENSIVE, true)?;
    let mode: String = db.query_row("PRAGMA journal_mode = WAL", [], |row| row.get(0))?;
    if mode != "wal" {
        let why = format!("the file system allows only the journal mode `{mode}`, not `wal`");
        return Err(Error::environment(format!("use `{}`", path.display()), why));
    }
    db.execute_batch(&format!(
        "PRAGMA synchronous = FULL; PRAGMA wal_autocheckpoint = 0; PRAGMA journal_size_limit = {WAL_KEPT_BYTES};"
    ))?;
    Ok((db, found))
}

/// Makes the tables; the caller commits.
pub(super) fn create(db: &Connection) -> Result<(), Error> {
    db.execute_batch(TABLES)?;
    db.pragma_update(None, "user_version", SCHEMA_VERSION)?;
    Ok(())
}

/// What to do where SQLite cannot read a WAL.
const UNREADABLE_WAL: &str = "run it as the owner of the data directory; where nobody may write to it, copy it whole to a place where you may, and name the copy with `--data-dir`";

/// A connection that cannot write.
pub(super) fn open_reader(path: &Path) -> Result<Connection, Error> {
    open_looking(path).map(|(db, _)| db)
}

/// Whether an engine has begun since a connection was opened that does not see what is written later.
pub(super) fn is_outdated(path: &Path) -> bool {
    !is_blank(&wal(path))
}

/// A connection that cannot write, and whether it sees the database only as it was when it was opened.
pub(super) fn open_looking(path: &Path) -> Result<(Connection, bool), Error> {
    // Before the database is looked at: one that is being made has no trace yet, and one that has a trace was made.
    let trace = Trace::beside(path);
    match std::fs::metadata(path) {
        // Even a reader's SQLite would delete a WAL whose database is empty.
        Ok(file) if file.len() == 0 => return Err(absent(path, &trace)),
        Ok(_) => {}
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Err(absent(path, &trace)),
        // What may not be looked at is not absent.
        Err(error) => return Err(Error::io("read", path, &error)),
    }
    let flags =
        OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX | OpenFlags::SQLITE_OPEN_URI;
    let plain =
        Connection::open_with_flags(path, OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX)
            .map_err(|error| at(path, error))
            .and_then(|db| prepare_reader(db, path, &trace));
    match plain {
        // One who may not write the directory, or whose disk is full, cannot make the shared memory of the WAL. While the
        // WAL is empty nobody is writing.
        Err(Error::Environment { .. } | Error::Full) if is_blank(&wal(path)) => {
            let uri = format!("file:{}?immutable=1", escape_uri(path));
            Connection::open_with_flags(uri, flags)
                .map_err(|error| at(path, error))
                .and_then(|db| prepare_reader(db, path, &trace))
                .map(|db| (db, true))
        }
        Err(Error::Environment { what, why, way: Some(NOT_ALLOWED) }) if !is_blank(&wal(path)) => {
            Err(Error::Environment { what, why, way: Some(UNREADABLE_WAL) })
        }
        other => other.map(|db| (db, false)),
    }
}

fn wal(database: &Path) -> PathBuf {
    let mut name = database.as_os_str().to_owned();
    name.push("-wal");
    name.into()
}

/// Whether a file holds nothing, or is not there.
fn is_blank(path: &Path) -> bool {
    std::fs::metadata(path)
        .map_or_else(|error| error.kind() == std::io::ErrorKind::NotFound, |file| file.len() == 0)
}

/// There is no log: it was never begun, or it is gone.
fn absent(path: &Path, trace: &Trace) -> Error {
    let dir = path.parent().unwrap_or(path).display().to_string();
    trace.refuse_lost(path).err().unwrap_or(Error::Absent { dir })
}

/// What tells that there were entries, whatever became of their database. Looked for before the database is.
struct Trace {
    checkpoint: Option<PathBuf>,
    /// A WAL, which no database that holds nothing has.
    wal: Option<PathBuf>,
}

impl Trace {
    fn beside(path: &Path) -> Self {
        let checkpoint = path.parent().and_then(CheckpointFiles::newest);
        Self { checkpoint, wal: Some(wal(path)).filter(|wal| !is_blank(wal)) }
    }

    /// Where a database without tables is not the first of its directory a second history must not begin under the same key.
    fn refuse_lost(&self, path: &Path) -> Result<(), Error> {
        let wal = self.wal.as_ref().filter(|_| is_blank(path));
        let Some(trace) = self.checkpoint.as_ref().or(wal) else { return Ok(()) };
        Err(Error::Lost {
            database: path.display().to_string(),
            state: if path.exists() { "is empty" } else { "is missing" },
            trace: trace.display().to_string(),
        })
    }
}

fn prepare_reader(db: Connection, path: &Path, trace: &Trace) -> Result<Connection, Error> {
    db.busy_timeout(BUSY_WAIT)?;
    db.set_prepared_statement_cache_capacity(KEPT_STATEMENTS);
    match version(&db)? {
        Some(_) => Ok(db),
        None => Err(absent(path, trace)),
    }
}

/// The format of the database; none if it is empty.
fn version(db: &Connection) -> Result<Option<u32>, Error> {
    // One snapshot: the database may be made just now, by another process.
    let _snapshot = db.unchecked_transaction()?;
    let found: u32 = db.query_row("PRAGMA user_version", [], |row| row.get(0))?;
    let things: u32 = db.query_row("SELECT count(*) FROM sqlite_schema", [], |row| row.get(0))?;
    match (found, things) {
        (0, 0) => Ok(None),
        (0, _) => Err(Error::damaged("`audit.db` is a database of some other program")),
        (found, _) if found > SCHEMA_VERSION => Err(Error::Newer { found, known: SCHEMA_VERSION }),
        (found, 0) => {
            Err(Error::damaged(format!("`audit.db` says it has format {found}, but it has no tables")))
        }
        (found, _) => match difference(db)? {
            None => Ok(Some(found)),
            Some(what) => Err(Error::damaged(what)),
        },
    }
}

/// One row of SQLite's own table of what a database holds: kind, name, table, SQL.
type Thing = (String, String, String, Option<String>);

/// What in the schema is not as [`TABLES`] made it, to the letter. Someone who may write the file but has no key could add
/// an index, a view or a trigger that answers with other rows than those that were signed.
fn difference(db: &Connection) -> Result<Option<String>, Error> {
    let (expected, found) = (made()?, things(db)?);
    for (kind, name, ..) in expected {
        if !found.iter().any(|(is, called, ..)| (is, called) == (kind, name)) {
            return Ok(Some(format!("`audit.db` has no {kind} `{name}` any more")));
        }
    }
    for thing in &found {
        let (kind, name, ..) = thing;
        let (kind, shown) = (kind.escape_debug(), name.escape_debug());
        if !expected.iter().any(|(_, expected, ..)| expected == name) {
            return Ok(Some(format!("`audit.db` has the {kind} `{shown}`, which does not belong to it")));
        }
        if !expected.contains(thing) {
            return Ok(Some(format!("the {kind} `{shown}` of `audit.db` is not the one that was made")));
        }
    }
    // The same number, and none that is not expected: one that stands twice takes the place of another.
    let roots = "SELECT count(*) = count(DISTINCT rootpage) AND min(rootpage) > 1 FROM sqlite_schema";
    let sound = found.len() == expected.len() && db.query_row(roots, [], |row| row.get(0))?;
    Ok((!sound).then(|| "two tables or indexes of `audit.db` stand in the same place".to_owned()))
}

fn things(db: &Connection) -> Result<Vec<Thing>, Error> {
    let mut statement =
        db.prepare("SELECT type, name, tbl_name, sql FROM sqlite_schema ORDER BY type DESC, name")?;
    let rows = statement.query_map([], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?, row.get(3)?)))?;
    Ok(rows.collect::<Result<_, _>>()?)
}

/// What [`TABLES`] makes, as this SQLite writes it down.
fn made() -> Result<&'static [Thing], Error> {
    static MADE: OnceLock<Vec<Thing>> = OnceLock::new();
    if let Some(made) = MADE.get() {
        return Ok(made);
    }
    let db = Connection::open_in_memory()?;
    db.execute_batch(TABLES)?;
    let made = things(&db)?;
    Ok(MADE.get_or_init(|| made))
}

fn at(path: &Path, error: rusqlite::Error) -> Error {
    match Error::from(error) {
        Error::Environment { why, way, .. } => {
            Error::Environment { what: format!("open `{}`", path.display()), why, way }
        }
        other => other,
    }
}

fn escape_uri(path: &Path) -> String {
    path.display().to_string().replace('%', "%25").replace('?', "%3f").replace('#', "%23")
}

/// SQLite's integers are signed; none of ours comes near the limit.
pub(super) fn signed(number: u64) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}

/// The way back; a negative number was never written.
pub(super) fn unsigned(number: i64) -> Result<u64, Error> {
    u64::try_from(number)
        .map_err(|_| Error::damaged(format!("`audit.db` holds {number} where only counts are written")))
}
