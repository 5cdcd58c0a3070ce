//! Stopping, starting and the like.

use std::time::{Duration, Instant};

use crate::tests::bed::{Bed, docker};
use crate::types::{Condition, State};
use words::effect::FailureKind;

const GRACE: Duration = Duration::from_secs(5);
const PATIENCE: Duration = Duration::from_secs(20);

#[tokio::test]
async fn a_service_of_three_is_restarted() {
    let bed = Bed::new();
    let ids = bed.service("web", 3, &[]);
    let service = format!("{}/web", bed.name);
    let before = bed.daemon.service(&service).await.unwrap();
    assert_eq!(before.iter().map(|one| one.id.as_str()).collect::<Vec<_>>(), ids);
    assert_eq!(before.iter().map(|one| one.replica).collect::<Vec<_>>(), [1, 2, 3]);
    for one in &before {
        let stopped = bed.daemon.stop(&one.id, GRACE).await.unwrap();
        assert_eq!(
            (stopped.container.state, stopped.container.exit_code, stopped.killed),
            (State::Exited, 0, false)
        );
        bed.daemon.start(&one.id).await.unwrap();
        let healthy = bed.daemon.wait_until(&one.id, Condition::HealthyFor(300), PATIENCE).await.unwrap();
        assert!(healthy.available() && healthy.started_at > one.started_at);
        assert!(healthy.addresses[0].starts_with("172."), "{:?}", healthy.addresses);
        assert_eq!(docker(&["logs", &one.id]).lines().filter(|line| line.starts_with("life")).count(), 2);
    }
}

#[tokio::test]
async fn what_is_already_so_is_a_success() {
    let bed = Bed::new();
    let id = bed.run("one", &[]);
    bed.daemon.start(&id).await.unwrap();
    bed.daemon.unpause(&id).await.unwrap();
    bed.daemon.pause(&id).await.unwrap();
    assert_eq!(bed.daemon.pause(&id).await.unwrap().state, State::Paused);
    assert_eq!(bed.daemon.start(&id).await.unwrap_err().failure.kind, FailureKind::Conflict);
    bed.daemon.unpause(&id).await.unwrap();
    bed.daemon.stop(&id, GRACE).await.unwrap();
    let finished = Bed::look(&id, "{{.State.FinishedAt}}");
    bed.daemon.stop(&id, GRACE).await.unwrap();
    bed.daemon.kill(&id, "KILL").await.unwrap();
    assert_eq!(Bed::look(&id, "{{.State.FinishedAt}}"), finished);
    let refused = bed.daemon.kill(&id, "HUP").await.unwrap_err();
    assert!(refused.certain && refused.failure.kind == FailureKind::Conflict, "{refused}");
}

#[tokio::test]
async fn a_stop_waits_for_the_grace_then_kills() {
    let bed = Bed::new();
    let id = bed.run("stubborn", &["--env", "IGNORE_TERM=1"]);
    let started = Instant::now();
    let stopped = bed.daemon.stop(&id, Duration::from_millis(1500)).await.unwrap();
    assert!(started.elapsed() >= Duration::from_millis(1500));
    assert_eq!(
        (stopped.container.state, stopped.container.exit_code, stopped.killed),
        (State::Exited, 137, true)
    );
}

#[tokio::test]
async fn a_container_that_would_vanish_is_not_stopped() {
    let bed = Bed::new();
    let id = bed.run("fleeting", &["--rm"]);
    for refused in [
        bed.daemon.stop(&id, GRACE).await.unwrap_err(),
        bed.daemon.kill(&id, "TERM").await.unwrap_err(),
        bed.daemon.pause(&id).await.unwrap_err(),
    ] {
        assert!(refused.certain, "{refused}");
        assert_eq!(refused.failure.code, "containers.auto-remove");
    }
    assert_eq!(Bed::look(&id, "{{.State.Running}}"), "true");
}

#[tokio::test]
async fn names_are_changed_and_containers_removed() {
    let bed = Bed::new();
    let (id, other) = (bed.run("one", &[]), bed.run("two", &[]));
    let taken = bed.daemon.rename(&id, &bed.named("two")).await.unwrap_err();
    assert!(taken.certain && taken.failure.kind == FailureKind::AlreadyExists, "{taken}");
    assert_eq!(bed.daemon.rename(&id, &bed.named("three")).await.unwrap().name, bed.named("three"));
    let refused = bed.daemon.remove(&id, false).await.unwrap_err();
    assert!(refused.certain && refused.failure.message.contains("stop it first"), "{refused}");
    bed.daemon.remove(&id, true).await.unwrap();
    assert!(bed.daemon.inspect(&id).await.unwrap_err().is_not_found());
    assert!(bed.daemon.remove(&id, true).await.unwrap_err().is_not_found());
    let doomed = bed.run("doomed", &[]);
    let (first, second) = tokio::join!(bed.daemon.remove(&doomed, true), bed.daemon.remove(&doomed, true));
    assert!(first.is_ok() && second.is_ok(), "{first:?} {second:?}");
    assert_eq!(Bed::look(&other, "{{.State.Running}}"), "true");
}

#[tokio::test]
async fn hostile_ids_never_reach_the_daemon() {
    let bed = Bed::new();
    let id = bed.run("one", &[]);
    for name in ["../containers/json", "a\nb", "", "x/json?all=1", &format!("{id}/json")] {
        let refused = bed.daemon.stop(name, GRACE).await.unwrap_err();
        assert!(refused.certain && refused.failure.kind == FailureKind::Invalid, "{refused}");
    }
    // Docker takes the beginning of an id for the id.
    assert!(bed.daemon.stop(&id[..12], GRACE).await.unwrap_err().is_not_found());
    assert_eq!(Bed::look(&id, "{{.State.Running}}"), "true");
}
