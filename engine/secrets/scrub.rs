//! The second line: takes the values of known secrets out of whatever is written, however they are encoded.
//!
//! The first line is that plugins never get them. This one catches what the world gives back: a server that echoes, a
//! container that prints its environment. It looks for each value, and for each line of one with several, as it is, in
//! base64 (both alphabets, at each of three offsets), in hex, URL-encoded and escaped for JSON, all of them also broken into
//! lines; and writes `[secret NAME]` in its place. What else a program may make of a value (compress it, reverse it) is not
//! found, nor is one that is shorter than [`MIN_BYTES`]. A value that is an ordinary word is found wherever the word is.

mod forms;
mod patterns;
mod scrubber;
mod stream;
#[cfg(test)]
mod tests;

use std::borrow::Cow;
use std::io::Write;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{LazyLock, PoisonError, RwLock, TryLockError};

use serde_json::Value;

use words::secret::{SecretName, SecretValue};

pub use scrubber::Scrubber;
pub use stream::Stream;

/// Values shorter than this, in bytes, are not scrubbed: they would be found everywhere.
pub const MIN_BYTES: usize = 6;

static KNOWS: AtomicBool = AtomicBool::new(false);

/// What it knows.
static KNOWN: LazyLock<RwLock<Scrubber>> = LazyLock::new(RwLock::default);

/// Whether this process knows anything to take out; one atomic load.
pub fn active() -> bool {
    KNOWS.load(Ordering::Acquire)
}

fn with<T>(ask: impl FnOnce(&Scrubber) -> T) -> T {
    ask(&KNOWN.read().unwrap_or_else(PoisonError::into_inner))
}

/// From now on this value is taken out of whatever this process writes. A second time changes nothing.
pub fn learn(name: &SecretName, value: &SecretValue) {
    let mut known = KNOWN.write().unwrap_or_else(PoisonError::into_inner);
    known.learn(name.as_str(), value.expose());
    KNOWS.store(!known.is_empty(), Ordering::Release);
}

/// The text without known values.
pub fn text(text: &str) -> Cow<'_, str> {
    if active() { with(|known| known.text(text)) } else { Cow::Borrowed(text) }
}

/// The same for whoever must not wait; none while something is being learnt.
pub fn text_at_once(text: &str) -> Option<Cow<'_, str>> {
    if !active() {
        return Some(Cow::Borrowed(text));
    }
    match KNOWN.try_read() {
        Ok(known) => Some(known.text(text)),
        Err(TryLockError::Poisoned(known)) => Some(known.into_inner().text(text)),
        Err(TryLockError::WouldBlock) => None,
    }
}

/// The same for bytes that need not be text.
pub fn bytes(bytes: &[u8]) -> Cow<'_, [u8]> {
    if active() { with(|known| known.bytes(bytes)) } else { Cow::Borrowed(bytes) }
}

/// The same for a text one owns; costs nothing where there is nothing to take out.
pub fn string(mut owned: String) -> String {
    if let Cow::Owned(scrubbed) = text(&owned) {
        owned = scrubbed;
    }
    owned
}

/// Takes known values out of strings and keys, all the way down.
pub fn json(value: &mut Value) {
    if active() {
        with(|known| known.json(value));
    }
}

/// The same for the answer of the world, which says of itself whether its texts were cut off: a part of a value may stand
/// at their end.
pub fn answer(mut value: Value) -> Value {
    if !active() {
        return value;
    }
    if let Some(fields) =
        value.as_object_mut().filter(|fields| fields.get("truncated") == Some(&Value::Bool(true)))
    {
        for field in fields.values_mut() {
            if let Value::String(text) = field {
                *text = with(|known| known.cut(text).into_owned());
            }
        }
    }
    document(value)
}

/// The same for a document one owns.
pub fn document(mut value: Value) -> Value {
    json(&mut value);
    value
}

/// Where the first known value stands in a text, from 0 in bytes, and what would take its place.
pub fn first(text: &str) -> Option<(usize, String)> {
    if active() { with(|known| known.first(text).map(|(at, words)| (at, words.to_owned()))) } else { None }
}

/// A writer that passes on what is written without known values, also where one is split over several writes. What may be
/// the beginning of one is held back until more comes or the writer is dropped.
pub fn writer<W: Write>(to: W) -> impl Write {
    stream::Writer::new(to)
}
