//! How many entries were durable, in a small file beside the log: tells of a WAL that was deleted, of a tail that is gone and
//! of an older copy put back, before anything is done on what is left.
//!
//! Written after each commit and not synced: it may tell of fewer entries than there are, never of more. It proves nothing
//! against a person, who can change it; that is what signed checkpoints are for.

use std::fs::{File, OpenOptions};
use std::os::unix::fs::FileExt as _;
use std::path::{Path, PathBuf};

use super::checkpoint::{Checkpoint, MAX_CHECKPOINT_BYTES};
use super::checkpoint_files::CheckpointFiles;
use super::error::Error;
use super::key::VerifierKey;
use super::tree::Frontier;
use words::own_file;

/// The file, in the data directory.
pub const MARK_FILE: &str = "audit.mark";

/// How long its only line is, in bytes: always the same, so that a full disk has room for it.
const LINE_BYTES: usize = 21;

/// The file, held open. Best effort: without it the log works.
pub(super) struct Mark {
    file: Option<File>,
}

impl Mark {
    pub(super) fn open(dir: &Path) -> Self {
        let mut options = OpenOptions::new();
        let file = own_file::open_with(&path(dir), options.write(true).create(true).truncate(false));
        Self { file: file.ok() }
    }

    /// So many entries are durable.
    pub(super) fn write(&self, entries: u64) {
        if let Some(file) = &self.file
            && let Err(error) = file.write_all_at(format!("{entries:020}\n").as_bytes(), 0)
        {
            tracing::warn!(%error, "cannot write down how many entries are durable");
        }
    }
}

fn path(dir: &Path) -> PathBuf {
    dir.join(MARK_FILE)
}

fn read(dir: &Path) -> Option<u64> {
    let mut line = [0; LINE_BYTES];
    own_file::open(&path(dir)).ok()?.read_exact_at(&mut line, 0).ok()?;
    std::str::from_utf8(&line).ok()?.trim_end().parse().ok()
}

/// What is known of the log without opening it. To be asked before the log is looked at: it grows meanwhile.
pub(super) struct Known {
    mark: Option<(PathBuf, u64)>,
    newest: Option<(PathBuf, String)>,
}

impl Known {
    pub(super) fn beside(dir: &Path) -> Self {
        let note = |path: PathBuf| {
            Some((path.clone(), own_file::read_text(&path, MAX_CHECKPOINT_BYTES as u64).ok()?))
        };
        Self {
            mark: read(dir).map(|known| (path(dir), known)),
            newest: CheckpointFiles::newest(dir).and_then(note),
        }
    }

    /// Refuses a log that is shorter than what was durable.
    pub(super) fn against(self, tree: &Frontier, key: &VerifierKey) -> Result<(), Error> {
        let entries = tree.size();
        let behind =
            |trace: &Path, known| Err(Error::Behind { entries, trace: trace.display().to_string(), known });
        if let Some((path, known)) = self.mark.filter(|(_, known)| *known > entries) {
            return behind(&path, known);
        }
        let Some((path, note)) = self.newest else { return Ok(()) };
        // Half a note of a full disk says nothing, and neither does one of another key.
        match Checkpoint::open(&note, key) {
            Ok(checkpoint) if checkpoint.size > entries => behind(&path, checkpoint.size),
            Ok(checkpoint) if checkpoint.size == entries && checkpoint.root != tree.root() => {
                let what = format!("its entries are not those that `{}` was signed for", path.display());
                Err(Error::damaged(what))
            }
            _ => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_keeps_its_length_and_tells_the_newest() {
        let dir = tempfile::tempdir().unwrap();
        assert_eq!(read(dir.path()), None);
        let mark = Mark::open(dir.path());
        mark.write(7);
        mark.write(u64::MAX);
        mark.write(12);
        assert_eq!(read(dir.path()), Some(12));
        assert_eq!(std::fs::metadata(path(dir.path())).unwrap().len(), LINE_BYTES as u64);
        std::fs::write(path(dir.path()), "nonsense").unwrap();
        assert_eq!(read(dir.path()), None);
        Mark::open(Path::new("/proc/nowhere")).write(1);
    }
}
