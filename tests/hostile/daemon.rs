//! Daemons that never stop answering, or answer what nobody could hold: only what was asked of them fails, in bounded time
//! and memory.

use std::io::{Read as _, Write as _};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::PathBuf;
use std::time::{Duration, Instant};

use tempfile::TempDir;

use crate::support::books::HELLO;
use crate::support::engine::{Engine, signal, until_idle};
use crate::support::memory::high_water_kib;

/// How much an engine may grow by what daemons answer, KiB. Seen: 39 MiB on a quiet machine, 71 on a busy one, where more
/// threads of the allocator have a hand in it. Without the limits it is gigabytes within seconds.
const MAX_GROWTH_KIB: u64 = 128 << 10;
/// A question has 30 s, is asked three times if the answer comes damaged, and once more while patience with the daemon lasts.
const MAX_TIME: Duration = Duration::from_secs(170);

/// A container as the daemon lists it, and as it inspects it.
const ID: &str = "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa";

/// What a daemon does when it is asked for the words in the first line of a request.
#[derive(Clone, Copy)]
struct Trick {
    name: &'static str,
    words: &'static str,
    head: &'static str,
    /// Once.
    begins: &'static [u8],
    /// Again and again, without end.
    goes_on: &'static [u8],
    /// Between two times.
    pause: Duration,
    /// What the command says.
    says: &'static str,
}

const PLAIN: &str = "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n\r\n";
const CHUNKED: &str = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n";
const UNREADABLE: &str = "was cut or unreadable";
const LIST: &str = "/containers/json";
const ENDLESS: Trick = Trick {
    name: "text",
    words: LIST,
    head: PLAIN,
    begins: b"[{\"Id\":\"",
    goes_on: &[b'x'; 8192],
    pause: Duration::ZERO,
    says: "more than 8 MiB",
};

/// What the list of containers meets.
fn tricks() -> Vec<Trick> {
    vec![
        ENDLESS,
        Trick { name: "maps", begins: b"[{}", goes_on: b",{}", says: "more than 50000 maps", ..ENDLESS },
        Trick {
            name: "values",
            begins: b"[{\"Names\":[\"\"",
            goes_on: b",\"\"",
            says: "more than 250000 values",
            ..ENDLESS
        },
        Trick { name: "blanks", begins: b"[", goes_on: &[b' '; 8192], ..ENDLESS },
        Trick {
            name: "chunks",
            head: CHUNKED,
            begins: b"",
            goes_on: b"1\r\n[\r\n",
            says: "more than 250000 values",
            ..ENDLESS
        },
        Trick { name: "deep", begins: b"[", goes_on: b"[", says: "more than 250000 values", ..ENDLESS },
        Trick {
            name: "length",
            head: "HTTP/1.1 200 OK\r\nContent-Length: 99999999999999\r\n\r\n",
            ..ENDLESS
        },
        Trick { name: "header", head: "HTTP/1.1 200 OK\r\nX-A: ", begins: b"", says: UNREADABLE, ..ENDLESS },
        Trick {
            name: "headers",
            head: "HTTP/1.1 200 OK\r\n",
            begins: b"",
            goes_on: b"X-A: b\r\n",
            says: UNREADABLE,
            ..ENDLESS
        },
        Trick {
            name: "hints",
            head: "",
            begins: b"",
            goes_on: b"HTTP/1.1 103 Early Hints\r\n\r\n",
            ..ENDLESS
        },
        Trick { name: "error", head: "HTTP/1.1 500 No\r\n\r\n", begins: b"{\"message\":\"", ..ENDLESS },
        Trick {
            name: "slow",
            begins: b"[",
            goes_on: b" ",
            pause: Duration::from_millis(500),
            says: "no answer within 30 s",
            ..ENDLESS
        },
    ]
}

/// What a look at one container meets.
fn streams() -> Vec<Trick> {
    vec![
        Trick {
            name: "frame",
            words: "/logs",
            head: CHUNKED,
            begins: b"8\r\n\x01\0\0\0\xff\xff\xff\xff\r\n",
            goes_on: FRAME,
            // What else it can tell is kept all the same.
            says: "succeeded",
            ..ENDLESS
        },
        Trick { name: "document", words: "/json ", says: "more than 8 MiB", ..ENDLESS },
    ]
}

const FRAME: &[u8] = b"40\r\nxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx\r\n";

/// A socket behind which everything is as usual, but for the trick.
struct Daemon {
    path: PathBuf,
    _folder: TempDir,
}

impl Daemon {
    fn with(trick: Trick) -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("docker.sock");
        let listener = UnixListener::bind(&path).expect("a socket");
        std::thread::spawn(move || {
            for client in listener.incoming().map_while(Result::ok) {
                std::thread::spawn(move || drop(serve(client, trick)));
            }
        });
        Self { path, _folder: folder }
    }
}

fn serve(mut client: UnixStream, trick: Trick) -> std::io::Result<()> {
    let mut head = Vec::new();
    let mut byte = [0];
    while !head.ends_with(b"\r\n\r\n") && client.read(&mut byte)? > 0 {
        head.push(byte[0]);
    }
    let text = String::from_utf8_lossy(&head).into_owned();
    let first = text.lines().next().unwrap_or_default();
    if first.contains(trick.words) {
        client.write_all(trick.head.as_bytes())?;
        client.write_all(trick.begins)?;
        loop {
            client.write_all(trick.goes_on)?;
            std::thread::sleep(trick.pause);
        }
    }
    let answer = if first.contains("/_ping") {
        "OK".to_owned()
    } else if first.contains("/stats") {
        "{}\n".to_owned()
    } else if first.contains("/events") {
        String::new()
    } else if first.contains(LIST) {
        format!("[{}]", LISTED.replace("ID", ID))
    } else {
        INSPECTED.replace("ID", ID)
    };
    let length = answer.len();
    write!(client, "HTTP/1.1 200 OK\r\nApi-Version: 1.41\r\nContent-Length: {length}\r\n\r\n{answer}")
}

const LISTED: &str = r#"{"Id":"ID","Names":["/odd-web-1"],"Image":"x","State":"running",
  "Labels":{"com.docker.compose.project":"odd","com.docker.compose.service":"web"}}"#;
const INSPECTED: &str = r#"{"Id":"ID","Name":"/odd-web-1","Created":"2026-01-01T00:00:00Z","Image":"sha256:x",
  "State":{"Status":"running","Running":true,"Pid":1,"StartedAt":"2026-01-01T00:00:00Z"},
  "Config":{"Image":"x","Labels":{"com.docker.compose.project":"odd","com.docker.compose.service":"web"}},
  "HostConfig":{},"NetworkSettings":{"Networks":{}}}"#;

const LOOK: &str = "format: 1
runbook: look
summary: Look at a service.
grants: { containers: { select: { service: odd/web }, actions: [read] } }
steps:
  - { id: look, uses: diagnose.collect, with: { service: odd/web } }
";

/// An engine in the background, and a configuration that names a daemon for each trick.
fn engine(tricks: &[Trick]) -> (Engine, Vec<Daemon>, u32) {
    let engine = Engine::new();
    let daemons: Vec<Daemon> = tricks.iter().map(|trick| Daemon::with(*trick)).collect();
    let targets = tricks.iter().zip(&daemons).map(|(trick, daemon)| {
        format!("[targets.{}]\nconnection = \"unix://{}\"\n", trick.name, daemon.path.display())
    });
    engine.write("runbook.toml", &targets.collect::<String>());
    engine.write("look.yaml", LOOK);
    let keeper = "format: 1\nrunbook: keep\nsummary: Keep the engine.\nsteps:\n  - { id: s, uses: core.sleep, with: { for: 30m } }\n";
    let keeper = engine.write("keep.yaml", keeper);
    engine.must(0, &["run", &keeper, "--detach"]);
    let [process] = engine.background()[..] else { panic!("one engine: {:?}", engine.background()) };
    (engine, daemons, process)
}

/// Meets all of them at once; the engine stays small and goes on.
fn meet(tricks: &[Trick]) {
    let (engine, _daemons, process) = engine(tricks);
    engine.write("hello.yaml", HELLO);
    engine.must(0, &["run", "hello.yaml"]);
    let before_kib = high_water_kib(process).expect("the engine lives");
    for trick in tricks {
        let began = Instant::now();
        let ended = engine.run(&["run", "look.yaml", "--target", trick.name]);
        let took = began.elapsed();
        let growth_kib = high_water_kib(process).expect("the engine lives").saturating_sub(before_kib);
        let words = format!("{}: {took:?}, {} MiB, {}", trick.name, growth_kib >> 10, ended.said());
        let _ = writeln!(std::io::stderr(), "a hostile daemon, {words}");
        assert_eq!(ended.code == 0, trick.says == "succeeded", "{words}");
        assert!(ended.said().contains(trick.says), "{words}");
        assert!(took < MAX_TIME, "{words}");
        assert!(growth_kib < MAX_GROWTH_KIB, "{words}");
        engine.must(0, &["run", "hello.yaml"]);
    }
    assert_eq!(engine.background(), [process], "the engine has died");
    signal(process, "TERM");
    until_idle(&engine);
}

#[test]
fn answers_without_end() {
    meet(&tricks());
}

#[test]
fn streams_without_end() {
    meet(&streams());
}
