//! Commands in containers.

use std::time::{Duration, Instant};

use crate::tests::bed::{Bed, docker, until};
use crate::{ExecCommand, ExecTrace};
use words::effect::FailureKind;

const PATIENCE: Duration = Duration::from_secs(20);

pub(super) fn sh(script: &str) -> Vec<String> {
    ["sh", "-c", script].map(str::to_owned).to_vec()
}

#[tokio::test]
async fn a_command_gets_its_environment_and_input_and_gives_its_code() {
    let bed = Bed::new();
    let id = bed.run("one", &[]);
    let env = [("NAME".to_owned(), "$(reboot) \"x\"".to_owned())];
    let script = "echo \"$NAME\"; cat; echo wrong >&2; exit 3";
    let exec = bed.exec(&id, &sh(script), &env).await.unwrap();
    let inert = bed.daemon.exec_state(&exec).await.unwrap().unwrap();
    assert!(!inert.started());
    let output = bed.daemon.exec_start(&exec, Some("line\n"), PATIENCE).await.unwrap();
    assert_eq!(output.stdout, "$(reboot) \"x\"\nline\n");
    assert_eq!((output.stderr.as_str(), output.exit_code, output.truncated), ("wrong\n", 3, false));
    let ended = bed.daemon.exec_state(&exec).await.unwrap().unwrap();
    assert!(ended.started() && !ended.running && ended.exit_code == Some(3));
    let again = bed.daemon.exec_start(&exec, None, PATIENCE).await.unwrap_err();
    assert!(again.certain, "{again}");
    assert_eq!(bed.daemon.exec_state(&"0".repeat(64)).await.unwrap(), None);
}

#[tokio::test]
async fn without_input_a_command_reads_its_end_at_once() {
    let bed = Bed::new();
    let id = bed.run("one", &[]);
    let exec = bed.exec(&id, &sh("cat; echo done"), &[]).await.unwrap();
    assert_eq!(bed.daemon.exec_start(&exec, None, PATIENCE).await.unwrap().stdout, "done\n");
}

#[tokio::test]
async fn a_flood_of_output_is_cut_and_the_command_still_ends() {
    let bed = Bed::new();
    let id = bed.run("one", &[]);
    let exec = bed.exec(&id, &sh("head -c 8000000 /dev/zero; exit 4"), &[]).await.unwrap();
    let output = bed.daemon.exec_start(&exec, None, PATIENCE).await.unwrap();
    assert!(output.truncated && output.exit_code == 4 && output.stdout.len() == 1 << 20);
}

#[tokio::test]
async fn what_cannot_be_run_is_refused() {
    let bed = Bed::new();
    let id = bed.run("one", &[]);
    assert!(bed.exec(&id, &[], &[]).await.unwrap_err().certain);
    let nameless = [("A=B".to_owned(), "x".to_owned())];
    assert!(bed.exec(&id, &sh("true"), &nameless).await.unwrap_err().certain);
    let exec = bed.exec(&id, &["/no/such".to_owned()], &[]).await.unwrap();
    let missing = bed.daemon.exec_start(&exec, None, PATIENCE).await;
    // Docker 20.10 answers with an exit code, newer ones with an error.
    assert!(missing.is_err() || missing.is_ok_and(|output| output.exit_code != 0));
    docker(&["stop", "--time", "5", &id]);
    let stopped = bed.exec(&id, &sh("true"), &[]).await.unwrap_err();
    assert!(stopped.certain && stopped.failure.kind == FailureKind::Conflict, "{stopped}");
}

#[tokio::test]
async fn the_end_of_a_command_that_lost_its_listener_is_in_its_event() {
    let bed = Bed::new();
    let id = bed.run("one", &[]);
    let since = words::clock::now_ms().saturating_sub(1_000);
    let script = "sleep 3; echo 1; sleep 1; exit 5";
    let exec = bed.exec(&id, &sh(script), &[]).await.unwrap();
    assert_eq!(bed.daemon.exec_trace(&id, &exec, since).await.unwrap(), ExecTrace::Nothing);
    let started = until("the command to start", async || {
        let trace = bed.daemon.exec_trace(&id, &exec, since).await.unwrap();
        (trace != ExecTrace::Nothing).then_some(trace)
    });
    // Dropping the request closes the connection, as an engine that is killed does.
    tokio::select! {
        ended = bed.daemon.exec_start(&exec, None, PATIENCE) => panic!("it ended too soon: {ended:?}"),
        trace = started => assert_eq!(trace, ExecTrace::Started),
    }
    let deadline = Instant::now() + PATIENCE;
    loop {
        let trace = bed.daemon.exec_trace(&id, &exec, since).await.unwrap();
        if trace == ExecTrace::Ended(5) {
            break;
        }
        assert!(trace == ExecTrace::Started && Instant::now() < deadline, "{trace:?}");
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}

#[tokio::test]
async fn as_whom_and_where() {
    let bed = Bed::new();
    let id = bed.run("one", &[]);
    let command = sh("id -un; pwd");
    let request = ExecCommand {
        command: &command,
        user: Some("service"),
        workdir: Some("/tmp"),
        ..ExecCommand::default()
    };
    let exec = bed.daemon.exec_create(&id, &request, &[]).await.unwrap();
    let output = bed.daemon.exec_start(&exec, None, PATIENCE).await.unwrap();
    assert_eq!((output.exit_code, output.stdout.as_str()), (0, "service\n/tmp\n"));
    for (user, workdir) in [(Some("a b"), None), (Some(""), None), (None, Some("tmp"))] {
        let request = ExecCommand { user, workdir, ..request };
        assert!(bed.daemon.exec_create(&id, &request, &[]).await.unwrap_err().certain);
    }
}
