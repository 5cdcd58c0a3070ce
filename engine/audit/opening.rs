//! Opening the log: makes it if there is none, and else decides whether what is found can be trusted.
//!
//! After a clean stop the frontier must be what the checkpoint was signed for. After an unclean one the entries since the
//! last trusted size are hashed again as well. Everything is checked only on request, by `verify`.

use std::collections::BTreeMap;
use std::path::Path;

use rusqlite::{Connection, OptionalExtension as _, TransactionBehavior, params};

use super::body::Outline;
use super::checkpoint::Checkpoint;
use super::checkpoint_files::CHECKPOINT_DIR;
use super::entry::RunRow;
use super::error::Error;
use super::key::{self, SignerKey, VerifierKey};
use super::mark::Known;
use super::reader;
use super::reserve::Reserve;
use super::schema::{self, signed, unsigned};
use super::tables::{self, TreeRow};
use super::tree::{self, Frontier};
use super::verify::VerifyError;
use super::witness::Witnesses;

/// A log that may be appended to.
pub(super) struct Opened {
    pub(super) db: Connection,
    pub(super) key: SignerKey,
    pub(super) tree: Frontier,
    pub(super) last_ms: u64,
    /// Whether the database says that it was closed properly.
    pub(super) clean: bool,
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
        return Ok(Opened { db, key, tree: Frontier::default(), last_ms: 0, clean: true });
    }
    let Sound { tree, last_ms, clean } = Sound::of(&db, key.public())?;
    known.against(&tree, key.public())?;
    Ok(Opened { db, key, tree, last_ms, clean })
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
    witnesses.finish(sound.tree.size()).map_err(|error| match error {
        VerifyError::Tampered(tampered) => Error::damaged(tampered.to_string()),
        VerifyError::Unreadable(error) => error,
    })
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
        if !row.clean {
            row.check_tail(db, &tree)?;
        }
        Ok(Self { tree, last_ms, clean: row.clean })
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

/// The signed note over a tree.
pub(super) fn checkpoint_of(tree: &Frontier, key: &SignerKey) -> String {
    Checkpoint { origin: key.public().name().to_owned(), size: tree.size(), root: tree.root() }.sign(key)
}

/// Whether a run that entries tell of is found where it is looked for: one that is not would never be carried on.
fn check_row(db: &Connection, told: &RunRow) -> Result<(), Error> {
    let damaged = || Error::damaged(format!("the row of run `{}` is not the one its entries tell", told.run));
    let sql = format!("{} WHERE run = ?1", reader::SELECT_RUN);
    let found = db.prepare_cached(&sql)?.query_row([told.run.as_str()], reader::run_row).optional()?;
    if found.transpose()?.as_ref() != Some(told) {
        return Err(damaged());
    }
    let sql = "SELECT count(*) FROM run INDEXED BY run_unfinished WHERE run = ?1 AND finished_ms IS NULL";
    let listed: u32 = db.prepare_cached(sql)?.query_row([told.run.as_str()], |row| row.get(0))?;
    if (listed == 1) == told.finished_ms.is_none() { Ok(()) } else { Err(damaged()) }
}

/// The one row of the table `tree`.
pub(super) struct TrustRow {
    pub(super) size: u64,
    pub(super) frontier: Vec<u8>,
    pub(super) checkpoint: String,
    pub(super) trusted_size: u64,
    pub(super) trusted_frontier: Vec<u8>,
    pub(super) clean: bool,
}

impl TrustRow {
    pub(super) fn read(db: &Connection) -> Result<Self, Error> {
        let sql = "SELECT size, frontier, checkpoint, trusted_size, trusted_frontier, clean FROM tree WHERE one = 1";
        let row = db.query_row(sql, [], |row| {
            let sizes: (i64, i64) = (row.get(0)?, row.get(3)?);
            Ok((sizes, row.get(1)?, row.get(2)?, row.get(4)?, row.get(5)?))
        });
        let ((size, trusted), frontier, checkpoint, trusted_frontier, clean) = match row {
            Err(rusqlite::Error::QueryReturnedNoRows) => {
                return Err(Error::damaged("the signed checkpoint is missing"));
            }
            other => other?,
        };
        let (size, trusted_size) = (unsigned(size)?, unsigned(trusted)?);
        Ok(Self { size, frontier, checkpoint, trusted_size, trusted_frontier, clean })
    }

    /// The frontier, if it is the one that the checkpoint was signed for.
    fn signed_tree(&self, key: &VerifierKey) -> Result<Frontier, Error> {
        let checkpoint = Checkpoint::open(&self.checkpoint, key)
            .map_err(|error| Error::damaged(format!("the signed checkpoint: {error}")))?;
        match Frontier::from_bytes(self.size, &self.frontier) {
            Some(tree) if tree.size() == checkpoint.size && tree.root() == checkpoint.root => Ok(tree),
            _ => Err(Error::damaged("the tree's frontier is not the one of the signed checkpoint")),
        }
    }

    fn check_tail(&self, db: &Connection, tree: &Frontier) -> Result<(), Error> {
        let mut again = Frontier::from_bytes(self.trusted_size, &self.trusted_frontier)
            .ok_or_else(|| Error::damaged("the last trusted frontier does not fit its size"))?;
        let mut statement = db.prepare("SELECT seq, body, hash FROM entry WHERE seq > ?1 ORDER BY seq")?;
        let mut rows = statement.query(params![signed(self.trusted_size)])?;
        let mut told = BTreeMap::new();
        while let Some(row) = rows.next()? {
            let seq = unsigned(row.get(0)?)?;
            let hash = tree::leaf(row.get_ref(1)?.as_bytes().unwrap_or_default());
            if seq != again.size() + 1 {
                return Err(Error::damaged(format!("entry {} is missing", again.size() + 1)));
            }
            if row.get_ref(2)?.as_bytes() != Ok(&hash[..]) {
                return Err(Error::damaged(format!("entry {seq}: the body does not match its hash")));
            }
            again.push(hash);
            // One that another version wrote, and this one cannot read, is as it was signed all the same.
            let outline = Outline::read(row.get_ref(1)?.as_bytes().unwrap_or_default()).ok();
            told.extend(outline.and_then(|outline| outline.row).map(|row| (row.run.clone(), row)));
        }
        if &again == tree {
            return told.into_values().try_for_each(|row| check_row(db, &row));
        }
        let from = self.trusted_size + 1;
        Err(Error::damaged(format!(
            "entries {from} to {} are not those of the signed checkpoint",
            tree.size()
        )))
    }
}
