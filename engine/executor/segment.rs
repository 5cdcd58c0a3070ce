//! Where emergencies keep their segments of the audit log, and which of the folders found there are segments.
//!
//! Folders for temporary files are shared by everyone on a machine. So a segment has a name that nobody can guess, belongs
//! to us alone, stands in a folder that others cannot exchange, and is announced by the key of the data directory.

use std::fs;
use std::io::Write as _;
use std::os::unix::fs::{DirBuilderExt as _, MetadataExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};

use super::emergency::Error;
use words::ids::Digest;

/// What a segment needs at least, bytes.
pub const SEGMENT_BYTES: u64 = 4 << 20;

/// Where segments are inside of the data directory.
const INSIDE: &str = "emergency";

/// How the names of segments elsewhere begin.
const PREFIX: &str = "runbook-emergency-";

/// Only its owner may look inside.
const MODE: u32 = 0o700;

/// The bits of everyone but the owner; those with which they may write; that with which they may write only their own.
const OTHERS: u32 = 0o077;
const WRITABLE: u32 = 0o022;
const STICKY: u32 = 0o1000;

/// Segments that the key of this data directory announced.
pub fn segments(data_dir: &Path, temporary: &[PathBuf]) -> Vec<PathBuf> {
    let mut found = ours(data_dir, temporary);
    found.retain(|path| audit::announced(data_dir, path));
    found
}

/// Folders of ours that look like segments and that nobody announced: the key could not be read when they were made, or
/// version 0.1 made them.
pub fn unannounced(data_dir: &Path, temporary: &[PathBuf]) -> Vec<PathBuf> {
    let mut found = ours(data_dir, temporary);
    let whole = fs::canonicalize(data_dir).unwrap_or_else(|_| data_dir.to_owned());
    let old = format!("{PREFIX}{}", Digest::of(whole.as_os_str().as_encoded_bytes()).short());
    let owners = owners(data_dir);
    for root in temporary.iter().map(|dir| dir.join(&old)).filter(|root| is_ours(root, &owners)) {
        found.extend(logs(&root, "", &owners));
    }
    found.retain(|path| !audit::announced(data_dir, path));
    found
}

fn ours(data_dir: &Path, temporary: &[PathBuf]) -> Vec<PathBuf> {
    let owners = owners(data_dir);
    let mut found = logs(&data_dir.join(INSIDE), "", &owners);
    found.extend(temporary.iter().flat_map(|dir| logs(dir, PREFIX, &owners)));
    found.sort();
    found
}

/// Folders of ours with an audit log.
fn logs(root: &Path, prefix: &str, owners: &[u32]) -> Vec<PathBuf> {
    let Ok(entries) = fs::read_dir(root) else { return Vec::new() };
    entries
        .filter_map(Result::ok)
        .filter(|entry| entry.file_name().to_string_lossy().starts_with(prefix))
        .map(|entry| entry.path())
        .filter(|path| is_ours(path, owners) && path.join(audit::DATABASE_FILE).exists())
        .collect()
}

/// This user, and the owner of the data directory.
fn owners(data_dir: &Path) -> Vec<u32> {
    let own = rustix::process::geteuid().as_raw();
    std::iter::once(own).chain(fs::metadata(data_dir).map(|found| found.uid())).collect()
}

/// A folder of ours, nobody else's to look into, in a folder in which nobody else can put another in its place.
fn is_ours(path: &Path, owners: &[u32]) -> bool {
    let alone = fs::symlink_metadata(path)
        .is_ok_and(|found| found.is_dir() && owners.contains(&found.uid()) && found.mode() & OTHERS == 0);
    alone && path.parent().is_some_and(|parent| is_safe(parent, owners))
}

/// Whether nobody else can exchange what we make in this folder: neither it nor one above it is others' to change, but for
/// folders in which everyone can change only what is their own.
fn is_safe(folder: &Path, owners: &[u32]) -> bool {
    let Ok(whole) = fs::canonicalize(folder) else { return false };
    whole.ancestors().all(|folder| {
        fs::metadata(folder).is_ok_and(|found| {
            let owner = found.uid() == 0 || owners.contains(&found.uid()) || folder.parent().is_none();
            owner && (found.mode() & WRITABLE == 0 || found.mode() & STICKY != 0)
        })
    })
}

/// Makes a new folder for a segment: in the data directory, else where temporary files are.
pub(super) fn place(data_dir: &Path, temporary: &[PathBuf]) -> Result<PathBuf, Error> {
    let owners = owners(data_dir);
    let inside = data_dir.join(INSIDE);
    let _ = make(&inside);
    let mut tried = Vec::new();
    let inside = Some((inside.clone(), "")).filter(|_| is_ours(&inside, &owners));
    let elsewhere = temporary.iter().filter(|dir| is_safe(dir, &owners)).map(|dir| (dir.clone(), PREFIX));
    for (root, prefix) in inside.into_iter().chain(elsewhere) {
        let dir = root.join(format!("{prefix}{}", secret_name()?));
        if make(&dir).is_ok() && is_ours(&dir, &owners) && has_room(&dir) {
            return Ok(dir);
        }
        tried.push(format!("`{}`", root.display()));
    }
    Err(Error::NoRoom(if tried.is_empty() {
        "none: others can change them".to_owned()
    } else {
        tried.join(", ")
    }))
}

/// A name that nobody can guess, so that nobody can be there first.
fn secret_name() -> Result<String, Error> {
    let number = || getrandom::u64().map_err(|error| Error::NoRoom(format!("none: {error}")));
    Ok(format!("{:016x}{:016x}", number()?, number()?))
}

/// A new folder for us alone, whatever the umask is.
fn make(dir: &Path) -> std::io::Result<()> {
    fs::DirBuilder::new().mode(MODE).create(dir)?;
    fs::set_permissions(dir, fs::Permissions::from_mode(MODE))
}

/// Whether a new folder can take [`SEGMENT_BYTES`]: tried, not asked, since quotas and reserves lie.
fn has_room(dir: &Path) -> bool {
    let tried = (|| {
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
    use audit::{Audit, Options};

    fn log(dir: &Path) {
        Audit::open(dir, &Options::default()).unwrap().close().unwrap();
    }

    fn mode(path: &Path, mode: u32) {
        fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
    }

    #[test]
    fn a_segment_is_ours_alone_and_announced() {
        let (main, spare) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let temporary = [spare.path().to_owned()];
        log(main.path());
        let made = place(main.path(), &temporary).unwrap();
        assert!(made.starts_with(main.path().join("emergency")));
        assert!(audit::announce(main.path(), &made).unwrap());
        log(&made);
        let list = || segments(main.path(), &temporary);
        assert_eq!(list(), std::slice::from_ref(&made));

        let planted = spare.path().join(format!("{PREFIX}planted"));
        make(&planted).unwrap();
        log(&planted);
        assert_eq!(
            (list(), unannounced(main.path(), &temporary)),
            (vec![made.clone()], vec![planted.clone()])
        );
        for (path, wide) in [(&planted, 0o750), (&planted, 0o722), (&spare.path().to_owned(), 0o777)] {
            mode(path, wide);
            assert!(unannounced(main.path(), &temporary).is_empty(), "{wide:o}");
            mode(path, 0o700);
        }
        mode(spare.path(), 0o1777);
        assert_eq!(unannounced(main.path(), &temporary), [planted]);
        mode(&made, 0o755);
        assert!(list().is_empty());
    }

    #[test]
    fn a_folder_that_others_can_change_is_no_place() {
        let (main, spare) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        fs::write(main.path().join("emergency"), "").unwrap();
        let temporary = [spare.path().to_owned()];
        mode(spare.path(), 0o777);
        assert!(matches!(place(main.path(), &temporary), Err(Error::NoRoom(_))));
        mode(spare.path(), 0o1777);
        let made = place(main.path(), &temporary).unwrap();
        assert_eq!(fs::metadata(&made).unwrap().mode() & 0o777, MODE);
        assert!(made.file_name().unwrap().len() >= PREFIX.len() + 32);
        // A symbolic link in the place of the folder inside leads to where someone else wants it.
        fs::remove_file(main.path().join("emergency")).unwrap();
        std::os::unix::fs::symlink(spare.path(), main.path().join("emergency")).unwrap();
        assert!(place(main.path(), &temporary).unwrap().starts_with(spare.path()));
        assert!(place(main.path(), &[]).is_err());
    }
}
