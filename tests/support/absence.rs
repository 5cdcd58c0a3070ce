//! A socket before the daemon's own behind which the daemon goes away for a while, beginning with the `nth` request.

use std::io::Write as _;
use std::net::Shutdown;
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use tempfile::TempDir;

use super::docker::socket;
use super::proxy::{pass_on, read_head, request};

/// How a daemon is away.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Manner {
    /// Nobody listens.
    Refuse,
    /// There is no socket.
    Gone,
    /// It hangs up.
    Cut,
    /// It does what the first request asks and hangs up instead of answering; then nobody listens.
    CutLate,
    /// It says nothing.
    Hang,
    /// It answers that it fails itself.
    Fail(u16),
    /// What it answers is no HTTP.
    Garble,
}

impl Manner {
    pub(crate) const ALL: [Self; 8] = [
        Self::Refuse,
        Self::Gone,
        Self::Cut,
        Self::CutLate,
        Self::Hang,
        Self::Fail(500),
        Self::Fail(503),
        Self::Garble,
    ];
}

/// How long a client may take to say what it wants.
const HEAD_PATIENCE: Duration = Duration::from_secs(5);

/// The socket; connections are served until the process ends.
pub(crate) struct AwayProxy {
    path: PathBuf,
    seen: Arc<AtomicUsize>,
    _folder: TempDir,
}

impl AwayProxy {
    /// Away with the `nth` request (from 1; 0: never), for so long.
    pub(crate) fn new(nth: usize, manner: Manner, lasts: Duration) -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("docker.sock");
        let listener = UnixListener::bind(&path).expect("a socket");
        let seen = Arc::new(AtomicUsize::new(0));
        let door = Door { path: path.clone(), real: socket(), nth, manner, lasts, seen: Arc::clone(&seen) };
        std::thread::spawn(move || door.serve(listener));
        Self { path, seen, _folder: folder }
    }

    /// For `DOCKER_HOST`.
    pub(crate) fn address(&self) -> String {
        format!("unix://{}", self.path.display())
    }

    /// How many requests came while the daemon was there.
    pub(crate) fn seen(&self) -> usize {
        self.seen.load(Ordering::SeqCst)
    }
}

struct Door {
    path: PathBuf,
    real: PathBuf,
    nth: usize,
    manner: Manner,
    lasts: Duration,
    seen: Arc<AtomicUsize>,
}

impl Door {
    fn serve(self, mut listener: UnixListener) {
        let mut away_until: Option<Instant> = None;
        while let Ok((mut client, _)) = listener.accept() {
            if away_until.is_some_and(|until| Instant::now() < until) {
                self.mistreat(client, away_until);
                continue;
            }
            let _ = client.set_read_timeout(Some(HEAD_PATIENCE));
            let head = read_head(&mut client).unwrap_or_default();
            let _ = client.set_read_timeout(None);
            if head.is_empty() {
                continue;
            }
            if self.seen.fetch_add(1, Ordering::SeqCst) + 1 != self.nth {
                let real = self.real.clone();
                std::thread::spawn(move || drop(forward(client, &real, &head)));
                continue;
            }
            let until = Instant::now() + self.lasts;
            away_until = Some(until);
            match self.manner {
                Manner::Refuse | Manner::Gone | Manner::CutLate => {
                    if self.manner == Manner::CutLate {
                        let _ = swallow(&self.real, &head);
                    }
                    drop(client);
                    drop(listener);
                    if self.manner == Manner::Gone {
                        let _ = std::fs::remove_file(&self.path);
                    }
                    std::thread::sleep(until.saturating_duration_since(Instant::now()));
                    let _ = std::fs::remove_file(&self.path);
                    let Ok(again) = UnixListener::bind(&self.path) else { return };
                    listener = again;
                }
                _ => self.mistreat(client, away_until),
            }
        }
    }

    fn mistreat(&self, mut client: UnixStream, until: Option<Instant>) {
        let manner = self.manner;
        std::thread::spawn(move || {
            let _ = match manner {
                Manner::Fail(code) => {
                    let _ = read_head(&mut client);
                    let words = "{\"message\":\"the daemon is not well\"}";
                    let length = words.len();
                    let head = format!("HTTP/1.1 {code} Oops\r\nContent-Type: application/json\r\n");
                    client.write_all(
                        format!("{head}Content-Length: {length}\r\nConnection: close\r\n\r\n{words}")
                            .as_bytes(),
                    )
                }
                Manner::Garble => client.write_all(b"\x16\x03\x01 this is no answer\r\n\r\n"),
                Manner::Hang => {
                    let left = until.map(|until| until.saturating_duration_since(Instant::now()));
                    std::thread::sleep(left.unwrap_or_default());
                    Ok(())
                }
                _ => Ok(()),
            };
            let _ = client.shutdown(Shutdown::Both);
        });
    }
}

/// One request, passed on, and its answer.
fn forward(mut client: UnixStream, real: &Path, head: &[u8]) -> std::io::Result<()> {
    let mut daemon = UnixStream::connect(real)?;
    daemon.write_all(request(head).as_bytes())?;
    let (mut from, mut to) = (client.try_clone()?, daemon.try_clone()?);
    std::thread::spawn(move || drop(std::io::copy(&mut from, &mut to)));
    pass_on(&mut daemon, &mut client)
}

/// One request without a body, done and not answered.
fn swallow(real: &Path, head: &[u8]) -> std::io::Result<()> {
    let mut daemon = UnixStream::connect(real)?;
    daemon.write_all(request(head).as_bytes())?;
    read_head(&mut daemon).map(drop)
}
