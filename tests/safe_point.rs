//! Where a run stops when it is left, cancelled or cut short: nothing is down that it took down.

use std::time::Duration;

use crate::support::books::{self, Restart};
use crate::support::engine::{Engine, Running, signal};
use crate::support::patience::until;
use crate::support::service::Service;

/// Takes its time to stop, so that a wish comes between the stop and the start.
fn slow(replicas: u32) -> Service {
    Service::of(replicas).env("STOP_DELAY=2").up()
}

/// Restarts a service and gives a replica the time that it takes to stop.
fn patient_restart() -> String {
    books::restart(&Restart::default()).replace("grace: 1s", "grace: 20s")
}

/// The process that is the engine of this data directory.
fn engine_process(engine: &Engine) -> u32 {
    let text = std::fs::read_to_string(engine.data().join("engine.lock")).expect("an engine");
    text.trim().parse().expect("its process")
}

/// Begins the command and waits until the replica is being stopped.
fn stopping(engine: &Engine, service: &Service, arguments: &[&str], replica: &str) -> (Running, usize) {
    let mark = service.events.mark();
    let run = engine.spawn(arguments);
    service.events.wait_for(mark, "kill 15", replica);
    (run, mark)
}

fn serving(service: &Service, replicas: u32) -> u32 {
    (1..=replicas).filter(|number| service.is_healthy(*number)).map(|_| 1).sum()
}

fn assert_kinds(engine: &Engine, wanted: &[&str]) {
    let id = engine.last()["run"].as_str().expect("a run").to_owned();
    let told = engine.must(0, &["audit", "tail", "--run", &id, "--output", "json"]).stdout;
    for kind in wanted {
        assert!(told.contains(kind), "there is no `{kind}`:\n{told}");
    }
}

#[test]
fn who_leaves_a_restart_leaves_no_replica_down() {
    let (service, engine) = (slow(2), Engine::new());
    let book = engine.write("restart.yaml", &patient_restart());
    let command = ["run", &book, "-p", &service.parameter(), "--yes"];
    let (run, mark) = stopping(&engine, &service, &command, &service.replica(1));
    run.signal("INT");
    let ended = run.wait();
    assert_eq!(ended.code, 130, "{ended:?}");
    assert_eq!((engine.status().as_str(), serving(&service, 2)), ("left", 2));
    assert_eq!(service.events.so_far(mark, "die"), 1, "the second was not touched");
    assert_kinds(&engine, &["run.leave-requested", "run.left"]);
    engine.must(0, &["runs", "resume", "--yes"]);
    assert_eq!((engine.status().as_str(), serving(&service, 2)), ("succeeded", 2));
    assert_eq!(service.events.so_far(mark, "die"), 2, "each once");
}

#[test]
fn who_leaves_a_replacement_leaves_it_whole() {
    let (service, engine) = (slow(1), Engine::new());
    let name = service.name();
    let command = ["service", "recreate", &name, "--env", "A=b", "--yes"];
    let (run, _) = stopping(&engine, &service, &command, &service.replica(1));
    run.signal("INT");
    let ended = run.wait();
    assert_eq!(ended.code, 130, "{ended:?}");
    assert_eq!((engine.status().as_str(), serving(&service, 1)), ("left", 1));
    assert_eq!(service.containers(), [service.replica(1)], "neither an old nor a new one beside it");
    engine.must(0, &["runs", "resume", "--yes"]);
    assert!(service.is_healthy(1));
}

#[test]
fn who_leaves_a_scale_in_leaves_nothing_stopped_behind() {
    let (service, engine) = (slow(2), Engine::new());
    let name = service.name();
    let command = ["service", "scale", &name, "1", "--yes"];
    let (run, _) = stopping(&engine, &service, &command, &service.replica(2));
    run.signal("INT");
    run.wait();
    assert_eq!(service.containers(), [service.replica(1)]);
    engine.must(0, &["runs", "resume", "--yes"]);
    assert_eq!((engine.status().as_str(), serving(&service, 1)), ("succeeded", 1));
}

#[test]
fn a_cancel_brings_back_what_a_step_took_down() {
    let commands: [&[&str]; 4] = [
        &["service", "restart", "NAME", "--grace", "20s", "--yes"],
        &["service", "recreate", "NAME", "--env", "A=b", "--yes"],
        &["service", "scale", "NAME", "1", "--yes"],
        &["service", "restart", "NAME", "--force", "--yes"],
    ];
    std::thread::scope(|scope| {
        for command in commands {
            scope.spawn(|| {
                let (service, engine) = (slow(2), Engine::new());
                let name = service.name();
                let command: Vec<&str> =
                    command.iter().map(|word| if *word == "NAME" { name.as_str() } else { word }).collect();
                let mark = service.events.mark();
                let run = engine.spawn(&command);
                let kills = || service.events.so_far(mark, "kill 15") + service.events.so_far(mark, "kill 9");
                until("a stop", || (kills() > 0).then_some(()));
                let id = engine.last()["run"].as_str().expect("a run").to_owned();
                engine.run(&["runs", "cancel", &id, "--reason", "enough"]);
                let ended = run.wait();
                until("all to serve again", || (serving(&service, 2) == 2).then_some(()));
                assert_eq!(service.containers().len(), 2, "{command:?}: {ended:?}");
            });
        }
    });
}

#[test]
fn an_engine_that_is_killed_on_the_way_to_the_safe_point_is_succeeded_by_one_that_goes_there() {
    let (service, engine) = (slow(2), Engine::new());
    let book = engine.write("restart.yaml", &patient_restart());
    let command = ["run", &book, "-p", &service.parameter(), "--yes"];
    let (run, mark) = stopping(&engine, &service, &command, &service.replica(1));
    let process = engine_process(&engine);
    run.signal("INT");
    let id = engine.last()["run"].as_str().expect("a run").to_owned();
    until("the wish to leave", || {
        let told = engine.run(&["audit", "tail", "--run", &id, "--output", "json"]).stdout;
        told.contains("run.leave-requested").then_some(())
    });
    signal(process, "KILL");
    run.kill();
    engine.run(&["runs", "watch", &id]);
    engine.until_status("left");
    assert_eq!((serving(&service, 2), service.events.so_far(mark, "die")), (2, 1));
    engine.must(0, &["runs", "resume", "--yes"]);
    assert_eq!(service.events.so_far(mark, "die"), 2, "each once");
}

#[test]
fn an_undo_that_is_left_leaves_nothing_down() {
    let (service, engine) = (slow(1), Engine::new());
    let book = engine.write(
        "steps.yaml",
        &books::steps(
            "read, restart, exec",
            r#"  - id: restart
    uses: service.restart
    with: { service: "${{ parameters.service }}", grace: 20s }
    undo:
      uses: service.restart
      with: { service: "${{ parameters.service }}", grace: 20s }
  - id: fail
    uses: container.exec
    with: { service: "${{ parameters.service }}", command: ["false"] }
"#,
        ),
    );
    let mark = service.events.mark();
    let run = engine.spawn(&["run", &book, "-p", &service.parameter(), "--yes"]);
    until("the undo to stop it", || (service.events.so_far(mark, "kill 15") > 1).then_some(()));
    run.signal("INT");
    run.wait();
    assert_eq!((engine.status().as_str(), serving(&service, 1)), ("left", 1));
    assert_kinds(&engine, &["run.leave-requested", "run.left"]);
    // Half of it is not broken off, and who is refused has changed nothing.
    let entries = || engine.run(&["audit", "tail", "--lines=100"]).stdout;
    let before = entries();
    let refused = engine.run(&["runs", "cancel", "last"]);
    assert!(refused.code != 0 && !entries().contains("run.resumed"), "{refused:?} {before}");
    refused.says(&["is not broken off", "cancel", "--undo"]);
    engine.must(0, &["runs", "cancel", "last", "--undo"]);
    engine.must(10, &["runs", "watch", "last"]).says(&["step `fail` failed"]);
    assert_eq!(serving(&service, 1), 1);
}

#[test]
fn time_in_which_the_engine_was_stopped_is_not_counted_against_the_daemon() {
    let (service, engine) = (slow(2), Engine::new());
    let book = engine.write(
        "restart.yaml",
        &patient_restart().replace("restart\n    with", "restart\n    timeout: 40s\n    with"),
    );
    let command = ["run", &book, "-p", &service.parameter(), "--yes"];
    let (run, mark) = stopping(&engine, &service, &command, &service.replica(1));
    let process = engine_process(&engine);
    signal(process, "STOP");
    std::thread::sleep(Duration::from_secs(35));
    signal(process, "CONT");
    let ended = run.wait();
    assert_eq!(ended.code, 0, "{ended:?}");
    assert_eq!((service.events.so_far(mark, "die"), serving(&service, 2)), (2, 2));
    assert_kinds(&engine, &["run.paused"]);
}
