//! The lock on a data directory: its holder is the engine. Held by the operating system for as long as the process lives.

use std::fs::{File, Metadata, OpenOptions};
use std::io::{Read as _, Seek as _, Write as _};
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;

use rustix::fs::{FlockOperation, flock};

use words::own_file;
use words::process::Process;

/// Name of the lock file in the data directory.
const FILE: &str = "engine.lock";

/// How the name of every engine's process begins. A number that another namespace of processes wrote down may be anybody's here.
const PROGRAM: &str = "runbook";

/// A lock that is held.
#[derive(Debug)]
pub struct LockFile {
    file: File,
}

impl LockFile {
    /// Whether the data directory is still the one that was locked: it, or the lock in it, may be gone or another by now.
    pub fn is_in_place(&self, data_dir: &Path) -> bool {
        let same = |own: Metadata, there: Metadata| (own.dev(), own.ino()) == (there.dev(), there.ino());
        match (self.file.metadata(), std::fs::metadata(data_dir.join(FILE))) {
            (Ok(own), Ok(there)) => same(own, there),
            (_, Err(error)) => error.kind() != std::io::ErrorKind::NotFound,
            (Err(_), _) => true,
        }
    }
}

/// Tries to become the engine of a data directory; none if another process is.
pub fn try_lock(data_dir: &Path) -> std::io::Result<Option<LockFile>> {
    let mut options = OpenOptions::new();
    options.read(true).write(true).create(true).truncate(false);
    let mut file = own_file::open_with(&data_dir.join(FILE), &mut options)?;
    match flock(&file, FlockOperation::NonBlockingLockExclusive) {
        Ok(()) => {}
        Err(rustix::io::Errno::WOULDBLOCK) => return Ok(None),
        Err(error) => return Err(error.into()),
    }
    // For people and for messages only; that a full disk refuses it does no harm.
    let _ =
        file.set_len(0).and_then(|()| file.rewind()).and_then(|()| write!(file, "{}", std::process::id()));
    Ok(Some(LockFile { file }))
}

/// Whether some process is the engine of a data directory, as far as can be told.
pub fn is_held(data_dir: &Path) -> bool {
    let Ok(file) = own_file::open(&data_dir.join(FILE)) else { return false };
    // Given up again at once; whoever tries to become the engine in this moment tries again.
    flock(&file, FlockOperation::NonBlockingLockShared) == Err(rustix::io::Errno::WOULDBLOCK)
}

/// The process that holds the lock, as far as it wrote its number down.
pub fn holder(data_dir: &Path) -> Option<u32> {
    let mut text = String::new();
    own_file::open(&data_dir.join(FILE)).ok()?.take(32).read_to_string(&mut text).ok()?;
    text.trim().parse().ok()
}

/// The process that holds the lock, if it is stopped (`SIGSTOP`, a debugger): then it does nothing until someone lets it go on.
pub fn stopped_holder(data_dir: &Path) -> Option<u32> {
    let pid = holder(data_dir).filter(|_| is_held(data_dir))?;
    Process::of(pid).is_some_and(|held| held.name.starts_with(PROGRAM) && held.is_stopped()).then_some(pid)
}
