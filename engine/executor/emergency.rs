//! Acting when the data directory cannot be used: it is full, damaged, or its engine hangs. The old engine is fenced, and
//! a separate, signed segment of the audit log is kept elsewhere until it is joined to the main one.
//!
//! The fence is a file that is only ever renamed, since that works on a full disk: every engine looks at it between an
//! announcement and its effect. An engine that does not answer might be between that look and the effect, so it is killed.

use std::fs;
use std::path::{Path, PathBuf};

use rustix::process::{Pid, Signal, kill_process};

use super::{lock_file, segment};
use words::own_file;

/// Stands ready in every data directory.
const READY: &str = "fence.open";
/// Its name while the engine of the directory must not act.
const CLOSED: &str = "fence.closed";

/// An emergency that was begun.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Emergency {
    /// The data directory of the segment.
    pub segment: PathBuf,
    /// Whether the key of the main directory announced it; else it is joined only if a person says so.
    pub announced: bool,
    /// Whether the fence of the main directory is closed.
    pub fenced: bool,
    /// The engine that was killed because it did not answer.
    pub killed: Option<u32>,
}

/// Why an emergency cannot be begun.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// No place for the segment.
    #[error("no directory has room for an emergency segment; tried {0}")]
    NoRoom(String),
    /// The old engine cannot be fenced.
    #[error("the engine (pid {pid}) can be neither fenced nor killed: {why}")]
    NotFenced {
        /// The engine.
        pid: u32,
        /// Why.
        why: String,
    },
}

/// Puts the fence in place when a data directory is made or opened; a full disk is no reason to fail.
pub(super) fn prepare(data_dir: &Path) {
    if !is_closed(data_dir) && !data_dir.join(READY).exists() {
        let _ = make(&data_dir.join(READY));
    }
}

fn make(fence: &Path) -> std::io::Result<fs::File> {
    own_file::open_with(fence, fs::OpenOptions::new().write(true).create(true).truncate(true))
}

/// Whether the engine of this directory must not act.
pub fn is_closed(data_dir: &Path) -> bool {
    fs::symlink_metadata(data_dir.join(CLOSED)).is_ok()
}

/// Opens the fence again, once the segment was joined.
pub fn reopen(data_dir: &Path) -> std::io::Result<()> {
    match fs::rename(data_dir.join(CLOSED), data_dir.join(READY)) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(()),
        other => other,
    }
}

/// Fences the engine of `data_dir` and finds a place for the segment. `answers`: whether that engine answers.
pub fn begin(data_dir: &Path, temporary: &[PathBuf], answers: bool) -> Result<Emergency, Error> {
    let segment = segment::place(data_dir, temporary)?;
    let announced = audit::announce(data_dir, &segment).unwrap_or_else(|error| {
        tracing::warn!(%error, "the segment cannot be announced");
        false
    });
    let fenced = fs::rename(data_dir.join(READY), data_dir.join(CLOSED)).is_ok()
        || is_closed(data_dir)
        || make(&data_dir.join(CLOSED)).is_ok();
    let held = matches!(lock_file::try_lock(data_dir), Ok(None));
    let killed = match lock_file::holder(data_dir).filter(|_| held) {
        Some(pid) if !answers || !fenced => {
            kill(pid).map_err(|why| Error::NotFenced { pid, why })?;
            Some(pid)
        }
        _ => None,
    };
    Ok(Emergency { segment, announced, fenced, killed })
}

/// Kills only what is a `runbook` and holds the lock.
fn kill(pid: u32) -> Result<(), String> {
    let own = fs::read_link("/proc/self/exe").map_err(|e| e.to_string())?;
    let named = |program: &Path| program.file_name().unwrap_or_default().to_string_lossy().into_owned();
    // The file that runs, not the name it was called by; an engine tells that to nobody but root, since its memory holds
    // secrets, and to others only the first fifteen letters of the name.
    let (name, same) = match fs::read_link(format!("/proc/{pid}/exe")) {
        Ok(program) => (named(&program), program == own),
        Err(error) if error.kind() == std::io::ErrorKind::PermissionDenied => {
            let name = fs::read_to_string(format!("/proc/{pid}/comm")).map_err(|e| e.to_string())?;
            let name = name.trim_end().to_owned();
            let same = named(&own).get(..15).unwrap_or(&named(&own)) == name;
            (name, same)
        }
        Err(error) => return Err(error.to_string()),
    };
    if !same && !name.starts_with("runbook") {
        return Err(format!("process {pid} is `{}`, not `runbook`", name.escape_debug()));
    }
    let number =
        i32::try_from(pid).ok().and_then(Pid::from_raw).ok_or_else(|| format!("{pid} is no process"))?;
    kill_process(number, Signal::KILL).map_err(|e| e.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_fence_is_closed_by_an_emergency_and_reopened() {
        let dir = tempfile::tempdir().unwrap();
        prepare(dir.path());
        assert!(!is_closed(dir.path()));
        let emergency = begin(dir.path(), &[], false).unwrap();
        assert!(emergency.fenced && emergency.killed.is_none() && is_closed(dir.path()));
        assert!(emergency.segment.starts_with(dir.path().join("emergency")));
        reopen(dir.path()).unwrap();
        assert!(!is_closed(dir.path()));
        reopen(dir.path()).unwrap();
    }

    #[test]
    fn a_place_without_room_is_passed_over() {
        let (dir, spare) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        // A file where the directory should be is as good as a full disk, also for root.
        fs::write(dir.path().join("emergency"), "").unwrap();
        let emergency = begin(dir.path(), &[spare.path().to_owned()], true).unwrap();
        assert!(emergency.segment.starts_with(spare.path()));
        assert!(matches!(begin(dir.path(), &[], true), Err(Error::NoRoom(_))));
    }
}
