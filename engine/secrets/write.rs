//! Files that are whole or not there: each change of a directory is on the disk before the next one begins.

use std::fs::{DirBuilder, File, OpenOptions};
use std::io::{self, Read as _, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};

use rustix::fs::{AtFlags, CWD};

use words::fault;

use super::crypt::Plain;
use super::error::{Error, ErrorKind};

/// Of every file: for its owner alone.
pub(super) const FILE_MODE: u32 = 0o600;

/// Of every directory.
pub(super) const DIRECTORY_MODE: u32 = 0o700;

/// What a file that is not yet whole is called after its dot.
const HALF: &str = "half";

/// A directory for its owner alone; one that is there already and is looser is tightened.
pub(super) fn private_directory(path: &Path) -> Result<(), Error> {
    let make = || -> io::Result<()> {
        step()?;
        match std::fs::metadata(path) {
            Ok(found) if found.is_dir() => {
                let mut permissions = found.permissions();
                if permissions.mode() & 0o077 != 0 {
                    permissions.set_mode(DIRECTORY_MODE);
                    std::fs::set_permissions(path, permissions)?;
                }
                return Ok(());
            }
            Ok(_) => return Err(io::ErrorKind::NotADirectory.into()),
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => return Err(error),
        }
        DirBuilder::new().recursive(true).mode(DIRECTORY_MODE).create(path)?;
        path.parent().map_or(Ok(()), sync_directory)
    };
    make().map_err(|error| Error::io("make the directory", path, &error))
}

/// Writes the whole of a file beside its place and makes it durable; gives where.
pub(super) fn half(path: &Path, bytes: &[u8]) -> Result<PathBuf, Error> {
    let half = beside(path);
    let write = || -> io::Result<()> {
        // What a crash left, or somebody put there: never written into, its mode and its place may be anything.
        remove(&half);
        step()?;
        let mut file = OpenOptions::new().write(true).create_new(true).mode(FILE_MODE).open(&half)?;
        step()?;
        file.write_all(bytes)?;
        step()?;
        file.sync_all()
    };
    write().map_err(|error| {
        let told = Error::io("write", path, &error);
        remove(&half);
        told
    })?;
    Ok(half)
}

/// Puts a file that [`half`] wrote into its place, over what is there. Whether the change happened even if it is not
/// certain to last is in the error's place: `Ok(Err)`.
pub(super) fn put(half: &Path, path: &Path) -> Result<Result<(), Error>, Error> {
    step().and_then(|()| std::fs::rename(half, path)).map_err(|error| Error::io("replace", path, &error))?;
    let synced = || -> io::Result<()> {
        step()?;
        path.parent().map_or(Ok(()), sync_directory)
    };
    Ok(synced().map_err(|error| Error::io("make safe", path, &error)))
}

/// Replaces a file, or makes it.
pub(super) fn replace(path: &Path, bytes: &[u8]) -> Result<(), Error> {
    put(&half(path, bytes)?, path)?
}

/// Makes a file that must not be there yet.
pub(super) fn create(path: &Path, bytes: &[u8]) -> Result<(), Error> {
    let taken = || {
        Error::new(ErrorKind::Conflict, format!("`{}` exists already", path.display()))
            .hint("nothing that exists is overwritten: name another file, or remove it first")
    };
    if std::fs::symlink_metadata(path).is_ok() {
        return Err(taken());
    }
    let half = half(path, bytes)?;
    let linked = step()
        .and_then(|()| Ok(rustix::fs::linkat(CWD, &half, CWD, path, AtFlags::empty())?))
        .and_then(|()| path.parent().map_or(Ok(()), sync_directory));
    remove(&half);
    linked.map_err(|error| match error.kind() {
        io::ErrorKind::AlreadyExists => taken(),
        _ => Error::io("write", path, &error),
    })
}

/// Removes a file if it can be: what is left behind is taken by the next change.
pub(super) fn remove(path: &Path) {
    let removed = step().and_then(|()| std::fs::remove_file(path));
    if let Err(error) = removed
        && error.kind() != io::ErrorKind::NotFound
    {
        tracing::debug!(path = %path.display(), %error, "a file of the secrets is left behind");
    }
}

/// Where a file stands before it is whole.
fn beside(path: &Path) -> PathBuf {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    path.with_file_name(format!(".{name}.{HALF}"))
}

/// Whether a name is one of a file that is not whole.
pub(super) fn is_half(name: &str) -> bool {
    name.starts_with('.') && name.ends_with(HALF)
}

pub(super) fn sync_directory(path: &Path) -> io::Result<()> {
    let path = if path.as_os_str().is_empty() { Path::new(".") } else { path };
    File::open(path)?.sync_all()
}

/// The whole of a file of at most so many bytes; none if there is none. Zeroed when dropped.
pub(super) fn read(path: &Path, max_bytes: u64) -> Result<Option<Plain>, Error> {
    // Whoever opens a pipe waits for its other end.
    if std::fs::metadata(path).is_ok_and(|found| !found.is_file()) {
        let what = format!("`{}` is not a regular file", path.display());
        return Err(Error::new(ErrorKind::Damaged, what).hint("put the file itself there"));
    }
    let file = match File::open(path) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(Error::io("read", path, &error)),
    };
    let read = || -> io::Result<Plain> {
        let size = file.metadata()?.len().min(max_bytes);
        // One byte of room more, so that the vector need not grow to see the end.
        let room = usize::try_from(size).unwrap_or(0) + 1;
        let mut bytes = Plain::new(Vec::with_capacity(room));
        (&file).take(max_bytes + 1).read_to_end(&mut bytes)?;
        Ok(bytes)
    };
    let bytes = read().map_err(|error| Error::io("read", path, &error))?;
    if bytes.len() as u64 > max_bytes {
        let what = format!("`{}` is larger than {max_bytes} bytes", path.display());
        return Err(Error::new(ErrorKind::Damaged, what).hint("nothing that belongs here is: look at it"));
    }
    Ok(Some(bytes))
}

/// 32 hex digits that nobody can guess and nothing can be learnt from.
pub(super) fn random_id() -> Result<String, Error> {
    let mut bytes = [0; 16];
    getrandom::fill(&mut bytes)
        .map_err(|error| Error::new(ErrorKind::Io, format!("the system has no randomness: {error}")))?;
    Ok(hex(&bytes))
}

/// In lower case.
pub(super) fn hex(bytes: &[u8]) -> String {
    use std::fmt::Write as _;
    bytes.iter().fold(String::new(), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    })
}

/// Passed before each operation on a file: where a test may end the world.
fn step() -> io::Result<()> {
    let failed = fault::point("secrets.step");
    #[cfg(test)]
    let over = end_of_the_world::look();
    #[cfg(not(test))]
    let over = false;
    if failed || over { Err(io::Error::other("a test wants it so")) } else { Ok(()) }
}

/// From the n-th operation on nothing is done any more, as if the process had been killed there.
#[cfg(test)]
pub(super) mod end_of_the_world {
    use std::cell::Cell;

    thread_local! {
        static LEFT: Cell<Option<u32>> = const { Cell::new(None) };
    }

    /// Sets how many operations are still done on this thread; none: all of them.
    pub(crate) fn after(operations: Option<u32>) {
        LEFT.set(operations);
    }

    /// Whether it has come.
    pub(crate) fn came() -> bool {
        LEFT.get() == Some(0)
    }

    pub(super) fn look() -> bool {
        let left = LEFT.get();
        LEFT.set(left.map(|left| left.saturating_sub(1)));
        left == Some(0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_is_overwritten_unless_asked() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("a");
        create(&path, b"1").unwrap();
        assert_eq!(create(&path, b"2").unwrap_err().kind(), ErrorKind::Conflict);
        assert_eq!(std::fs::read(&path).unwrap(), b"1");
        replace(&path, b"3").unwrap();
        assert_eq!(std::fs::read(&path).unwrap(), b"3");
        assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o777, FILE_MODE);
        assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 1);
        assert_eq!(read(&path, 0).unwrap_err().kind(), ErrorKind::Damaged);
        assert_eq!(read(&path, 1).unwrap().unwrap().as_slice(), b"3");
    }
}
