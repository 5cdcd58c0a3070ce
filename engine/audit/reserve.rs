//! A file that is given up when the disk is full, so that the end can still be told.

use std::fs::{File, OpenOptions};
use std::io::Write as _;
use std::path::{Path, PathBuf};

use rustix::fs::FallocateFlags;

use words::own_file;

/// The file, in the data directory.
pub const RESERVE_FILE: &str = "reserve";

/// Its size, in bytes: room for some two hundred commits of one entry.
pub const RESERVE_BYTES: u64 = 1024 * 1024;

/// The reserve; spent at most once between two openings of the log.
pub(super) struct Reserve {
    path: PathBuf,
    held: bool,
}

impl Reserve {
    /// Makes the file if it is missing and there is room. Without room the log still opens: an engine that cannot put
    /// something by must yet be able to say so.
    pub(super) fn hold(dir: &Path) -> Self {
        let path = dir.join(RESERVE_FILE);
        let there =
            std::fs::symlink_metadata(&path).is_ok_and(|file| file.is_file() && file.len() >= RESERVE_BYTES);
        let held = there || make(&path).is_ok();
        if !held {
            let _ = std::fs::remove_file(&path);
        }
        Self { path, held }
    }

    /// Deletes the file of a log that is not open yet. True if that may have made room.
    pub(super) fn release(dir: &Path) -> bool {
        std::fs::remove_file(dir.join(RESERVE_FILE)).is_ok()
    }

    pub(super) fn held(&self) -> bool {
        self.held
    }

    /// Deletes the file. True if that may have made room.
    pub(super) fn give_up(&mut self) -> bool {
        std::mem::take(&mut self.held) && std::fs::remove_file(&self.path).is_ok()
    }
}

fn make(path: &Path) -> std::io::Result<()> {
    let mut file = own_file::open_with(path, OpenOptions::new().write(true).create(true).truncate(true))?;
    // Allocating is quick, but not every file system can.
    match rustix::fs::fallocate(&file, FallocateFlags::empty(), 0, RESERVE_BYTES) {
        Ok(()) => Ok(()),
        Err(rustix::io::Errno::OPNOTSUPP) => fill(&mut file),
        Err(error) => Err(error.into()),
    }
}

fn fill(file: &mut File) -> std::io::Result<()> {
    let zeros = [0; 8 * 1024];
    for _ in 0..RESERVE_BYTES / zeros.len() as u64 {
        file.write_all(&zeros)?;
    }
    file.sync_data()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_made_given_up_once_and_made_again() {
        let dir = tempfile::tempdir().unwrap();
        let mut reserve = Reserve::hold(dir.path());
        let file = dir.path().join(RESERVE_FILE);
        assert!(reserve.held() && file.exists());
        assert!(reserve.give_up() && !file.exists());
        assert!(!reserve.give_up() && !reserve.held());
        assert!(Reserve::hold(dir.path()).held() && file.exists());
    }
}
