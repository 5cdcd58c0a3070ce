//! What stands at some place of the log, as its entries tell: which runs are unfinished, at which version each is, and what
//! the engine keeps for itself. A start acts on this, never on tables that are made from the entries.
//!
//! A list of it is written into the log from time to time, so that a start need not read all entries.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use words::ids::{Digest, RunId};

use super::body::{Body, Outline, Prepared};
use super::entry::{RunRow, StateChange};
use super::error::Error;

/// The kind of a list that the log writes by itself when the last one is too far back.
pub const STANDING: &str = "audit.standing";

/// The kind of the entry at an engine's end, which holds a list.
pub const STOPPED: &str = "engine.stopped";

/// What a list is called in the data of its entry.
const UNFINISHED: &str = "unfinished";

/// The bucket that the list tells of as well.
const ENGINE_BUCKET: &str = "engine";

/// What the bucket is called in the data of the entry.
const ENGINE_STATE: &str = "engine_state";

/// A list of more runs than this stands in a blob, in the entry only its digest: entries stay small, and equal lists are
/// kept once.
const MAX_LISTED: usize = 100;

/// See the module.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(super) struct Standing {
    runs: BTreeMap<RunId, u32>,
    engine: BTreeMap<String, Value>,
}

/// The list in its entry.
#[derive(Debug, Serialize, Deserialize)]
#[serde(untagged)]
enum Listed {
    Here(BTreeMap<RunId, u32>),
    Blob { blob: Digest, runs: usize },
}

impl Standing {
    /// An entry that is to list what stands, with that list, and the blob of the list; none if it is to have none. `last` is the blob of
    /// the list before, which nobody needs any more.
    pub(super) fn listing(
        &self,
        entry: &Prepared,
        last: Option<&Digest>,
    ) -> Result<Option<(Prepared, Option<Digest>)>, Error> {
        let Some(mut draft) = entry.listing.clone() else { return Ok(None) };
        let blob = self.list(&mut draft.data)?;
        let digest = blob.as_ref().map(Digest::of);
        draft.prune.extend(last.filter(|last| Some(*last) != digest.as_ref()).cloned());
        draft.blobs.splice(0..0, blob);
        Ok(Some((Prepared::new(*draft)?, digest)))
    }

    /// Takes in what one entry tells.
    pub(super) fn take(&mut self, body: &Outline) {
        if let (Some(run), Some(version)) = (&body.run, body.version) {
            self.run(run, version, body.row.as_ref());
        }
        for change in &body.state {
            let (bucket, key, value) = change.parts();
            self.set(bucket, key, || value.and_then(|json| serde_json::from_str(json).ok()));
        }
    }

    /// The journal of the run has so many entries; the row is that of the newest.
    pub(super) fn run(&mut self, run: &RunId, version: u32, row: Option<&RunRow>) {
        match row.map(|row| row.finished_ms) {
            Some(Some(_)) => drop(self.runs.remove(run)),
            Some(None) => drop(self.runs.insert(run.clone(), version)),
            None => {
                if let Some(last) = self.runs.get_mut(run) {
                    *last = version;
                }
            }
        }
    }

    /// A change of state.
    pub(super) fn change(&mut self, change: &StateChange) {
        let (bucket, key, value) = change.parts();
        self.set(bucket, key, || value.cloned());
    }

    fn set(&mut self, bucket: &str, key: &str, value: impl FnOnce() -> Option<Value>) {
        if bucket == ENGINE_BUCKET {
            match value() {
                Some(value) => self.engine.insert(key.to_owned(), value),
                None => self.engine.remove(key),
            };
        }
    }

    /// How many entries the journal of an unfinished run has.
    pub(super) fn version(&self, run: &RunId) -> Option<u32> {
        self.runs.get(run).copied()
    }

    /// The unfinished runs, the oldest first.
    pub(super) fn runs(&self) -> impl ExactSizeIterator<Item = (&RunId, u32)> {
        self.runs.iter().map(|(run, version)| (run, *version))
    }

    /// What the engine keeps under this key.
    pub(super) fn engine(&self, key: &str) -> Option<&Value> {
        self.engine.get(key)
    }

    /// Adds the list to the data of an entry; gives the blob that it needs.
    pub(super) fn list(&self, data: &mut Value) -> Result<Option<Vec<u8>>, Error> {
        let invalid =
            |error| Error::Invalid { what: format!("the unfinished runs cannot be listed: {error}") };
        let (listed, blob) = if self.runs.len() <= MAX_LISTED {
            (serde_json::to_value(&self.runs).map_err(invalid)?, None)
        } else {
            let bytes = serde_json::to_vec(&self.runs).map_err(invalid)?;
            let listed = Listed::Blob { blob: Digest::of(&bytes), runs: self.runs.len() };
            (serde_json::to_value(listed).map_err(invalid)?, Some(bytes))
        };
        data[UNFINISHED] = listed;
        if !self.engine.is_empty() {
            data[ENGINE_STATE] = serde_json::to_value(&self.engine).map_err(invalid)?;
        }
        Ok(blob)
    }

    /// What the list in an entry tells; none if it holds no list, or if the list's blob is gone.
    pub(super) fn listed(
        body: &Body<Value>,
        blob: impl FnOnce(&Digest) -> Result<Option<Vec<u8>>, Error>,
    ) -> Result<Option<Self>, Error> {
        if body.run.is_some() || !matches!(body.kind.as_str(), STANDING | STOPPED) {
            return Ok(None);
        }
        let Some(listed) = body.data.get(UNFINISHED) else { return Ok(None) };
        let damaged =
            |error| Error::damaged(format!("entry {}: its list of unfinished runs: {error}", body.seq));
        let runs = match serde_json::from_value(listed.clone()).map_err(damaged)? {
            Listed::Here(runs) => runs,
            Listed::Blob { blob: digest, .. } => match blob(&digest)? {
                Some(bytes) => serde_json::from_slice(&bytes).map_err(damaged)?,
                None => return Ok(None),
            },
        };
        let engine = body.data.get(ENGINE_STATE).cloned().map_or(Ok(BTreeMap::new()), serde_json::from_value);
        Ok(Some(Self { runs, engine: engine.map_err(damaged)? }))
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::super::tests::{row, run};
    use super::*;

    fn body(kind: &str, data: &Value) -> Body<Value> {
        let body = json!({ "actor": "ann", "data": data, "kind": kind, "seq": 1, "time_ms": 1 });
        Body::parse(1, body.to_string().as_bytes()).unwrap()
    }

    fn of(runs: u32) -> Standing {
        let mut standing = Standing::default();
        (0..runs).for_each(|n| standing.run(&run(n), n + 1, Some(&row(&run(n), "running"))));
        let value = json!({ "reason": "because" });
        standing.change(&StateChange::Set { bucket: "engine".into(), key: "halt".into(), value });
        standing
    }

    #[test]
    fn a_list_says_what_stands_whether_few_or_many() {
        for count in [0, 100, 101, 5000] {
            let mut data = json!({ "engine": "host:1" });
            let blob = of(count).list(&mut data).unwrap();
            assert_eq!(blob.is_some(), count > 100);
            assert!(data.to_string().len() < 8 * 1024, "the entry stays small");
            let listed = Standing::listed(&body(STOPPED, &data), |_| Ok(blob)).unwrap().unwrap();
            assert_eq!(listed, of(count));
            assert!(Standing::listed(&body("test.fact", &data), |_| Ok(None)).unwrap().is_none());
        }
        assert!(
            Standing::listed(&body(STOPPED, &json!({ "engine": "old" })), |_| Ok(None)).unwrap().is_none()
        );
    }

    #[test]
    fn runs_come_and_go() {
        let mut standing = of(2);
        standing.run(&run(0), 2, Some(&row(&run(0), "succeeded")));
        standing.run(&run(0), 3, None);
        standing.run(&run(1), 3, None);
        assert_eq!(standing.runs().collect::<Vec<_>>(), [(&run(1), 3)]);
        let next = json!({
            "actor": "ann", "data": 1, "kind": "x", "run": run(1), "seq": 1, "time_ms": 1, "version": 4,
        });
        standing.take(&Outline::read(next.to_string().as_bytes()).unwrap());
        assert_eq!(standing.version(&run(1)), Some(4));
    }
}
