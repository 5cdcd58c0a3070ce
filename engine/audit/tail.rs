//! The end of the log, hashed again at every opening: from the newest list of what stands on. The signature over the whole
//! tree covers it, and with it the list, so that nothing in the database need be believed.

use rusqlite::{Connection, params};
use serde_json::Value;

use words::ids::Digest;

use super::base::{self, ARCHIVED, After};
use super::body::{Body, Outline};
use super::error::Error;
use super::schema::{signed, unsigned};
use super::standing::Standing;
use super::tree::{self, Frontier};

/// What was read of it.
pub(super) struct Tail {
    /// The tree before it.
    pub(super) before: Frontier,
    /// What stands at its end.
    pub(super) standing: Standing,
    /// The blob of the list that it begins with.
    pub(super) blob: Option<Digest>,
}

impl Tail {
    /// Reads from where the database says that a list stands; if there is none, as in a log that version 0.1 wrote, from the
    /// first entry on.
    pub(super) fn read(db: &Connection, from: Frontier, to: &Frontier) -> Result<Self, Error> {
        if let Some(tail) = Self::from(db, from, to)? {
            return Ok(tail);
        }
        let first = base::base(db)?;
        Self::from(db, first, to)?.ok_or_else(|| Error::damaged("entry 1: is missing"))
    }

    /// None if it is not known what stood at `from`.
    fn from(db: &Connection, from: Frontier, to: &Frontier) -> Result<Option<Self>, Error> {
        let mut again = from.clone();
        // Before the first entry nothing stands.
        let mut known = from.size() == 0;
        let mut tail = Self { before: from, standing: Standing::default(), blob: None };
        let sql = "SELECT seq, body, hash FROM entry NOT INDEXED WHERE seq > ?1 ORDER BY seq";
        let mut statement = db.prepare(sql)?;
        let mut rows = statement.query(params![signed(tail.before.size())])?;
        while let Some(row) = rows.next()? {
            let (seq, body) = (unsigned(row.get(0)?)?, row.get_ref(1)?.as_bytes().unwrap_or_default());
            let hash = tree::leaf(body);
            if seq != again.size() + 1 {
                return Err(Error::damaged(format!("entry {} is missing", again.size() + 1)));
            }
            if row.get_ref(2)?.as_bytes() != Ok(&hash[..]) {
                return Err(Error::damaged(format!("entry {seq}: the body does not match its hash")));
            }
            again.push(hash);
            known |= tail.take(db, seq, body)?;
        }
        if &again == to {
            return Ok(known.then_some(tail));
        }
        let from = tail.before.size() + 1;
        let what = format!("entries {from} to {} are not those of the signed checkpoint", to.size());
        Err(Error::damaged(what))
    }

    /// Takes in one entry. Whether it tells what stood before it: it is the list that the tail begins with, or vouches that
    /// everything before was moved to an archive, which no unfinished run is.
    fn take(&mut self, db: &Connection, seq: u64, bytes: &[u8]) -> Result<bool, Error> {
        // One that another version wrote, and this one cannot read, is as it was signed all the same.
        let Ok(body) = Outline::read(bytes) else { return Ok(false) };
        let first = seq == self.before.size() + 1;
        let mut known = false;
        if first || body.kind == ARCHIVED {
            let whole = Body::<Value>::parse(seq, bytes)?;
            known = vouches(&whole, &self.before);
            if first && let Some(standing) = Standing::listed(&whole, |digest| blob(db, digest))? {
                self.standing = standing;
                self.blob = whole.blobs.into_iter().next();
                known = true;
            }
        }
        self.standing.take(&body);
        Ok(known)
    }
}

fn vouches(body: &Body<Value>, before: &Frontier) -> bool {
    let tree = || serde_json::from_value::<After>(body.data["tree"].clone()).ok()?.tree();
    body.run.is_none() && body.kind == ARCHIVED && tree().as_ref() == Some(before)
}

/// A blob, if it is what its digest says.
fn blob(db: &Connection, digest: &Digest) -> Result<Option<Vec<u8>>, Error> {
    let mut statement = db.prepare("SELECT bytes FROM blob WHERE digest = ?1")?;
    let mut rows = statement.query([digest.as_str()])?;
    let bytes = rows.next()?.and_then(|row| row.get::<_, Vec<u8>>(0).ok());
    Ok(bytes.filter(|bytes| Digest::of(bytes) == *digest))
}
