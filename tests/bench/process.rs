//! Whole processes, as a person meets them: the built binary from its start to its end.

use std::fs;
use std::io::{BufRead as _, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use crate::figure::{Board, Goal, median, mib, ms};
use crate::memory::share_mib;
use crate::steps::scratch;

const ROUNDS: usize = 21;
const HELLO: &str = "format: 1\nrunbook: hello\nsummary: Say hello.\nrisk: low\nsteps:\n  - { id: say, summary: Say it., uses: core.log, with: { message: hello } }\n";

fn command(dir: &Path, arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_runbook"));
    command.args(arguments).env("RUNBOOK_DATA_DIR", dir).stdout(Stdio::null()).stderr(Stdio::null());
    command
}

fn begin(dir: &Path, arguments: &[&str]) -> Child {
    command(dir, arguments).spawn().unwrap()
}

fn time(dir: &Path, arguments: &[&str]) -> Duration {
    let started = Instant::now();
    let status = begin(dir, arguments).wait().unwrap();
    let took = started.elapsed();
    assert!(status.success(), "{arguments:?}: {status}");
    took
}

/// The most memory of a command and of its engine at one time, as often as it can be looked at. Both map the same program: its
/// pages count once.
fn peak_mib(dir: &Path, arguments: &[&str]) -> f64 {
    let mut child = begin(dir, arguments);
    let mut peak: f64 = 0.0;
    while child.try_wait().unwrap().is_none() {
        // Until there is an engine, the number of the last one, which is gone.
        let engine = fs::read_to_string(dir.join("engine.lock")).unwrap_or_default();
        let engine = engine.trim().parse().map_or(0.0, share_mib);
        peak = peak.max(share_mib(child.id()) + engine);
    }
    peak
}

/// From the start of the process to the word that the run is durable.
fn accepted(dir: &Path, arguments: &[&str]) -> Duration {
    let started = Instant::now();
    let mut child = command(dir, arguments).stdout(Stdio::piped()).spawn().unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
    let queued = lines.any(|line| line.unwrap().contains("run queued"));
    let took = started.elapsed();
    assert!(queued, "{arguments:?} does not say when it is accepted");
    lines.for_each(drop);
    child.wait().unwrap();
    took
}

/// A one-step run, a list, the first acceptance on a fresh data directory, and the size of the binary.
pub(crate) fn whole(board: &mut Board) {
    let dir = scratch();
    let file = dir.path().join("hello.yaml");
    fs::write(&file, HELLO).unwrap();
    let data = dir.path().join("data");
    let run = ["run", file.to_str().unwrap(), "--yes"];
    let first = time(&data, &run);
    board.figure("`runbook run`, one step, fresh data directory", ms(first), "ms", Goal::None);
    let times = (0..ROUNDS).map(|_| time(&data, &run)).collect();
    board.figure("`runbook run`, one step, warm", ms(median(times)), "ms", Goal::AtMost(40.0));
    let peak = (0..5).map(|_| peak_mib(&data, &run)).fold(0.0, f64::max);
    board.figure("  its memory", peak, "MiB", Goal::AtMost(48.0));
    let times = (0..ROUNDS).map(|_| time(&data, &["list"])).collect();
    board.figure("`runbook list`", ms(median(times)), "ms", Goal::AtMost(15.0));
    let fresh = (0..9).map(|n| accepted(&dir.path().join(format!("fresh{n}")), &run)).collect();
    board.figure("accepted, fresh data directory", ms(median(fresh)), "ms", Goal::AtMost(50.0));
    let binary = Path::new(env!("CARGO_BIN_EXE_runbook"));
    // Only a release is made small.
    let released = binary.parent().is_some_and(|folder| folder.ends_with("release"));
    let goal = if released { Goal::AtMost(40.0) } else { Goal::None };
    board.figure("the binary", mib(fs::metadata(binary).unwrap().len()), "MiB", goal);
}
