//! The way back: it is taken, it is checked, and where it does not lead back a person is told.

use crate::support::books;
use crate::support::docker::docker;
use crate::support::engine::Engine;
use crate::support::service::Service;

/// Restarts one replica after the other; the way back makes a replica heal.
fn with_undo(command: &str) -> String {
    let steps = format!(
        r#"
  - id: each
    uses: service.restart
    with: {{ service: "${{{{ item }}}}", grace: 1s, wait: 4s }}
    for_each: parameters.names
    undo:
      uses: container.exec
      with: {{ container: "${{{{ item }}}}", command: {command} }}
      holds: output.exit_code == 0
"#
    );
    books::steps("read, restart, exec", &steps)
}

/// Runs it over both replicas, of which the second does not come back.
fn second_fails(command: &str, code: i32) -> (Service, Engine, usize) {
    let service = Service::of(2).heals_by_mark().up();
    let engine = Engine::new();
    let book = engine.write("undo.yaml", &with_undo(command));
    service.never_heals_again(2);
    let mark = service.events.mark();
    let names = format!("names={}", service.replicas().join(","));
    engine.must(code, &["run", &book, "-p", &service.parameter(), "-p", &names, "--yes"]);
    (service, engine, mark)
}

#[test]
fn a_second_replica_that_fails_is_rolled_back() {
    let (service, engine, mark) = second_fails("[touch, /tmp/heal]", 11);
    assert_eq!(engine.last()["status"], "rolled-back");
    let undone: Vec<(String, String)> = service
        .events
        .since(mark)
        .into_iter()
        .filter(|event| event.action.starts_with("exec_create: touch"))
        .map(|event| (event.action, event.name))
        .collect();
    let touch = "exec_create: touch /tmp/heal".to_owned();
    // Newest first.
    assert_eq!(undone, [(touch.clone(), service.replica(2)), (touch, service.replica(1))]);
    service.events.wait_for(mark, "health_status: healthy", &service.replica(2));
    let checked = engine.run(&["audit", "tail", "--kind", "undo.checked", "--output", "json"]);
    assert_eq!(checked.stdout.matches("\"holds\":true").count(), 2, "{checked:?}");
}

#[test]
fn an_undo_that_fails_is_stuck() {
    let (service, engine, mark) = second_fails("[\"false\"]", 12);
    assert_eq!(engine.last()["status"], "stuck");
    let expected = [(service.replica(1), 1), (service.replica(2), 1)].into_iter().collect();
    assert_eq!(service.events.count(mark, "start"), expected);
}

#[test]
fn a_step_that_fails_takes_back_the_replica_added_before() {
    let service = Service::of(1).up();
    let engine = Engine::new();
    let book = engine.write("grow.yaml", &books::steps("read, create, restart, remove", GROW));
    let mark = service.events.mark();
    engine.must(11, &["run", &book, "-p", &service.parameter(), "--yes"]).says(&["rolled-back"]);
    let second = service.replica(2);
    let created = [(second.clone(), 1)].into_iter().collect();
    assert_eq!(service.events.count(mark, "create"), created);
    assert_eq!(service.events.count(mark, "destroy"), created);
    assert_eq!(service.containers(), [service.replica(1)]);
}

const GROW: &str = r#"
  - id: grow
    uses: service.scale
    with: { service: "${{ parameters.service }}", replicas: 2, grace: 1s }
    undo:
      uses: service.scale
      with: { service: "${{ parameters.service }}", replicas: 1, grace: 1s }
      holds: output.replicas == 1
  - id: no
    uses: core.fail
    with: { message: it was not enough }
"#;

#[test]
fn state_is_put_back_too() {
    let engine = Engine::new();
    engine.must(0, &["state", "set", "brk", "k", "\"old\""]);
    let book = engine.write("state.yaml", STATE);
    let undone = engine.json_with(11, &["run", &book, "--yes"]);
    assert_eq!(undone["status"], "rolled-back");
    assert!(engine.must(0, &["state", "get", "brk", "k"]).stdout.contains("old"));
}

const STATE: &str = r#"format: 1
runbook: state-undo
summary: Remember, and forget again.
grants: { state: [{ bucket: brk, actions: [read, write] }] }
steps:
  - id: keep
    uses: state.set
    with: { bucket: brk, key: k, value: new }
    undo: { uses: state.set, with: { bucket: brk, key: k, value: old } }
  - { id: doom, uses: core.fail, with: { message: doomed } }
"#;

/// One undo fails, one does nothing.
const USELESS: &str = r#"
  - id: first
    uses: container.exec
    with: { service: "${{ parameters.service }}", command: ["true"] }
    undo:
      uses: container.exec
      with: { service: "${{ parameters.service }}", command: [touch, /tmp/undone] }
  - id: second
    uses: container.exec
    with: { service: "${{ parameters.service }}", command: ["true"] }
    undo:
      uses: container.exec
      with: { service: "${{ parameters.service }}", command: ["false"] }
  - { id: doom, uses: core.fail, with: { message: doomed } }
"#;

#[test]
fn an_undo_that_fails_keeps_none_from_being_tried() {
    let service = Service::of(1).up();
    let engine = Engine::new();
    let book = engine.write("useless.yaml", &books::steps("read, exec", USELESS));
    let ended = engine.json_with(12, &["run", &book, "-p", &service.parameter(), "--yes"]);
    docker(&["exec", &service.replica(1), "ls", "/tmp/undone"]);
    let message = ended["message"].as_str().expect("a message");
    assert!(message.starts_with("`undo:second` failed: "), "{message}");
    assert!(message.contains("what was written by `second` was not undone"), "{message}");
}

/// The undo leads nowhere.
const NOTHING: &str = r#"
  - id: stop
    uses: service.stop
    with: { service: "${{ parameters.service }}", grace: 1s }
    undo: { uses: core.log, with: { message: nothing to see } }
  - { id: doom, uses: core.fail, with: { message: doomed } }
"#;

#[test]
fn what_is_down_is_told_though_every_undo_ran() {
    let service = Service::of(1).up();
    let engine = Engine::new();
    let book = engine.write("nothing.yaml", &books::steps("read, stop", NOTHING));
    let ended = engine.json_with(11, &["run", &book, "-p", &service.parameter(), "--yes"]);
    let (name, message) = (service.replica(1), ended["message"].as_str().expect("a message"));
    let words = format!("`undo:stop` changed nothing; `{name}` is down");
    assert!(message.ends_with(&words), "{message}");
    let left = &ended["not_as_before"][0];
    assert_eq!((left["what"].as_str(), left["container"].as_str()), (Some("down"), Some(name.as_str())));
}
