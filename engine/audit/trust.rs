//! What is trusted of the log: the tree, and the checkpoint that was signed over it.

use rusqlite::Connection;

use super::checkpoint::Checkpoint;
use super::error::Error;
use super::key::{SignerKey, VerifierKey};
use super::schema::unsigned;
use super::tree::Frontier;

/// The signed note over a tree.
pub(super) fn checkpoint_of(tree: &Frontier, key: &SignerKey) -> String {
    Checkpoint { origin: key.public().name().to_owned(), size: tree.size(), root: tree.root() }.sign(key)
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
    pub(super) fn signed_tree(&self, key: &VerifierKey) -> Result<Frontier, Error> {
        let checkpoint = Checkpoint::open(&self.checkpoint, key)
            .map_err(|error| Error::damaged(format!("the signed checkpoint: {error}")))?;
        match Frontier::from_bytes(self.size, &self.frontier) {
            Some(tree) if tree.size() == checkpoint.size && tree.root() == checkpoint.root => Ok(tree),
            _ => Err(Error::damaged("the tree's frontier is not the one of the signed checkpoint")),
        }
    }
}
