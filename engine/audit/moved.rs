//! What is too large for an entry: its long strings, or the whole of its data, are moved to blobs and put back later.
//!
//! In the entry stands `{"$blob": DIGEST, "bytes": N}` for a string and `{"$blob": DIGEST, "bytes": N, "whole": true}` for
//! the data itself. Data that has a key `$blob` of its own is always moved whole, so that the two are never confused.

use serde_json::{Map, Value, json};

use words::ids::Digest;

use super::entry::Blob;
use super::error::Error;

/// No blob is larger, in bytes.
pub const MAX_BLOB_BYTES: usize = 16 * 1024 * 1024;

/// Shorter strings are left where they are, in bytes, even if the entry is too large.
const SHORTEST_MOVED_BYTES: usize = 4 * 1024;

/// How much of a body the digest of a blob takes, in bytes: 64 digits, quotes, a comma.
pub(super) const REFERENCE_BYTES: usize = 67;

/// Finds a blob by its digest; none if it was pruned.
pub(super) type Load<'a> = dyn FnMut(&Digest) -> Result<Option<Vec<u8>>, Error> + 'a;

const KEY: &str = "$blob";

/// These bytes as a blob; refused if they are too many.
pub(super) fn blob(what: &str, bytes: Vec<u8>) -> Result<Blob, Error> {
    if bytes.len() > MAX_BLOB_BYTES {
        return Err(Error::TooLarge { what: what.to_owned(), bytes: bytes.len(), limit: MAX_BLOB_BYTES });
    }
    Ok(Blob { digest: Digest::of(&bytes), bytes })
}

/// The JSON of `data` in at most `room` bytes; what did not fit stands in `blobs`.
pub(super) fn fit(mut data: Value, room: usize, blobs: &mut Vec<Blob>) -> Result<String, Error> {
    let text = data.to_string();
    let ambiguous = contains(text.as_bytes(), b"\"$blob\"");
    if text.len() <= room && !ambiguous {
        return Ok(text);
    }
    if !ambiguous {
        let mut strings = Vec::new();
        move_strings(&mut data, &mut strings)?;
        let shorter = data.to_string();
        if shorter.len() + strings.len() * REFERENCE_BYTES <= room {
            blobs.append(&mut strings);
            return Ok(shorter);
        }
    }
    let whole = blob("the data of an entry", text.into_bytes())?;
    let mut stand_in = reference(&whole);
    stand_in.insert("whole".to_owned(), Value::Bool(true));
    let stand_in = Value::Object(stand_in).to_string();
    if stand_in.len() + REFERENCE_BYTES > room {
        let what = "the fixed part of an entry".to_owned();
        return Err(Error::TooLarge { what, bytes: stand_in.len() + REFERENCE_BYTES, limit: room });
    }
    blobs.push(whole);
    Ok(stand_in)
}

/// Puts back what [`fit`] moved. A blob that was pruned leaves its stand-in.
pub(super) fn put_back(data: &mut Value, load: &mut Load<'_>) -> Result<(), Error> {
    if let Some((digest, whole)) = stand_in(data) {
        let Some(bytes) = load(&digest)? else { return Ok(()) };
        let broken = |error: String| Error::damaged(format!("blob `{}` {error}", digest.short()));
        *data = if whole {
            serde_json::from_slice(&bytes).map_err(|error| broken(format!("is not JSON: {error}")))?
        } else {
            Value::String(String::from_utf8(bytes).map_err(|_| broken("is not text".to_owned()))?)
        };
        return Ok(());
    }
    match data {
        Value::Array(items) => items.iter_mut().try_for_each(|item| put_back(item, load)),
        Value::Object(fields) => fields.values_mut().try_for_each(|field| put_back(field, load)),
        _ => Ok(()),
    }
}

fn move_strings(data: &mut Value, blobs: &mut Vec<Blob>) -> Result<(), Error> {
    match data {
        Value::String(text) if text.len() >= SHORTEST_MOVED_BYTES => {
            let moved = blob("a text", std::mem::take(text).into_bytes())?;
            *data = Value::Object(reference(&moved));
            blobs.push(moved);
            Ok(())
        }
        Value::Array(items) => items.iter_mut().try_for_each(|item| move_strings(item, blobs)),
        Value::Object(fields) => fields.values_mut().try_for_each(|field| move_strings(field, blobs)),
        _ => Ok(()),
    }
}

fn reference(blob: &Blob) -> Map<String, Value> {
    [(KEY.to_owned(), json!(blob.digest)), ("bytes".to_owned(), json!(blob.bytes.len()))]
        .into_iter()
        .collect()
}

/// The digest, and whether the whole data stands behind it.
fn stand_in(data: &Value) -> Option<(Digest, bool)> {
    let digest = data.as_object()?.get(KEY)?.as_str()?;
    Some((Digest::new(digest).ok()?, data.get("whole").is_some()))
}

fn contains(text: &[u8], word: &[u8]) -> bool {
    text.windows(word.len()).any(|window| window == word)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;

    fn there_and_back(data: &Value, room: usize) -> (String, usize) {
        let mut blobs = Vec::new();
        let text = fit(data.clone(), room, &mut blobs).unwrap();
        assert!(text.len() + blobs.len() * REFERENCE_BYTES <= room);
        let count = blobs.len();
        let by_digest: BTreeMap<Digest, Vec<u8>> = blobs.into_iter().map(|b| (b.digest, b.bytes)).collect();
        let mut again = serde_json::from_str(&text).unwrap();
        if count > 0 {
            put_back(&mut again, &mut |digest| Ok(by_digest.get(digest).cloned())).unwrap();
        }
        assert_eq!(&again, data);
        (text, count)
    }

    #[test]
    fn small_data_stays_and_large_strings_move() {
        assert_eq!(there_and_back(&json!({"a": "b"}), 1000), (r#"{"a":"b"}"#.to_owned(), 0));
        let (text, count) = there_and_back(&json!({"a": ["x".repeat(70_000), "short"], "b": 1}), 60_000);
        assert_eq!(count, 1);
        assert!(text.contains(r#""bytes":70000"#) && text.contains("short"), "{text}");
    }

    #[test]
    fn many_small_values_and_look_alikes_move_whole() {
        assert_eq!(there_and_back(&json!(vec!["x".repeat(100); 1000]), 60_000).1, 1);
        let digest = Digest::of("secret of another");
        let (text, count) = there_and_back(&json!({"$blob": digest, "bytes": 3}), 60_000);
        assert_eq!((text.contains(digest.as_str()), count), (false, 1));
    }

    #[test]
    fn more_than_a_blob_holds_is_refused() {
        let refused = fit(json!("x".repeat(MAX_BLOB_BYTES + 1)), 60_000, &mut Vec::new());
        assert!(matches!(refused, Err(Error::TooLarge { limit: MAX_BLOB_BYTES, .. })), "{refused:?}");
    }
}
