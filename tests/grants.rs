//! What was not granted does not happen, and the words name the line that would permit it.

use crate::support::books;
use crate::support::engine::Engine;
use crate::support::service::Service;

const OTHER: &str = r#"
  - id: other
    uses: service.restart
    with: { service: "${{ parameters.names[0] }}", grace: 1s }
"#;

#[test]
fn a_service_that_was_not_granted() {
    let (own, other) = (Service::of(1).up(), Service::of(1).up());
    let engine = Engine::new();
    let book = engine.write("other.yaml", &books::steps("read, restart", OTHER));
    let (mark, other_mark) = (own.events.mark(), other.events.mark());
    let names = format!("names={}", other.name());

    let ended = engine.must(13, &["run", &book, "-p", &own.parameter(), "-p", &names, "--yes"]);

    ended.says(&["may not", &other.name(), "other.yaml:8"]);
    assert_eq!(own.events.writes(mark), []);
    assert_eq!(other.events.writes(other_mark), []);
}

#[test]
fn an_action_that_no_grant_gives_is_seen_before_anything_runs() {
    let engine = Engine::new();
    let book = engine.write("other.yaml", &books::steps("read", OTHER));
    let ended = engine.must(3, &["run", &book, "-p", "service=shop/web", "-p", "names=shop/web", "--yes"]);
    ended.says(&["other.yaml:", "stop", "hint:"]);
    assert!(!engine.data().join("audit.db").exists(), "nothing was begun");
}

/// As hostile as a plugin can be: five stops at the same moment.
const FIVE_AT_ONCE: &str = r#"
  - id: all
    uses: service.stop
    with: { service: "${{ item }}", grace: 1s }
    for_each: parameters.names
    max_parallel: 5
    stop_after: 5
"#;

#[test]
fn five_at_once_where_one_is_granted_stop_one() {
    let service = Service::of(5).up();
    let engine = Engine::new();
    let book = engine.write("five.yaml", &books::steps("read, stop", FIVE_AT_ONCE));
    let names = format!("names={}", service.replicas().join(","));
    let mark = service.events.mark();

    let ended = engine.must(13, &["run", &book, "-p", &service.parameter(), "-p", &names, "--yes"]);

    ended.says(&["denied:", "max_unavailable", "five.yaml:12"]);
    let stopped: usize = service.events.count(mark, "stop").values().sum();
    assert_eq!(stopped, 1, "{:?}", service.events.writes(mark));
    assert_eq!((1..=5).filter(|number| service.is_running(*number)).count(), 4);
}

#[test]
fn the_budget_counts_what_is_down_already() {
    let service = Service::of(2).up();
    let engine = Engine::new();
    crate::support::docker::docker(&["stop", "--time", "1", &service.replica(2)]);
    let book = engine.write("one.yaml", &books::steps("read, stop", FIVE_AT_ONCE));
    let names = format!("names={}", service.replica(1));
    let mark = service.events.mark();

    let ended = engine.must(13, &["run", &book, "-p", &service.parameter(), "-p", &names, "--yes"]);

    ended.says(&["max_unavailable", &service.replica(2)]);
    assert_eq!(service.events.writes(mark), []);
}

/// One replica after the other, by a way that no budget holds back.
fn take_down_by_command(command: &str) -> String {
    format!(
        r#"
  - id: each
    uses: container.exec
    with: {{ container: "${{{{ item }}}}", command: {command}, expect_exit: null }}
    for_each: parameters.names
    stop_after: 5
  - id: later
    uses: container.exec
    with: {{ container: "${{{{ parameters.names[2] }}}}", command: [touch, /tmp/later] }}
"#
    )
}

#[test]
fn commands_that_take_down_more_than_granted_fail_their_step_and_stop() {
    for (command, word) in [("[kill, -TERM, \"1\"]", "exited"), ("[rm, /www/health]", "unhealthy")] {
        let service = Service::of(3).up();
        let engine = Engine::new();
        let book = engine.write("exec.yaml", &books::steps("read, exec", &take_down_by_command(command)));
        let names = format!("names={}", service.replicas().join(","));

        let ended = engine.must(13, &["run", &book, "-p", &service.parameter(), "-p", &names, "--yes"]);

        let (one, two) = (service.replica(1), service.replica(2));
        ended.says(&[
            "took down more",
            &format!("{one} ({word})"),
            &format!("{two} ({word})"),
            "max_unavailable",
            "exec.yaml:12",
        ]);
        assert!(service.is_healthy(3) && service.is_running(3), "the third is spared: {command}");
        engine.must(0, &["runs", "replay", "last"]).says(&["identical"]);
    }
}

#[test]
fn commands_within_the_budget_go_on() {
    let service = Service::of(2).up();
    let engine = Engine::new();
    let steps = r#"
  - id: one
    uses: container.exec
    with: { container: "${{ parameters.names[0] }}", command: [kill, -TERM, "1"], expect_exit: null }
  - id: two
    uses: container.exec
    with: { container: "${{ parameters.names[1] }}", command: [date] }
"#;
    let book = engine.write("exec.yaml", &books::steps("read, exec", steps));
    let names = format!("names={}", service.replicas().join(","));
    engine.must(0, &["run", &book, "-p", &service.parameter(), "-p", &names, "--yes"]);
    assert!(!service.is_running(1) && service.is_healthy(2));
}
