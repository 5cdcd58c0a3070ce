//! Daemons that mean harm: a socket that answers what it was told to.

use std::path::PathBuf;
use std::time::Duration;

use tempfile::TempDir;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::UnixListener;
use tokio::task::JoinSet;

use crate::{Connection, Daemon, Error};
use words::effect::FailureKind;

const ID: &str = "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa";
const CHUNKED: &str = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n";

/// Answers by the words in the first line of a request.
struct Hostile {
    path: PathBuf,
    _folder: TempDir,
    _serving: JoinSet<()>,
}

impl Hostile {
    fn new(words: &'static str, answer: Vec<u8>) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("docker.sock");
        let listener = UnixListener::bind(&path).unwrap();
        let mut serving = JoinSet::new();
        serving.spawn(async move {
            while let Ok((mut client, _)) = listener.accept().await {
                let mut head = Vec::new();
                while !head.ends_with(b"\r\n\r\n") {
                    let Ok(byte) = client.read_u8().await else { break };
                    head.push(byte);
                }
                let first = String::from_utf8_lossy(&head).lines().next().unwrap_or_default().to_owned();
                let answer = match first {
                    first if first.contains(words) => answer.clone(),
                    first if first.contains("/_ping") => plain("OK"),
                    _ => plain(&inspected()),
                };
                let _ = client.write_all(&answer).await;
                let _ = client.shutdown().await;
                // Closed with something unread, the connection would be reset.
                let _ = client.read_to_end(&mut Vec::new()).await;
            }
        });
        Self { path, _folder: folder, _serving: serving }
    }

    fn daemon(&self) -> Daemon {
        let address = format!("unix://{}", self.path.display());
        Daemon::connect(&Connection::parse(&address, None).unwrap()).unwrap()
    }
}

fn plain(body: &str) -> Vec<u8> {
    format!("HTTP/1.1 200 OK\r\nApi-Version: 1.41\r\nContent-Length: {}\r\n\r\n{body}", body.len())
        .into_bytes()
}

fn chunked(body: &[u8]) -> Vec<u8> {
    let mut answer = CHUNKED.as_bytes().to_vec();
    for chunk in body.chunks(32 << 10) {
        answer.extend_from_slice(format!("{:x}\r\n", chunk.len()).as_bytes());
        answer.extend_from_slice(chunk);
        answer.extend_from_slice(b"\r\n");
    }
    answer.extend_from_slice(b"0\r\n\r\n");
    answer
}

fn inspected() -> String {
    format!(
        r#"{{"Id":"{ID}","Name":"/odd","State":{{"Status":"running","Running":true}},"Config":{{}},
            "HostConfig":{{}},"NetworkSettings":{{"Networks":{{}}}},"ID":"{ID}","Running":false}}"#
    )
}

fn is_too_large(error: &Error, words: &str) {
    let failure = &error.failure;
    assert_eq!(
        (failure.kind, failure.code.as_str()),
        (FailureKind::Exhausted, "containers.answer-too-large")
    );
    assert!(failure.message.contains(words), "{failure}");
}

#[tokio::test]
async fn the_largest_answer_is_taken_and_a_larger_one_is_not() {
    let padded = |bytes: usize| format!("{}{}", inspected(), " ".repeat(bytes));
    let largest = Hostile::new("/json", plain(&padded(7 << 20)));
    assert_eq!(largest.daemon().inspect(ID).await.unwrap().id, ID);
    let larger = Hostile::new("/json", plain(&padded(8 << 20)));
    let error = larger.daemon().inspect(ID).await.unwrap_err();
    is_too_large(&error, "more than 8 MiB");
    assert!(error.certain, "a question changes nothing");
}

#[tokio::test]
async fn too_many_maps_and_values_are_not_taken() {
    let maps = Hostile::new("/containers/json", plain(&format!("[{}{{}}]", "{},".repeat(60_000))));
    is_too_large(&maps.daemon().service("odd/web").await.unwrap_err(), "50000 maps");
    let values = format!("{{\"Id\":[{}1]}}", "1,".repeat(300_000));
    let values = Hostile::new("/json", plain(&values));
    is_too_large(&values.daemon().inspect(ID).await.unwrap_err(), "250000 values");
}

#[tokio::test]
async fn deep_answers_are_unreadable() {
    let deep = format!("{{\"Config\":{}{}}}", "[".repeat(200_000), "]".repeat(200_000));
    let deep = Hostile::new("/json", plain(&deep));
    let error = deep.daemon().inspect(ID).await.unwrap_err();
    assert_eq!(error.failure.kind, FailureKind::Unavailable, "{error}");
}

#[tokio::test]
async fn a_change_whose_answer_is_too_large_is_uncertain() {
    let body = "x".repeat(9 << 20);
    let answer = format!("HTTP/1.1 500 No\r\nContent-Length: {}\r\n\r\n{body}", body.len());
    let paused = Hostile::new("/pause", answer.into_bytes());
    let error = paused.daemon().pause(ID).await.unwrap_err();
    is_too_large(&error, "more than 8 MiB");
    assert!(!error.certain, "{error}");
}

#[tokio::test]
async fn a_frame_of_4_gib_is_no_line_of_4_gib() {
    let mut body = b"\x01\0\0\0\xff\xff\xff\xff".to_vec();
    body.resize(20 << 20, b'x');
    let logs = Hostile::new("/logs", chunked(&body));
    let text = logs.daemon().logs(ID, 10, false).await.unwrap();
    assert_eq!(text.len(), (64 << 10) + 1);
}

#[tokio::test]
async fn an_event_without_end_is_cut_off() {
    let mut body = b"{\"Action\":\"".to_vec();
    body.resize(9 << 20, b'x');
    let events = Hostile::new("/events", chunked(&body));
    is_too_large(&events.daemon().events(Some(ID), 0, 1).await.unwrap_err(), "more than 8 MiB");
    let flood = br#"{"Type":"container","Action":"start","Actor":{"ID":"x","Attributes":{"a":"b"}}}"#;
    let flood = Hostile::new("/events", chunked(&[&flood[..], b"\n"].concat().repeat(5_000)));
    assert_eq!(flood.daemon().events(Some(ID), 0, 1).await.unwrap().len(), 1_000);
}

#[tokio::test]
async fn the_output_of_a_command_is_cut_off() {
    let mut answer = b"HTTP/1.1 101 UPGRADED\r\nConnection: Upgrade\r\nUpgrade: tcp\r\n\r\n".to_vec();
    answer.extend_from_slice(b"\x02\0\0\0\xff\xff\xff\xff");
    answer.resize(20 << 20, b'x');
    let exec = Hostile::new("/start", answer);
    let output = exec.daemon().exec_start(ID, None, Duration::from_mins(1)).await.unwrap();
    assert!(output.truncated);
    assert_eq!((output.stdout.len(), output.stderr.len()), (0, 1 << 20));
}
