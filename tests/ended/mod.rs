//! A command is ended from outside at some moment of its run: by a signal, a terminal that is closed, a time limit. A minute
//! later as many replicas serve as before, and no lock is held that nobody can free. Judged in the world.

use std::os::unix::process::CommandExt as _;
use std::process::Command;
use std::time::{Duration, Instant};

use crate::away::{Shape, running, wanted};
use crate::support::docker::try_docker;
use crate::support::engine::{BINARY, Ended, Engine, Running, signal};
use crate::support::service::Service;

/// How long after its command's end the world may take to be as it was.
const RECOVERY: Duration = Duration::from_mins(1);

/// How long a command is stopped before it goes on.
const STOPPED: Duration = Duration::from_secs(8);

/// Between two signals to the same command.
const APART: Duration = Duration::from_millis(700);

/// Characters of what a command said that are shown.
const LAST_WORDS: usize = 2_000;

/// How a command is ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Manner {
    Terminate,
    TerminateTwice,
    Interrupt,
    InterruptTwice,
    HangUp,
    /// Ctrl-Z, and `fg` some seconds later.
    Suspend,
    /// It cannot catch this one.
    Kill,
    /// The program `timeout` of a CI job.
    TimeLimit,
    /// The window is closed.
    ClosedTerminal,
    /// Ctrl-C at a terminal, and no answer to what it asks.
    InterruptAtTerminal,
}

impl Manner {
    pub(crate) const ALL: [Self; 10] = [
        Self::Terminate,
        Self::ClosedTerminal,
        Self::Interrupt,
        Self::TimeLimit,
        Self::Suspend,
        Self::HangUp,
        Self::TerminateTwice,
        Self::Kill,
        Self::InterruptAtTerminal,
        Self::InterruptTwice,
    ];

    fn at_terminal(self) -> bool {
        matches!(self, Self::ClosedTerminal | Self::InterruptAtTerminal)
    }
}

/// One command that is ended.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Ending {
    pub(crate) manner: Manner,
    /// After its start.
    pub(crate) after: Duration,
    /// Whether the replicas ignore the request to stop.
    pub(crate) stubborn: bool,
}

impl std::fmt::Display for Ending {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let stubborn = if self.stubborn { ", replicas ignore TERM" } else { "" };
        write!(f, "{:?} after {} ms{stubborn}", self.manner, self.after.as_millis())
    }
}

/// Begins the command as the manner needs it.
fn begin(engine: &Engine, arguments: &[String], ending: Ending) -> Running {
    let mut command = if ending.manner == Manner::TimeLimit {
        let mut command = Command::new("timeout");
        command.arg(format!("{}", ending.after.as_secs_f64())).arg(BINARY).arg("run").args(arguments);
        command
    } else if ending.manner.at_terminal() {
        // Ends its session's processes by closing the terminal when it is killed itself.
        let mut command = Command::new("script");
        let words: Vec<String> = arguments.iter().map(|word| format!("'{word}'")).collect();
        command.args(["-qefc", &format!("exec '{BINARY}' run {}", words.join(" ")), "/dev/null"]);
        command
    } else {
        let mut command = Command::new(BINARY);
        command.arg("run").args(arguments);
        command
    };
    // A group of its own: of one without a parent in its session the kernel drops Ctrl-Z.
    command.process_group(0);
    engine.begin(&mut command)
}

/// The command behind `script`.
fn at_terminal(command: &Running) -> Option<u32> {
    let id = command.id();
    let children = std::fs::read_to_string(format!("/proc/{id}/task/{id}/children")).ok()?;
    children.split_whitespace().next()?.parse().ok()
}

fn end(command: &Running, manner: Manner) {
    let id = command.id();
    match manner {
        Manner::Terminate => signal(id, "TERM"),
        Manner::Interrupt => signal(id, "INT"),
        Manner::HangUp => signal(id, "HUP"),
        Manner::Kill | Manner::ClosedTerminal => signal(id, "KILL"),
        Manner::TerminateTwice | Manner::InterruptTwice => {
            let name = if manner == Manner::TerminateTwice { "TERM" } else { "INT" };
            signal(id, name);
            std::thread::sleep(APART);
            signal(id, name);
        }
        Manner::Suspend => {
            signal(id, "TSTP");
            std::thread::sleep(STOPPED);
            signal(id, "CONT");
        }
        Manner::InterruptAtTerminal => {
            if let Some(inner) = at_terminal(command) {
                signal(inner, "INT");
            }
            std::thread::sleep(STOPPED);
            signal(id, "KILL");
        }
        // Its own clock does it.
        Manner::TimeLimit => {}
    }
}

/// Plays one ending; gives how the run is afterwards. An error tells what is down, held or unsaid.
pub(crate) fn play(shape: &Shape, ending: Ending) -> Result<String, String> {
    let service = wanted(shape);
    let service = if ending.stubborn { service.env("IGNORE_TERM=1").up() } else { service.up() };
    let engine = Engine::new();
    let command = begin(&engine, &(shape.arguments)(&engine, &service), ending);
    std::thread::sleep(ending.after);
    end(&command, ending.manner);
    let ended = command.wait();
    let wrong = |why: String| format!("`{}`, {ending}: {why}\n{}", shape.name, last_words(&ended));
    if ended.said().contains("panicked") || ended.code == 101 {
        return Err(wrong("it panicked".to_owned()));
    }
    let status = rest(&engine);
    serves(shape, &service, &status).map_err(&wrong)?;
    told(&engine, &ended, ending, &status).map_err(&wrong)?;
    next_acts(&engine, &service).map_err(&wrong)?;
    Ok(status)
}

/// The end of what it said: a tree that was drawn again and again is long.
fn last_words(ended: &Ended) -> String {
    let said = ended.said();
    said.char_indices().rev().nth(LAST_WORDS).map_or(said.as_str(), |(at, _)| &said[at..]).to_owned()
}

/// How the run is once it rests; empty if none was accepted.
fn rest(engine: &Engine) -> String {
    let began = Instant::now();
    loop {
        let status = engine.status();
        if !["queued", "running", "waiting"].contains(&status.as_str()) || began.elapsed() > RECOVERY {
            return status;
        }
        std::thread::sleep(Duration::from_millis(200));
    }
}

/// As many run as before, or as after an undisturbed run if it ended like one.
fn serves(shape: &Shape, service: &Service, status: &str) -> Result<(), String> {
    let wanted = if status == shape.ends { shape.after } else { shape.replicas.min(shape.after) };
    let began = Instant::now();
    while running(service) < wanted {
        if began.elapsed() > RECOVERY {
            let project = format!("label=com.docker.compose.project={}", service.project());
            let all =
                try_docker(&["ps", "--all", "--filter", &project, "--format", "{{.Names}} {{.Status}}"]);
            return Err(format!("`{status}` with\n{}", String::from_utf8_lossy(&all.stdout)));
        }
        std::thread::sleep(Duration::from_millis(200));
    }
    Ok(())
}

/// Whoever was asked to end says where the run goes on, unless it was over.
fn told(engine: &Engine, ended: &Ended, ending: Ending, status: &str) -> Result<(), String> {
    let asked = [Manner::Terminate, Manner::Interrupt, Manner::TimeLimit].contains(&ending.manner);
    // What came to its end meanwhile has its own code; what was not accepted yet has no name.
    if !asked || status.is_empty() || ended.code == 0 || ended.said().contains("nothing was done") {
        return Ok(());
    }
    let run = engine.newest()["run"].as_str().unwrap_or_default().to_owned();
    if ended.said().contains(&run) { Ok(()) } else { Err(format!("nobody was told of run {run}")) }
}

/// The next person can act at once: no lock is held by a run that nobody carries on.
fn next_acts(engine: &Engine, service: &Service) -> Result<(), String> {
    let restart =
        ["run", "service-restart", "--yes", "--no-wait", "-p", &service.parameter(), "-p", "grace=1s"];
    let ended = engine.run(&[restart.as_slice(), &["-p", "accept_weak_evidence=true"]].concat());
    if ended.code == 0 {
        Ok(())
    } else {
        Err(format!("the next restart ended with {}\n{}", ended.code, ended.said()))
    }
}

/// How long an undisturbed run of the shape takes.
pub(crate) fn measure(shape: &Shape, stubborn: bool) -> Duration {
    let service = wanted(shape);
    let service = if stubborn { service.env("IGNORE_TERM=1").up() } else { service.up() };
    let engine = Engine::new();
    let arguments = (shape.arguments)(&engine, &service);
    let all: Vec<&str> = std::iter::once("run").chain(arguments.iter().map(String::as_str)).collect();
    let began = Instant::now();
    let ended = engine.run(&all);
    let took = began.elapsed();
    assert_eq!(engine.status(), shape.ends, "`{}` undisturbed: {}", shape.name, ended.said());
    took
}
