//! Acting when the data directory cannot be used: it is full, damaged, or its engine hangs. The old engine is fenced, and
//! a separate, signed segment of the audit log is kept elsewhere until it is joined to the main one.
//!
//! The fence is a file that is only ever renamed, since that works on a full disk: every engine looks at it between an
//! announcement and its effect. An engine that does not answer might be between that look and the effect, so it is killed.

use std::fs;
use std::io::Write as _;
use std::os::unix::fs::DirBuilderExt as _;
use std::path::{Path, PathBuf};

use rustix::process::{Pid, Signal, kill_process};

use super::lock_file;
use crate::clock;
use crate::model::ids::Digest;

/// Stands ready in every data directory.
const READY: &str = "fence.open";
/// Its name while the engine of the directory must not act.
const CLOSED: &str = "fence.closed";
/// What a segment needs at least, bytes.
pub const SEGMENT_BYTES: u64 = 4 << 20;

/// An emergency that was begun.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Emergency {
    /// The data directory of the segment.
    pub segment: PathBuf,
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
        let _ = fs::File::create(data_dir.join(READY));
    }
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
    let segment = place(data_dir, temporary)?;
    let fenced = fs::rename(data_dir.join(READY), data_dir.join(CLOSED)).is_ok()
        || is_closed(data_dir)
        || fs::File::create(data_dir.join(CLOSED)).is_ok();
    let held = matches!(lock_file::try_lock(data_dir), Ok(None));
    let killed = match lock_file::holder(data_dir).filter(|_| held) {
        Some(pid) if !answers || !fenced => {
            kill(pid).map_err(|why| Error::NotFenced { pid, why })?;
            Some(pid)
        }
        _ => None,
    };
    Ok(Emergency { segment, fenced, killed })
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

/// Segments of this data directory that were not joined yet.
pub fn segments(data_dir: &Path, temporary: &[PathBuf]) -> Vec<PathBuf> {
    let mut found: Vec<PathBuf> = roots(data_dir, temporary)
        .iter()
        .filter_map(|root| fs::read_dir(root).ok())
        .flatten()
        .filter_map(Result::ok)
        .map(|entry| entry.path())
        .filter(|path| path.join(crate::audit::DATABASE_FILE).exists())
        .collect();
    found.sort();
    found
}

/// Where segments may be: in the directory itself, then on file systems that are not its own.
fn roots(data_dir: &Path, temporary: &[PathBuf]) -> Vec<PathBuf> {
    let whole = fs::canonicalize(data_dir).unwrap_or_else(|_| data_dir.to_owned());
    let name = format!("runbook-emergency-{}", Digest::of(whole.as_os_str().as_encoded_bytes()).short());
    std::iter::once(data_dir.join("emergency")).chain(temporary.iter().map(|dir| dir.join(&name))).collect()
}

fn place(data_dir: &Path, temporary: &[PathBuf]) -> Result<PathBuf, Error> {
    let roots = roots(data_dir, temporary);
    let segment = format!("{}-{}", clock::now_ms(), std::process::id());
    let found = roots.iter().map(|root| root.join(&segment)).find(|dir| has_room(dir));
    found.ok_or_else(|| {
        let tried: Vec<_> = roots.iter().map(|root| format!("`{}`", root.display())).collect();
        Error::NoRoom(tried.join(", "))
    })
}

/// Whether the directory can be made and take [`SEGMENT_BYTES`]: tried, not asked, since quotas and reserves lie.
fn has_room(dir: &Path) -> bool {
    let tried = (|| {
        fs::DirBuilder::new().recursive(true).mode(0o700).create(dir)?;
        let probe = dir.join("probe");
        let mut file = fs::File::create(&probe)?;
        let block = vec![1_u8; 64 << 10];
        for _ in 0..SEGMENT_BYTES / (64 << 10) {
            file.write_all(&block)?;
        }
        file.sync_all()?;
        fs::remove_file(&probe)
    })();
    if tried.is_err() {
        let _ = fs::remove_dir_all(dir);
    }
    tried.is_ok()
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
