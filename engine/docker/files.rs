//! Secrets for a container that was made and never started: in its environment, and as files that the daemon takes as a
//! tar archive. Both lie in the daemon's own directory for as long as the container exists, as Docker keeps them.

use std::fmt::Write as _;
use std::sync::Arc;

use bollard::Docker;
use bollard::models::ContainerInspectResponse;
use bollard::query_parameters::{DownloadFromContainerOptionsBuilder, UploadToContainerOptionsBuilder};
use futures_util::StreamExt as _;

use crate::daemon::{Daemon, read};
use crate::error::Error;
use crate::types::Container;
use words::container_text::check_file;
use words::secret::SecretValue;

/// The size of a block of a tar archive, bytes.
const BLOCK: usize = 512;
/// Readable by its owner alone.
const MODE: u32 = 0o400;
/// How much of `/etc/passwd` is read, bytes.
const MAX_PASSWD_BYTES: usize = 1 << 20;

/// What a new container is given besides its spec. No `Debug`: it holds plain values.
#[derive(Default)]
pub struct NewSecrets {
    /// Environment variables by name.
    pub env: Vec<(String, Arc<SecretValue>)>,
    /// Files by absolute path.
    pub files: Vec<(String, Arc<SecretValue>)>,
}

impl NewSecrets {
    /// As Docker wants an environment.
    pub(crate) fn variables(&self) -> impl Iterator<Item = String> {
        self.env.iter().map(|(name, value)| format!("{name}={}", value.expose()))
    }
}

impl Daemon {
    /// Puts files into a container that was never started. Again is as good as once.
    pub async fn put_files(
        &self,
        made: &Container,
        files: &[(String, Arc<SecretValue>)],
    ) -> Result<(), Error> {
        if files.is_empty() {
            return Ok(());
        }
        let raw = self.raw(&made.id).await?;
        for (path, _) in files {
            check_file(path).map_err(|unfit| Error::invalid("containers.secret-file", unfit.message))?;
            if let Some(mount) = mount_over(&raw, path) {
                let message = format!(
                    "`{path}` lies in `{mount}`, which is mounted when the container starts: choose a path outside of it"
                );
                return Err(Error::invalid("containers.secret-file", message));
            }
        }
        let user = raw.config.as_ref().and_then(|config| config.user.clone()).unwrap_or_default();
        let owner = self.owner(&made.id, &user).await?;
        let mut archive = Vec::new();
        for (path, value) in files {
            entry(&mut archive, path, value.expose().as_bytes(), owner);
        }
        archive.resize(archive.len() + 2 * BLOCK, 0);
        let archive = hyper::body::Bytes::from(archive);
        let put = async |docker: Docker| {
            let options = UploadToContainerOptionsBuilder::default().path("/").build();
            docker.upload_to_container(&made.id, Some(options), bollard::body_full(archive.clone())).await
        };
        // Nothing runs there yet: asked for again if the answer is lost.
        self.ask(read("put files into container", &made.name), put).await
    }

    /// The number of the user that a container runs as: `1000`, `1000:1000`, `postgres`, or nothing for root.
    async fn owner(&self, id: &str, user: &str) -> Result<u32, Error> {
        let name = user.split(':').next().unwrap_or_default();
        if name.is_empty() {
            return Ok(0);
        }
        if let Ok(number) = name.parse() {
            return Ok(number);
        }
        let get = async |docker: Docker| {
            let options = DownloadFromContainerOptionsBuilder::default().path("/etc/passwd").build();
            let mut pieces = Box::pin(docker.download_from_container(id, Some(options)));
            let mut whole = Vec::new();
            while let Some(piece) = pieces.next().await {
                whole.extend_from_slice(&piece?);
                if whole.len() > MAX_PASSWD_BYTES {
                    break;
                }
            }
            Ok(whole)
        };
        let archive = self.ask(read("read users of container", id), get).await?;
        number_of(name, &archive).ok_or_else(|| {
            let shown = name.escape_debug();
            Error::conflict(
                "containers.user",
                format!("the container runs as `{shown}`, which is not in its `/etc/passwd`: nobody could own the file"),
            )
        })
    }
}

/// What is mounted over a path when the container starts.
fn mount_over(raw: &ContainerInspectResponse, path: &str) -> Option<String> {
    let mounts = raw.mounts.iter().flatten().filter_map(|mount| mount.destination.clone());
    let host = raw.host_config.as_ref();
    let temporary = host.and_then(|host| host.tmpfs.as_ref()).into_iter().flat_map(|map| map.keys().cloned());
    mounts.chain(temporary).find(|mount| {
        let mount = mount.trim_end_matches('/');
        path.strip_prefix(mount).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
    })
}

/// The number of a user in an archive of `/etc/passwd`.
fn number_of(name: &str, archive: &[u8]) -> Option<u32> {
    let size = std::str::from_utf8(archive.get(124..135)?).ok()?;
    let size = usize::from_str_radix(size.trim_matches(['\0', ' ']), 8).ok()?;
    let text = String::from_utf8_lossy(archive.get(BLOCK..BLOCK.checked_add(size)?)?).into_owned();
    text.lines().find_map(|line| {
        let mut fields = line.split(':');
        if fields.next() != Some(name) {
            return None;
        }
        fields.nth(1)?.parse().ok()
    })
}

/// One file of an archive (POSIX ustar); whole blocks.
fn entry(archive: &mut Vec<u8>, path: &str, content: &[u8], owner: u32) {
    let mut header = [0_u8; BLOCK];
    let mut put = |at: usize, text: &str| header[at..at + text.len()].copy_from_slice(text.as_bytes());
    put(0, path.trim_start_matches('/'));
    put(100, &format!("{MODE:07o}"));
    put(108, &format!("{owner:07o}"));
    put(116, &format!("{:07o}", 0));
    put(124, &format!("{:011o}", content.len()));
    put(136, &format!("{:011o}", 0));
    // The sum is taken with blanks in its own place.
    put(148, "        ");
    put(156, "0");
    put(257, "ustar\u{0}00");
    let mut sum = String::new();
    let _ = write!(sum, "{:06o}\0 ", header.iter().map(|byte| u32::from(*byte)).sum::<u32>());
    header[148..156].copy_from_slice(sum.as_bytes());
    archive.extend_from_slice(&header);
    archive.extend_from_slice(content);
    archive.resize(archive.len().next_multiple_of(BLOCK), 0);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_archive_is_read_back() {
        let mut archive = Vec::new();
        let passwd = "root:x:0:0:root:/root:/bin/sh\npostgres:x:70:70::/var/lib/postgresql:/bin/sh\n";
        entry(&mut archive, "/etc/passwd", passwd.as_bytes(), 70);
        assert_eq!(archive.len() % BLOCK, 0);
        assert_eq!(number_of("postgres", &archive), Some(70));
        assert_eq!(number_of("nobody", &archive), None);
        assert_eq!(&archive[..11], b"etc/passwd\0");
        assert_eq!((&archive[100..107], &archive[108..115]), (&b"0000400"[..], &b"0000106"[..]));
        assert_eq!(number_of("root", b"short"), None);
    }

    #[test]
    fn what_is_mounted_over_a_file() {
        let raw: ContainerInspectResponse = serde_json::from_value(serde_json::json!({
            "Mounts": [{ "Destination": "/data" }], "HostConfig": { "Tmpfs": { "/run/": "" } },
        }))
        .unwrap();
        for (path, over) in [("/data/x", true), ("/data", true), ("/database/x", false), ("/run/x", true)] {
            assert_eq!(mount_over(&raw, path).is_some(), over, "{path}");
        }
    }
}
