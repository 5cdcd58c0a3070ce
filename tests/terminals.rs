//! Several terminals at once: locks, answers, cancels, the halt switch, and terminals that go away.

use crate::support::books::{self, ASKS, Restart, SLEEPS};
use crate::support::engine::{Engine, until_idle};
use crate::support::patience::until_true;
use crate::support::service::Service;

fn asks(engine: &Engine) -> String {
    engine.write("asks.yaml", &books::steps("read, restart", ASKS))
}

#[test]
fn a_second_run_waits_for_the_lock_and_both_are_approved() {
    let service = Service::of(1).up();
    let engine = Engine::new();
    let book = asks(&engine);
    let mark = service.events.mark();
    let first = engine.spawn(&["run", &book, "-p", &service.parameter(), "--yes"]);
    engine.until_status("waiting");
    let holder = engine.last()["run"].as_str().expect("its id").to_owned();

    let refused = engine.must(10, &["run", &book, "-p", &service.parameter(), "--yes", "--no-wait"]);
    refused.says(&[&service.name(), "hint:"]);

    let second = engine.spawn(&["run", &book, "-p", &service.parameter(), "--yes"]);
    engine.until_status("queued");
    assert_eq!(service.events.writes(mark), [], "nobody was asked yet");
    engine.must(0, &["runs", "approve", &holder]);
    assert_eq!(first.wait().code, 0);
    engine.until_status("waiting");
    engine.must(0, &["runs", "approve", "last", "--text", "agreed"]);
    assert_eq!(second.wait().code, 0);
    assert_eq!(service.events.count(mark, "start"), [(service.replica(1), 2)].into_iter().collect());
}

#[test]
fn a_rejection_ends_it() {
    let service = Service::of(1).up();
    let engine = Engine::new();
    let book = asks(&engine);
    let mark = service.events.mark();
    let run = engine.spawn(&["run", &book, "-p", &service.parameter(), "--yes"]);
    engine.until_status("waiting");
    engine.must(0, &["runs", "reject", "last", "--text", "not before the release"]);
    let ended = run.wait();
    assert_eq!(ended.code, 10, "{ended:?}");
    ended.says(&["not before the release"]);
    assert_eq!(service.events.writes(mark), []);
}

#[test]
fn a_cancel_from_another_terminal_ends_it_soon() {
    let service = Service::of(1).up();
    let engine = Engine::new();
    let book = engine.write("sleeps.yaml", &books::steps("read, restart", SLEEPS));
    let run = engine.spawn(&["run", &book, "-p", &service.parameter(), "--yes"]);
    until_true("the step that sleeps", || {
        run.said().contains("sleep waiting") || engine.status() == "waiting"
    });
    engine.must(0, &["runs", "cancel", "last", "--reason", "wrong service"]);
    let ended = run.wait();
    assert_eq!(ended.code, 130, "{ended:?}");
    assert_eq!(engine.last()["status"], "cancelled");
}

/// Takes its time to stop.
const SLOW: &str = r#"
  - id: restart
    uses: service.restart
    with: { service: "${{ parameters.service }}", grace: 20s }
"#;

#[test]
fn a_cancel_between_stop_and_start_leaves_nothing_down() {
    let service = Service::of(2).env("STOP_DELAY=3").up();
    let engine = Engine::new();
    let book = engine.write("slow.yaml", &books::steps("read, restart", SLOW));
    let mark = service.events.mark();
    let run = engine.spawn(&["run", &book, "-p", &service.parameter(), "--yes"]);
    service.events.wait_for(mark, "kill 15", &service.replica(1));
    engine.must(0, &["runs", "cancel", "last", "--reason", "wrong service"]);
    let ended = run.wait();
    assert_eq!(ended.code, 130, "{ended:?}");
    assert!(!ended.said().contains("is down"), "{ended:?}");
    let once = [(service.replica(1), 1)].into_iter().collect();
    assert_eq!(service.events.count(mark, "stop"), once);
    assert_eq!(service.events.count(mark, "start"), once);
    assert!(service.is_running(1) && service.is_running(2));
}

#[test]
fn a_cancelled_replacement_puts_the_old_container_back() {
    let service = Service::of(1).up();
    let engine = Engine::new();
    let id = service.inspect(1, "{{.Id}}");
    let mark = service.events.mark();
    let recreate =
        ["run", "service-recreate", "-p", &service.parameter(), "-p", "env=NEVER_HEALTHY=1", "--yes"];
    let run = engine.spawn(&[recreate.as_slice(), &["-p", "grace=1s"]].concat());
    service.events.wait_for(mark, "start", &service.replica(1));
    engine.must(0, &["runs", "cancel", "last", "--reason", "wrong variable"]);
    let ended = run.wait();
    assert_eq!(ended.code, 130, "{ended:?}");
    assert_eq!(service.events.count(mark, "create").len(), 1);
    assert_eq!(service.containers(), service.replicas());
    assert_eq!(service.inspect(1, "{{.Id}}"), id);
    assert!(service.is_running(1));
}

/// Asks, then goes on to `other` while it holds its own service.
const GOES_ON: &str = r#"
  - { id: ask, uses: ask.person, with: { question: "now?" } }
  - { id: other, uses: runbook.some-steps, with: { service: "${{ parameters.names[0] }}" } }
"#;

/// Needs the lock of its service.
const LOOKS: &str = r#"
  - { id: look, uses: service.status, with: { service: "${{ parameters.service }}" } }
"#;

#[test]
fn two_that_need_each_others_service_do_not_wait_for_ever() {
    let (web, db) = (Service::of(1).up(), Service::of(1).up());
    let engine = Engine::new();
    engine.write("runbooks/some-steps.yaml", &books::steps("read, restart", LOOKS));
    let text = books::steps("read, restart", GOES_ON).replace("some-steps\nsummary", "goes-on\nsummary");
    let book = engine.write("goes-on.yaml", &text);
    let start = |own: &Service, other: &Service| {
        let names = format!("names={}", other.name());
        let began = ["run", &book, "-p", &own.parameter(), "-p", &names, "--yes", "--detach"];
        let began = engine.json(&began);
        began["run"].as_str().expect("a run").to_owned()
    };
    let runs = [start(&web, &db), start(&db, &web)];
    for run in &runs {
        until_true("it asks", || engine.json(&["runs", "show", run])["status"] == "waiting");
    }
    for run in &runs {
        engine.must(0, &["runs", "approve", run]);
    }
    let ended: Vec<String> = runs
        .iter()
        .map(|run| {
            until_true("it ends", || engine.json(&["runs", "show", run])["finished_ms"].is_u64());
            engine.json(&["runs", "show", run])["status"].as_str().expect("a status").to_owned()
        })
        .collect();
    assert_eq!(ended, ["succeeded", "failed"]);
    engine.must(0, &["runs", "show", &runs[1]]).says(&["gave up before it began"]);
}

#[test]
fn a_queued_run_can_be_left_and_waits_for_no_one() {
    let service = Service::of(1).up();
    let engine = Engine::new();
    let book = asks(&engine);
    let first = engine.spawn(&["run", &book, "-p", &service.parameter(), "--yes"]);
    engine.until_status("waiting");
    let holder = engine.last()["run"].as_str().expect("its id").to_owned();
    let second = engine.spawn(&["run", &book, "-p", &service.parameter(), "--yes"]);
    engine.until_status("queued");
    let shown = engine.must(0, &["runs", "show", "last"]);
    shown.says(&[&format!("run `{holder}`")]);
    second.signal("INT");
    let ended = second.wait();
    assert_eq!(ended.code, 130, "{ended:?}");
    assert_eq!(engine.status(), "left");

    engine.must(0, &["runs", "approve", &holder]);
    assert_eq!(first.wait().code, 0);
    // Who was left holds no place: the next one does not wait for it.
    let left = engine.last()["run"].as_str().expect("its id").to_owned();
    let third = engine.spawn(&["run", &book, "-p", &service.parameter(), "--yes", "--no-wait"]);
    engine.until_status("waiting");
    engine.must(0, &["runs", "approve", "last"]);
    assert_eq!(third.wait().code, 0);
    let resumed = engine.spawn(&["runs", "resume", &left]);
    until_true("the one that was left to ask", || {
        assert!(resumed.runs(), "it ended: {} {}", resumed.said(), resumed.told());
        engine.run(&["runs", "approve", &left]).code == 0
    });
    assert_eq!(resumed.wait().code, 0);
}

#[test]
fn halt_stops_a_run_under_way_and_refuses_new_ones() {
    let service = Service::of(3).env("START_DELAY=2").up();
    let engine = Engine::new();
    let book = engine.write("restart.yaml", &books::restart(&Restart::default()));
    let mark = service.events.mark();
    let run = engine.spawn(&["run", &book, "-p", &service.parameter(), "--yes"]);
    service.events.wait_for(mark, "start", &service.replica(1));

    engine.must(0, &["halt", "on", "--reason", "storage is failing over"]);
    let halted = service.events.mark();
    let ended = run.wait();
    assert_eq!(ended.code, 14, "{ended:?}");
    ended.says(&["halt", "storage is failing over"]);
    let late: Vec<_> = service.events.writes(halted);
    assert!(late.len() <= 1, "at most the call that was under way: {late:?}");
    engine.must(14, &["halt", "status"]);

    let now = service.events.mark();
    engine.must(14, &["run", &book, "-p", &service.parameter(), "--yes"]).says(&["hint:"]);
    assert_eq!(service.events.writes(now), []);
    engine.must(0, &["halt", "off"]);
    engine.must(0, &["runs", "resume", "--yes"]);
    let once = service.replicas().into_iter().map(|name| (name, 1)).collect();
    assert_eq!(service.events.count(mark, "start"), once);
}

#[test]
fn a_closed_terminal_does_not_end_it() {
    let service = Service::of(2).up();
    let engine = Engine::new();
    let book = engine.write("restart.yaml", &books::restart(&Restart::default()));
    let mark = service.events.mark();
    let run = engine.spawn(&["run", &book, "-p", &service.parameter(), "--yes"]);
    service.events.wait_for(mark, "stop", &service.replica(1));
    run.signal("HUP");
    engine.until_status("succeeded");
    // On a busy machine the run may take longer than the command waits for it.
    assert!(matches!(run.wait().code, 0 | 143));
    assert_eq!(service.events.count(mark, "start").len(), 2);
}

#[test]
fn detached_it_goes_on_by_itself() {
    let service = Service::of(2).up();
    let engine = Engine::new();
    let book = engine.write("restart.yaml", &books::restart(&Restart::default()));
    let mark = service.events.mark();
    let detached = engine.must(0, &["run", &book, "-p", &service.parameter(), "--yes", "--detach"]);
    assert_eq!(service.events.so_far(mark, "health_status: healthy"), 0, "it returned at once");
    let run = detached.stdout.lines().next().expect("its id").to_owned();
    engine.must(0, &["runs", "watch", &run]);
    assert_eq!(service.events.count(mark, "start").len(), 2);
    until_idle(&engine);
}

#[test]
fn one_who_watches_carries_on_when_the_owner_is_killed() {
    let service = Service::of(2).env("START_DELAY=1").up();
    let engine = Engine::new();
    let book = engine.write("restart.yaml", &books::restart(&Restart::default()));
    let mark = service.events.mark();
    let owner = engine.spawn(&["run", &book, "-p", &service.parameter(), "--yes"]);
    service.events.wait_for(mark, "stop", &service.replica(1));
    let watcher = engine.spawn(&["runs", "watch", "last"]);
    until_true("the watcher to see something", || !watcher.said().is_empty());
    owner.kill();
    let ended = watcher.wait();
    assert_eq!(ended.code, 0, "{ended:?}");
    let once = service.replicas().into_iter().map(|name| (name, 1)).collect();
    assert_eq!(service.events.count(mark, "start"), once);
}

#[test]
fn interrupted_it_rests_and_can_be_resumed() {
    let service = Service::of(2).env("START_DELAY=1").up();
    let engine = Engine::new();
    let book = engine.write("restart.yaml", &books::restart(&Restart::default()));
    let mark = service.events.mark();
    let run = engine.spawn(&["run", &book, "-p", &service.parameter(), "--yes"]);
    service.events.wait_for(mark, "start", &service.replica(1));
    run.signal("INT");
    let ended = run.wait();
    assert_eq!(ended.code, 130, "{ended:?}");
    ended.says(&["runbook runs resume"]);
    assert_eq!(engine.status(), "left");
    engine.must(0, &["runs", "resume", "--yes"]);
    let once = service.replicas().into_iter().map(|name| (name, 1)).collect();
    assert_eq!(service.events.count(mark, "start"), once);
}
