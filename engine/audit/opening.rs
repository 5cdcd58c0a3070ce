//! Opening the log: makes it if there is none, and else decides whether what is found can be trusted.
//!
//! The frontier must be what the checkpoint was signed for, and the entries from the newest list of what stands on are
//! hashed again. Everything is checked only on request, by `verify`.

use std::path::Path;

use rusqlite::{Connection, OptionalExtension as _, TransactionBehavior};

use super::checkpoint_files::CHECKPOINT_DIR;
use super::error::Error;
use super::key::{self, SignerKey, VerifierKey};
use super::mark::Known;
use super::places;
use super::reserve::Reserve;
use super::schema;
use super::standing::Standing;
use super::tables::{self, TreeRow};
use super::tail::Tail;
use super::tampered::VerifyError;
use super::tree::Frontier;
use super::trust::{TrustRow, checkpoint_of};
use super::witness::Witnesses;

/// A log that may be appended to.
pub(super) struct Opened {
    pub(super) db: Connection,
    pub(super) key: SignerKey,
    pub(super) tree: Frontier,
    pub(super) last_ms: u64,
    /// Whether the database says that it was closed properly.
    pub(super) clean: bool,
    pub(super) tail: Tail,
}

pub(super) fn open(dir: &Path) -> Result<Opened, Error> {
    std::fs::create_dir_all(dir).map_err(|error| Error::io("make the directory", dir, &error))?;
    match open_once(dir) {
        // Even opening takes room, for the shared memory of the WAL.
        Err(Error::Full) if Reserve::release(dir) => open_once(dir),
        other => other,
    }
}

fn open_once(dir: &Path) -> Result<Opened, Error> {
    places::check(dir)?;
    let known = Known::beside(dir);
    let (mut db, found) = schema::open_writer(dir)?;
    let key = match (SignerKey::load(dir)?, found) {
        (Some(key), _) => key,
        (None, None) => {
            let key = SignerKey::generate()?;
            key.store(dir)?;
            key
        }
        (None, Some(_)) => {
            return Err(key_is_missing(dir));
        }
    };
    key.publish(dir)?;
    if found.is_none() {
        create(&mut db, &key)?;
        let tail = Tail { before: Frontier::default(), standing: Standing::default(), blob: None };
        return Ok(Opened { db, key, tree: Frontier::default(), last_ms: 0, clean: true, tail });
    }
    let Sound { tree, last_ms, clean, tail } = Sound::of(&db, key.public())?;
    known.against(&tree, key.public())?;
    Ok(Opened { db, key, tree, last_ms, clean, tail })
}

/// Whether the log of this data directory would be opened: the same questions without writing, and whether a checkpoint
/// beside it knows of more. Like opening it does not hash everything: that is `verify`.
pub fn examine(dir: &Path) -> Result<(), Error> {
    let db = schema::open_reader(&schema::database(dir))?;
    let public = key::public_key(dir)?;
    match SignerKey::load(dir)? {
        Some(key) if key.public() == &public => {}
        Some(_) => return Err(Error::damaged("the two keys do not belong together")),
        None => return Err(key_is_missing(dir)),
    }
    // Before the snapshot, so that no checkpoint knows of more than it.
    let witnesses = Witnesses::beside(&dir.join(CHECKPOINT_DIR), &public);
    let known = Known::beside(dir);
    db.execute_batch("BEGIN")?;
    let sound = Sound::of(&db, &public)?;
    known.against(&sound.tree, &public)?;
    lists_show(&db, &sound.tail.standing)?;
    witnesses.finish(sound.tree.size()).map_err(|error| match error {
        VerifyError::Tampered(tampered) => Error::damaged(tampered.to_string()),
        VerifyError::Unreadable(error) => error,
    })
}

/// Whether lists show the unfinished runs that entries tell of, and no others: whoever asks for them must find them.
fn lists_show(db: &Connection, standing: &Standing) -> Result<(), Error> {
    let damaged = |run: &str| {
        let run = run.escape_debug();
        Error::damaged(format!("the row of run `{run}` is not the one its entries tell"))
    };
    let sql = "SELECT run FROM run INDEXED BY run_unfinished WHERE finished_ms IS NULL ORDER BY run";
    let mut statement = db.prepare(sql)?;
    let mut listed = statement.query([])?;
    for (run, _) in standing.runs() {
        let sql = "SELECT finished_ms IS NULL FROM run NOT INDEXED WHERE run = ?1";
        let found: Option<bool> =
            db.prepare_cached(sql)?.query_row([run.as_str()], |row| row.get(0)).optional()?;
        let shown = listed.next()?.map(|row| row.get::<_, String>(0)).transpose()?;
        if found != Some(true) || shown.as_deref() != Some(run.as_str()) {
            return Err(damaged(run.as_str()));
        }
    }
    match listed.next()? {
        None => Ok(()),
        Some(row) => Err(damaged(&row.get::<_, String>(0)?)),
    }
}

fn key_is_missing(dir: &Path) -> Error {
    let path = dir.join(key::PRIVATE_KEY_FILE);
    Error::damaged(format!("`{}` is missing, but there are entries", path.display()))
}

/// What may be built on.
struct Sound {
    tree: Frontier,
    last_ms: u64,
    clean: bool,
    tail: Tail,
}

impl Sound {
    fn of(db: &Connection, key: &VerifierKey) -> Result<Self, Error> {
        let row = TrustRow::read(db)?;
        let tree = row.signed_tree(key)?;
        let (last_seq, last_ms) = tables::newest(db)?.unwrap_or((0, 0));
        if last_seq != tree.size() {
            return Err(Error::damaged(format!(
                "the newest entry is {last_seq}, but the signed checkpoint counts {}",
                tree.size()
            )));
        }
        let trusted = Frontier::from_bytes(row.trusted_size, &row.trusted_frontier)
            .ok_or_else(|| Error::damaged("the last trusted frontier does not fit its size"))?;
        let tail = Tail::read(db, trusted, &tree)?;
        Ok(Self { tree, last_ms, clean: row.clean, tail })
    }
}

fn create(db: &mut Connection, key: &SignerKey) -> Result<(), Error> {
    let tree = Frontier::default();
    let checkpoint = checkpoint_of(&tree, key);
    let transaction = db.transaction_with_behavior(TransactionBehavior::Immediate)?;
    schema::create(&transaction)?;
    tables::write_tree(
        &transaction,
        &TreeRow { tree: &tree, checkpoint: &checkpoint, trusted: &tree, clean: true },
    )?;
    transaction.commit()?;
    Ok(())
}
