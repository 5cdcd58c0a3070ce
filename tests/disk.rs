//! A disk that fails under the audit log: no effect without a durable announcement, a clear end, and a start that looks
//! before it acts. Faults come from outside, by `strace`, which answers system calls of the engine with an error.

use std::fs::{File, OpenOptions};
use std::os::unix::fs::FileExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Mutex;

use serde_json::Value;

use crate::support::books::{self, HELLO, Restart};
use crate::support::engine::{BINARY, Engine};
use crate::support::proxy::{Proxy, Trap, Trick};
use crate::support::service::Service;

/// Services that are restarted at the same time.
const LANES: usize = 3;

/// A kind of fault: which calls, which error, and from which call of the writing thread on.
struct Fault {
    calls: &'static str,
    error: &'static str,
    /// `+`: this call and all after it.
    lasting: &'static str,
    from: &'static [u32],
}

const FAULTS: [Fault; 3] = [
    Fault { calls: "fsync,fdatasync", error: "EIO", lasting: "", from: &[1, 3, 4, 5, 6, 7, 8, 10, 12] },
    Fault { calls: "pwrite64", error: "ENOSPC", lasting: "+", from: &[1, 4, 20, 40, 60, 80, 100, 130] },
    Fault { calls: "pwrite64", error: "EROFS", lasting: "+", from: &[2, 30, 70, 110] },
];

#[test]
fn that_refuses_to_sync_or_to_write() {
    let cases: Vec<(&Fault, u32)> =
        FAULTS.iter().flat_map(|fault| fault.from.iter().map(move |nth| (fault, *nth))).collect();
    let next = Mutex::new(cases.into_iter());
    let cut_short = Mutex::new(0);
    std::thread::scope(|scope| {
        for _ in 0..LANES {
            scope.spawn(|| {
                let service = Service::of(1).up();
                loop {
                    let Some((fault, nth)) = next.lock().expect("no lane panics").next() else { return };
                    let stopped = play(&service, fault, nth);
                    *cut_short.lock().expect("no lane panics") += u32::from(stopped);
                }
            });
        }
    });
    let cut_short = cut_short.into_inner().expect("no lane panics");
    assert!(
        cut_short >= 10,
        "only {cut_short} runs were stopped by their faults: are these the right calls?"
    );
}

/// A restart with a fault; whether it was stopped by it. Another engine carries it on.
fn play(service: &Service, fault: &Fault, nth: u32) -> bool {
    let Fault { calls, error, lasting, .. } = fault;
    let what = format!("{error} at {calls} {nth}{lasting}");
    let engine = Engine::new();
    let book = engine.write("restart.yaml", &books::restart(&Restart::default()));
    engine.must(0, &["run", &engine.write("hello.yaml", HELLO)]);
    let mark = service.events.mark();
    let mut command = Command::new("strace");
    command.args(["-f", "-qq", "-o", "/dev/null", "-e", &format!("trace={calls}")]);
    command.args(["-e", &format!("inject={calls}:error={error}:when={nth}{lasting}")]);
    command.args([BINARY, "run", &book, "-p", &service.parameter(), "--yes"]);
    let ended = engine.begin(&mut command).wait();
    let begun = service.events.writes(mark).into_iter().filter(|(action, _)| !action.starts_with("kill"));
    let done: Vec<String> = begun.map(|(action, _)| action).collect();

    if !engine.data().join("audit.db").exists() {
        assert_eq!(done, Vec::<String>::new(), "{what}");
        return true;
    }
    let announced = announced(&engine);
    for action in &done {
        assert!(announced.contains(action), "{what}: {done:?} done, {announced:?} announced: {ended:?}");
    }
    let stopped = ended.code != 0;
    if stopped {
        assert!(matches!(ended.code, 4 | 5), "{what}: {ended:?}");
        ended.says(&["error: ", "hint: "]);
    }
    engine.must(0, &["audit", "verify"]);
    if engine.last()["runbook"] == "hello" {
        assert_eq!(done, Vec::<String>::new(), "{what}: it was never accepted");
        return stopped;
    }
    engine.must(0, &["runs", "resume", "--yes"]);
    assert_eq!(engine.status(), "succeeded", "{what}");
    let once = [(service.replica(1), 1)].into_iter().collect();
    assert_eq!(service.events.count(mark, "start"), once, "{what}");
    assert_eq!(service.events.count(mark, "stop"), once, "{what}");
    stopped
}

/// `stop`, `start`: what the log says was going to be done.
fn announced(engine: &Engine) -> Vec<String> {
    let tail = ["audit", "tail", "-n", "10000", "--kind", "call.intended", "--output", "json"];
    let lines = engine.must(0, &tail).stdout;
    let functions = lines.lines().map(|line| serde_json::from_str::<Value>(line).expect("an entry"));
    functions
        .filter_map(|entry| {
            entry["data"]["function"].as_str()?.strip_prefix("containers.").map(str::to_owned)
        })
        .collect()
}

/// A service whose engine was killed between the announcement of a start and the start, and its log.
struct Killed {
    service: Service,
    engine: Engine,
    mark: usize,
}

impl Killed {
    fn new() -> Self {
        let service = Service::of(1).up();
        let mut engine = Engine::new();
        engine.must(0, &["run", &engine.write("hello.yaml", HELLO)]);
        let book = engine.write("restart.yaml", &books::restart(&Restart::default()));
        let proxy = Proxy::with(Trap { words: "/start", nth: 1, trick: Trick::Lose });
        engine.set("DOCKER_HOST", proxy.address());
        let run = engine.spawn(&["run", &book, "-p", &service.parameter(), "--yes"]);
        proxy.wait();
        run.kill();
        engine.set("DOCKER_HOST", "");
        let mark = service.events.mark();
        Self { service, engine, mark }
    }

    /// Resumes on a copy of the data directory after `change`. Whether it acted, and then all was well; else it said so.
    fn acts_after(&self, what: &str, change: impl FnOnce(&Path)) -> bool {
        let copy = self.engine.path("copy");
        let _ = std::fs::remove_dir_all(&copy);
        let copied = Command::new("cp").arg("-a").arg(self.engine.data()).arg(&copy).status().expect("cp");
        assert!(copied.success());
        change(&copy);
        let path = copy.to_string_lossy().into_owned();
        let ended = self.engine.run(&["runs", "resume", "--yes", "--data-dir", &path]);
        let writes = self.service.events.writes(self.mark);
        if ended.code == 0 {
            let started = vec![("start".to_owned(), self.service.replica(1))];
            assert_eq!(writes, started, "{what}: {ended:?}");
            return true;
        }
        assert_eq!(ended.code, 5, "{what}: {ended:?}");
        ended.says(&["error: ", "hint: ", "--emergency"]);
        assert_eq!(writes, [], "{what}");
        false
    }
}

fn beside(dir: &Path, file: &str) -> PathBuf {
    dir.join(file)
}

#[test]
fn that_lost_the_wal_or_was_given_an_older_copy() {
    let killed = Killed::new();
    assert!(!killed.acts_after("no WAL", |dir| {
        std::fs::remove_file(beside(dir, "audit.db-wal")).expect("a WAL");
        let _ = std::fs::remove_file(beside(dir, "audit.db-shm"));
    }));
    assert!(!killed.acts_after("half a WAL", |dir| {
        let wal = OpenOptions::new().write(true).open(beside(dir, "audit.db-wal")).expect("a WAL");
        wal.set_len(wal.metadata().expect("its size").len() / 2).expect("cut");
    }));
    let other = Engine::new();
    other.must(0, &["run", &other.write("hello.yaml", HELLO)]);
    assert!(!killed.acts_after("another log", |dir| {
        for file in ["audit.db-wal", "audit.db-shm"] {
            let _ = std::fs::remove_file(beside(dir, file));
        }
        std::fs::copy(beside(other.data(), "audit.db"), beside(dir, "audit.db")).expect("copied");
    }));
    assert!(killed.acts_after("nothing", |_| {}), "as it was left it can be carried on");
}

/// How many places of a file are damaged, one at a time.
const PLACES: usize = 10;

/// Damages the file at such places; at least so many damages are in the way, the others in what is not needed.
fn damaged(file: &str, places: fn(&Path, &str) -> Vec<u64>, least: usize) {
    let mut killed = Killed::new();
    let mut refused = 0;
    for number in 0..PLACES {
        let run = killed.engine.last()["run"].as_str().expect("a run").to_owned();
        let what = format!("damage {number} of `{file}`");
        let damage = |dir: &Path| {
            let path = beside(dir, file);
            let places = places(&path, &run);
            let place = places[number * places.len() / PLACES];
            let file = OpenOptions::new().write(true).open(path).expect("a file");
            file.write_all_at(&[0xA5; 64], place).expect("written");
        };
        if killed.acts_after(&what, damage) {
            // The state is used up.
            killed = Killed::new();
        } else {
            refused += 1;
        }
    }
    assert!(refused >= least, "only {refused} of {PLACES} damages of `{file}` were in the way");
}

/// Wherever the database tells of the run, all of the WAL moved to it.
fn told_of(database: &Path, run: &str) -> Vec<u64> {
    let moved = Command::new("sqlite3").arg(database).arg("PRAGMA wal_checkpoint(TRUNCATE)").output();
    assert!(moved.expect("sqlite3").status.success());
    let bytes = std::fs::read(database).expect("the database");
    let found = bytes.windows(run.len()).enumerate().filter(|(_, window)| *window == run.as_bytes());
    found.map(|(at, _)| at as u64).collect()
}

fn all_over(file: &Path, _: &str) -> Vec<u64> {
    let size = File::open(file).and_then(|file| file.metadata()).expect("its size").len();
    (0..PLACES as u64).map(|number| size * number / PLACES as u64 + 8).collect()
}

#[test]
fn whose_database_is_damaged() {
    damaged("audit.db", told_of, 5);
}

#[test]
fn whose_wal_is_damaged() {
    damaged("audit.db-wal", all_over, 5);
}
