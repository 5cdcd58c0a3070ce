//! The way back: it is taken, it is checked, and where it does not lead back a person is told.

use crate::support::books;
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
