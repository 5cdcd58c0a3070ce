//! Projects that the real Compose made.

use std::process::Command;

use super::compare::As;
use super::daemon::{self, COMPOSE, Daemon, Project};
use super::{Seen, check, copy, recreate, scale};
use crate::support::engine::Engine;

/// Much of what a Compose file can say. `entry` is the owner of a network and of memory.
const FILE: &str = r#"
services:
  entry:
    image: runbook-test:1
    environment: { START_DELAY: "0" }
    networks: { front: { aliases: [door] }, back: {} }
    ipc: shareable
    hostname: door
    ports: ["127.0.0.1::8080"]
    stop_grace_period: 4s
    stop_signal: SIGTERM
  web:
    image: runbook-test:1
    environment: { START_DELAY: "0", MODE: "a=b" }
    depends_on: { entry: { condition: service_healthy }, store: { condition: service_started } }
    networks: [back]
    volumes: [store:/store:ro, /nameless, { type: tmpfs, target: /fast, tmpfs: { size: 65536 } }]
    deploy: { resources: { limits: { cpus: "0.5", memory: 64M, pids: 50 } } }
    ulimits: { nofile: { soft: 500, hard: 600 } }
    cap_drop: [NET_RAW]
    healthcheck: { interval: 600ms, retries: 7 }
    configs: [{ source: note, target: /note }]
    extra_hosts: ["other:192.0.2.2"]
    logging: { driver: json-file, options: { max-size: 1m } }
    restart: on-failure
    sysctls: { net.core.somaxconn: 99 }
  store:
    image: runbook-test:1
    environment: { START_DELAY: "0" }
    volumes: [store:/store, { type: bind, source: ./, target: /host, read_only: true }]
    networks: { back: { mac_address: "02:42:ac:11:bb:01" } }
    tmpfs: [/tmp]
    shm_size: 8mb
  side:
    image: runbook-test:1
    entrypoint: ""
    command: [sleep, "9999"]
    network_mode: "service:entry"
    healthcheck: { test: [CMD, "true"], interval: 500ms }
  alone:
    image: runbook-test:1
    environment: { START_DELAY: "0" }
    network_mode: none
    user: "0:0"
    working_dir: /tmp
    init: false
    read_only: true
    tmpfs: [/var, /www, /tmp]
configs: { note: { file: ./note } }
volumes: { store: {} }
networks: { front: {}, back: { driver_opts: { com.docker.network.bridge.enable_icc: "true" } } }
"#;

fn composed(daemon: &Daemon) {
    let project = Project::new(daemon.clone());
    let engine = Engine::new().env("DOCKER_HOST", daemon.host());
    engine.write("note", "a note");
    let file = if daemon.knows(44) {
        FILE.to_owned()
    } else {
        FILE.replace("{ back: { mac_address: \"02:42:ac:11:bb:01\" } }", "[back]")
    };
    let file = engine.write("compose.yaml", &file);
    let compose = |arguments: &[&str]| {
        let mut command = Command::new(COMPOSE);
        command.args(["--project-name", &project.name, "--file", &file]).args(arguments);
        let ended = engine.begin(&mut command).wait();
        assert_eq!(ended.code, 0, "compose {arguments:?}: {}\n{}", ended.stdout, ended.stderr);
        ended.stdout
    };
    compose(&["up", "--detach", "--wait", "--quiet-pull"]);
    let services = ["web", "store", "side", "alone"];
    let name = |service: &str, number: u32| format!("{}-{service}-{number}", project.name);
    let pairs = |services: &[&str], number| -> Vec<_> {
        services.iter().map(|service| (name(service, 1), name(service, number))).collect()
    };

    let before = Seen::of(&project);
    copy(&engine, &project, &[recreate(services)]);
    let between = Seen::of(&project);
    check(&before, &between, &pairs(&services, 1), As::Replacement);
    for service in ["entry", "side"] {
        copy(&engine, &project, &[recreate([service])]);
    }
    let after = Seen::of(&project);
    check(&between, &after, &pairs(&["entry", "side"], 1), As::Replacement);
    let scalable = ["web", "alone", "store"];
    copy(&engine, &project, &[scale(scalable)]);
    check(&after, &Seen::of(&project), &pairs(&scalable, 2), As::Further);

    // Compose still takes them for its own, and for what its file asks for.
    let replicas: Vec<String> = scalable.iter().map(|service| format!("{service}=2")).collect();
    let mut up = vec!["up", "--detach", "--wait", "--quiet-pull"];
    up.extend(replicas.iter().flat_map(|one| ["--scale", one]));
    let scaled = ids(&Seen::of(&project));
    compose(&up);
    assert_eq!(ids(&Seen::of(&project)), scaled, "Compose made others");
    compose(&["down", "--volumes", "--timeout", "1"]);
}

/// Ids and names of all but those in the network of another, which Compose makes anew whenever the other is not its own.
fn ids(seen: &Seen) -> Vec<(String, String)> {
    let mut all: Vec<_> = seen.others.iter().filter(|(_, name)| !name.contains("-side-")).cloned().collect();
    all.sort();
    all
}

#[test]
fn a_project_of_compose_is_copied_on_the_machines_docker() {
    let _ = daemon::newer();
    composed(&daemon::own());
}

#[test]
fn a_project_of_compose_is_copied_on_a_newer_docker() {
    composed(&daemon::newer());
}
