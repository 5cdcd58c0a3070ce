//! A run done again from the audit log alone, with no daemon at all.

use crate::support::books::{self, Restart};
use crate::support::engine::Engine;
use crate::support::service::Service;

/// No daemon listens there.
const NOWHERE: &str = "unix:///nonexistent/docker.sock";

fn identical(engine: &Engine, calls: u64) {
    let replayed = engine.json(&["runs", "replay", "last"]);
    assert_eq!(replayed["identical"], true, "{replayed}");
    assert_eq!(replayed["differences"], serde_json::json!([]));
    assert!(replayed["calls"].as_u64().expect("a number") >= calls, "{replayed}");
    engine.must(0, &["runs", "replay", "last"]).says(&["identical"]);
}

#[test]
fn of_a_restart_and_of_a_failure() {
    let service = Service::of(2).heals_by_mark().up();
    let mut engine = Engine::new();
    let book = engine.write("restart.yaml", &books::restart(&Restart { wait: "4s", ..Restart::default() }));
    engine.must(0, &["run", &book, "-p", &service.parameter(), "--yes"]);
    engine.set("DOCKER_HOST", NOWHERE);
    identical(&engine, 4);

    service.never_heals_again(1);
    engine.set("DOCKER_HOST", "");
    engine.must(10, &["run", &book, "-p", &service.parameter(), "--yes"]);
    let mark = service.events.mark();
    engine.set("DOCKER_HOST", NOWHERE);
    identical(&engine, 2);
    assert_eq!(service.events.writes(mark), []);
    engine.must(0, &["audit", "verify"]);
}

#[test]
fn of_a_run_that_was_killed_and_resumed() {
    let service = Service::of(2).up();
    let mut engine = Engine::new();
    let book = engine.write("restart.yaml", &books::restart(&Restart::default()));
    let mark = service.events.mark();
    let run = engine.spawn(&["run", &book, "-p", &service.parameter(), "--yes"]);
    service.events.wait_for(mark, "start", &service.replica(1));
    run.kill();
    engine.must(0, &["runs", "resume", "--yes"]);
    engine.set("DOCKER_HOST", NOWHERE);
    identical(&engine, 4);
}
