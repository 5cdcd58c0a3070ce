//! What must hold for an append to be committed. The writer's thread looks at it in the commit itself, against what is
//! committed and what stands before it in the same batch, so that nothing can change between the look and the commit.

use std::collections::HashMap;
use std::fmt;

use rusqlite::{Connection, OptionalExtension as _};
use serde_json::Value;

use words::ids::RunId;

use super::body::Prepared;
use super::error::Error;
use super::tables;
use super::unmet::{Taken, Unmet};

/// One condition of an append.
pub enum Condition {
    /// The journal of the run has this many entries.
    Version {
        /// The run.
        run: RunId,
        /// How many.
        version: u32,
    },
    /// The key of state holds this value; none: it holds nothing.
    State {
        /// The bucket.
        bucket: String,
        /// The key in it.
        key: String,
        /// What it must hold.
        value: Option<Value>,
    },
    /// Fewer runs than this have not ended.
    Unfinished {
        /// The limit.
        below: u64,
    },
    /// Takes something that is kept outside of the log, or says who has it. Asked last, when every other condition holds, in
    /// the order of the commits; what was taken and could not be committed is lost with the log.
    Claim(Claim),
}

/// Takes what an append needs, or says who has it.
pub type Claim = Box<dyn FnOnce() -> Result<(), Taken> + Send>;

impl fmt::Debug for Condition {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Version { run, version } => write!(f, "version {version} of {run}"),
            Self::State { bucket, key, value } => write!(f, "{bucket}/{key} holds {value:?}"),
            Self::Unfinished { below } => write!(f, "fewer than {below} unfinished"),
            Self::Claim(_) => f.write_str("a claim"),
        }
    }
}

/// What the appends admitted to one batch change, before it is committed.
#[derive(Default)]
pub(super) struct Pending {
    state: HashMap<(String, String), Option<Value>>,
    /// Runs that begin with this batch.
    begun: u64,
}

impl Pending {
    /// Whether the condition holds. The outer error is the database's.
    pub(super) fn holds(
        &self,
        db: &Connection,
        condition: Condition,
        version: impl Fn(&RunId) -> Result<u32, Error>,
    ) -> Result<Result<(), Error>, Error> {
        Ok(match condition {
            Condition::Version { run, version: expected } => match version(&run)? {
                found if found == expected => Ok(()),
                found => Err(Error::Stale { run, expected, found }),
            },
            Condition::State { bucket, key, value } => {
                let found = self.state(db, &bucket, &key)?;
                if found == value { Ok(()) } else { Err(Unmet::State { bucket, key, found }.into()) }
            }
            Condition::Unfinished { below } => {
                let found = tables::unfinished(db)? + self.begun;
                if found < below { Ok(()) } else { Err(Unmet::Unfinished { found, limit: below }.into()) }
            }
            Condition::Claim(claim) => claim().map_err(|taken| Unmet::Taken(taken).into()),
        })
    }

    fn state(&self, db: &Connection, bucket: &str, key: &str) -> Result<Option<Value>, Error> {
        if let Some(pending) = self.state.get(&(bucket.to_owned(), key.to_owned())) {
            return Ok(pending.clone());
        }
        let text: Option<String> = db
            .prepare_cached("SELECT value FROM state WHERE bucket = ?1 AND key = ?2")?
            .query_row([bucket, key], |row| row.get(0))
            .optional()?;
        // What is no JSON equals nothing that anybody expects.
        Ok(text.map(|text| serde_json::from_str(&text).unwrap_or(Value::String(text))))
    }

    /// Takes in an append whose conditions hold.
    pub(super) fn take(&mut self, entries: &[Prepared], begins_run: bool) {
        for entry in entries {
            for change in &entry.state {
                let (bucket, key, value) = change.parts();
                self.state.insert((bucket.to_owned(), key.to_owned()), value.cloned());
            }
            let begins = entry.row.as_ref().is_some_and(|row| row.finished_ms.is_none());
            self.begun += u64::from(begins && begins_run);
        }
    }
}
