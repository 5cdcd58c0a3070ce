//! What is read when people look for a cause.

use crate::tests::bed::{Bed, docker, until};
use words::clock;
use words::effect::FailureKind;

#[tokio::test]
async fn logs_are_of_this_life_or_of_the_one_before() {
    let bed = Bed::new();
    let id = bed.run("one", &[]);
    docker(&["exec", &id, "true"]);
    assert_eq!(bed.daemon.logs(&id, 10, true).await.unwrap(), "");
    docker(&["restart", "--time", "5", &id]);
    until("the words of both lives", async || {
        let all = bed.daemon.logs(&id, 100, false).await.unwrap();
        let words = ["life 1\n", "life 2\n", "warning of life 2\n"];
        words.iter().all(|words| all.contains(words)).then_some(())
    })
    .await;
    let previous = bed.daemon.logs(&id, 100, true).await.unwrap();
    assert!(previous.contains("life 1\n") && previous.contains("end of life 1\n"), "{previous}");
    assert!(!previous.contains("life 2"), "{previous}");
    assert_eq!(bed.daemon.logs(&id, 1, true).await.unwrap(), "end of life 1\n");
}

#[tokio::test]
async fn logs_of_a_terminal_are_lines_too() {
    let bed = Bed::new();
    let id = bed.run("one", &["--tty"]);
    until("a line of its own", async || {
        let logs = bed.daemon.logs(&id, 10, false).await.unwrap();
        logs.lines().any(|line| line == "life 1").then_some(())
    })
    .await;
}

#[tokio::test]
async fn events_tell_what_happened_in_between() {
    let bed = Bed::new();
    let since = clock::now_ms();
    let id = bed.run("one", &[]);
    docker(&["restart", "--time", "5", &id]);
    let events = until("the event of the restart", async || {
        let events = bed.daemon.events(Some(&id), since, u64::MAX).await.unwrap();
        events.iter().any(|event| event.action == "restart").then_some(events)
    })
    .await;
    let actions: Vec<&str> = events
        .iter()
        .map(|event| event.action.as_str())
        .filter(|action| ["create", "start", "die", "stop", "restart"].contains(action))
        .collect();
    assert_eq!(actions, ["create", "start", "die", "stop", "start", "restart"]);
    assert!(events.iter().all(|event| event.id == id && event.time_ms >= since));
    assert!(events[0].attributes.iter().any(|(name, value)| name == "name" && *value == bed.named("one")));
    assert!(bed.daemon.events(Some(&id), since - 2000, since - 1000).await.unwrap().is_empty());
}

#[tokio::test]
async fn a_document_has_no_values_of_the_environment() {
    let bed = Bed::new();
    let id = bed.run("one", &["--env", "PASSWORD=c4nary", "--log-opt", "max-size=10m"]);
    let document = bed.daemon.document(&id).await.unwrap();
    assert!(document.contains("PASSWORD") && !document.contains("c4nary") && !document.contains("10m"));
    let container = serde_json::to_string(&bed.daemon.inspect(&id).await.unwrap()).unwrap();
    assert!(!container.contains("c4nary"));
}

#[tokio::test]
async fn measures_and_processes_are_of_what_runs() {
    let bed = Bed::new();
    let id = bed.run("one", &["--memory", "64m", "--env", "EAT_MB=20"]);
    bed.until_eaten(&id, 20).await;
    let sample = bed.daemon.stats(&id).await.unwrap();
    assert!(sample.memory_bytes > 20 << 20, "{sample:?}");
    assert_eq!(sample.memory_limit_bytes, 64 << 20);
    assert!(sample.pids >= 2 && sample.cpu_percent >= 0.0);
    let top = bed.daemon.top(&id).await.unwrap();
    assert!(top[0].iter().any(|title| title == "CMD"));
    assert!(top[1..].iter().any(|row| row.join(" ").contains("httpd")), "{top:?}");
    docker(&["stop", "--time", "5", &id]);
    for refused in [bed.daemon.stats(&id).await.unwrap_err(), bed.daemon.top(&id).await.unwrap_err()] {
        assert_eq!(refused.failure.kind, FailureKind::Conflict, "{refused}");
    }
}

#[tokio::test]
async fn the_daemon_tells_of_itself() {
    let bed = Bed::new();
    bed.daemon.ping().await.unwrap();
    let info = bed.daemon.info().await.unwrap();
    assert_eq!(info.version, docker(&["info", "--format", "{{.ServerVersion}}"]));
    assert!(["1", "2"].contains(&info.cgroup_version.as_str()), "{info:?}");
}
