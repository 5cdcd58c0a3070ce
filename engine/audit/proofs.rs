//! Entries held against the signed tree one by one, so that what is acted on is what was signed, whatever someone without
//! the key has written into the database.
//!
//! The roots of all tiles must make the signed tree: one hash for 256 entries. An entry must then be among the leaves that
//! make the root of its tile, of which the last ones asked for are remembered.

use std::collections::HashMap;

use rusqlite::{Connection, params};

use super::base;
use super::error::Error;
use super::hashes;
use super::key::VerifierKey;
use super::schema::signed;
use super::tree::{Frontier, Hash, TILE_LEAVES};
use super::trust::TrustRow;

/// How many tiles' leaves are remembered, of 8 KiB each.
const MAX_TILES: usize = 1024;

/// See the module.
pub(super) struct Proofs {
    tree: Frontier,
    tiles: Vec<Hash>,
    leaves: HashMap<u64, Leaves>,
}

/// The leaves of a tile that are here.
struct Leaves {
    /// The entry of the first.
    first: u64,
    hashes: Vec<Hash>,
}

impl Proofs {
    /// For the log as it is now.
    pub(super) fn of(db: &Connection, key: &VerifierKey) -> Result<Self, Error> {
        let tree = TrustRow::read(db)?.signed_tree(key)?;
        let mut tiles = Vec::new();
        let mut whole = Frontier::default();
        let sql = "SELECT root FROM tile WHERE number < ?1 ORDER BY number";
        hashes::hashes(db, sql, params![signed(tree.size() / TILE_LEAVES)], |root| {
            tiles.push(root);
            whole.push_tile(root);
        })?;
        let mut expected = tree.clone();
        expected.truncate(TILE_LEAVES);
        if whole != expected {
            let why = "the tiles of the tree are not those of the signed checkpoint".to_owned();
            return Err(Error::Unreadable { entry: 0, why, changed: true });
        }
        Ok(Self { tree, tiles, leaves: HashMap::new() })
    }

    /// How many entries can be held against it.
    pub(super) fn size(&self) -> u64 {
        self.tree.size()
    }

    /// Refuses an entry that is not the one that was signed.
    pub(super) fn check(&mut self, db: &Connection, seq: u64, hash: &Hash) -> Result<(), Error> {
        let changed = || {
            let why = "it is not the one of the signed checkpoint".to_owned();
            Error::Unreadable { entry: seq, why, changed: true }
        };
        let index = seq.checked_sub(1).filter(|index| *index < self.tree.size()).ok_or_else(changed)?;
        let number = index / TILE_LEAVES;
        if !self.leaves.contains_key(&number) {
            if self.leaves.len() >= MAX_TILES {
                self.leaves.clear();
            }
            let leaves = self.read(db, number)?;
            self.leaves.insert(number, leaves);
        }
        let leaf = self.leaves.get(&number).and_then(|leaves| {
            let place = usize::try_from(seq.checked_sub(leaves.first)?).ok()?;
            leaves.hashes.get(place)
        });
        if leaf == Some(hash) { Ok(()) } else { Err(changed()) }
    }

    /// The leaves of a tile, if they make its root; of the tile that is not whole yet, if they make the end of the tree.
    fn read(&self, db: &Connection, number: u64) -> Result<Leaves, Error> {
        let from = number * TILE_LEAVES;
        let to = (from + TILE_LEAVES).min(self.tree.size());
        let first = base::first_entry(db)?;
        // What was moved to an archive is known by its part of the tree.
        let mut tree = if first > from + 1 {
            let base = base::base(db)?;
            base.part(from, base.size()).unwrap_or_default()
        } else {
            Frontier::default()
        };
        let first = from + tree.size() + 1;
        let mut hashes = Vec::new();
        let sql = "SELECT hash FROM entry NOT INDEXED WHERE seq >= ?1 AND seq <= ?2 ORDER BY seq";
        hashes::hashes(db, sql, params![signed(first), signed(to)], |hash| {
            hashes.push(hash);
            tree.push(hash);
        })?;
        let index = usize::try_from(number).unwrap_or(usize::MAX);
        let sound = match self.tiles.get(index) {
            Some(root) => tree.size() == TILE_LEAVES && tree.root() == *root,
            None => Some(&tree) == self.tree.part(from, to).as_ref(),
        };
        if sound {
            return Ok(Leaves { first, hashes });
        }
        let why = format!("entries {} to {to} are not those of the signed checkpoint", from + 1);
        Err(Error::Unreadable { entry: from + 1, why, changed: true })
    }
}
