//! A socket before the daemon's own behind which containers have the names, ids and times that an audit log made elsewhere
//! knows them by: what the engine asks for is asked of containers that are here, and what they answer is said of those.

use std::io::{Read as _, Write as _};
use std::net::Shutdown;
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use tempfile::TempDir;

use super::docker::socket;
use super::proxy::{pass_on, read_head};

/// How much of an id Docker shows where it shows only the beginning.
const SHORT_ID: usize = 12;

/// What was written down elsewhere, and what it is here.
#[derive(Default)]
pub(crate) struct Words {
    names: Vec<(String, String)>,
    times: Vec<(String, String)>,
}

impl Words {
    /// A part of names; both have one length, so that a request keeps its own.
    pub(crate) fn name(&mut self, written: &str, here: &str) {
        assert_eq!(written.len(), here.len(), "`{written}` and `{here}`");
        self.names.push((written.to_owned(), here.to_owned()));
    }

    /// An id, whole and short.
    pub(crate) fn id(&mut self, written: &str, here: &str) {
        self.name(written, here);
        self.name(&written[..SHORT_ID], &here[..SHORT_ID]);
    }

    /// A moment in a container's life, which the engine only ever reads.
    pub(crate) fn time(&mut self, written: &str, here: &str) {
        self.times.push((written.to_owned(), here.to_owned()));
    }

    /// What was written, as it is called here.
    pub(crate) fn here(&self, text: &str) -> String {
        self.names.iter().fold(text.to_owned(), |text, (written, here)| text.replace(written, here))
    }

    /// What is here, as it was written.
    pub(crate) fn written(&self, text: &str) -> String {
        let all = self.names.iter().chain(&self.times);
        all.fold(text.to_owned(), |text, (written, here)| text.replace(here, written))
    }
}

/// The socket; connections are served until the process ends.
pub(crate) struct Translator {
    path: PathBuf,
    _folder: TempDir,
}

impl Translator {
    pub(crate) fn of(words: Words) -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("docker.sock");
        let listener = UnixListener::bind(&path).expect("a socket");
        let (real, words) = (socket(), Arc::new(words));
        std::thread::spawn(move || {
            for client in listener.incoming().map_while(Result::ok) {
                let (words, real) = (Arc::clone(&words), real.clone());
                std::thread::spawn(move || drop(serve(client, &real, &words)));
            }
        });
        Self { path, _folder: folder }
    }

    /// For `DOCKER_HOST`.
    pub(crate) fn address(&self) -> String {
        format!("unix://{}", self.path.display())
    }
}

/// One request per connection.
fn serve(mut client: UnixStream, real: &Path, words: &Words) -> std::io::Result<()> {
    let head = words.here(&String::from_utf8_lossy(&read_head(&mut client)?));
    let (first, rest) = head.split_once("\r\n").unwrap_or((&head, ""));
    let mut daemon = UnixStream::connect(real)?;
    let close = if header(&head, "upgrade").is_some() { "" } else { "Connection: close\r\n" };
    daemon.write_all(format!("{first}\r\n{close}{rest}").as_bytes())?;
    if is_json(&head)
        && let Some(length) = header(&head, "content-length").and_then(|length| length.parse().ok())
    {
        let mut body = vec![0; length];
        client.read_exact(&mut body)?;
        daemon.write_all(words.here(&String::from_utf8_lossy(&body)).as_bytes())?;
    }
    let (mut from, mut to) = (client.try_clone()?, daemon.try_clone()?);
    std::thread::spawn(move || drop(std::io::copy(&mut from, &mut to)));
    let head = String::from_utf8_lossy(&read_head(&mut daemon)?).into_owned();
    if !is_json(&head) {
        client.write_all(head.as_bytes())?;
        return pass_on(&mut daemon, &mut client);
    }
    let mut body = Vec::new();
    daemon.read_to_end(&mut body)?;
    let whole = if header(&head, "transfer-encoding").is_some() { unchunked(&body) } else { body };
    let said = words.written(&String::from_utf8_lossy(&whole));
    let framing = ["content-length:", "transfer-encoding:"];
    let frames = |line: &str| framing.iter().any(|name| line.to_ascii_lowercase().starts_with(name));
    let lines: Vec<&str> = head.trim_end().lines().filter(|line| !frames(line)).collect();
    let head = format!("{}\r\nContent-Length: {}\r\n\r\n", lines.join("\r\n"), said.len());
    client.write_all(head.as_bytes())?;
    client.write_all(said.as_bytes())?;
    client.shutdown(Shutdown::Both)
}

fn header<'a>(head: &'a str, name: &str) -> Option<&'a str> {
    let mut lines = head.lines().skip(1).filter_map(|line| line.split_once(':'));
    lines.find(|(found, _)| found.eq_ignore_ascii_case(name)).map(|(_, value)| value.trim())
}

fn is_json(head: &str) -> bool {
    header(head, "content-type").is_some_and(|kind| kind.starts_with("application/json"))
}

/// A body without the lengths of its chunks.
fn unchunked(mut body: &[u8]) -> Vec<u8> {
    let mut whole = Vec::new();
    while let Some(end) = body.windows(2).position(|pair| pair == b"\r\n") {
        let length =
            std::str::from_utf8(&body[..end]).ok().and_then(|hex| usize::from_str_radix(hex, 16).ok());
        let Some(length) = length.filter(|length| *length > 0) else { break };
        whole.extend_from_slice(&body[end + 2..end + 2 + length]);
        body = &body[end + 4 + length..];
    }
    whole
}

#[test]
fn chunks_are_put_together() {
    assert_eq!(unchunked(b"4\r\n{\"a\"\r\n3\r\n:1}\r\n0\r\n\r\n"), b"{\"a\":1}");
    assert_eq!(unchunked(b""), b"");
}

#[test]
fn words_are_translated_both_ways() {
    let (written, here) = ("a".repeat(64), "b".repeat(64));
    let mut words = Words::default();
    words.id(&written, &here);
    words.time("2026-01-01T00:00:00.5Z", "2027-01-01T00:00:00.123Z");
    assert_eq!(words.here(&format!("/containers/{written}/stop")), format!("/containers/{here}/stop"));
    assert_eq!(words.written(&here[..12]), written[..12]);
    assert_eq!(words.written("2027-01-01T00:00:00.123Z"), "2026-01-01T00:00:00.5Z");
}
