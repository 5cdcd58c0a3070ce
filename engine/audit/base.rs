//! What stands before the first entry that is here: the tree over those that were moved to archives.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use rusqlite::Connection;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::checkpoint::Checkpoint;
use super::error::Error;
use super::key::VerifierKey;
use super::schema::unsigned;
use super::tree::Frontier;

/// The kind of the entry that vouches for what was moved.
pub const ARCHIVED: &str = "audit.archived";

pub(super) fn first_entry(db: &Connection) -> Result<u64, Error> {
    let first: Option<i64> = db.query_row("SELECT min(seq) FROM entry", [], |row| row.get(0))?;
    first.map_or(Ok(1), unsigned)
}

/// The tree over the entries before the first of an export, whose own archive holds them.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct After {
    /// How many.
    pub(super) entries: u64,
    /// The roots of its whole subtrees, largest first, in base64.
    frontier: Vec<String>,
}

impl After {
    /// None for the tree of no entries.
    pub(super) fn of(tree: &Frontier) -> Option<Self> {
        let frontier = tree.to_bytes().chunks(32).map(|peak| BASE64.encode(peak)).collect();
        (tree.size() > 0).then_some(Self { entries: tree.size(), frontier })
    }

    /// None if there is no such tree. The signature over the whole tree covers it.
    pub(super) fn tree(&self) -> Option<Frontier> {
        let peaks: Result<Vec<Vec<u8>>, _> = self.frontier.iter().map(|peak| BASE64.decode(peak)).collect();
        Frontier::from_bytes(self.entries, &peaks.ok()?.concat())
    }
}

/// The tree over the entries that were moved to archives, as the entry that vouches for them has it.
pub(super) fn base(db: &Connection) -> Result<Frontier, Error> {
    let moved = first_entry(db)?.saturating_sub(1);
    if moved == 0 {
        return Ok(Frontier::default());
    }
    find_base(db, moved, |_, _| true)?.ok_or_else(|| Error::damaged("entry 1: is missing"))
}

/// The same, if the entry's checkpoint is signed with this key and over that tree.
pub(super) fn vouched(db: &Connection, key: &VerifierKey, moved: u64) -> Result<Option<Frontier>, Error> {
    find_base(db, moved, |note, tree| {
        Checkpoint::open(note, key).is_ok_and(|found| found.size == tree.size() && found.root == tree.root())
    })
}

fn find_base(
    db: &Connection,
    moved: u64,
    believed: impl Fn(&str, &Frontier) -> bool,
) -> Result<Option<Frontier>, Error> {
    let mut statement = db.prepare("SELECT body FROM entry WHERE kind = ?1")?;
    let mut rows = statement.query([ARCHIVED])?;
    while let Some(row) = rows.next()? {
        let body: Value =
            serde_json::from_slice(row.get_ref(0)?.as_bytes().unwrap_or_default()).unwrap_or_default();
        let data = &body["data"];
        let tree = serde_json::from_value(data["tree"].clone()).ok().and_then(|after: After| after.tree());
        if let (Some(tree), Some(note)) = (tree, data["checkpoint"].as_str())
            && tree.size() == moved
            && believed(note, &tree)
        {
            return Ok(Some(tree));
        }
    }
    Ok(None)
}
