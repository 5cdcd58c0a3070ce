//! Waiting.

use std::time::{Duration, Instant};

use crate::tests::bed::{Bed, docker};
use crate::types::Condition;
use words::effect::FailureKind;

const PATIENCE: Duration = Duration::from_secs(90);

#[tokio::test]
async fn healthy_for_a_time_means_without_a_break() {
    let bed = Bed::new();
    let id = bed.run("one", &["--env", "START_DELAY=1"]);
    let started = Instant::now();
    bed.daemon.wait_until(&id, Condition::HealthyFor(1500), PATIENCE).await.unwrap();
    assert!(started.elapsed() >= Duration::from_millis(2300), "{:?}", started.elapsed());

    // One that falls ill in between starts the time again.
    docker(&["exec", &id, "rm", "/www/health"]);
    let ill = std::thread::spawn({
        let id = id.clone();
        move || {
            while !docker(&["inspect", "--format", "{{.State.Health.Status}}", &id]).starts_with("unhealthy")
            {
                std::thread::sleep(Duration::from_millis(50));
            }
            docker(&["exec", &id, "touch", "/www/health"]);
            Instant::now()
        }
    });
    bed.daemon.wait_until(&id, Condition::HealthyFor(5000), PATIENCE).await.unwrap();
    let healed = ill.join().unwrap();
    assert!(healed.elapsed() >= Duration::from_secs(5), "{:?}", healed.elapsed());
}

#[tokio::test]
async fn what_has_exited_cannot_become_healthy() {
    let bed = Bed::new();
    let id = bed.run("brief", &["--env", "EXIT_AFTER=0.5", "--env", "EXIT_CODE=7"]);
    let never = bed.daemon.wait_until(&id, Condition::HealthyFor(5000), PATIENCE).await.unwrap_err();
    assert_eq!(never.failure.kind, FailureKind::Conflict);
    assert!(never.failure.message.contains("exited with code 7"), "{never}");
    bed.daemon.wait_until(&id, Condition::Exited, PATIENCE).await.unwrap();
}

#[tokio::test]
async fn what_never_heals_is_too_late_and_says_what_its_check_said() {
    let bed = Bed::new();
    let id = bed.run("sick", &["--env", "NEVER_HEALTHY=1"]);
    bed.daemon.wait_until(&id, Condition::Running, PATIENCE).await.unwrap();
    let late =
        bed.daemon.wait_until(&id, Condition::HealthyFor(100), Duration::from_secs(2)).await.unwrap_err();
    assert!(late.certain && late.failure.kind == FailureKind::TimedOut);
    assert!(late.failure.message.contains("404"), "{late}");
}

#[tokio::test]
async fn a_wait_has_a_longest_time() {
    let bed = Bed::new();
    let wait = bed.daemon.wait_until("any", Condition::Running, Duration::from_secs(3601)).await;
    assert_eq!(wait.unwrap_err().failure.kind, FailureKind::Invalid);
}
