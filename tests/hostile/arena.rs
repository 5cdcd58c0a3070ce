//! Where hostile plugins are let loose: one engine process, many of them at once, and an honest run among them.

use std::fmt::Write as _;
use std::io::Write as _;
use std::process::Command;
use std::time::{Duration, Instant};

use serde_json::Value;

use super::component::{Arg, Guest, forever};
use crate::support::books::HELLO;
use crate::support::engine::{BINARY, Engine, signal, until_idle};

/// How much later than its deadline an attempt may end on a busy machine, milliseconds: less than what any of the plugins asks
/// to wait for. How late it is on one that is not busy is a figure of `make bench`.
pub(crate) const MAX_OVERRUN_MS: u64 = 30_000;
/// How much an engine may have grown by hostile plugins, KiB.
const MAX_GROWTH_KIB: u64 = 24 << 10;
/// How long an engine with nothing to do may take to give memory back.
const GIVEN_BACK: Duration = Duration::from_secs(20);

/// A plugin that means harm.
pub(crate) struct Case {
    pub(crate) name: &'static str,
    pub(crate) wasm: Vec<u8>,
    /// Of its step.
    pub(crate) timeout: &'static str,
}

impl Case {
    pub(crate) fn new(name: &'static str, wasm: Vec<u8>) -> Self {
        Self { name, wasm, timeout: "10s" }
    }

    /// It is to be ended by the end of its time.
    pub(crate) fn within(mut self, timeout: &'static str) -> Self {
        self.timeout = timeout;
        self
    }
}

/// An engine process with plugins of bad intent.
pub(crate) struct Arena {
    pub(crate) engine: Engine,
    /// The id of the engine's process.
    process: u32,
    resident_kib: u64,
}

/// What the log tells of a hostile run.
#[derive(Debug)]
pub(crate) struct Told {
    entries: Vec<Value>,
}

/// A run that keeps the engine from ending for having nothing to do.
const KEEPER: &str = "format: 1
runbook: keeper
summary: Keep the engine.
steps:
  - { id: wait, uses: keeper.attack, timeout: 10m }
";

impl Arena {
    /// Adds the plugins and starts the engine.
    pub(crate) fn of(cases: &[Case]) -> Self {
        Self::with(cases, None, |_| {})
    }

    /// The same after something was made ready in the data directory.
    pub(crate) fn prepared(cases: &[Case], prepare: impl FnOnce(&Engine)) -> Self {
        Self::with(cases, None, prepare)
    }

    /// The same in a world where names mean what `hosts` says, in the form of `/etc/hosts`.
    pub(crate) fn with_hosts(cases: &[Case], hosts: &str) -> Self {
        Self::with(cases, Some(hosts), |_| {})
    }

    fn with(cases: &[Case], hosts: Option<&str>, prepare: impl FnOnce(&Engine)) -> Self {
        let engine = Engine::new();
        prepare(&engine);
        for case in cases {
            add(&engine, case.name, &case.wasm);
        }
        let mut guest = Guest::new();
        let sleep = guest.call("clock.sleep", &[Arg::Long(60_000)]);
        add(&engine, "keeper", &guest.does(&forever(&sleep)));
        engine.write("hello.yaml", HELLO);
        let keeper = engine.write("keeper.yaml", KEEPER);
        let begun = match hosts {
            None => engine.run(&["run", &keeper, "--detach"]),
            Some(hosts) => {
                engine.write("hosts", hosts);
                let script = r#"mount --bind hosts /etc/hosts && exec "$0" run "$1" --detach"#;
                let mut command = Command::new("unshare");
                engine.begin(command.args(["--mount", "sh", "-c", script, BINARY, &keeper])).wait()
            }
        };
        assert_eq!(begun.code, 0, "{begun:?}");
        engine.must(0, &["run", "hello.yaml"]);
        let [process] = engine.background()[..] else { panic!("one engine: {:?}", engine.background()) };
        let resident_kib = resident_kib(process);
        Self { engine, process, resident_kib }
    }

    /// Lets all of them loose at once in one run with these grants. An honest run at the same time ends as it should.
    pub(crate) fn run(&self, grants: &str, cases: &[Case]) -> Told {
        let mut told = self.rest(grants, cases);
        // What several do to one container at the same moment may leave what one of them did in doubt.
        while told.last("run.finished", None).is_none() && told.last("call.doubted", None).is_some() {
            let run = told.entries[0]["run"].as_str().expect("a run").to_owned();
            self.engine.must(0, &["runs", "settle", &run, "--fail"]);
            let _ = self.engine.run(&["runs", "watch", &run]);
            let again = self.told("hostile");
            assert!(again.entries.len() > told.entries.len(), "nothing follows: {again:?}");
            told = again;
        }
        assert!(told.last("run.finished", None).is_some(), "the run has no end: {told:?}");
        told
    }

    /// The same for a run that need not end: it may rest.
    pub(crate) fn rest(&self, grants: &str, cases: &[Case]) -> Told {
        let book = self.engine.write("hostile.yaml", &book(grants, cases));
        let hostile = self.engine.spawn(&["run", &book, "--yes"]);
        self.engine.must(0, &["run", "hello.yaml"]);
        let ended = hostile.wait();
        assert!(matches!(ended.code, 0 | 10 | 12 | 13), "{}: {}", ended.code, ended.said());
        self.told("hostile")
    }

    /// The entries of the newest run of a runbook.
    pub(crate) fn told(&self, runbook: &str) -> Told {
        let runs = self.engine.json(&["runs", "list", "--limit", "50"]);
        let row = runs.as_array().and_then(|rows| rows.iter().find(|row| row["runbook"] == runbook));
        let run =
            row.and_then(|row| row["run"].as_str()).unwrap_or_else(|| panic!("no run of {runbook}: {runs}"));
        let lines = self.engine.must(0, &["audit", "tail", "--run", run, "-n", "100000", "--output", "json"]);
        let parse = |line| serde_json::from_str(line).unwrap_or_else(|error| panic!("{error}: {line}"));
        Told { entries: lines.stdout.lines().map(parse).collect() }
    }

    /// Ends the engine; the log must be whole, and the engine not much larger than before.
    pub(crate) fn end(self, told: &Told) {
        // What it took for a moment it gives back in the background.
        let growth = || resident_kib(self.process).saturating_sub(self.resident_kib);
        let began = Instant::now();
        while growth() > MAX_GROWTH_KIB && began.elapsed() < GIVEN_BACK {
            std::thread::sleep(Duration::from_millis(100));
        }
        let growth_kib = growth();
        let overrun_ms = told.overruns().into_iter().max().unwrap_or(0);
        let _ = writeln!(std::io::stderr(), "hostile plugins: grew {growth_kib} KiB, {overrun_ms} ms over");
        assert!(growth_kib <= MAX_GROWTH_KIB, "the engine grew by {growth_kib} KiB");
        assert!(overrun_ms <= MAX_OVERRUN_MS, "{overrun_ms} ms over its time, at most {MAX_OVERRUN_MS}");
        assert_eq!(self.engine.background(), [self.process], "the engine has died");
        signal(self.process, "TERM");
        until_idle(&self.engine);
        let verified = self.engine.json(&["audit", "verify"]);
        assert_eq!(verified["verified"], true, "{verified}");
    }
}

/// Adds a plugin as a person would.
pub(crate) fn add(engine: &Engine, name: &str, wasm: &[u8]) {
    let file = engine.path(&format!("{name}.wasm"));
    std::fs::write(&file, wasm).expect("a file");
    engine.must(0, &["plugin", "add", &file.to_string_lossy()]);
}

impl Told {
    /// What an attempt came to: `ok`, or the code of its failure.
    pub(crate) fn end_of(&self, step: &str) -> String {
        let Some(finished) = self.last("attempt.finished", Some(&id(step))) else {
            return "no end".to_owned();
        };
        code(&finished["data"]["outcome"])
    }

    /// What each call of a step came to, in order: the function, and `ok` or the code of its failure.
    pub(crate) fn calls(&self, step: &str) -> Vec<(String, String)> {
        let finished = self.entries.iter().filter(|entry| entry["kind"] == "call.finished");
        finished
            .map(|entry| &entry["data"])
            .filter(|data| data["path"] == id(step).as_str())
            .map(|data| (data["function"].as_str().unwrap_or_default().to_owned(), code(&data["outcome"])))
            .collect()
    }

    /// What the calls of a step were answered.
    pub(crate) fn answers(&self, step: &str) -> Vec<&Value> {
        let finished = self.of_kind("call.finished").into_iter().map(|entry| &entry["data"]);
        finished.filter(|data| data["path"] == id(step).as_str()).map(|data| &data["outcome"]["ok"]).collect()
    }

    /// The entries of a kind.
    pub(crate) fn of_kind(&self, kind: &str) -> Vec<&Value> {
        self.entries.iter().filter(|entry| entry["kind"] == kind).collect()
    }

    fn last(&self, kind: &str, step: Option<&str>) -> Option<&Value> {
        let fits =
            |entry: &&Value| entry["kind"] == kind && step.is_none_or(|step| entry["data"]["path"] == step);
        self.entries.iter().rev().find(fits)
    }

    /// How much later than its deadline each attempt ended, milliseconds.
    fn overruns(&self) -> Vec<u64> {
        let started = self.of_kind("attempt.started").into_iter();
        started
            .filter_map(|entry| {
                let step = entry["data"]["path"].as_str();
                let finished =
                    self.last("attempt.finished", step).or_else(|| self.last("call.doubted", step))?;
                let deadline_ms = entry["data"]["deadline_ms"].as_u64()?;
                Some(finished["time_ms"].as_u64()?.saturating_sub(deadline_ms))
            })
            .collect()
    }
}

fn code(outcome: &Value) -> String {
    outcome["error"]["code"]
        .as_str()
        .unwrap_or(if outcome.get("ok").is_some() { "ok" } else { "?" })
        .to_owned()
}

/// A run of all of them at once, each failing for itself.
fn book(grants: &str, cases: &[Case]) -> String {
    let mut text = format!("format: 1\nrunbook: hostile\nsummary: Do harm.\nrisk: high\n{grants}\nsteps:\n");
    for Case { name, timeout, .. } in cases {
        let id = id(name);
        let _ = writeln!(
            text,
            "  - id: {id}\n    uses: {name}.attack\n    timeout: {timeout}\n    on_failure: continue\n    needs: []\n    expect: Nothing.\n    if_it_fails: Good."
        );
    }
    text
}

/// A step's id of a plugin's name.
fn id(name: &str) -> String {
    name.replace('-', "_")
}

/// Resident memory of a process.
fn resident_kib(id: u32) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{id}/status")).expect("a living process");
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).expect("its memory");
    line.trim().trim_end_matches(" kB").parse().expect("a number")
}
