//! Daemons that are not there, may not be asked, hang, or are cut off: what is said, and whether it is certain that
//! nothing was changed.

use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::UnixListener;
use std::path::{Path, PathBuf};
use std::time::Duration;

use tempfile::TempDir;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::UnixStream;
use tokio::task::JoinSet;

use crate::tests::bed::Bed;
use crate::types::{Condition, Overrides};
use crate::{Connection, Daemon, NewSecrets};
use words::effect::FailureKind;

const GRACE: Duration = Duration::from_secs(5);

fn at(path: &Path) -> Daemon {
    Daemon::connect(&Connection::Unix(path.to_owned())).unwrap()
}

fn folder() -> (TempDir, PathBuf) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("docker.sock");
    (folder, path)
}

#[tokio::test]
async fn an_absent_socket_is_named_with_a_hint() {
    let (_folder, path) = folder();
    let error = at(&path).ping().await.unwrap_err();
    assert!(error.certain && error.failure.kind == FailureKind::Unavailable);
    assert!(error.failure.message.contains(path.to_str().unwrap()), "{error}");
    assert!(error.failure.message.contains("does not exist; start Docker"), "{error}");
}

#[tokio::test]
async fn a_socket_with_nobody_behind_it_says_so() {
    let (_folder, path) = folder();
    drop(UnixListener::bind(&path).unwrap());
    let error = at(&path).ping().await.unwrap_err();
    assert!(error.certain && error.failure.message.contains("nobody listening"), "{error}");
}

#[tokio::test]
async fn a_hanging_socket_is_given_up_in_time() {
    let (_folder, path) = folder();
    let _listener = UnixListener::bind(&path).unwrap();
    let asked = at(&path);
    let error =
        tokio::time::timeout(Duration::from_secs(90), asked.service("web")).await.unwrap().unwrap_err();
    assert!(error.certain && error.failure.kind == FailureKind::TimedOut);
    assert!(error.failure.message.contains("gave no answer within 5 s"), "{error}");
}

#[tokio::test]
async fn something_else_behind_the_socket_is_noticed() {
    let (_folder, path) = folder();
    let listener = UnixListener::bind(&path).unwrap();
    std::thread::spawn(move || {
        use std::io::Write;
        let _ = listener.accept().unwrap().0.write_all(b"220 mail.example ESMTP\r\n");
    });
    let error = at(&path).ping().await.unwrap_err();
    assert_eq!(error.failure.kind, FailureKind::Unavailable, "{error}");
}

#[tokio::test]
async fn a_daemon_that_fails_at_the_greeting_is_only_away() {
    let (_folder, path) = folder();
    let listener = UnixListener::bind(&path).unwrap();
    std::thread::spawn(move || {
        use std::io::{Read, Write};
        for client in listener.incoming() {
            let mut client = client.unwrap();
            let _ = client.read(&mut [0; 1024]);
            let _ = client.write_all(b"HTTP/1.1 503 Service Unavailable\r\nContent-Length: 0\r\n\r\n");
        }
    });
    let daemon = at(&path);
    let error = daemon.ping().await.unwrap_err();
    assert!(error.certain && crate::is_away(&error.failure), "{error}");
    std::fs::remove_file(&path).unwrap();
    std::os::unix::fs::symlink("/var/run/docker.sock", &path).unwrap();
    daemon.ping().await.unwrap();
}

/// Root may use any socket, so that the question is asked by `nobody`, in a process of its own: this test itself.
#[tokio::test]
async fn a_forbidden_socket_says_how_to_be_allowed() {
    if let Some(path) = option_path() {
        let error = at(&path).ping().await.unwrap_err();
        assert!(error.certain && error.failure.message.contains("may not be used by this user"), "{error}");
        assert!(error.failure.message.contains("usermod"), "{error}");
        return;
    }
    let (folder, path) = folder();
    let _listener = UnixListener::bind(&path).unwrap();
    std::fs::set_permissions(folder.path(), std::fs::Permissions::from_mode(0o755)).unwrap();
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o600)).unwrap();
    let copy = folder.path().join("test");
    std::fs::copy(std::env::current_exe().unwrap(), &copy).unwrap();
    let output = tokio::process::Command::new(&copy)
        .args(["--exact", "tests::doubt::a_forbidden_socket_says_how_to_be_allowed", "--nocapture"])
        .env("RUNBOOK_TEST_FORBIDDEN", &path)
        .current_dir("/")
        .uid(65534)
        .gid(65534)
        .output()
        .await
        .unwrap();
    let words = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success() && words.contains("1 passed"), "{words}");
}

fn option_path() -> Option<PathBuf> {
    std::env::var_os("RUNBOOK_TEST_FORBIDDEN").map(PathBuf::from)
}

/// What a proxy before the daemon does with a request whose path holds a word.
#[derive(Clone, Copy)]
enum Mischief {
    /// Cuts before the daemon hears of it.
    CutBefore,
    /// Lets the daemon do it and cuts the answer off.
    CutAfter,
    /// Answers 500 by itself.
    Fail,
}

/// One request per connection, as bollard makes them.
async fn meddle(mut client: UnixStream, word: &'static str, mischief: Mischief) {
    let mut request = vec![0; 64 << 10];
    let length = client.read(&mut request).await.unwrap_or(0);
    let meant = String::from_utf8_lossy(&request[..length]).lines().next().unwrap_or_default().contains(word);
    if meant && matches!(mischief, Mischief::CutBefore) {
        return;
    }
    if meant && matches!(mischief, Mischief::Fail) {
        let _ = client.write_all(b"HTTP/1.1 500 Oops\r\nContent-Length: 0\r\n\r\n").await;
        return;
    }
    let mut daemon = UnixStream::connect("/var/run/docker.sock").await.unwrap();
    daemon.write_all(&request[..length]).await.unwrap();
    if meant {
        let mut answer = [0; 1];
        let _ = daemon.read(&mut answer).await;
        return;
    }
    let _ = tokio::io::copy_bidirectional(&mut client, &mut daemon).await;
}

fn proxied(word: &'static str, mischief: Mischief) -> (TempDir, Daemon, JoinSet<()>) {
    let (folder, path) = folder();
    let listener = tokio::net::UnixListener::bind(&path).unwrap();
    let mut proxy = JoinSet::new();
    proxy.spawn(async move {
        let mut connections = JoinSet::new();
        while let Ok((client, _)) = listener.accept().await {
            connections.spawn(meddle(client, word, mischief));
        }
    });
    (folder, at(&path), proxy)
}

#[tokio::test]
async fn a_cut_answer_leaves_a_write_in_doubt_and_the_world_tells() {
    let bed = Bed::new();
    let id = bed.run("one", &[]);
    let (_folder, cut, _proxy) = proxied("/stop", Mischief::CutAfter);
    let error = cut.stop(&id, GRACE).await.unwrap_err();
    assert!(!error.certain && error.failure.kind == FailureKind::Unavailable, "{error}");
    assert_eq!(Bed::look(&id, "{{.State.Status}}"), "exited");

    bed.daemon.start(&id).await.unwrap();
    let (_folder, cut, _proxy) = proxied("/stop", Mischief::CutBefore);
    assert!(!cut.stop(&id, GRACE).await.unwrap_err().certain, "it cannot be told from the other case");
    assert_eq!(Bed::look(&id, "{{.State.Status}}"), "running");

    let (_folder, failing, _proxy) = proxied("/stop", Mischief::Fail);
    assert!(!failing.stop(&id, GRACE).await.unwrap_err().certain);
}

#[tokio::test]
async fn a_cut_question_changed_nothing() {
    let bed = Bed::new();
    let id = bed.run("one", &[]);
    let (_folder, cut, _proxy) = proxied("/json", Mischief::CutAfter);
    for error in [cut.inspect(&id).await.unwrap_err(), cut.stop(&id, GRACE).await.unwrap_err()] {
        assert!(error.certain, "{error}");
    }
    assert_eq!(Bed::look(&id, "{{.State.Status}}"), "running");
}

#[tokio::test]
async fn a_wait_outlives_a_short_absence_of_the_daemon() {
    let bed = Bed::new();
    let id = bed.run("one", &["--env", "START_DELAY=5"]);
    let (folder, daemon, proxy) = proxied("/never", Mischief::Fail);
    let path = folder.path().join("docker.sock");
    let interruption = async {
        // The wait has looked by then; the container is not healthy yet.
        tokio::time::sleep(Duration::from_secs(2)).await;
        drop(proxy);
        tokio::time::sleep(Duration::from_millis(500)).await;
        std::fs::remove_file(&path).unwrap();
        tokio::time::sleep(Duration::from_millis(500)).await;
        std::os::unix::fs::symlink("/var/run/docker.sock", &path).unwrap();
    };
    let wait = daemon.wait_until(&id, Condition::HealthyFor(0), Duration::from_secs(90));
    assert!(tokio::join!(wait, interruption).0.unwrap().available());
}

#[tokio::test]
async fn a_clone_whose_answer_was_cut_is_found() {
    let bed = Bed::new();
    let id = bed.run("one", &[]);
    let (_folder, cut, _proxy) = proxied("/containers/create", Mischief::CutAfter);
    let call = bed.named("call");
    let error = cut
        .create(&id, &bed.named("two"), &Overrides::default(), &NewSecrets::default(), &call)
        .await
        .unwrap_err();
    assert!(!error.certain, "{error}");
    assert_eq!(bed.daemon.find_by_call(&call).await.unwrap().unwrap().name, bed.named("two"));
}

#[tokio::test]
async fn the_agreed_version_stands_before_each_path() {
    let bed = Bed::new();
    let id = bed.run("one", &[]);
    let version = crate::tests::bed::docker(&["version", "--format", "{{.Server.APIVersion}}"]);
    let word: &'static str = format!("/v{version}/containers/{id}/json").leak();
    let (_folder, failing, _proxy) = proxied(word, Mischief::Fail);
    assert!(failing.inspect(&id).await.unwrap_err().failure.message.contains("cannot inspect"));
}
