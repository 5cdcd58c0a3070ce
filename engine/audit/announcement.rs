//! How the key of a data directory announces a segment that an emergency makes elsewhere: a signed note in the segment that
//! names the segment's own key. What nobody announced could have been put there by anybody.

use std::path::Path;

use super::checkpoint::MAX_CHECKPOINT_BYTES;
use super::error::Error;
use super::key::{self, SignerKey};
use super::note;
use words::own_file;

/// The note, in the segment.
pub const ANNOUNCEMENT_FILE: &str = "announcement.note";

/// What the text of the note begins with.
const FIRST_LINE: &str = "runbook-audit-segment/1";

/// Makes the key of a new segment and has the key of `main` announce it. False if that key cannot be read: then nobody
/// vouches for the segment.
pub fn announce(main: &Path, segment: &Path) -> Result<bool, Error> {
    let Ok(Some(key)) = SignerKey::load(main) else { return Ok(false) };
    let own = SignerKey::generate()?;
    own.store(segment)?;
    let path = segment.join(ANNOUNCEMENT_FILE);
    let note = note::sign(&format!("{FIRST_LINE}\n{}\n", own.public()), &key);
    std::fs::write(&path, note).map_err(|error| Error::io("write", &path, &error))?;
    Ok(true)
}

/// Whether the key of `main` announced this segment.
pub fn announced(main: &Path, segment: &Path) -> bool {
    let own = match SignerKey::load(main) {
        Ok(Some(key)) => key.public().clone(),
        _ => match key::public_key(main) {
            Ok(key) => key,
            Err(_) => return false,
        },
    };
    let Ok(text) = own_file::read_text(&segment.join(ANNOUNCEMENT_FILE), MAX_CHECKPOINT_BYTES as u64) else {
        return false;
    };
    let Ok(named) = key::public_key(segment) else { return false };
    note::open(&text, &own) == Ok(&format!("{FIRST_LINE}\n{named}\n"))
}

#[cfg(test)]
mod tests {
    use super::super::tests::open;
    use super::*;

    #[test]
    fn only_the_key_of_the_directory_announces_only_the_key_of_the_segment() {
        let (main, segment) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        assert!(!announce(main.path(), segment.path()).unwrap(), "there is no key yet");
        drop(open(main.path()));
        assert!(announce(main.path(), segment.path()).unwrap());
        drop(open(segment.path()));
        assert!(announced(main.path(), segment.path()));

        let other = tempfile::tempdir().unwrap();
        drop(open(other.path()));
        assert!(!announced(other.path(), segment.path()), "another directory's");
        std::fs::copy(segment.path().join(ANNOUNCEMENT_FILE), other.path().join(ANNOUNCEMENT_FILE)).unwrap();
        assert!(!announced(main.path(), other.path()), "an announcement of another segment");
        std::fs::remove_file(segment.path().join(ANNOUNCEMENT_FILE)).unwrap();
        assert!(!announced(main.path(), segment.path()));
    }
}
