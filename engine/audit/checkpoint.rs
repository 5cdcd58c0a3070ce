//! A checkpoint: the size and the root of the log, signed (c2sp.org/tlog-checkpoint in a c2sp.org/signed-note).
//!
//! Knows nothing of where it is kept.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;

use super::key::{SignerKey, VerifierKey};
use super::note::{self, InvalidNote};
use super::tree::Hash;

/// No checkpoint is longer, in bytes; ours have about 250, witnesses add a line each.
pub const MAX_CHECKPOINT_BYTES: usize = 64 * 1024;

/// What a signed note says about the log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Checkpoint {
    /// Whose log it is; the name of the key.
    pub origin: String,
    /// How many entries.
    pub size: u64,
    /// The root of the tree over them.
    pub root: Hash,
}

impl Checkpoint {
    /// The signed note: origin, size, root, an empty line, the signature.
    pub(super) fn sign(&self, key: &SignerKey) -> String {
        note::sign(&self.text(), key)
    }

    /// What the note says, after checking that `key` signed it. Signatures of others, such as witnesses, are passed over.
    pub fn open(note: &str, key: &VerifierKey) -> Result<Self, InvalidNote> {
        let (text, signatures) = note::split(note)?;
        let checkpoint = Self::parse(text)?;
        if checkpoint.origin != key.name() {
            return Err(InvalidNote::OtherLog { found: checkpoint.origin, expected: key.name().to_owned() });
        }
        note::verify(text, signatures, key)?;
        Ok(checkpoint)
    }

    fn text(&self) -> String {
        format!("{}\n{}\n{}\n", self.origin, self.size, BASE64.encode(self.root))
    }

    /// Reads the text before the signatures; lines after the third are extensions and are ignored.
    fn parse(text: &str) -> Result<Self, InvalidNote> {
        let mut lines = text.split('\n');
        let mut next = || lines.next().filter(|line| !line.is_empty());
        let (Some(origin), Some(size), Some(root)) = (next(), next(), next()) else {
            return Err(InvalidNote::Malformed("it has less than three lines"));
        };
        let digits = size.bytes().all(|b| b.is_ascii_digit()) && (size == "0" || !size.starts_with('0'));
        let size =
            size.parse().ok().filter(|_| digits).ok_or(InvalidNote::Malformed("the size is not a number"))?;
        let root = BASE64
            .decode(root)
            .ok()
            .and_then(|bytes| Hash::try_from(bytes).ok())
            .ok_or(InvalidNote::Malformed("the root is not 32 bytes in base64"))?;
        Ok(Self { origin: origin.to_owned(), size, root })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_note_opens_only_with_its_key_and_text() {
        let key = SignerKey::generate().unwrap();
        let checkpoint = Checkpoint { origin: key.public().name().to_owned(), size: 7, root: [9; 32] };
        let note = checkpoint.sign(&key);
        assert_eq!(Checkpoint::open(&note, key.public()), Ok(checkpoint));
        let forged = note.replace("\n7\n", "\n6\n");
        assert!(matches!(Checkpoint::open(&forged, key.public()), Err(InvalidNote::BadSignature(_))));
        let other = SignerKey::generate().unwrap();
        assert!(matches!(Checkpoint::open(&note, other.public()), Err(InvalidNote::OtherLog { .. })));
        let cut: String = note.split_inclusive('\n').take(4).collect();
        assert!(matches!(Checkpoint::open(&cut, key.public()), Err(InvalidNote::Unsigned(_))));
        assert!(matches!(Checkpoint::open("rubbish", key.public()), Err(InvalidNote::Malformed(_))));
    }
}
