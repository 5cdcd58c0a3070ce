//! A home of its own with ways to look for what must not be there.

use std::io::Write as _;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::Value;

use crate::support::engine::{Ended, Engine};

pub(super) use crate::support::engine::BINARY;

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

/// Everything below a folder.
pub(super) fn files(dir: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(dir).expect("a folder").flatten() {
        if entry.path().is_dir() {
            found.extend(files(&entry.path()));
        }
        found.push(entry.path());
    }
    found
}

/// Where the canary is found: as it is, in hex, in base64 whatever stands before it.
pub(super) fn hits(path: &Path) -> Vec<String> {
    let hex = |upper: bool| {
        let digits = |byte: u8| if upper { format!("{byte:02X}") } else { format!("{byte:02x}") };
        CANARY.bytes().map(digits).collect::<String>()
    };
    let mut wanted = vec![CANARY.to_owned(), hex(false), hex(true)];
    for before in 0..3 {
        let text = STANDARD.encode([vec![b'x'; before].as_slice(), CANARY.as_bytes()].concat());
        let inner = &text[4..text.len() - 4];
        wanted.push(inner.to_owned());
        wanted.push(inner.replace('+', "-").replace('/', "_"));
    }
    let all = if path.is_dir() { files(path) } else { vec![path.to_owned()] };
    let mut found = Vec::new();
    for file in all.iter().filter(|file| file.is_file()) {
        let bytes = std::fs::read(file).unwrap_or_default();
        for text in &wanted {
            if bytes.windows(text.len()).any(|window| window == text.as_bytes()) {
                found.push(format!("`{text}` in {}", file.display()));
            }
        }
    }
    found
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
