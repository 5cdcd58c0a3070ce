//! How soon an engine decides something after its process was started, with nothing and with much unfinished.

use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use audit::{Audit, EntryFilter, Options, Reader};
use executor::lock_file;

use crate::audit::draft;
use crate::figure::{Board, Goal, median, ms};
use crate::service::{ASKS, Service, runtime};
use crate::steps::scratch;

const ROUNDS: usize = 5;
const UNFINISHED: usize = 1_000;
const ENTRIES: u32 = 100_000;
const GOAL_MS: f64 = 5_000.0;
const HELLO: &str = "format: 1\nrunbook: hello\nsummary: Say hello.\nrisk: low\nsteps:\n  - { id: say, summary: Say it., uses: core.log, with: { message: hello } }\n";

/// How many entries of this kind there are after `since`.
fn decided(reader: &Reader, kind: &str, since: u64) -> usize {
    let kinds = vec![kind.to_owned()];
    let filter = EntryFilter { kinds, after_seq: since, limit: UNFINISHED + 1, ..EntryFilter::default() };
    reader.entries(&filter).unwrap().len()
}

/// From the start of a process to the entry of its first decision on a new run.
fn first_step(data: &Path, file: &Path) -> Duration {
    let reader = Reader::open(data).unwrap();
    let since = reader.last_seq().unwrap();
    let began = Instant::now();
    let mut command = Command::new(env!("CARGO_BIN_EXE_runbook"));
    command.arg("run").arg(file).arg("--yes").arg("--data-dir").arg(data);
    let mut child = command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
    while decided(&reader, "attempt.started", since) == 0 {
        std::thread::sleep(Duration::from_micros(200));
    }
    let took = began.elapsed();
    child.wait().unwrap();
    end_successor(data);
    took
}

/// A command that leaves unfinished runs behind begins an engine in the background for them.
fn end_successor(data: &Path) {
    std::thread::sleep(Duration::from_millis(500));
    if lock_file::try_lock(data).unwrap().is_some() {
        return;
    }
    let pid = lock_file::holder(data).unwrap();
    Command::new("kill").args(["-9", &pid.to_string()]).status().unwrap();
    while lock_file::try_lock(data).unwrap().is_none() {
        std::thread::sleep(Duration::from_millis(1));
    }
}

/// From the start of an engine to its first decision on an unfinished run, and to that on the last of them.
fn resumed(data: &Path) -> (Duration, Duration) {
    let reader = Reader::open(data).unwrap();
    let since = reader.last_seq().unwrap();
    let began = Instant::now();
    let service = Service::begin(data);
    let until = |count| {
        while decided(&reader, "run.resumed", since) < count {
            std::thread::sleep(Duration::from_micros(500));
        }
        began.elapsed()
    };
    let both = (until(1), until(UNFINISHED));
    drop(service);
    both
}

/// With 0 and with 1,000 unfinished runs.
pub(crate) fn up(board: &mut Board) {
    let dir = scratch();
    let (data, file) = (dir.path().join("data"), dir.path().join("hello.yaml"));
    std::fs::write(&file, HELLO).unwrap();
    // The first run compiles its plugin.
    runtime().block_on(async {
        let service = Service::begin(&data);
        service.ready().await;
        service.submit(HELLO, 1).await;
        service.calm(0).await;
    });
    let times = (0..ROUNDS).map(|_| first_step(&data, &file)).collect();
    board.figure("first decision, nothing unfinished", ms(median(times)), "ms", Goal::AtMost(GOAL_MS));
    runtime().block_on(async {
        let service = Service::begin(&data);
        service.ready().await;
        service.submit(ASKS, UNFINISHED).await;
        service.reached("waiting", UNFINISHED).await;
    });
    let (first, last): (Vec<_>, Vec<_>) = (0..ROUNDS).map(|_| resumed(&data)).unzip();
    board.figure("first decision, 1,000 runs unfinished", ms(median(first)), "ms", Goal::AtMost(GOAL_MS));
    board.figure("  all 1,000 in its hands", ms(median(last)), "ms", Goal::None);
    let times = (0..ROUNDS).map(|_| first_step(&data, &file)).collect();
    board.figure("  first decision on a new run beside them", ms(median(times)), "ms", Goal::AtMost(GOAL_MS));
    let audit = Audit::open(&data, &Options::default()).unwrap();
    for n in (0..ENTRIES).step_by(100) {
        drop(audit.submit((n..n + 100).map(draft).collect(), None));
    }
    audit.close().unwrap();
    let times = (0..ROUNDS).map(|_| first_step(&data, &file)).collect();
    board.figure("  the same after 100,000 more entries", ms(median(times)), "ms", Goal::AtMost(GOAL_MS));
}
