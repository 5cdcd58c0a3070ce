//! The daemon's own command line, which shares no code with the engine.

use std::io::{Read as _, Write as _};
use std::os::unix::net::UnixStream;
use std::path::PathBuf;
use std::process::{Command, Output};
use std::sync::OnceLock;

use serde_json::Value;

/// The image every test container is made of.
pub(crate) const IMAGE: &str = "runbook-test:1";

/// Runs `docker` and gives what it printed, whatever came of it.
pub(crate) fn try_docker(arguments: &[&str]) -> Output {
    Command::new("docker").args(arguments).output().expect("the docker client")
}

/// Runs `docker`, which must succeed, and gives what it printed.
pub(crate) fn docker(arguments: &[&str]) -> String {
    let output = try_docker(arguments);
    assert!(output.status.success(), "docker {arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8_lossy(&output.stdout).trim().to_owned()
}

/// Where the daemon listens.
pub(crate) fn socket() -> PathBuf {
    let host = docker(&["context", "inspect", "--format", "{{.Endpoints.docker.Host}}"]);
    PathBuf::from(host.strip_prefix("unix://").unwrap_or("/var/run/docker.sock"))
}

/// Makes the test image once per process, if it is not there.
pub(crate) fn ensure_image() {
    static MADE: OnceLock<()> = OnceLock::new();
    MADE.get_or_init(|| {
        let script = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/scripts/image.sh");
        let made = Command::new(script).output().expect("the script that makes the image");
        assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
    });
}

/// Asks the daemon itself for what its command line cannot be asked for; it must do it.
pub(crate) fn api(method: &str, path: &str, body: &Value) -> Value {
    let mut daemon = UnixStream::connect(socket()).expect("the daemon");
    let body = if body.is_null() { String::new() } else { body.to_string() };
    let head = format!(
        "{method} {path} HTTP/1.0\r\nHost: docker\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\r\n",
        body.len()
    );
    daemon.write_all(format!("{head}{body}").as_bytes()).expect("a request");
    let mut answer = String::new();
    daemon.read_to_string(&mut answer).expect("an answer");
    let (head, said) = answer.split_once("\r\n\r\n").expect("a head");
    assert!(head.starts_with("HTTP/1.0 2"), "{method} {path}: {answer}");
    serde_json::from_str(said).unwrap_or_default()
}
