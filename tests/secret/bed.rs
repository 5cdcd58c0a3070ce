//! A home of its own with ways to look for what must not be there.

use std::io::Write as _;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use serde_json::Value;

use crate::support::engine::{Ended, Engine};
use crate::support::vault;

pub(super) use crate::support::engine::BINARY;
pub(super) use crate::support::vault::files;

/// A value that stands nowhere else.
pub(super) const CANARY: &str = "cn4ry-7Qx!vZ0p-93kd+Lw";

pub(super) struct Home {
    pub(super) engine: Engine,
    /// Where `HOME` is: beside the data directory.
    root: PathBuf,
}

impl Home {
    pub(super) fn new() -> Self {
        Self::of(Engine::new())
    }

    fn of(engine: Engine) -> Self {
        let root = engine.path("x").parent().and_then(Path::parent).expect("a home").to_owned();
        Self { engine, root }
    }

    /// Another with the same data directory and this variable, and no key of its own.
    pub(super) fn with(&self, variable: &str, value: &str) -> Self {
        Self::of(Engine::new().env(variable, value).data_dir(self.engine.data()))
    }

    pub(super) fn identity(&self) -> PathBuf {
        self.root.join(".config/runbook/secrets-identity")
    }

    pub(super) fn set(&self, name: &str, value: &str) -> Ended {
        let file = self.engine.write("value", value);
        self.engine.must(0, &["secret", "set", name, "--file", &file])
    }

    pub(super) fn reveal(&self, name: &str) -> String {
        self.engine.must(0, &["secret", "show", name, "--reveal"]).stdout
    }

    /// Runs a command with this on stdin.
    pub(super) fn stdin(&self, arguments: &[&str], bytes: &[u8]) -> Ended {
        std::fs::write(self.engine.path("stdin"), bytes).expect("a file");
        let mut command = Command::new("sh");
        command.args(["-c", "exec \"$0\" \"$@\" < stdin", BINARY]).args(arguments);
        self.engine.begin(&mut command).wait()
    }

    /// What the audit log holds.
    pub(super) fn entries(&self) -> Vec<Value> {
        let tail = self.engine.must(0, &["audit", "tail", "-n", "10000", "--output", "json"]).stdout;
        tail.lines().map(|line| serde_json::from_str(line).expect("an entry")).collect()
    }
}

/// Where the canary is found.
pub(super) fn hits(path: &Path) -> Vec<String> {
    vault::hits(path, &[CANARY])
}

/// Runs the program `age` with this on stdin.
pub(super) fn age(arguments: &[&str], input: &[u8]) -> Vec<u8> {
    let mut child = Command::new("age")
        .args(arguments)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .expect("the program age: tests/scripts/setup.sh test");
    child.stdin.take().expect("its stdin").write_all(input).expect("read");
    let output = child.wait_with_output().expect("its end");
    assert!(output.status.success(), "age {arguments:?}");
    output.stdout
}

/// The public key in what `age-keygen` printed.
pub(super) fn public(text: &[u8]) -> String {
    let text = String::from_utf8_lossy(text).into_owned();
    text.lines().find_map(|line| line.strip_prefix("# public key: ")).expect("a public key").to_owned()
}

pub(super) fn tighten(path: &Path) {
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o600)).expect("a mode");
}

pub(super) fn loosen(path: &Path) {
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o644)).expect("a mode");
}
