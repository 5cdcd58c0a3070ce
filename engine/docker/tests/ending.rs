//! Commands that outlive their time, or are to end before it, are ended in their containers.

use std::time::{Duration, Instant};

use tokio::sync::watch;

use super::bed::{Bed, docker, until};
use super::exec::sh;
use crate::{Connection, Daemon, EXEC_ENDED, Error, ExecCommand, ExecLimit};
use words::effect::FailureKind;

/// How long after its limit a command may be there, and what a busy machine may take beside.
const GONE: Duration = Duration::from_mins(1);

/// Runs it under a limit of one second; what came of it.
async fn late(bed: &Bed, id: &str, command: &[String], user: Option<&str>) -> Error {
    let request = ExecCommand { command, user, ..ExecCommand::default() };
    let exec = bed.daemon.exec_create(id, &request, &[]).await.unwrap();
    let began = Instant::now();
    let late = bed.daemon.exec_start(&exec, None, Duration::from_secs(1)).await.unwrap_err();
    assert!(began.elapsed() < GONE, "{:?}", began.elapsed());
    late
}

fn sleeps(id: &str) -> usize {
    docker(&["top", id, "-eo", "pid,stat,args"])
        .lines()
        .filter(|line| line.contains("sleep 36") && !line.contains(" Z"))
        .count()
}

fn assert_ended(error: &Error, signal: &str) {
    assert!(error.certain, "{error}");
    assert_eq!((error.failure.kind, error.failure.code.as_str()), (FailureKind::TimedOut, EXEC_ENDED));
    assert!(error.failure.message.ends_with(&format!("was ended with {signal}")), "{error}");
}

#[tokio::test]
async fn a_command_that_takes_too_long_is_ended_with_all_it_began() {
    let bed = Bed::new();
    let id = bed.run("one", &[]);
    for script in [
        "exec sleep 3600",
        "sleep 3601 & sleep 3602 & wait",
        "setsid sleep 3603 & (sleep 3604 &); sleep 3605",
        "sleep 3606 &",
    ] {
        assert_ended(&late(&bed, &id, &sh(script), None).await, "TERM");
        assert_eq!(sleeps(&id), 0, "{script}");
    }
    assert!(bed.daemon.inspect(&id).await.unwrap().available(), "the container itself goes on");
}

#[tokio::test]
async fn one_that_does_not_hear_term_is_killed() {
    let bed = Bed::new();
    let id = bed.run("one", &[]);
    let script = "trap '' TERM; sleep 3600 & while true; do sleep 3601; done";
    assert_ended(&late(&bed, &id, &sh(script), None).await, "KILL");
    assert_eq!(sleeps(&id), 0);
}

/// Docker holds back the word of any end in the container while the child keeps the output of its parent open.
#[tokio::test]
async fn a_child_that_does_not_hear_term_is_killed_after_its_parent() {
    let bed = Bed::new();
    let id = bed.run("one", &[]);
    let script = "echo starting; sh -c 'trap \"\" TERM; sleep 3600; sleep 3601'; echo never";
    assert_ended(&late(&bed, &id, &sh(script), None).await, "KILL");
    assert_eq!(sleeps(&id), 0);

    let exec = bed.exec(&id, &sh(script), &[]).await.unwrap();
    let wish = watch::Sender::new(false);
    let limit = ExecLimit { time: Duration::from_hours(1), ends: Some(wish.subscribe()) };
    let (ended, ()) = tokio::join!(bed.daemon.exec_start(&exec, None, limit), async {
        // Two shells that have the words in their script, and one that sleeps.
        until("its child", async || (sleeps(&id) == 3).then_some(())).await;
        wish.send_replace(true);
    });
    let ended = ended.unwrap_err();
    assert!(ended.certain && ended.failure.kind == FailureKind::Cancelled, "{ended}");
    assert!(ended.failure.message.ends_with("was ended with KILL"), "{ended}");
    assert_eq!(sleeps(&id), 0);
}

#[tokio::test]
async fn it_is_ended_as_whoever_it_runs() {
    let bed = Bed::new();
    let id = bed.run("one", &[]);
    assert_ended(&late(&bed, &id, &sh("exec sleep 3600"), Some("service")).await, "TERM");
    let other = bed.run("two", &["--user", "service"]);
    assert_ended(&late(&bed, &other, &sh("exec sleep 3600"), None).await, "TERM");
    assert_ended(&late(&bed, &other, &sh("exec sleep 3600"), Some("root")).await, "TERM");
    assert_eq!(sleeps(&id) + sleeps(&other), 0);
}

#[tokio::test]
async fn one_that_is_not_wanted_any_more_ends_before_its_time() {
    let bed = Bed::new();
    let id = bed.run("one", &[]);
    let exec = bed.exec(&id, &sh("exec sleep 3600"), &[]).await.unwrap();
    let wish = watch::Sender::new(false);
    let limit = ExecLimit { time: Duration::from_hours(1), ends: Some(wish.subscribe()) };
    let wished = async {
        while sleeps(&id) == 0 {
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        wish.send_replace(true);
    };
    let (ended, ()) = tokio::join!(bed.daemon.exec_start(&exec, None, limit), wished);
    let error = ended.unwrap_err();
    assert!(error.certain && error.failure.kind == FailureKind::Cancelled, "{error}");
    assert_eq!(sleeps(&id), 0);
}

#[tokio::test]
async fn in_an_image_without_kill_it_is_in_doubt() {
    let bed = Bed::new();
    let id = bed.run("one", &["--env", "NEVER_HEALTHY=1"]);
    docker(&["exec", &id, "cp", "/bin/busybox", "/tmp/sleep"]);
    docker(&["exec", &id, "rm", "/bin/sh", "/bin/kill"]);
    assert_ended(&late(&bed, &id, &["/tmp/sleep".to_owned(), "3600".to_owned()], None).await, "TERM");
    docker(&["exec", &id, "busybox", "rm", "/bin/busybox"]);
    let error = late(&bed, &id, &["/tmp/sleep".to_owned(), "3600".to_owned()], None).await;
    assert!(!error.certain && error.failure.kind == FailureKind::TimedOut, "{error}");
    assert!(error.failure.message.contains("the image has no `kill`"), "{error}");
    assert_eq!(sleeps(&id), 1);
}

#[tokio::test]
async fn on_another_machine_it_stays_behind() {
    let far = Daemon::connect(&Connection::parse("tcp://127.0.0.1:1", None).unwrap()).unwrap();
    assert!(!far.may_end_commands());
    let behind = far.end_exec(&"0".repeat(64)).await.unwrap_err();
    assert_eq!(behind.0, "the daemon is on another machine");
}
