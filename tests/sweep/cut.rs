//! Where and how a run is disturbed.

use std::fmt;
use std::os::unix::net::UnixStream;
use std::process::Command;
use std::time::Duration;

use super::shape::Bed;
use crate::support::engine::{BINARY, Running};
use crate::support::patience::PATIENCE;
use crate::support::proxy::{Proxy, Trap, Trick};

/// How long a run is stopped before it may go on.
const STOPPED: Duration = Duration::from_secs(1);

/// An engine that nobody waits for stays so long.
const LINGER: Duration = Duration::from_secs(2);

/// A system call that writes the audit log down.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Call {
    /// An append: `pwrite64`.
    Append,
    /// A sync: `fsync` and `fdatasync`.
    Sync,
}

/// When in the life of a request to Docker.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum When {
    /// It was sent, and the daemon never got it.
    Before,
    /// The daemon did it; the engine has not heard.
    Done,
    /// The engine has just heard.
    Heard,
}

/// What is done to a run. Numbers count from 1.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Cut {
    /// Killed as it enters the nth such call: what came before it is done, it and what comes after it is not.
    Call(Call, usize),
    /// Killed at the nth request to Docker.
    Request(When, usize),
    /// Killed after so many milliseconds, and killed again in its second life after as many.
    Twice(u64, u64),
    /// Not killed: the answer to the nth request is cut off, garbled, or late.
    Answer(Trick, usize),
    /// Not killed: stopped (`SIGSTOP`) at the nth request, and let go on.
    Stopped(usize),
}

/// How much of everything there is in an undisturbed run.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Extent {
    pub(crate) appends: usize,
    pub(crate) syncs: usize,
    pub(crate) requests: usize,
    pub(crate) millis: u64,
}

impl fmt::Display for Cut {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Call(call, nth) => write!(f, "killed at {call:?} {nth}"),
            Self::Request(when, nth) => write!(f, "killed at request {nth}, {when:?}"),
            Self::Twice(first, second) => write!(f, "killed after {first} ms, again after {second} ms"),
            Self::Answer(trick, nth) => write!(f, "answer {nth}: {trick:?}"),
            Self::Stopped(nth) => write!(f, "stopped at request {nth}"),
        }
    }
}

impl Cut {
    /// Every place at which a run of this extent can be cut.
    pub(crate) fn all(extent: Extent) -> Vec<Self> {
        let mut all = Vec::new();
        all.extend((1..=extent.appends).map(|nth| Self::Call(Call::Append, nth)));
        all.extend((1..=extent.syncs).map(|nth| Self::Call(Call::Sync, nth)));
        for nth in 1..=extent.requests {
            all.extend([When::Before, When::Done, When::Heard].map(|when| Self::Request(when, nth)));
            all.extend([Trick::Cut, Trick::Garble, Trick::Delay].map(|trick| Self::Answer(trick, nth)));
            all.push(Self::Stopped(nth));
        }
        let steps = extent.millis / 60;
        all.extend((0..steps).map(|n| Self::Twice(n * 60, (n * 97) % extent.millis.max(1))));
        all
    }

    /// Whether the engine dies of it.
    pub(crate) fn kills(self) -> bool {
        matches!(self, Self::Call(..) | Self::Request(..) | Self::Twice(..))
    }

    /// Runs and disturbs; returns once the command and, if it was killed, its engine have ended.
    pub(crate) fn inflict(self, bed: &mut Bed, arguments: &[String]) {
        match self {
            Self::Call(call, nth) => {
                let names = match call {
                    Call::Append => "pwrite64",
                    Call::Sync => "fsync,fdatasync",
                };
                let inject = format!("inject={names}:signal=SIGKILL:when={nth}");
                traced(bed, &["-e", &format!("trace={names}"), "-e", &inject], "/dev/null", arguments);
            }
            Self::Request(when, nth) => {
                let trick = match when {
                    When::Before => Trick::Lose,
                    When::Done => Trick::Hold,
                    When::Heard => Trick::Pass,
                };
                behind(
                    bed,
                    trick,
                    nth,
                    arguments,
                    |run, sprung| if sprung { drop(run.kill()) } else { drop(run.wait()) },
                );
            }
            Self::Answer(trick, nth) => behind(bed, trick, nth, arguments, |run, _| drop(run.wait())),
            Self::Stopped(nth) => behind(bed, Trick::Pass, nth, arguments, |run, sprung| {
                if sprung {
                    // Every other time with the command that watches it.
                    let both = nth.is_multiple_of(2);
                    let tell = |name: &str| {
                        run.signal_engine(name);
                        if both {
                            run.signal(name);
                        }
                    };
                    tell("STOP");
                    std::thread::sleep(STOPPED);
                    tell("CONT");
                }
                run.wait();
            }),
            Self::Twice(first, second) => {
                let run = spawn(bed, arguments);
                std::thread::sleep(Duration::from_millis(first));
                run.kill();
                let resume = bed.engine.spawn(&["runs", "resume", "--yes"]);
                std::thread::sleep(Duration::from_millis(second));
                resume.kill();
            }
        }
    }

    /// An undisturbed run with its appends, syncs and requests counted.
    pub(crate) fn measure(bed: &mut Bed, arguments: &[String]) -> Extent {
        let trace = bed.engine.path("trace");
        let proxy = Proxy::with(Trap { words: "", nth: 0, trick: Trick::Pass });
        bed.engine.set("DOCKER_HOST", proxy.address());
        let began = std::time::Instant::now();
        let file = trace.display().to_string();
        traced(bed, &["-e", "trace=pwrite64,fsync,fdatasync"], &file, arguments);
        let millis = u64::try_from(began.elapsed().saturating_sub(LINGER).as_millis()).unwrap_or(u64::MAX);
        bed.engine.set("DOCKER_HOST", "");
        let text = std::fs::read_to_string(&trace).expect("what strace wrote");
        // A place is counted thread by thread.
        let most = |words: &[&str]| {
            let mut counts = std::collections::BTreeMap::<&str, usize>::new();
            for line in text.lines().filter(|line| words.iter().any(|word| line.contains(word))) {
                *counts.entry(line.split(' ').next().unwrap_or_default()).or_default() += 1;
            }
            counts.into_values().max().unwrap_or(0)
        };
        Extent {
            appends: most(&["pwrite64("]),
            syncs: most(&["fsync(", "fdatasync("]),
            requests: proxy.seen(),
            millis,
        }
    }
}

fn spawn(bed: &Bed, arguments: &[String]) -> Running {
    let mut all = vec!["run"];
    all.extend(arguments.iter().map(String::as_str));
    bed.engine.spawn(&all)
}

/// Runs with an engine whose system calls are looked at, until both have ended. The command does not outlive its engine: it would
/// begin another.
fn traced(bed: &Bed, options: &[&str], output: &str, arguments: &[String]) {
    let mut command = Command::new("strace");
    command.args(["-f", "-qq", "-o", output]).args(options).args([BINARY, "engine", "--data-dir"]);
    let engine = bed.engine.begin(command.arg(bed.engine.data()));
    let socket = bed.engine.data().join("engine.sock");
    while UnixStream::connect(&socket).is_err() {
        if !engine.runs() {
            engine.wait();
            return;
        }
        std::thread::sleep(Duration::from_millis(5));
    }
    let run = spawn(bed, arguments);
    while run.runs() && engine.runs() {
        std::thread::sleep(Duration::from_millis(5));
    }
    if run.runs() {
        run.kill();
    } else {
        run.wait();
    }
    engine.wait();
}

/// Runs with a proxy before Docker, and tells whether its trap sprang.
fn behind(bed: &mut Bed, trick: Trick, nth: usize, arguments: &[String], then: impl FnOnce(Running, bool)) {
    let proxy = Proxy::with(Trap { words: "", nth, trick });
    bed.engine.set("DOCKER_HOST", proxy.address());
    let run = spawn(bed, arguments);
    let began = std::time::Instant::now();
    let mut sprung = false;
    while !sprung && began.elapsed() < PATIENCE && run.runs() {
        sprung = proxy.sprung(Duration::from_millis(50)).is_some();
    }
    then(run, sprung);
    bed.engine.set("DOCKER_HOST", "");
}
