//! A signed note (c2sp.org/signed-note): a text, an empty line, and signatures of it.
//!
//! Knows nothing of what the text says.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;

use super::key::{SignerKey, VerifierKey};

/// A note that does not say or prove anything.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum InvalidNote {
    /// Not a checkpoint at all.
    #[error("not a signed checkpoint: {0}")]
    Malformed(&'static str),
    /// Another log's.
    #[error("it is of the log `{found}`, not of `{expected}`")]
    OtherLog {
        /// The origin it names.
        found: String,
        /// The key's name.
        expected: String,
    },
    /// No signature of this key.
    #[error("it is not signed by `{0}`")]
    Unsigned(String),
    /// A signature that does not fit.
    #[error("the signature of `{0}` does not fit its text")]
    BadSignature(String),
}

/// The note over a text, which ends with a line end.
pub(super) fn sign(text: &str, key: &SignerKey) -> String {
    let signature = key.sign(text.as_bytes());
    let line = BASE64.encode([&key.public().id()[..], &signature].concat());
    format!("{text}\n\u{2014} {} {line}\n", key.public().name())
}

/// The text of a note and its signatures, nothing of which is believed yet.
pub(super) fn split(note: &str) -> Result<(&str, &str), InvalidNote> {
    let end = note.find("\n\n").ok_or(InvalidNote::Malformed("there is no empty line before signatures"))?;
    Ok((&note[..=end], &note[end + 2..]))
}

/// Checks that `key` signed the text. Signatures of others, such as witnesses, are passed over.
pub(super) fn verify(text: &str, signatures: &str, key: &VerifierKey) -> Result<(), InvalidNote> {
    for line in signatures.lines() {
        let Some((name, signature)) = line.strip_prefix("\u{2014} ").and_then(|rest| rest.split_once(' '))
        else {
            return Err(InvalidNote::Malformed("a signature line does not begin with a dash and a name"));
        };
        if name != key.name() {
            continue;
        }
        let bytes =
            BASE64.decode(signature).map_err(|_| InvalidNote::Malformed("a signature is not base64"))?;
        let Some((id, signature)) = bytes.split_first_chunk::<4>() else { continue };
        if *id != key.id() {
            continue;
        }
        return match <&[u8; 64]>::try_from(signature) {
            Ok(signature) if key.verifies(text.as_bytes(), signature) => Ok(()),
            _ => Err(InvalidNote::BadSignature(name.to_owned())),
        };
    }
    Err(InvalidNote::Unsigned(key.name().to_owned()))
}

/// The text of a note that `key` signed.
pub(super) fn open<'n>(note: &'n str, key: &VerifierKey) -> Result<&'n str, InvalidNote> {
    let (text, signatures) = split(note)?;
    verify(text, signatures, key)?;
    Ok(text)
}
