//! What was kept of version 0.1: its data directory, unpacked, and what it said of its runs itself.

use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::Value;

use crate::support::engine::Engine;

/// An engine of today with the data directory, and the rest.
pub(super) struct Kept {
    pub(super) engine: Engine,
    /// Where it was unpacked.
    pub(super) folder: PathBuf,
    said: Value,
}

/// A file that is kept beside it.
pub(super) fn beside(name: &str) -> String {
    folder().join(name).to_string_lossy().into_owned()
}

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data-0.1")
}

impl Kept {
    /// A copy of its own. No daemon is to be asked unless one is named.
    pub(super) fn unpack() -> Self {
        let engine = Engine::new();
        let folder = engine.path("kept");
        std::fs::create_dir(&folder).expect("a folder");
        let packed = beside("data.tar.xz");
        let mut tar = Command::new("tar");
        tar.args([
            "--extract",
            "--no-same-owner",
            "--preserve-permissions",
            "--file",
            &packed,
            "--directory",
        ]);
        assert!(tar.arg(&folder).status().expect("tar").success(), "{packed} cannot be unpacked");
        let said = std::fs::read(folder.join("kept.json")).expect("what it said");
        let said = serde_json::from_slice(&said).expect("JSON");
        let identity = std::fs::read_to_string(folder.join("secrets-identity")).expect("the key");
        let key = identity.lines().find(|line| line.starts_with("AGE-SECRET-KEY-")).expect("a key");
        let engine = engine
            .data_dir(&folder.join("data"))
            .env("RUNBOOK_SECRETS_KEY", key)
            .env("DOCKER_HOST", "unix:///nonexistent/docker.sock");
        Self { engine, folder, said }
    }

    /// What it said of each run, newest first.
    pub(super) fn runs(&self) -> &[Value] {
        self.said["runs"].as_array().expect("runs")
    }

    /// The id of a run by the name that the recording gave it.
    pub(super) fn run(&self, name: &str) -> &str {
        self.said["names"][name].as_str().unwrap_or_else(|| panic!("no run was called `{name}`"))
    }

    /// The names of all runs that had not ended.
    pub(super) fn unfinished(&self) -> Vec<&str> {
        let names = self.said["names"].as_object().expect("names");
        let of = |id: &Value| self.runs().iter().find(|run| run["run"] == *id).expect("a run");
        let open = names.iter().filter(|(_, id)| of(id)["finished_ms"].is_null());
        open.map(|(name, _)| name.as_str()).collect()
    }

    /// The project of every container, a part of all their names.
    pub(super) fn project(&self) -> &str {
        self.said["project"].as_str().expect("a project")
    }

    /// The containers as they were when the engine was killed.
    pub(super) fn containers(&self) -> &[Value] {
        self.said["containers"].as_array().expect("containers")
    }

    /// Commands that were made in them and not started.
    pub(super) fn execs(&self) -> &[Value] {
        self.said["execs"].as_array().expect("commands")
    }
}
