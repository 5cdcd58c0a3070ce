//! Changing limits of what runs.

use crate::tests::bed::Bed;
use crate::types::Limits;
use words::effect::FailureKind;

const MIB: u64 = 1 << 20;

fn limits(cpu_millis: u64, memory: u64, swap: u64) -> Limits {
    Limits { cpu_millis, memory_bytes: memory * MIB, memory_swap_bytes: swap * MIB }
}

#[tokio::test]
async fn limits_are_raised_and_lowered_while_it_runs() {
    let bed = Bed::new();
    let id = bed.run("one", &["--memory", "64m", "--memory-swap", "64m", "--cpus", "0.5"]);
    let started = Bed::look(&id, "{{.State.StartedAt}}");
    for wish in [limits(750, 64, 64), limits(750, 128, 160), limits(250, 48, 48)] {
        let updated = bed.daemon.update(&id, &wish).await.unwrap();
        assert_eq!(updated.limits, wish);
        assert_eq!(bed.daemon.update(&id, &wish).await.unwrap().limits, wish);
    }
    assert_eq!(Bed::look(&id, "{{.State.StartedAt}} {{.State.Running}}"), format!("{started} true"));
    assert_eq!(Bed::look(&id, "{{.HostConfig.Memory}} {{.HostConfig.NanoCpus}}"), "50331648 250000000");
}

#[tokio::test]
async fn a_quota_stays_a_quota() {
    let bed = Bed::new();
    let id = bed.run("one", &["--cpu-period", "50000", "--cpu-quota", "25000"]);
    let updated = bed.daemon.update(&id, &limits(250, 0, 0)).await.unwrap();
    assert_eq!(updated.limits.cpu_millis, 250);
    assert_eq!(Bed::look(&id, "{{.HostConfig.CpuQuota}} {{.HostConfig.NanoCpus}}"), "12500 0");
}

#[tokio::test]
async fn memory_in_use_is_not_taken_away() {
    let bed = Bed::new();
    let id = bed.run("one", &["--memory", "64m", "--env", "EAT_MB=30"]);
    bed.until_eaten(&id, 30).await;
    let refused = bed.daemon.update(&id, &limits(0, 20, 20)).await.unwrap_err();
    assert!(refused.certain && refused.failure.kind == FailureKind::Conflict, "{refused}");
    assert!(refused.failure.message.contains("killed"), "{refused}");
    assert_eq!(Bed::look(&id, "{{.HostConfig.Memory}}"), (64 * MIB).to_string());
}

#[tokio::test]
async fn what_docker_cannot_do_is_refused_with_a_reason() {
    let bed = Bed::new();
    let id = bed.run("one", &["--memory", "64m", "--memory-swap", "64m", "--cpus", "0.5"]);
    for (wish, word) in [
        (limits(0, 64, 64), "processor limit cannot be lifted"),
        (limits(500, 0, 0), "memory limit cannot be lifted"),
        (limits(500, 128, 64), "raise both"),
        (limits(500, 2, 2), "least"),
        (Limits { memory_bytes: u64::MAX, memory_swap_bytes: 0, cpu_millis: 500 }, "too large"),
    ] {
        let refused = bed.daemon.update(&id, &wish).await.unwrap_err();
        assert!(refused.certain && refused.failure.message.contains(word), "{refused}");
    }
}
