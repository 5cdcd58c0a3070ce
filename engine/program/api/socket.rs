//! Where the engine's socket is, also when the path is longer than the kernel takes.

use std::fs::File;
use std::os::fd::AsRawFd as _;
use std::path::{Path, PathBuf};

/// Its name in the data directory.
const NAME: &str = "engine.sock";

/// A socket's path is at most 107 bytes (`unix(7)`).
const MAX_PATH_BYTES: usize = 107;

/// A path that can be bound and connected to as long as this lives.
#[derive(Debug)]
pub(super) struct SocketPath {
    path: PathBuf,
    _folder: Option<File>,
}

impl SocketPath {
    /// Of a data directory.
    pub(super) fn of(data_dir: &Path) -> std::io::Result<Self> {
        let path = data_dir.join(NAME);
        if path.as_os_str().len() <= MAX_PATH_BYTES {
            return Ok(Self { path, _folder: None });
        }
        let folder = File::open(data_dir)?;
        let path = PathBuf::from(format!("/proc/self/fd/{}/{NAME}", folder.as_raw_fd()));
        Ok(Self { path, _folder: Some(folder) })
    }

    /// The path.
    pub(super) fn as_path(&self) -> &Path {
        &self.path
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_long_path_can_be_bound_and_connected_to() {
        let folder = tempfile::tempdir().unwrap();
        let deep = folder.path().join("x".repeat(120));
        std::fs::create_dir(&deep).unwrap();
        let at = SocketPath::of(&deep).unwrap();
        let _listener = tokio::net::UnixListener::bind(at.as_path()).unwrap();
        assert!(deep.join(NAME).exists());
        tokio::net::UnixStream::connect(SocketPath::of(&deep).unwrap().as_path()).await.unwrap();
    }
}
