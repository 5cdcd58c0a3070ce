//! The containers of a kept data directory, made anew: as they were when the engine was killed, under other names. Between
//! them and the engine stands a translator, so that a run goes on with containers of which it knows ids and times.

use serde_json::{Value, json};

use super::kept::Kept;
use crate::support::docker::{api, docker, ensure_image, try_docker};
use crate::support::docker_events::DockerEvents;
use crate::support::patience::{PATIENCE, until_true};
use crate::support::service::next_number;
use crate::support::translator::{Translator, Words};

/// What Docker says of a moment that has not come.
const NEVER: &str = "0001-01-01T00:00:00Z";

/// The label by which a container made from another knows it.
const ORIGIN: &str = "runbook.from";

/// The containers, gone when dropped.
pub(super) struct Stage {
    project: String,
    translator: Translator,
    /// What Docker says happened to them.
    pub(super) events: DockerEvents,
}

impl Stage {
    pub(super) fn set(kept: &Kept) -> Self {
        ensure_image();
        // As long as the one that was recorded.
        let project = format!("k{:05x}{:02x}", std::process::id() & 0xf_ffff, next_number() & 0xff);
        let events = DockerEvents::of(&project);
        let mut words = Words::default();
        words.name(kept.project(), &project);
        let mut stage = Self { project, events, translator: Translator::of(Words::default()) };
        let is_made = |one: &&Value| one["Config"]["Labels"].get(ORIGIN).is_some();
        for container in kept.containers().iter().filter(|one| !is_made(one)) {
            make(container, &mut words);
        }
        for container in kept.containers().iter().filter(is_made) {
            make(container, &mut words);
        }
        for exec in kept.execs() {
            inert(exec, &mut words);
        }
        for container in kept.containers() {
            let name = words.here(container["Name"].as_str().expect("a name"));
            is_so(name.trim_start_matches('/'), container, &mut words);
        }
        stage.translator = Translator::of(words);
        stage
    }

    /// For `DOCKER_HOST`.
    pub(super) fn address(&self) -> String {
        self.translator.address()
    }

    /// The name of a replica here.
    pub(super) fn replica(&self, service: &str, number: u32) -> String {
        format!("{}-{service}-{number}", self.project)
    }

    /// The same of the project that one run restarts as a whole.
    pub(super) fn of_stack(&self, service: &str, number: u32) -> String {
        format!("{}t-{service}-{number}", self.project)
    }

    /// `docker inspect` with a template.
    pub(super) fn inspect(&self, service: &str, number: u32, template: &str) -> String {
        docker(&["inspect", "--format", template, &self.replica(service, number)])
    }

    /// The names of a service's containers, sorted, one-off ones too.
    pub(super) fn containers(&self, service: &str) -> Vec<String> {
        let project = format!("label=com.docker.compose.project={}", self.project);
        let service = format!("label=com.docker.compose.service={service}");
        let filters = ["--filter", &project, "--filter", &service];
        let listed = docker(&[&["ps", "--all", "--format", "{{.Names}}"], &filters[..]].concat());
        let mut names: Vec<String> = listed.lines().map(str::to_owned).collect();
        names.sort();
        names
    }
}

/// Makes a container from what was kept of it, not yet started.
fn make(container: &Value, words: &mut Words) {
    let written = container["Id"].as_str().expect("an id");
    let name = words.here(container["Name"].as_str().expect("a name"));
    let mut body: Value = serde_json::from_str(&words.here(&container["Config"].to_string())).expect("JSON");
    body["HostConfig"] = container["HostConfig"].clone();
    if container["Config"]["Healthcheck"]["Test"][0] == "CMD" {
        // So many containers with checks as quick as theirs were would keep the machine from anything else.
        body["Healthcheck"]["Interval"] = json!(2_000_000_000_u64);
        body["Healthcheck"]["Timeout"] = json!(PATIENCE.as_secs() * 1_000_000_000);
    }
    let made = api("POST", &format!("/containers/create?name={}", name.trim_start_matches('/')), &body);
    words.id(written, made["Id"].as_str().expect("an id"));
}

/// Brings a container to where it was, and learns the moments of its life.
fn is_so(name: &str, container: &Value, words: &mut Words) {
    let state = &container["State"];
    if state["StartedAt"] != NEVER {
        docker(&["start", name]);
    }
    match state["Status"].as_str() {
        Some("exited") => drop(docker(&["kill", name])),
        Some("running" | "created") => {}
        other => panic!("`{name}` was {other:?}: nobody knows how to make one so"),
    }
    if container["Health"] == "healthy" && state["Status"] == "running" {
        let health = ["inspect", "--format", "{{.State.Health.Status}}", name];
        until_true(&format!("`{name}` to be healthy"), || docker(&health) == "healthy");
    }
    let here: Value = serde_json::from_str(&docker(&["inspect", name])).expect("JSON");
    let here = &here[0];
    let moments = [
        (&container["Created"], &here["Created"]),
        (&state["StartedAt"], &here["State"]["StartedAt"]),
        (&state["FinishedAt"], &here["State"]["FinishedAt"]),
    ];
    for (written, here) in moments {
        let (written, here) = (written.as_str().expect("a time"), here.as_str().expect("a time"));
        if here != NEVER {
            words.time(written, here);
        }
    }
}

/// Makes a command in a running container and does not start it.
fn inert(exec: &Value, words: &mut Words) {
    let container = words.here(exec["Container"].as_str().expect("an id"));
    docker(&["start", &container]);
    let body = json!({
        "AttachStdin": exec["Stdin"], "AttachStdout": true, "AttachStderr": true, "Cmd": exec["Cmd"],
    });
    let made = api("POST", &format!("/containers/{container}/exec"), &body);
    words.id(exec["Id"].as_str().expect("an id"), made["Id"].as_str().expect("an id"));
}

impl Drop for Stage {
    fn drop(&mut self) {
        let listed = try_docker(&["ps", "--all", "--quiet", "--filter", &format!("name=^/{}", self.project)]);
        let ids = String::from_utf8_lossy(&listed.stdout).into_owned();
        let mut arguments = vec!["rm", "--force", "--volumes"];
        arguments.extend(ids.lines());
        if arguments.len() > 3 {
            let _ = try_docker(&arguments);
        }
    }
}
