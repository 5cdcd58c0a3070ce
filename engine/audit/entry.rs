//! What is handed to the audit log and what comes back: drafts, entries, run rows, state changes, notes.
//!
//! Knows neither how they are hashed nor where they are kept.

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use words::ids::{Digest, RunId, RunbookName, StepPath, TargetName};
use words::trigger::TriggerKind;

use super::error::Error;

/// Stands in the place of data that cannot be read, with the reason.
pub(super) const UNREADABLE: &str = "$unreadable";

/// An entry to be: everything but what the log itself adds (sequence, time, version).
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Draft {
    /// Who: a login name, or the engine's.
    pub actor: String,
    /// Whose journal it belongs to; none for facts that belong to no run.
    pub run: Option<RunId>,
    /// What: dotted lower case, for example `run.accepted`.
    pub kind: String,
    /// The specifics. Large ones are moved to blobs and put back when the entry is loaded.
    pub data: Value,
    /// What lists show of the run from now on; in the same transaction, and part of the entry.
    pub row: Option<RunRow>,
    /// Changes of state; in the same transaction, and part of the entry.
    pub state: Vec<StateChange>,
    /// Bytes to be kept by digest, such as a runbook's text; the entry names their digests.
    pub blobs: Vec<Vec<u8>>,
    /// Blobs to be forgotten; their digests stay in the entries that named them, and this entry tells who forgot them.
    pub prune: Vec<Digest>,
    /// Whether the log adds to the data, an object, which runs are unfinished, each with its version.
    pub lists_unfinished: bool,
}

impl Draft {
    /// A fact that belongs to no run.
    pub fn fact(actor: impl Into<String>, kind: impl Into<String>, data: Value) -> Self {
        Self { actor: actor.into(), kind: kind.into(), data, ..Self::default() }
    }

    /// One thing that happened to a run: what is kept as a `kind` and its `data`.
    pub fn event(actor: impl Into<String>, run: RunId, event: &impl Serialize) -> Result<Self, Error> {
        let invalid =
            || Error::Invalid { what: "an event that has no form in JSON cannot be kept".to_owned() };
        let Ok(Value::Object(mut fields)) = serde_json::to_value(event) else { return Err(invalid()) };
        let Some(Value::String(kind)) = fields.remove("kind") else { return Err(invalid()) };
        let data = fields.remove("data").unwrap_or(Value::Null);
        Ok(Self { run: Some(run), ..Self::fact(actor, kind, data) })
    }
}

/// One line of the audit log.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Entry {
    /// From 1, without gaps.
    pub seq: u64,
    /// Milliseconds since 1970; never below that of the entry before.
    pub time_ms: u64,
    /// Who.
    pub actor: String,
    /// Whose journal it belongs to.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub run: Option<RunId>,
    /// Its place in that journal, from 1, without gaps.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub version: Option<u32>,
    /// What.
    pub kind: String,
    /// The specifics, whole again.
    pub data: Value,
}

impl Entry {
    /// The event, if the entry is part of a run's journal.
    pub fn event<E: DeserializeOwned>(&self) -> Result<E, Error> {
        let fields =
            [("kind".to_owned(), Value::from(self.kind.clone())), ("data".to_owned(), self.data.clone())];
        let unreadable = |why: String| Error::Unreadable { entry: self.seq, why, changed: false };
        if let Some(Value::String(why)) = self.data.get(UNREADABLE) {
            return Err(unreadable(why.clone()));
        }
        serde_json::from_value(Value::Object(fields.into_iter().collect()))
            .map_err(|error| unreadable(format!("it is no event of a run that is known here: {error}")))
    }
}

/// What lists show of a run: a view, taken from the newest entry of the run that carries one.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RunRow {
    /// The run.
    pub run: RunId,
    /// Its runbook.
    pub runbook: RunbookName,
    /// For example `running`.
    pub status: String,
    /// Who asked for it.
    pub actor: String,
    /// Why it was asked for.
    pub trigger: TriggerKind,
    /// The container daemon.
    pub target: TargetName,
    /// When it was accepted, milliseconds since 1970.
    pub started_ms: u64,
    /// When it ended; none while it lives.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub finished_ms: Option<u64>,
    /// The run whose step it is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub parent: Option<RunId>,
    /// The person's words.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// What it is about, for example the service.
    pub subject: String,
    /// One sentence on where it stands.
    pub message: String,
}

/// A change of what plugins and the engine keep between runs.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum StateChange {
    /// The key has this value from now on.
    Set {
        /// The bucket, for example a plugin's.
        bucket: String,
        /// The key in it.
        key: String,
        /// Its value.
        value: Value,
    },
    /// The key is no more.
    Delete {
        /// The bucket.
        bucket: String,
        /// The key in it.
        key: String,
    },
}

impl StateChange {
    /// Bucket, key and, unless it is deleted, value.
    pub(super) fn parts(&self) -> (&str, &str, Option<&Value>) {
        match self {
            Self::Set { bucket, key, value } => (bucket, key, Some(value)),
            Self::Delete { bucket, key } => (bucket, key, None),
        }
    }
}

/// What an append came to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Appended {
    /// The first entry's sequence.
    pub first_seq: u64,
    /// The last entry's sequence.
    pub last_seq: u64,
    /// The time of all of them, milliseconds since 1970.
    pub time_ms: u64,
}

/// Something told to people while a step works: a log line, progress. Bounded, not hashed, and dropped rather than waited for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Note {
    /// The run.
    pub run: RunId,
    /// The step or item.
    pub path: StepPath,
    /// The attempt.
    pub attempt: u32,
    /// `info`, `warn`, `error`, `progress`.
    pub level: String,
    /// The line.
    pub text: String,
}

/// A note as it was kept.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct KeptNote {
    /// Grows with every note.
    pub id: u64,
    /// Milliseconds since 1970.
    pub time_ms: u64,
    /// The note.
    #[serde(flatten)]
    pub note: Note,
}

/// A blob by its digest, not yet written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Blob {
    pub(super) digest: Digest,
    pub(super) bytes: Vec<u8>,
}
