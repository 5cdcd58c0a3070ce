//! A bed of containers of one test: made with the `docker` program, so that what the module under test says can be
//! compared with what somebody else says, and removed when the test ends.

use std::process::Command;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use crate::{Connection, Daemon, Error, ExecCommand};

static BEDS: AtomicU32 = AtomicU32::new(0);

pub(super) struct Bed {
    /// Unique: the beginning of every name.
    pub(super) name: String,
    pub(super) daemon: Daemon,
}

/// The local daemon.
pub(super) fn local() -> Connection {
    Connection::parse("unix:///var/run/docker.sock", None).unwrap()
}

/// Runs `docker ARGUMENTS...` and returns what it prints.
pub(super) fn docker(arguments: &[&str]) -> String {
    let output = Command::new("docker").args(arguments).output().expect("the `docker` program starts");
    assert!(
        output.status.success(),
        "docker {}: {}\nthese tests need a daemon and its test image: tests/scripts/setup.sh test && tests/scripts/image.sh",
        arguments.join(" "),
        String::from_utf8_lossy(&output.stderr)
    );
    String::from_utf8_lossy(&output.stdout).trim().to_owned()
}

/// How long anything may take on a slow and loaded machine.
const PATIENCE: Duration = Duration::from_secs(90);

/// The first thing `look` finds.
pub(super) async fn until<T>(what: &str, look: impl AsyncFn() -> Option<T>) -> T {
    let began = Instant::now();
    loop {
        if let Some(found) = look().await {
            return found;
        }
        assert!(began.elapsed() < PATIENCE, "waited {PATIENCE:?} for {what}");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

impl Bed {
    pub(super) fn new() -> Self {
        docker(&["image", "inspect", "runbook-test:1", "--format", "{{.Id}}"]);
        let number = BEDS.fetch_add(1, Ordering::Relaxed);
        let name = format!("rbt-{}-{number}", std::process::id());
        Self { name, daemon: Daemon::connect(&local()).unwrap() }
    }

    /// A name of this bed.
    pub(super) fn named(&self, name: &str) -> String {
        format!("{}-{name}", self.name)
    }

    /// Starts a container of the test image and returns its id.
    pub(super) fn run(&self, name: &str, arguments: &[&str]) -> String {
        self.make("run", name, arguments, &["runbook-test:1"])
    }

    /// `run` or `create`, with the image and command at the end.
    pub(super) fn make(&self, verb: &str, name: &str, arguments: &[&str], image: &[&str]) -> String {
        let (name, label) = (self.named(name), format!("runbook-test-bed={}", self.name));
        let mut all = vec![verb, "--name", &name, "--label", &label];
        if verb == "run" {
            all.push("--detach");
        }
        all.extend(arguments);
        all.extend(image);
        docker(&all)
    }

    /// Starts replicas of `project/service` of this bed, labelled as Compose labels them; their ids.
    pub(super) fn service(&self, service: &str, replicas: u32, arguments: &[&str]) -> Vec<String> {
        let project = format!("com.docker.compose.project={}", self.name);
        let service_label = format!("com.docker.compose.service={service}");
        (1..=replicas)
            .map(|number| {
                let number_label = format!("com.docker.compose.container-number={number}");
                let mut all = vec!["--label", &project, "--label", &service_label, "--label", &number_label];
                all.extend(arguments);
                self.run(&format!("{service}-{number}"), &all)
            })
            .collect()
    }

    /// An inert command in a container.
    pub(super) async fn exec(
        &self,
        id: &str,
        command: &[String],
        env: &[(String, String)],
    ) -> Result<String, Error> {
        self.daemon.exec_create(id, &ExecCommand { command, env, ..ExecCommand::default() }, &[]).await
    }

    /// Returns once a container with `EAT_MB` holds this much.
    pub(super) async fn until_eaten(&self, id: &str, mb: usize) {
        let size = || docker(&["exec", id, "sh", "-c", "wc -c </dev/shm/eaten || echo 0"]);
        let eaten = async || (size().parse() == Ok(mb << 20)).then_some(());
        until(&format!("{mb} MB in use in a container of {}", self.name), eaten).await;
    }

    /// What Docker says of a container, by a Go template.
    pub(super) fn look(id: &str, template: &str) -> String {
        docker(&["inspect", "--format", template, id])
    }
}

impl Drop for Bed {
    fn drop(&mut self) {
        let label = format!("label=runbook-test-bed={}", self.name);
        let script = format!(
            "volumes=$(docker ps -aq --filter {label} | \
                 xargs -r docker inspect --format '{{{{range .Mounts}}}}{{{{.Name}}}} {{{{end}}}}'); \
             docker ps -aq --filter {label} | xargs -r docker rm -fv; \
             echo $volumes | xargs -r docker volume rm; \
             docker network ls -q --filter {label} | xargs -r docker network rm; \
             docker volume ls -q --filter {label} | xargs -r docker volume rm"
        );
        let _ = Command::new("sh").args(["-c", &script]).output();
    }
}
