//! Files whose place anybody may have filled who may write to the folder: read and written only if they are regular files,
//! and never without an end. A link would lead elsewhere, whoever opens a pipe waits for its other end, and a device has no end.

use std::fs::{File, OpenOptions};
use std::io::{Error, ErrorKind, Read as _, Result};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;

use rustix::fs::OFlags;

/// Flags of `open`: a link is not followed, a pipe not waited for.
#[expect(clippy::cast_possible_wrap, reason = "flags are bits")]
const FLAGS: i32 = OFlags::NOFOLLOW.union(OFlags::NONBLOCK).bits() as i32;

/// Opens for reading.
pub fn open(path: &Path) -> Result<File> {
    open_with(path, OpenOptions::new().read(true))
}

/// Opens as the options say; one that is made is for its owner alone.
pub fn open_with(path: &Path, options: &mut OpenOptions) -> Result<File> {
    let file = options.mode(0o600).custom_flags(FLAGS).open(path).map_err(|error| {
        let link = error.raw_os_error() == Some(rustix::io::Errno::LOOP.raw_os_error());
        // Writing to a pipe that nobody reads, or to a socket.
        let other = error.raw_os_error() == Some(rustix::io::Errno::NXIO.raw_os_error());
        if link || other { not_regular() } else { error }
    })?;
    if file.metadata()?.is_file() { Ok(file) } else { Err(not_regular()) }
}

/// The whole of a file of at most so many bytes.
pub fn read(path: &Path, max_bytes: u64) -> Result<Vec<u8>> {
    read_whole(open(path)?, max_bytes)
}

/// The same as text.
pub fn read_text(path: &Path, max_bytes: u64) -> Result<String> {
    text(read(path, max_bytes)?)
}

/// The whole of a file that a person named, which may be anything that has an end, within this limit.
pub fn read_named(path: &Path, max_bytes: u64) -> Result<Vec<u8>> {
    read_whole(File::open(path)?, max_bytes)
}

/// The same as text.
pub fn read_named_text(path: &Path, max_bytes: u64) -> Result<String> {
    text(read_named(path, max_bytes)?)
}

fn read_whole(file: File, max_bytes: u64) -> Result<Vec<u8>> {
    let mut bytes = Vec::new();
    file.take(max_bytes + 1).read_to_end(&mut bytes)?;
    if bytes.len() as u64 > max_bytes {
        return Err(Error::new(ErrorKind::FileTooLarge, format!("it is larger than {max_bytes} bytes")));
    }
    Ok(bytes)
}

fn text(bytes: Vec<u8>) -> Result<String> {
    String::from_utf8(bytes).map_err(|_| Error::new(ErrorKind::InvalidData, "it is no UTF-8 text"))
}

fn not_regular() -> Error {
    Error::new(ErrorKind::InvalidInput, "it is not a regular file")
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use super::*;

    #[test]
    fn only_regular_files_are_opened_and_only_so_much_is_read() {
        let dir = tempfile::tempdir().unwrap();
        let [victim, link, pipe] = ["victim", "link", "pipe"].map(|name| dir.path().join(name));
        std::fs::write(&victim, "kept").unwrap();
        symlink(&victim, &link).unwrap();
        assert!(std::process::Command::new("mkfifo").arg(&pipe).status().unwrap().success());
        for path in [&link, &pipe, &dir.path().to_owned()] {
            assert!(read(path, 10).is_err(), "{}", path.display());
            let mut write = OpenOptions::new();
            assert!(open_with(path, write.write(true).create(true).truncate(true)).is_err());
        }
        assert_eq!(read_text(&victim, 4).unwrap(), "kept");
        assert_eq!(read(&victim, 3).unwrap_err().kind(), ErrorKind::FileTooLarge);
        assert_eq!(read_named(Path::new("/dev/zero"), 3).unwrap_err().kind(), ErrorKind::FileTooLarge);
        assert_eq!(read(Path::new("/does/not/exist"), 3).unwrap_err().kind(), ErrorKind::NotFound);
    }
}
