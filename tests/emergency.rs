//! What is urgent works when the data directory does not: its disk is full, or its engine hangs.

use std::fs::File;
use std::io::Write as _;
use std::path::Path;
use std::process::Command;

use crate::support::books::{self, HELLO, Restart};
use crate::support::engine::{Ended, Engine};
use crate::support::patience::until;
use crate::support::proxy::{Proxy, Trap, Trick};
use crate::support::service::Service;

/// A small file system that is gone when dropped.
struct Tmpfs<'a>(&'a Path);

impl<'a> Tmpfs<'a> {
    fn on(path: &'a Path) -> Self {
        std::fs::create_dir_all(path).expect("a folder");
        let mounted =
            Command::new("mount").args(["-t", "tmpfs", "-o", "size=64m", "none"]).arg(path).status();
        assert!(mounted.expect("mount").success(), "a tmpfs needs root");
        Self(path)
    }

    /// Until not one byte is free.
    fn fill(&self) {
        let mut file = File::create(self.0.join("filler")).expect("a file");
        let mut size = 1 << 20;
        while size > 0 {
            if file.write_all(&vec![1; size]).is_err() {
                size /= 2;
            }
        }
    }
}

impl Drop for Tmpfs<'_> {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg("--lazy").arg(self.0).status();
    }
}

/// The switch is for what runs by itself and by mistake; a person in an emergency is told of it.
#[test]
fn an_emergency_acts_while_everything_is_halted_and_says_so() {
    let engine = Engine::new();
    engine.must(0, &["halt", "on", "--reason", "storage fails over"]);
    let book = engine.write("hello.yaml", HELLO);
    let ended = engine.must(0, &["run", &book, "--emergency", "--reason", "nothing else works"]);
    ended.says(&["everything is halted (storage fails over (root))"]);
    let (_, after) = ended.stderr.split_once("this run is written down in ").expect("the segment");
    let segment = after.lines().next().expect("its place");
    let begun = engine
        .must(0, &["audit", "tail", "--data-dir", segment, "--kind", "emergency.begun", "--output", "json"]);
    begun.says(&["storage fails over"]);
}

/// Restarts in an emergency, and sees that it is written down.
fn restarts(service: &Service, engine: &Engine) -> Ended {
    let book = engine.write("restart.yaml", &books::restart(&Restart::default()));
    let mark = service.events.mark();
    let parameter = service.parameter();
    let ended = engine
        .must(0, &["run", &book, "-p", &parameter, "--yes", "--emergency", "--reason", "nothing else works"]);
    assert_eq!(service.events.count(mark, "start").values().sum::<usize>(), 1);

    let segment = until("the place of the segment", || {
        let (_, after) = ended.stderr.split_once("this run is written down in ")?;
        after.lines().next().map(str::to_owned)
    });
    engine.must(0, &["audit", "verify", &segment]);
    let tail = engine.must(0, &["audit", "tail", "--data-dir", &segment, "--lines=100"]);
    tail.says(&["emergency.begun", "nothing else works", "containers.stop", "run.finished"]);
    ended
}

#[test]
fn with_no_byte_free() {
    let service = Service::of(1).up();
    let engine = Engine::new();
    let data = engine.data().to_owned();
    let full = Tmpfs::on(&data);
    let book = engine.write("hello.yaml", HELLO);
    engine.must(0, &["run", &book]);
    full.fill();
    restarts(&service, &engine);

    std::fs::remove_file(data.join("filler")).expect("to make room");
    joins(&engine, &book);
}

/// The old directory is fenced until what happened elsewhere was taken in.
fn joins(engine: &Engine, book: &str) {
    let fenced = engine.run(&["run", book]);
    assert_eq!(fenced.code, 5, "{fenced:?}");
    fenced.says(&["fenced", "audit join"]);
    engine.must(0, &["audit", "join"]);
    engine.must(0, &["audit", "verify"]);
    engine.must(0, &["run", book]);
}

#[test]
fn with_an_engine_that_hangs() {
    let service = Service::of(1).up();
    let engine = Engine::new();
    let asks = "  - id: ask\n    uses: ask.person\n    with: { question: sure }\n";
    let book = engine.write("asks.yaml", &books::steps("read, restart", asks));
    let hangs = engine.spawn(&["run", &book, "-p", &service.parameter(), "--yes"]);
    engine.until_status("waiting");
    hangs.signal_engine("STOP");

    let usual = engine.run(&["run", &book, "-p", &service.parameter(), "--yes", "--no-wait"]);
    assert_eq!(usual.code, 5, "{usual:?}");
    usual.says(&["does not answer", "--emergency"]);

    let ended = restarts(&service, &engine);
    ended.says(&["was killed"]);
    // Whoever followed a run of that engine is told why nobody carries it on.
    let left = hangs.wait();
    assert_eq!(left.code, 5, "{left:?}");
    left.says(&["fenced", "audit join"]);
    joins(&engine, &engine.write("hello.yaml", HELLO));
}

#[test]
fn with_an_engine_that_hangs_between_stop_and_start() {
    let service = Service::of(2).up();
    let mut engine = Engine::new();
    let book = engine.write("restart.yaml", &books::restart(&Restart::default()));
    let proxy = Proxy::with(Trap { words: "/start", nth: 1, trick: Trick::Lose });
    engine.set("DOCKER_HOST", proxy.address());
    let parameter = service.parameter();
    let hangs = engine.spawn(&["run", &book, "-p", &parameter, "--yes"]);
    proxy.wait();
    hangs.signal_engine("STOP");
    engine.set("DOCKER_HOST", "");
    assert!(!service.is_running(1));
    let mark = service.events.mark();
    engine.must(0, &["run", &book, "-p", &parameter, "--yes", "--emergency", "--reason", "one is down"]);
    assert!(service.is_healthy(1) && service.is_healthy(2));
    let once = service.replicas().into_iter().map(|name| (name, 1)).collect();
    assert_eq!(service.events.count(mark, "start"), once);
    // Whoever followed a run of that engine is told why nobody carries it on.
    let left = hangs.wait();
    assert_eq!(left.code, 5, "{left:?}");
    left.says(&["fenced", "audit join"]);
}

/// One emergency run of `hello`; gives its segment.
fn emergency(engine: &Engine, book: &str) -> String {
    let ended = engine.must(0, &["run", book, "--emergency", "--reason", "nothing else works"]);
    let (_, after) = ended.stderr.split_once("this run is written down in ").expect("the segment");
    after.lines().next().expect("a line").to_owned()
}

#[test]
fn the_fence_opens_only_when_no_segment_is_left() {
    let engine = Engine::new();
    let book = engine.write("hello.yaml", HELLO);
    engine.must(0, &["run", &book]);
    let (tampered, good) = (emergency(&engine, &book), emergency(&engine, &book));
    let database = Path::new(&tampered).join("audit.db");
    let sql = "UPDATE entry SET actor = 'mallory' WHERE seq = 2";
    assert!(Command::new("sqlite3").arg(database).arg(sql).status().expect("sqlite3").success());
    let fenced = |engine: &Engine| {
        let fenced = engine.run(&["run", &book]);
        assert_eq!(fenced.code, 5, "{fenced:?}");
        fenced.says(&["fenced"]);
    };

    let other = Engine::new();
    other.must(0, &["run", &other.write("hello.yaml", HELLO)]);
    let other = other.data().to_string_lossy().into_owned();
    engine.must(3, &["audit", "join", &other]).says(&["is not a segment of", &good]);
    fenced(&engine);

    let lock = File::open(Path::new(&tampered).join("engine.lock")).expect("the lock");
    lock.lock().expect("to be its engine");
    engine.must(10, &["audit", "join", &good]).says(&["still under way", &tampered]);
    fenced(&engine);
    drop(lock);

    engine.must(0, &["audit", "join", &good]).says(&["must not act yet", &tampered]);
    fenced(&engine);
    engine.must(5, &["audit", "join"]).says(&["is not what was written", "move it elsewhere"]);
    fenced(&engine);
    std::fs::rename(&tampered, engine.path("evidence")).expect("to move it away");
    engine.must(0, &["audit", "join"]).says(&["the engine may act"]);
    engine.must(0, &["run", &book]);
    engine.must(0, &["audit", "verify"]);
}

#[test]
fn on_a_disk_that_filled_up_while_no_engine_ran() {
    let engine = Engine::new();
    let data = engine.data().to_owned();
    let full = Tmpfs::on(&data);
    let book = engine.write("hello.yaml", HELLO);
    engine.must(0, &["run", &book]);
    full.fill();
    engine.must(0, &["runs", "list"]).says(&["hello"]);
    engine.must(0, &["audit", "verify"]);
    engine.must(0, &["halt", "status"]);
    engine.must(0, &["run", &book]);
    engine.must(0, &["audit", "verify"]);
}

#[test]
fn a_reason_is_a_must() {
    let engine = Engine::new();
    let ended = engine.run(&["run", "service-restart", "-p", "service=a/b", "--yes", "--emergency"]);
    assert_eq!(ended.code, 2, "{ended:?}");
    ended.says(&["--reason"]);
}
