//! The hashes of entries and of whole tiles of the tree, as the database keeps them.

use rusqlite::{Connection, Params, params};

use super::error::Error;
use super::schema::signed;
use super::tree::{Frontier, Hash, TILE_LEAVES};

/// The tree over leaves `from..to`, which are whole tiles.
pub(super) fn tiles(db: &Connection, from: u64, to: u64) -> Result<Frontier, Error> {
    assert!(from.is_multiple_of(TILE_LEAVES) && to.is_multiple_of(TILE_LEAVES), "tiles are whole");
    let mut tree = Frontier::default();
    let sql = "SELECT root FROM tile WHERE number >= ?1 AND number < ?2 ORDER BY number";
    let bounds = params![signed(from / TILE_LEAVES), signed(to / TILE_LEAVES)];
    hashes(db, sql, bounds, |hash| tree.push_tile(hash))?;
    if tree.size() == to - from {
        return Ok(tree);
    }
    Err(Error::damaged(format!("of the tree over the entries {} to {to} a part is missing", from + 1)))
}

/// Lets a tree over the leaves from `from` on grow by single ones, up to `to`.
pub(super) fn leaves(db: &Connection, from: u64, to: u64, tree: &mut Frontier) -> Result<(), Error> {
    let sql = "SELECT hash FROM entry WHERE seq > ?1 AND seq <= ?2 ORDER BY seq";
    hashes(db, sql, params![signed(from + tree.size()), signed(to)], |hash| {
        tree.push(hash);
    })?;
    if tree.size() == to - from {
        return Ok(());
    }
    Err(Error::damaged(format!("of the entries {} to {to} some are missing", from + 1)))
}

/// The hashes that a question gives, one by one.
pub(super) fn hashes(
    db: &Connection,
    sql: &str,
    bounds: impl Params,
    mut take: impl FnMut(Hash),
) -> Result<(), Error> {
    let mut statement = db.prepare_cached(sql)?;
    let mut rows = statement.query(bounds)?;
    while let Some(row) = rows.next()? {
        let hash: Vec<u8> = row.get(0)?;
        take(Hash::try_from(hash).map_err(|_| Error::damaged("a hash does not have 32 bytes"))?);
    }
    Ok(())
}
