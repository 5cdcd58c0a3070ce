//! The body of an entry: the exact bytes that are hashed, JSON without blanks and with sorted keys, holding every field.
//!
//! The sequence, the time and the version are known only to the writer; everything else is made into bytes by the one
//! who appends, so that the writer need only put pieces together.

use std::fmt::Write as _;

use serde::de::IgnoredAny;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use serde_json::{Value, json};

use words::ids::{Digest, RunId};

use super::entry::{Blob, Draft, Entry, RunRow, StateChange, UNREADABLE};
use super::error::Error;
use super::moved::{self, Load};

/// No body is longer, in bytes. What does not fit is moved to blobs.
pub const MAX_ENTRY_BYTES: usize = 64 * 1024;

/// Room for sequence, time, version and punctuation.
const FRAME_BYTES: usize = 256;

/// Room that is left for the row of a run that is known only later.
const ROW_BYTES: usize = 12 * 1024;

/// The longest name of an actor, in bytes.
pub const MAX_ACTOR_BYTES: usize = 256;

/// The longest kind, in bytes.
pub const MAX_KIND_BYTES: usize = 64;

/// A draft as bytes, waiting for its sequence, time and version.
#[derive(Debug)]
pub(super) struct Prepared {
    pub(super) actor: String,
    pub(super) run: Option<RunId>,
    pub(super) kind: String,
    pub(super) row: Option<RunRow>,
    pub(super) state: Vec<StateChange>,
    pub(super) blobs: Vec<Blob>,
    pub(super) prune: Vec<Digest>,
    /// The draft, where a list of what stands is to be added when its place is known.
    pub(super) listing: Option<Box<Draft>>,
    /// From the opening brace up to the row.
    head: String,
    /// The row, or nothing.
    row_json: String,
    /// From there up to the sequence.
    tail: String,
    /// Between the sequence and `,"time_ms":`.
    middle: String,
}

impl Prepared {
    pub(super) fn new(draft: Draft) -> Result<Self, Error> {
        let listing =
            draft.lists_unfinished.then(|| Box::new(Draft { lists_unfinished: false, ..draft.clone() }));
        let Draft { actor, run, kind, data, row, state, blobs, prune, lists_unfinished: _ } = draft;
        check_words(&actor, &kind, run.as_ref(), row.as_ref())?;
        let mut blobs =
            blobs.into_iter().map(|bytes| moved::blob("a blob", bytes)).collect::<Result<Vec<_>, _>>()?;
        let row_json = row.as_ref().map(canonical).transpose()?;
        let state_json = if state.is_empty() { None } else { Some(canonical(&state)?) };
        let fixed = FRAME_BYTES
            + actor.len()
            + kind.len()
            + row_json.as_ref().map_or(if run.is_some() { ROW_BYTES } else { 0 }, String::len)
            + state_json.as_ref().map_or(0, String::len)
            + (blobs.len() + prune.len()) * moved::REFERENCE_BYTES;
        let room = MAX_ENTRY_BYTES.checked_sub(fixed).ok_or_else(|| Error::TooLarge {
            what: format!("an entry `{kind}` without its data"),
            bytes: fixed,
            limit: MAX_ENTRY_BYTES,
        })?;
        let data = moved::fit(data, room, &mut blobs)?;

        let mut head = String::with_capacity(data.len() + 256);
        head.push_str("{\"actor\":");
        head.push_str(&canonical(&actor)?);
        if !blobs.is_empty() {
            head.push_str(",\"blobs\":");
            head.push_str(&canonical(&blobs.iter().map(|blob| &blob.digest).collect::<Vec<_>>())?);
        }
        head.push_str(",\"data\":");
        head.push_str(&data);
        head.push_str(",\"kind\":");
        head.push_str(&canonical(&kind)?);
        if !prune.is_empty() {
            head.push_str(",\"pruned\":");
            head.push_str(&canonical(&prune)?);
        }
        let row_json = row_json.map_or_else(String::new, |row| format!(",\"row\":{row}"));
        let mut tail = String::new();
        if let Some(run) = &run {
            let _ = write!(tail, ",\"run\":{}", canonical(run)?);
        }
        tail.push_str(",\"seq\":");
        let middle = state_json.map_or_else(String::new, |state| format!(",\"state\":{state}"));
        let prepared =
            Self { actor, run, kind, row, state, blobs, prune, listing, head, row_json, tail, middle };
        prepared.read_back().map_err(|why| Error::Unwritable { kind: prepared.kind.clone(), why })?;
        Ok(prepared)
    }

    /// The same with this row.
    pub(super) fn with_row(mut self, row: RunRow) -> Result<Self, Error> {
        check_words(&self.actor, &self.kind, self.run.as_ref(), Some(&row))?;
        self.row_json = format!(",\"row\":{}", canonical(&row)?);
        self.row = Some(row);
        let bytes = self.length() + FRAME_BYTES;
        if bytes > MAX_ENTRY_BYTES {
            let what = format!("an entry `{}` with the row of its run", self.kind);
            return Err(Error::TooLarge { what, bytes, limit: MAX_ENTRY_BYTES });
        }
        Ok(self)
    }

    fn length(&self) -> usize {
        self.head.len() + self.row_json.len() + self.tail.len() + self.middle.len()
    }

    /// Reads it as the reader of journals will, whatever sequence, time and version it gets.
    fn read_back(&self) -> Result<(), String> {
        let version = self.run.as_ref().map(|_| u32::MAX);
        let body = self.body(u64::MAX, u64::MAX, version);
        let kept = |digest: &Digest| {
            let found = self.blobs.iter().find(|blob| blob.digest == *digest);
            Ok(found.map(|blob| blob.bytes.clone()))
        };
        let read = Body::<Value, StateChange>::read(body.as_bytes())
            .and_then(|body| body.into_entry(&mut { kept }).map_err(|error| error.to_string()));
        read.map(drop)
    }

    /// How much memory it takes while it waits.
    pub(super) fn bytes(&self) -> usize {
        self.length() + self.blobs.iter().map(|blob| blob.bytes.len()).sum::<usize>()
    }

    pub(super) fn body(&self, seq: u64, time_ms: u64, version: Option<u32>) -> String {
        let mut body = String::with_capacity(self.length() + 80);
        body.push_str(&self.head);
        body.push_str(&self.row_json);
        body.push_str(&self.tail);
        let _ = write!(body, "{seq}");
        body.push_str(&self.middle);
        let _ = write!(body, ",\"time_ms\":{time_ms}");
        if let Some(version) = version {
            let _ = write!(body, ",\"version\":{version}");
        }
        body.push('}');
        body
    }
}

/// A body read back. `D` is what its data is read as, `C` a change of state.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
#[serde(bound(deserialize = "D: Deserialize<'de>, C: Deserialize<'de>"))]
pub(super) struct Body<D, C = StateChange> {
    pub(super) actor: String,
    #[serde(default)]
    pub(super) blobs: Vec<Digest>,
    pub(super) data: D,
    pub(super) kind: String,
    #[serde(default)]
    pub(super) pruned: Vec<Digest>,
    #[serde(default)]
    pub(super) row: Option<RunRow>,
    #[serde(default)]
    pub(super) run: Option<RunId>,
    pub(super) seq: u64,
    #[serde(default)]
    pub(super) state: Vec<C>,
    pub(super) time_ms: u64,
    #[serde(default)]
    pub(super) version: Option<u32>,
}

/// What a body tells without its values: read at any depth, since what is only hashed and compared need not be taken apart.
pub(super) type Outline = Body<IgnoredAny, OutlinedChange>;

/// A change of state whose value stays text.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(super) enum OutlinedChange {
    /// As [`StateChange::Set`].
    Set { bucket: String, key: String, value: Box<RawValue> },
    /// As [`StateChange::Delete`].
    Delete { bucket: String, key: String },
}

impl OutlinedChange {
    /// Bucket, key and, unless it is deleted, the JSON of the value.
    pub(super) fn parts(&self) -> (&str, &str, Option<&str>) {
        match self {
            Self::Set { bucket, key, value } => (bucket, key, Some(value.get())),
            Self::Delete { bucket, key } => (bucket, key, None),
        }
    }
}

impl Outline {
    pub(super) fn read(bytes: &[u8]) -> Result<Self, String> {
        serde_json::from_slice(bytes).map_err(|error| format!("its body is not an entry: {error}"))
    }
}

impl Body<Value> {
    /// The one way in which entries are read, before they are written as well.
    pub(super) fn read(bytes: &[u8]) -> Result<Self, String> {
        serde_json::from_slice(bytes).map_err(|error| format!("its body is not an entry: {error}"))
    }

    pub(super) fn parse(seq: u64, bytes: &[u8]) -> Result<Self, Error> {
        Self::read(bytes).map_err(|why| Error::Unreadable { entry: seq, why, changed: false })
    }

    /// The entry, with what was moved to blobs put back.
    pub(super) fn into_entry(self, load: &mut Load<'_>) -> Result<Entry, Error> {
        let Self { actor, blobs, mut data, kind, run, seq, time_ms, version, .. } = self;
        if !blobs.is_empty() {
            moved::put_back(&mut data, load)?;
        }
        Ok(Entry { seq, time_ms, actor, run, version, kind, data })
    }
}

/// JSON without blanks and with sorted keys.
pub(super) fn canonical(value: &impl Serialize) -> Result<String, Error> {
    // By way of a `Value`, whose objects are sorted, whatever the order of a struct's fields.
    serde_json::to_value(value)
        .and_then(|value| serde_json::to_string(&value))
        .map_err(|error| Error::Invalid { what: format!("cannot be written as JSON: {error}") })
}

fn check_words(actor: &str, kind: &str, run: Option<&RunId>, row: Option<&RunRow>) -> Result<(), Error> {
    if actor.is_empty() || actor.len() > MAX_ACTOR_BYTES || actor.chars().any(char::is_control) {
        let what = format!(
            "`{}` is not an actor: 1 to {MAX_ACTOR_BYTES} bytes without control characters",
            actor.escape_debug()
        );
        return Err(Error::Invalid { what });
    }
    let legal = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'.' || b == b'-';
    if kind.is_empty() || kind.len() > MAX_KIND_BYTES || !kind.bytes().all(legal) {
        let what = format!(
            "`{}` is not a kind: 1 to {MAX_KIND_BYTES} lower-case letters, digits, dots and dashes",
            kind.escape_debug()
        );
        return Err(Error::Invalid { what });
    }
    match row {
        Some(row) if Some(&row.run) != run => Err(Error::Invalid {
            what: format!("an entry of another journal cannot carry the row of run `{}`", row.run),
        }),
        _ => Ok(()),
    }
}

impl Entry {
    /// An entry from its body, such as a line of an export. `blob` finds what was moved out of it; what is not found leaves
    /// its reference.
    pub fn from_body(body: &[u8], mut blob: impl FnMut(&Digest) -> Option<Vec<u8>>) -> Result<Self, Error> {
        let body: Body<Value> = serde_json::from_slice(body)
            .map_err(|error| Error::damaged(format!("this is not the body of an entry: {error}")))?;
        body.into_entry(&mut |digest| Ok(blob(digest)))
    }

    /// An entry that cannot be read, as far as it can be told: so that one does not hide the others.
    pub(super) fn unreadable(seq: u64, body: &[u8], why: &str) -> Result<Self, Error> {
        let unreadable = |why: String| Error::Unreadable { entry: seq, why, changed: false };
        let Outline { actor, kind, run, time_ms, version, .. } = Outline::read(body).map_err(unreadable)?;
        Ok(Self { seq, time_ms, actor, run, version, kind, data: json!({ (UNREADABLE): why }) })
    }
}

#[cfg(test)]
mod tests {

    use super::*;

    #[test]
    fn a_body_is_canonical_and_holds_every_field() {
        let draft = Draft {
            run: Some(RunId::from_parts(1, 2)),
            state: vec![StateChange::Set {
                bucket: "b".into(),
                key: "k".into(),
                value: json!({"z": 1, "a": 2}),
            }],
            blobs: vec![b"text".to_vec()],
            ..Draft::fact("ann", "state.set", json!({"b": "ö\n", "a": [1.5, null]}))
        };
        let body = Prepared::new(draft).unwrap().body(7, 8, Some(9));
        let value: Value = serde_json::from_str(&body).unwrap();
        assert_eq!(serde_json::to_string(&value).unwrap(), body, "parsing and writing again changes nothing");
        let keys: Vec<&str> = value.as_object().unwrap().keys().map(String::as_str).collect();
        assert_eq!(keys, ["actor", "blobs", "data", "kind", "run", "seq", "state", "time_ms", "version"]);
        assert_eq!((&value["seq"], &value["time_ms"], &value["version"]), (&json!(7), &json!(8), &json!(9)));
    }

    #[test]
    fn words_that_would_spoil_a_terminal_are_refused() {
        for (actor, kind) in [("", "a"), ("a\u{1b}[2J", "a"), ("a", "A"), ("a", ""), ("a", "a b")] {
            assert!(Prepared::new(Draft::fact(actor, kind, Value::Null)).is_err(), "{actor:?} {kind:?}");
        }
    }
}
