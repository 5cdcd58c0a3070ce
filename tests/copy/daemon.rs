//! Two container daemons: the machine's own, and a newer one that lives as long as this process.

use std::io::{Read as _, Write as _};
use std::os::unix::net::UnixStream;
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::sync::{Mutex, OnceLock};

use serde_json::Value;

use crate::support::docker::{ensure_image, socket};
use crate::support::patience::until;

const SCRIPT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/scripts/newer-docker.sh");
const IMAGE_SCRIPT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/scripts/image.sh");
/// Compose, which `newer-docker.sh fetch` has laid there.
pub(super) const COMPOSE: &str = concat!(
    env!("CARGO_MANIFEST_DIR"),
    "/target/newer-docker/root/usr/libexec/docker/cli-plugins/docker-compose"
);

/// A daemon, spoken to without a library: what it says is compared as it is.
#[derive(Debug, Clone)]
pub(crate) struct Daemon {
    pub(super) socket: PathBuf,
    /// The newest version of its interface.
    api: String,
}

/// The machine's own.
pub(crate) fn own() -> Daemon {
    ensure_image();
    Daemon::at(socket())
}

/// A newer one.
pub(crate) fn newer() -> Daemon {
    static STARTED: OnceLock<Daemon> = OnceLock::new();
    static STARTING: Mutex<()> = Mutex::new(());
    let _one = STARTING.lock();
    STARTED.get_or_init(start).clone()
}

fn start() -> Daemon {
    let fetched = Command::new(SCRIPT).arg("fetch").output().expect("the script that fetches Docker");
    assert!(fetched.status.success(), "{}", String::from_utf8_lossy(&fetched.stderr));
    let dir = tempfile::Builder::new().prefix("runbook-docker-").tempdir().expect("a folder").keep();
    let process = std::process::id().to_string();
    let mut keeper = Command::new("setsid")
        .arg(SCRIPT)
        .args(["run", &process])
        .arg(&dir)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .spawn()
        .expect("the script that runs Docker");
    let socket = dir.join("docker.sock");
    until("the newer Docker, which writes to target/newer-docker/dockerd.log", || {
        assert!(keeper.try_wait().expect("its state").is_none(), "the newer Docker does not start");
        UnixStream::connect(&socket).is_ok().then_some(())
    });
    let daemon = Daemon::at(socket);
    let made = Command::new(IMAGE_SCRIPT).env("DOCKER_HOST", daemon.host()).output().expect("the script");
    assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
    daemon
}

impl Daemon {
    fn at(socket: PathBuf) -> Self {
        let mut daemon = Self { socket, api: String::new() };
        let version = daemon.ask("GET", "/version", None).1;
        version["ApiVersion"].as_str().expect("a version").clone_into(&mut daemon.api);
        daemon
    }

    /// For `DOCKER_HOST`.
    pub(super) fn host(&self) -> String {
        format!("unix://{}", self.socket.display())
    }

    /// Whether its interface has what came with 1.`minor`.
    pub(super) fn knows(&self, minor: u32) -> bool {
        self.api.split_once('.').is_some_and(|(_, own)| own.parse::<u32>().is_ok_and(|own| own >= minor))
    }

    /// Status and document.
    pub(super) fn ask(&self, method: &str, path: &str, body: Option<&Value>) -> (u16, Value) {
        let version = if self.api.is_empty() { String::new() } else { format!("/v{}", self.api) };
        let body = body.map(Value::to_string).unwrap_or_default();
        let mut stream = UnixStream::connect(&self.socket).expect("the daemon listens");
        write!(
            stream,
            "{method} {version}{path} HTTP/1.0\r\nHost: docker\r\nContent-Type: application/json\r\n\
             Content-Length: {}\r\n\r\n{body}",
            body.len()
        )
        .expect("the daemon reads");
        let mut answer = String::new();
        stream.read_to_string(&mut answer).expect("the daemon answers");
        let (head, document) = answer.split_once("\r\n\r\n").expect("a head and a body");
        let status = head.split(' ').nth(1).and_then(|status| status.parse().ok()).expect("a status");
        (status, serde_json::from_str(document).unwrap_or_default())
    }

    /// What must succeed.
    pub(super) fn must(&self, method: &str, path: &str, body: Option<&Value>) -> Value {
        let (status, document) = self.ask(method, path, body);
        assert!(status < 400, "{method} {path}: {status} {document}\n{}", body.unwrap_or(&Value::Null));
        document
    }

    /// The document of a container.
    pub(super) fn inspect(&self, name: &str) -> Value {
        self.must("GET", &format!("/containers/{name}/json"), None)
    }

    /// The `docker` program, which must succeed.
    pub(super) fn docker(&self, arguments: &[&str]) -> String {
        let host = self.host();
        crate::support::docker::docker(&[&["--host", &host], arguments].concat())
    }
}

/// Everything of a project, gone when dropped.
pub(super) struct Project {
    pub(super) daemon: Daemon,
    pub(super) name: String,
}

impl Project {
    pub(super) fn new(daemon: Daemon) -> Self {
        let name = format!("copy{}x{}", std::process::id(), crate::support::service::next_number());
        Self { daemon, name }
    }
}

impl Project {
    /// Removes its containers, with the volumes that only they had: one that a replacement took over is nameless no more.
    pub(super) fn clear(&self) {
        self.sh(
            r#"
            all="$(docker ps --all --quiet --filter "$FILTER")"
            [ -n "$all" ] || exit 0
            volumes="$(docker inspect --format '{{range .Mounts}}{{println .Name}}{{end}}' $all | grep -E '^[0-9a-f]{64}$')"
            docker rm --force --volumes $all
            [ -z "$volumes" ] || docker volume rm --force $volumes
            "#,
        );
    }

    fn sh(&self, script: &str) {
        let filter = format!("label=com.docker.compose.project={}", self.name);
        let mut shell = Command::new("sh");
        shell.args(["-c", script]).env("DOCKER_HOST", self.daemon.host()).env("FILTER", filter);
        let _ = shell.output();
    }
}

impl Drop for Project {
    fn drop(&mut self) {
        self.clear();
        self.sh(r#"
            docker network ls --quiet --filter "$FILTER" | xargs -r docker network rm
            docker volume ls --quiet --filter "$FILTER" | xargs -r docker volume rm
            docker images --quiet --filter "$FILTER" | xargs -r docker rmi --force
            "#);
    }
}
