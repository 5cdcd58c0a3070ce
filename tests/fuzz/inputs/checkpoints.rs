//! A verifier key, and below it the signed note that it is to open.

use audit::{Checkpoint, VerifierKey};

pub(super) fn feed(bytes: &[u8]) {
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    let (key, note) = text.split_once('\n').unwrap_or((text, ""));
    let Ok(key) = key.parse::<VerifierKey>() else { return };
    assert_eq!(key.to_string().parse(), Ok(key.clone()), "a key is written as it is read");
    match Checkpoint::open(note, &key) {
        Ok(checkpoint) => assert_eq!(checkpoint.origin, key.name()),
        Err(error) => drop(error.to_string()),
    }
}
