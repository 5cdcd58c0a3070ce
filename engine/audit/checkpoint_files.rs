//! Checkpoints written beside the log at each run's end, for whoever wants to carry them elsewhere.
//!
//! Best effort: the log holds the newest one itself, and a full disk must not keep a run from ending.

use std::path::{Path, PathBuf};

/// The directory, in the data directory.
pub const CHECKPOINT_DIR: &str = "checkpoints";

/// How many are kept; the oldest go first.
pub const MAX_CHECKPOINT_FILES: usize = 64;

pub(super) struct CheckpointFiles {
    dir: PathBuf,
}

impl CheckpointFiles {
    pub(super) fn new(data: &Path) -> Self {
        Self { dir: data.join(CHECKPOINT_DIR) }
    }

    /// Writes the note of a log of `size` entries; its name sorts by size.
    pub(super) fn write(&self, size: u64, note: &str) {
        let path = self.dir.join(format!("{size:012}.note"));
        let written = std::fs::create_dir_all(&self.dir).and_then(|()| std::fs::write(&path, note));
        if let Err(error) = written {
            tracing::warn!(%error, path = %path.display(), "cannot write a checkpoint beside the audit log");
            // Half a note is worse than none.
            let _ = std::fs::remove_file(&path);
        }
        self.prune();
    }

    /// The one of the largest log; none if none was ever written here.
    pub(super) fn newest(data: &Path) -> Option<PathBuf> {
        Self::new(data).notes().pop()
    }

    /// All of them, the oldest first.
    fn notes(&self) -> Vec<PathBuf> {
        let Ok(files) = std::fs::read_dir(&self.dir) else { return Vec::new() };
        let mut notes: Vec<PathBuf> = files
            .filter_map(|file| Some(file.ok()?.path()))
            .filter(|path| path.extension().is_some_and(|extension| extension == "note"))
            .collect();
        notes.sort();
        notes
    }

    fn prune(&self) {
        let notes = self.notes();
        let surplus = notes.len().saturating_sub(MAX_CHECKPOINT_FILES);
        for path in &notes[..surplus] {
            let _ = std::fs::remove_file(path);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_newest_are_kept_and_a_missing_directory_is_no_error() {
        let dir = tempfile::tempdir().unwrap();
        let files = CheckpointFiles::new(dir.path());
        (1..=70).for_each(|size| files.write(size, "note"));
        let mut names: Vec<_> = std::fs::read_dir(dir.path().join(CHECKPOINT_DIR))
            .unwrap()
            .map(|f| f.unwrap().file_name())
            .collect();
        names.sort();
        assert_eq!((names.len(), names[0].to_str()), (MAX_CHECKPOINT_FILES, Some("000000000007.note")));
        CheckpointFiles::new(Path::new("/proc/nowhere")).write(1, "note");
    }
}
