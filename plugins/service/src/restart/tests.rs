use runbook_plugin::mock::{Behaviour, World};
use runbook_plugin::{ErrorKind, Health, State};

use super::{Input, restart};

fn input(more: &str) -> Input {
    serde_json::from_str(&format!(r#"{{ "service": "shop/web" {more} }}"#)).expect("a good input")
}

#[test]
fn one_at_a_time() {
    let world = World::new().with_service("shop/web", 3);
    let output = restart(&world, &world.context(), &input("")).expect("it works");
    assert_eq!(output.restarted, ["shop-web-1", "shop-web-2", "shop-web-3"]);
    assert_eq!((output.replicas, output.skipped.len(), output.weak_evidence), (3, 0, false));
    assert_eq!(
        world.writes(),
        [
            "stop shop-web-1",
            "start shop-web-1",
            "stop shop-web-2",
            "start shop-web-2",
            "stop shop-web-3",
            "start shop-web-3"
        ]
    );
    assert_eq!(world.most_down(), 1);
}

#[test]
fn two_at_a_time_and_an_odd_one() {
    let world = World::new().with_service("shop/web", 5);
    let output = restart(&world, &world.context(), &input(r#", "batch": 2"#)).expect("it works");
    assert_eq!(output.restarted.len(), 5);
    assert_eq!(world.writes().len(), 10);
    assert_eq!(world.most_down(), 2);
}

#[test]
fn it_stops_at_the_first_that_does_not_come_back() {
    let world = World::new().with_service("shop/web", 3);
    world.behave("shop-web-2", Behaviour::NeverHealthy);
    world.set_logs("shop-web-2", "cannot bind to port 80");
    let error = restart(&world, &world.context(), &input("")).expect_err("one never heals");
    assert_eq!(error.kind, ErrorKind::TimedOut);
    assert!(
        error.message.starts_with(
            "`shop-web-2` did not come back (restarted before it: shop-web-1; untouched: shop-web-3): "
        ),
        "{}",
        error.message
    );
    assert!(world.writes().iter().all(|write| !write.contains("web-3")));
    assert_eq!(world.look("shop-web-2").health, Health::Unhealthy);
    assert!(world.lines().contains(&"cannot bind to port 80".to_owned()));
}

#[test]
fn one_that_exits_is_told_at_once() {
    let world = World::new().with_service("shop/web", 2);
    world.behave("shop-web-1", Behaviour::Exits(1, 500));
    let error = restart(&world, &world.context(), &input("")).expect_err("it exits");
    assert_eq!(error.kind, ErrorKind::Conflict);
    assert!(error.message.contains("`shop-web-1` has exited with 1"), "{}", error.message);
}

#[test]
fn what_does_not_serve_goes_first() {
    let world = World::new().with_service("shop/web", 3);
    world.change("shop-web-3", |container| container.health = Health::Unhealthy);
    let output = restart(&world, &world.context(), &input("")).expect("it works");
    assert_eq!(output.restarted, ["shop-web-3", "shop-web-1", "shop-web-2"]);
    assert_eq!(world.most_down(), 1);
}

#[test]
fn what_is_down_is_started_before_anything_is_stopped() {
    let world = World::new().with_service("shop/web", 4);
    world.change("shop-web-3", |container| container.state = State::Exited);
    world.change("shop-web-4", |container| container.state = State::Created);
    let output = restart(&world, &world.context(), &input(r#", "batch": 2"#)).expect("it works");
    assert_eq!(output.restarted, ["shop-web-3", "shop-web-1", "shop-web-2"]);
    assert_eq!(output.skipped, ["shop-web-4"], "what never ran is not of the service yet");
    assert_eq!(world.writes()[0], "start shop-web-3");
}

#[test]
fn a_service_that_was_stopped_stays_so() {
    let world = World::new().with_service("shop/web", 2);
    for name in ["shop-web-1", "shop-web-2"] {
        world.change(name, |container| container.state = State::Exited);
    }
    let error = restart(&world, &world.context(), &input("")).expect_err("nothing runs");
    assert_eq!(error.code, "service.none-running");
}

#[test]
fn a_second_attempt_leaves_alone_what_the_first_restarted() {
    let world = World::new().with_service("shop/web", 3);
    world.behave("shop-web-2", Behaviour::NeverHealthy);
    let first = world.context();
    restart(&world, &first, &input("")).expect_err("one never heals");
    world.behave("shop-web-2", Behaviour::HealthyAfter(1_000));
    let before = world.writes().len();
    let output = restart(&world, &world.next_attempt(&first), &input("")).expect("it works now");
    assert_eq!(output.skipped, ["shop-web-1", "shop-web-2"]);
    assert_eq!(world.writes()[before..], ["stop shop-web-3", "start shop-web-3"]);
}

#[test]
fn a_second_attempt_starts_what_the_first_left_stopped() {
    let world = World::new().with_service("shop/web", 2);
    world.refuse("start shop-web-1", 0, ErrorKind::Unavailable);
    let first = world.context();
    restart(&world, &first, &input("")).expect_err("it cannot start");
    let world = world.forgiving();
    let output = restart(&world, &world.next_attempt(&first), &input("")).expect("it works now");
    assert_eq!(output.restarted, ["shop-web-1", "shop-web-2"]);
    assert_eq!(
        world.writes(),
        ["stop shop-web-1", "start shop-web-1", "stop shop-web-2", "start shop-web-2"]
    );
}

#[test]
fn a_refused_stop_is_passed_on_and_nothing_stays_down() {
    let world = World::new().with_service("shop/web", 3);
    world.refuse("stop", 1, ErrorKind::Denied);
    let error = restart(&world, &world.context(), &input(r#", "batch": 3"#)).expect_err("the budget is one");
    assert_eq!((error.kind, error.message.as_str()), (ErrorKind::Denied, "`stop` is refused"));
    assert_eq!(world.writes(), ["stop shop-web-1", "start shop-web-1"]);
}

#[test]
fn without_a_health_check_it_must_be_accepted() {
    let world = World::new().with_service("shop/web", 1);
    world.behave("shop-web-1", Behaviour::Unchecked);
    world.change("shop-web-1", |container| container.health = Health::None);
    let error = restart(&world, &world.context(), &input("")).expect_err("weak evidence");
    assert_eq!(error.code, "service.weak-evidence");
    assert!(world.writes().is_empty());

    let output =
        restart(&world, &world.context(), &input(r#", "accept_weak_evidence": true"#)).expect("accepted");
    assert!(output.weak_evidence);
    assert!(world.lines().iter().any(|line| line.contains("has no health check")));
}

#[test]
fn what_vanishes_when_stopped_is_refused() {
    let world = World::new().with_service("shop/web", 2);
    world.change("shop-web-2", |container| container.auto_remove = true);
    let error = restart(&world, &world.context(), &input("")).expect_err("--rm");
    assert_eq!(error.code, "service.auto-remove");
    assert!(world.writes().is_empty());
}

#[test]
fn force_keeps_evidence_before_it_kills() {
    let world = World::new().with_service("shop/web", 1);
    world.set_logs("shop-web-1", "stuck");
    let output = restart(&world, &world.context(), &input(r#", "force": true"#)).expect("it works");
    assert_eq!(output.evidence.len(), 1);
    assert!(world.artifacts()[0].1.contains("stuck"));
    assert_eq!(world.writes(), ["kill shop-web-1 KILL", "start shop-web-1"]);
}

#[test]
fn no_room_for_evidence_does_not_stop_a_forced_restart() {
    let world = World::new().with_service("shop/web", 1);
    world.refuse("keep", 0, ErrorKind::Exhausted);
    let output = restart(&world, &world.context(), &input(r#", "force": true"#)).expect("it works");
    assert!(output.evidence.is_empty());
    assert!(world.lines().iter().any(|line| line.contains("cannot keep logs and document")));
    assert_eq!(world.writes(), ["kill shop-web-1 KILL", "start shop-web-1"]);
}

#[test]
fn healthy_must_last() {
    let world = World::new().with_service("shop/web", 1);
    let context = world.context();
    restart(&world, &context, &input(r#", "healthy_for": "10s""#)).expect("it works");
    assert!(runbook_plugin::Host::now_ms(&world) >= context.first_started_ms + 11_000);
}

#[test]
fn what_was_killed_is_started_again_if_its_end_cannot_be_awaited() {
    let world = World::new().with_service("shop/web", 1);
    world.refuse("wait-until", 0, ErrorKind::Cancelled);
    let error = restart(&world, &world.context(), &input(r#", "force": true"#)).expect_err("it is cancelled");
    assert_eq!(error.kind, ErrorKind::Cancelled);
    assert_eq!(world.writes(), ["kill shop-web-1 KILL", "start shop-web-1"]);
}

#[test]
fn a_paused_one_is_restarted_and_runs_again() {
    let world = World::new().with_service("shop/web", 1);
    world.change("shop-web-1", |container| container.state = State::Paused);
    let output = restart(&world, &world.context(), &input("")).expect("it works");
    assert_eq!(output.restarted, ["shop-web-1"]);
    assert!(world.look("shop-web-1").available());
}

#[test]
fn the_sick_go_before_the_well_and_in_batches_of_their_own() {
    let world = World::new().with_service("shop/web", 4);
    world.change("shop-web-2", |container| container.state = State::Paused);
    world.change("shop-web-3", |container| {
        container.restart_count = 7;
        container.finished_at = container.started_at.replace("2025-12-31", "2026-01-01");
    });
    let output = restart(&world, &world.context(), &input(r#", "batch": 3"#)).expect("it works");
    assert_eq!(output.restarted, ["shop-web-2", "shop-web-3", "shop-web-1", "shop-web-4"]);
    assert_eq!(world.writes()[..2], ["stop shop-web-2", "stop shop-web-3"]);
}

#[test]
fn one_that_fails_again_before_the_end_is_no_success() {
    let world = World::new().with_service("shop/web", 3);
    world.behave("shop-web-1", Behaviour::FailsAfter(1_900));
    let error = restart(&world, &world.context(), &input("")).expect_err("the first has exited");
    assert!(error.message.contains("`shop-web-1` is not healthy at the end"), "{}", error.message);
    assert_eq!(world.writes().len(), 6, "all were restarted");
}

#[test]
fn a_kill_after_the_grace_is_told() {
    let world = World::new().with_service("shop/web", 1);
    world.behave("shop-web-1", Behaviour::IgnoresStop);
    restart(&world, &world.context(), &input("")).expect("it works");
    assert!(
        world.lines().contains(&"`shop-web-1` did not stop within 10s and was killed".to_owned()),
        "{:?}",
        world.lines()
    );
    restart(&world, &world.context(), &input(r#", "grace": "3s""#)).expect("it works");
    assert!(world.lines().contains(&"`shop-web-1` did not stop within 3s and was killed".to_owned()));
}
