//! The built binary with a data directory of its own, away from everything else on this machine.

use std::fs::File;
use std::os::unix::process::ExitStatusExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use serde_json::Value;
use tempfile::TempDir;

use super::patience::{PATIENCE, until};

/// The binary under test.
pub(crate) const BINARY: &str = env!("CARGO_BIN_EXE_runbook");

/// An engine's home: data directory, working folder, settings.
pub(crate) struct Engine {
    home: TempDir,
    data: PathBuf,
    env: Vec<(String, String)>,
}

/// Where an engine's home and data are: in the command line of its process.
#[derive(Debug, Clone)]
struct Places(Vec<String>);

/// What a command left.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Ended {
    /// Its exit code; 128 and the signal's number if one ended it.
    pub(crate) code: i32,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

/// A command under way.
pub(crate) struct Running {
    child: Child,
    places: Places,
    stdout: PathBuf,
    stderr: PathBuf,
}

impl Engine {
    pub(crate) fn new() -> Self {
        let home = tempfile::tempdir().expect("a folder");
        std::fs::create_dir(home.path().join("work")).expect("a working folder");
        let data = home.path().join("data");
        Self { home, data, env: Vec::new() }
    }

    /// The same with an environment variable.
    pub(crate) fn env(mut self, name: &str, value: impl Into<String>) -> Self {
        self.set(name, value);
        self
    }

    /// From now on with an environment variable.
    pub(crate) fn set(&mut self, name: &str, value: impl Into<String>) {
        self.env.retain(|(known, _)| known != name);
        self.env.push((name.to_owned(), value.into()));
    }

    /// The same with another data directory.
    pub(crate) fn data_dir(mut self, path: &Path) -> Self {
        path.clone_into(&mut self.data);
        self
    }

    /// The data directory.
    pub(crate) fn data(&self) -> &Path {
        &self.data
    }

    /// A file of its folder.
    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.home.path().join("work").join(name)
    }

    /// Writes a file into the folder commands are run in; gives its name.
    pub(crate) fn write(&self, name: &str, text: &str) -> String {
        let path = self.path(name);
        std::fs::create_dir_all(path.parent().expect("a folder")).expect("a folder");
        std::fs::write(path, text).expect("a file");
        name.to_owned()
    }

    /// Runs a command to its end.
    pub(crate) fn run(&self, arguments: &[&str]) -> Ended {
        self.spawn(arguments).wait()
    }

    /// Runs a command that must end with this code.
    pub(crate) fn must(&self, code: i32, arguments: &[&str]) -> Ended {
        let ended = self.run(arguments);
        assert_eq!(ended.code, code, "runbook {arguments:?}\n{}\n{}", ended.stdout, ended.stderr);
        ended
    }

    /// Runs a command that must succeed and gives the document it prints.
    pub(crate) fn json(&self, arguments: &[&str]) -> Value {
        self.json_with(0, arguments)
    }

    /// Runs a command that must end with this code and gives the document it prints.
    pub(crate) fn json_with(&self, code: i32, arguments: &[&str]) -> Value {
        let mut arguments = arguments.to_vec();
        arguments.extend(["--output", "json"]);
        self.must(code, &arguments).document()
    }

    /// Begins a command.
    pub(crate) fn spawn(&self, arguments: &[&str]) -> Running {
        let mut command = Command::new(BINARY);
        command.args(arguments);
        self.begin(&mut command)
    }

    /// Begins any program with this engine's environment and folder.
    pub(crate) fn begin(&self, command: &mut Command) -> Running {
        let number = super::service::next_number();
        let stdout = self.home.path().join(format!("{number}.out"));
        let stderr = self.home.path().join(format!("{number}.err"));
        let child = command
            .current_dir(self.home.path().join("work"))
            .env("HOME", self.home.path())
            .env("XDG_RUNTIME_DIR", self.home.path().join("work"))
            .env("RUNBOOK_DATA_DIR", &self.data)
            .envs(self.env.iter().map(|(name, value)| (name, value)))
            .stdin(Stdio::null())
            .stdout(File::create(&stdout).expect("a file"))
            .stderr(File::create(&stderr).expect("a file"))
            .spawn()
            .expect("the built binary");
        Running { child, places: self.places(), stdout, stderr }
    }

    /// The newest run as a document.
    pub(crate) fn last(&self) -> Value {
        self.json(&["runs", "show", "last"])
    }

    /// The row of the newest run that is no step of another; null while there is none.
    pub(crate) fn newest(&self) -> Value {
        let rows = self.run(&["runs", "list", "--limit", "20", "--output", "json"]);
        let rows: Vec<Value> = serde_json::from_str(&rows.stdout).unwrap_or_default();
        let asked_for = rows.into_iter().filter(|row| row["parent"].is_null());
        let id = |row: &Value| row["run"].as_str().unwrap_or_default().to_owned();
        asked_for.max_by_key(id).unwrap_or_default()
    }

    /// The status of the newest run; empty while there is none.
    pub(crate) fn status(&self) -> String {
        self.newest()["status"].as_str().unwrap_or_default().to_owned()
    }

    /// Waits until the newest run has this status.
    pub(crate) fn until_status(&self, wanted: &str) {
        let mut seen = String::new();
        let began = Instant::now();
        while seen != wanted {
            assert!(began.elapsed() < PATIENCE, "the run is `{seen}`, not `{wanted}`");
            std::thread::sleep(Duration::from_millis(50));
            seen = self.status();
        }
    }

    /// Processes that work with this data directory in the background.
    pub(crate) fn background(&self) -> Vec<u32> {
        self.places().engines()
    }

    /// The process that is the engine, once there is one.
    pub(crate) fn process(&self) -> u32 {
        until("an engine", || self.background().first().copied())
    }

    fn places(&self) -> Places {
        let text = |path: &Path| path.to_string_lossy().into_owned();
        Places(vec![text(self.home.path()), text(&self.data)])
    }
}

impl Places {
    fn engines(&self) -> Vec<u32> {
        let processes = std::fs::read_dir("/proc").expect("/proc").flatten();
        let ids = processes.filter_map(|entry| entry.file_name().to_str()?.parse::<u32>().ok());
        ids.filter(|id| {
            let line = std::fs::read(format!("/proc/{id}/cmdline")).unwrap_or_default();
            let line = String::from_utf8_lossy(&line).replace('\0', " ");
            line.contains(" engine ") && self.0.iter().any(|place| line.contains(place))
        })
        .collect()
    }

    /// Ends them all; none is left when it returns.
    fn kill(&self) {
        until("the engines to be gone", || {
            let engines = self.engines();
            for id in &engines {
                signal(*id, "KILL");
            }
            engines.is_empty().then_some(())
        });
    }
}

impl Drop for Engine {
    fn drop(&mut self) {
        self.places().kill();
    }
}

impl Running {
    pub(crate) fn id(&self) -> u32 {
        self.child.id()
    }

    /// `kill -9` of the command and of the engine, so that nobody carries on what it did; gives what it had said.
    pub(crate) fn kill(self) -> Ended {
        let places = self.places.clone();
        let ended = self.kill_alone();
        places.kill();
        ended
    }

    /// `kill -9` of the command; the engine lives.
    pub(crate) fn kill_alone(mut self) -> Ended {
        let _ = self.child.kill();
        self.wait()
    }

    /// Sends the command a signal, not the engine.
    pub(crate) fn signal(&self, name: &str) {
        signal(self.id(), name);
    }

    /// Sends the engine a signal, not the command; nobody, if the command has ended and there is none.
    pub(crate) fn signal_engine(&self, name: &str) {
        let found = || {
            let engine = self.places.engines().first().copied();
            (engine.is_some() || !self.runs()).then_some(engine)
        };
        if let Some(engine) = until("an engine", found) {
            signal(engine, name);
        }
    }

    /// What it has said on stdout so far.
    pub(crate) fn said(&self) -> String {
        read(&self.stdout)
    }

    /// What it has told on stderr so far.
    pub(crate) fn told(&self) -> String {
        read(&self.stderr)
    }

    /// Whether it has not ended yet.
    pub(crate) fn runs(&self) -> bool {
        let status = std::fs::read_to_string(format!("/proc/{}/stat", self.id())).unwrap_or_default();
        status.rsplit(')').next().is_some_and(|rest| !rest.is_empty() && !rest.trim_start().starts_with('Z'))
    }

    /// Its end.
    pub(crate) fn wait(mut self) -> Ended {
        let began = Instant::now();
        let status = loop {
            if let Some(status) = self.child.try_wait().expect("our child") {
                break status;
            }
            if began.elapsed() > PATIENCE {
                let _ = self.child.kill();
                panic!("it does not end:\n{}\n{}", read(&self.stdout), read(&self.stderr));
            }
            std::thread::sleep(Duration::from_millis(10));
        };
        let code = status.code().or_else(|| status.signal().map(|signal| 128 + signal));
        Ended { code: code.unwrap_or(-1), stdout: read(&self.stdout), stderr: read(&self.stderr) }
    }
}

impl Ended {
    /// Its one document.
    pub(crate) fn document(&self) -> Value {
        serde_json::from_str(&self.stdout).unwrap_or_else(|error| panic!("{error}: {self:?}"))
    }

    /// Everything it said.
    pub(crate) fn said(&self) -> String {
        format!("{}\n{}", self.stdout, self.stderr)
    }

    /// Panics unless it said all of this.
    pub(crate) fn says(&self, words: &[&str]) {
        for word in words {
            assert!(self.said().contains(word), "it does not say `{word}`:\n{}", self.said());
        }
    }
}

/// Sends a process a signal.
pub(crate) fn signal(id: u32, name: &str) {
    let sent = Command::new("kill").args([format!("-{name}"), id.to_string()]).output();
    assert!(sent.is_ok(), "the program `kill`");
}

/// Waits until nobody works in the background any more.
pub(crate) fn until_idle(engine: &Engine) {
    until("the background engine to end", || engine.background().is_empty().then_some(()));
}

fn read(path: &Path) -> String {
    String::from_utf8_lossy(&std::fs::read(path).unwrap_or_default()).into_owned()
}
