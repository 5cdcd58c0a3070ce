//! A socket before the daemon's own that can lose a request, or hold back, cut, delay or garble an answer: the daemon did
//! it, the engine did not hear of it.

use std::io::{Read as _, Write as _};
use std::net::Shutdown;
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tempfile::TempDir;

use super::docker::socket;
use super::patience::PATIENCE;

/// What becomes of a request that is waited for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Trick {
    /// The daemon never gets it.
    Lose,
    /// The daemon does it; the answer is not passed on and the connection stays open.
    Hold,
    /// The daemon does it; the connection is cut instead of answering.
    Cut,
    /// The daemon does it; what is answered is no HTTP.
    Garble,
    /// The daemon does it; the answer comes [`DELAY`] later.
    Delay,
    /// The daemon does it and answers: only the moment after it is waited for.
    Pass,
}

/// How long [`Trick::Delay`] holds an answer.
pub(crate) const DELAY: Duration = Duration::from_secs(2);

/// The `nth` request (from 1) whose first line contains `words`; 0 for none.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Trap {
    pub(crate) words: &'static str,
    pub(crate) nth: usize,
    pub(crate) trick: Trick,
}

struct Set {
    trap: Trap,
    seen: usize,
    sprung: Sender<String>,
}

/// The socket; connections are served until the process ends.
pub(crate) struct Proxy {
    path: PathBuf,
    set: Arc<Mutex<Set>>,
    sprung: Receiver<String>,
    _folder: TempDir,
}

impl Proxy {
    pub(crate) fn with(trap: Trap) -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("docker.sock");
        let listener = UnixListener::bind(&path).expect("a socket");
        let (sender, sprung) = channel();
        let set = Arc::new(Mutex::new(Set { trap, seen: 0, sprung: sender }));
        let (real, shared) = (socket(), Arc::clone(&set));
        std::thread::spawn(move || {
            for client in listener.incoming().map_while(Result::ok) {
                let (set, real) = (Arc::clone(&shared), real.clone());
                std::thread::spawn(move || drop(serve(client, &real, &set)));
            }
        });
        Self { path, set, sprung, _folder: folder }
    }

    /// For `DOCKER_HOST`.
    pub(crate) fn address(&self) -> String {
        format!("unix://{}", self.path.display())
    }

    /// Returns once the trap has sprung and the daemon has done what it was asked to.
    pub(crate) fn wait(&self) {
        let sprung = self.sprung.recv_timeout(PATIENCE);
        assert_ne!(sprung, Err(RecvTimeoutError::Timeout), "the trap did not spring");
    }

    /// The first line of the request that sprang the trap, if it has.
    pub(crate) fn sprung(&self, patience: Duration) -> Option<String> {
        self.sprung.recv_timeout(patience).ok()
    }

    /// How many requests the trap's words have fitted so far.
    pub(crate) fn seen(&self) -> usize {
        self.set.lock().expect("no connection panics").seen
    }
}

/// One request per connection, so that each has a first line to look at.
fn serve(mut client: UnixStream, real: &Path, set: &Mutex<Set>) -> std::io::Result<()> {
    let head = read_head(&mut client)?;
    let text = String::from_utf8_lossy(&head).into_owned();
    let first = text.split("\r\n").next().unwrap_or_default();
    let (trick, sprung) = {
        let mut set = set.lock().expect("no connection panics");
        let fits = first.contains(set.trap.words);
        set.seen += usize::from(fits);
        let trick = (fits && set.seen == set.trap.nth).then_some(set.trap.trick);
        (trick, set.sprung.clone())
    };
    let tell = || drop(sprung.send(first.to_owned()));
    if trick == Some(Trick::Lose) {
        tell();
        return hold(&mut client);
    }
    let mut daemon = UnixStream::connect(real)?;
    daemon.write_all(request(&head).as_bytes())?;
    let (mut from, mut to) = (client.try_clone()?, daemon.try_clone()?);
    std::thread::spawn(move || drop(std::io::copy(&mut from, &mut to)));
    match trick {
        None | Some(Trick::Lose) => pass_on(&mut daemon, &mut client),
        Some(trick) => {
            let answer = read_head(&mut daemon)?;
            match trick {
                Trick::Hold => {
                    tell();
                    hold(&mut client)
                }
                Trick::Delay => {
                    tell();
                    std::thread::sleep(DELAY);
                    client.write_all(&answer)?;
                    pass_on(&mut daemon, &mut client)
                }
                Trick::Pass => {
                    client.write_all(&answer)?;
                    tell();
                    pass_on(&mut daemon, &mut client)
                }
                Trick::Garble => {
                    tell();
                    client.write_all(b"\x16\x03\x01 this is no answer\r\n\r\n")?;
                    client.shutdown(Shutdown::Both)
                }
                Trick::Cut | Trick::Lose => {
                    tell();
                    client.shutdown(Shutdown::Both)
                }
            }
        }
    }
}

/// The head of a request as it is passed on: one request per connection.
pub(super) fn request(head: &[u8]) -> String {
    let text = String::from_utf8_lossy(head).into_owned();
    let (first, rest) = text.split_once("\r\n").unwrap_or((&text, ""));
    // A connection that becomes a stream of its own says so itself.
    let close =
        if text.contains("Upgrade:") || text.contains("upgrade:") { "" } else { "Connection: close\r\n" };
    format!("{first}\r\n{close}{rest}")
}

pub(super) fn pass_on(daemon: &mut UnixStream, client: &mut UnixStream) -> std::io::Result<()> {
    std::io::copy(daemon, client)?;
    client.shutdown(Shutdown::Both)
}

/// Up to the empty line that ends the head.
pub(super) fn read_head(stream: &mut UnixStream) -> std::io::Result<Vec<u8>> {
    let mut head = Vec::new();
    let mut byte = [0];
    while !head.ends_with(b"\r\n\r\n") && stream.read(&mut byte)? > 0 {
        head.push(byte[0]);
    }
    Ok(head)
}

/// Says nothing until the other end is gone.
fn hold(client: &mut UnixStream) -> std::io::Result<()> {
    client.set_read_timeout(Some(Duration::from_mins(10)))?;
    let mut ignored = [0; 256];
    while client.read(&mut ignored)? > 0 {}
    Ok(())
}
