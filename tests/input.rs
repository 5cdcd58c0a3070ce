//! What is wrong is said in one line with what to do next, by the right exit code, and nothing has changed.

use std::os::unix::net::UnixListener;
use std::path::Path;
use std::process::{Command, Output};

use crate::support::books::HELLO;
use crate::support::engine::{BINARY, Ended, Engine};
use crate::support::service::Service;

/// One sentence, and what to do.
fn told(ended: &Ended, code: i32, words: &[&str]) {
    assert_eq!(ended.code, code, "{ended:?}");
    let errors = ended.stderr.lines().filter(|line| line.starts_with("error: ")).count();
    let hints = ended.stderr.lines().filter(|line| line.starts_with("hint: ")).count();
    assert!(errors == 1 && hints >= 1, "{ended:?}");
    assert_eq!(ended.stdout, "");
    ended.says(words);
}

/// A restart with these parameters is refused.
fn refused(parameters: &[&str], code: i32, words: &[&str]) {
    let engine = Engine::new();
    let mut arguments = vec!["run", "service-restart", "--yes"];
    arguments.extend(parameters.iter().flat_map(|pair| ["-p", pair]));
    told(&engine.run(&arguments), code, words);
}

#[test]
fn parameters() {
    refused(&["servce=x", "service=a/b"], 3, &["no parameter `servce`", "did you mean `service`?"]);
    refused(&[], 3, &["the parameter `service` is missing"]);
    refused(&["service=a/b", "batch=two"], 3, &["`batch` must be an integer, not `two`"]);
    refused(&["service=a/b", "batch=99"], 3, &["`batch`", "20"]);
    refused(&["service=a/b", "wait=5"], 3, &["`wait`", "write `5s`"]);
    refused(&["service"], 2, &["has no `=`"]);
    refused(&["service="], 3, &["`service`"]);
}

#[test]
fn names_of_runbooks() {
    let engine = Engine::new();
    told(&engine.run(&["run", "service-restrat"]), 3, &["did you mean `service-restart`?"]);
    told(&engine.run(&["show", "nothing-like-it"]), 3, &["`runbook list`"]);
    told(&engine.run(&["run", "./missing.yaml"]), 3, &["cannot read `./missing.yaml`"]);
    engine.write("runbooks/service-restart.yaml", &HELLO.replace("hello\n", "service-restart\n"));
    let both = engine.run(&["run", "service-restart", "-p", "service=a/b"]);
    told(&both, 3, &["service-restart.yaml", "library"]);
}

#[test]
fn services_that_are_not_there_or_not_one() {
    let (one, _other) = (Service::of(1).up(), Service::of(1).up());
    let mark = one.events.mark();
    let misspelt = format!("service={}/wbe", one.project());
    refused(&[&misspelt], 3, &["no service is named", &one.name()]);
    refused(&["service=web"], 3, &["`web` is ambiguous", &one.name()]);
    assert_eq!(one.events.writes(mark), []);
}

#[test]
fn daemons_that_cannot_be_reached() {
    let run = ["run", "service-restart", "-p", "service=a/b", "--yes"];
    let at = |host: &str| Engine::new().env("DOCKER_HOST", host).run(&run);
    told(&at("unix:///nonexistent/docker.sock"), 4, &["/nonexistent/docker.sock", "does not exist"]);
    told(&at("ssh://root@prod-1"), 4, &["ssh://", "is not supported"]);
    told(&at("tcp://127.0.0.1:1"), 4, &["127.0.0.1:1"]);
    told(&at("carrier-pigeon"), 4, &["carrier-pigeon"]);

    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("hangs.sock");
    let _hangs = UnixListener::bind(&path).expect("a socket");
    told(&at(&format!("unix://{}", path.display())), 4, &["no answer within"]);
}

#[test]
fn a_daemon_that_may_not_be_used() {
    let folder = tempfile::tempdir().expect("a folder");
    let program = folder.path().join("runbook");
    std::fs::hard_link(BINARY, &program).or_else(|_| std::fs::copy(BINARY, &program).map(drop)).expect("it");
    let home = folder.path().join("home");
    std::fs::create_dir(&home).expect("a home");
    let open = |path: &Path| Command::new("chmod").arg("777").arg(path).status().expect("chmod");
    assert!(open(folder.path()).success() && open(&home).success());
    let output = Command::new("setpriv")
        .args(["--reuid=65534", "--regid=65534", "--clear-groups"])
        .arg(&program)
        .args(["run", "service-restart", "-p", "service=a/b", "--yes"])
        .current_dir(&home)
        .env("RUNBOOK_DATA_DIR", home.join("data"))
        .output()
        .expect("setpriv");
    told(&left(&output), 4, &["docker.sock", "may not be used by this user"]);
}

/// What a program of another user left.
fn left(output: &Output) -> Ended {
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    let code = output.status.code().unwrap_or(-1);
    Ended { code, stdout: text(&output.stdout), stderr: text(&output.stderr) }
}

#[test]
fn a_data_directory_that_may_not_be_looked_into() {
    let folder = tempfile::tempdir().expect("a folder");
    let open = Command::new("chmod").arg("777").arg(folder.path()).status().expect("chmod");
    assert!(open.success());
    let program = folder.path().join("runbook");
    std::fs::hard_link(BINARY, &program).or_else(|_| std::fs::copy(BINARY, &program).map(drop)).expect("it");
    let data = folder.path().join("data");
    let engine = Engine::new().data_dir(&data);
    engine.must(0, &["run", &engine.write("hello.yaml", HELLO)]);
    let commands = [
        (&["halt", "status"][..], "--data-dir"),
        (&["runs", "list"], "--data-dir"),
        (&["audit", "verify"], "--data-dir"),
    ];
    for (arguments, hint) in commands {
        let output = Command::new("setpriv")
            .args(["--reuid=65534", "--regid=65534", "--clear-groups"])
            .arg(&program)
            .args(arguments)
            .current_dir(folder.path())
            .env("RUNBOOK_DATA_DIR", &data)
            .output()
            .expect("setpriv");
        told(&left(&output), 4, &["data", hint]);
    }
}

#[test]
fn data_directories() {
    let run = |engine: &Engine| {
        let book = engine.write("hello.yaml", HELLO);
        engine.run(&["run", &book])
    };
    let file = tempfile::NamedTempFile::new().expect("a file");
    told(&run(&Engine::new().data_dir(file.path())), 4, &["data directory"]);

    let newer = Engine::new();
    assert_eq!(run(&newer).code, 0);
    let database = newer.data().join("audit.db");
    let set = Command::new("sqlite3").arg(&database).arg("PRAGMA user_version = 9999").status();
    assert!(set.expect("sqlite3").success());
    let before = std::fs::read(&database).expect("the database");
    told(&run(&newer), 5, &["newer"]);
    assert_eq!(std::fs::read(&database).expect("the database"), before, "it is left as it is");

    let damaged = Engine::new();
    assert_eq!(run(&damaged).code, 0);
    let database = damaged.data().join("audit.db");
    let mut bytes = std::fs::read(&database).expect("the database");
    bytes[..4096].fill(b'x');
    std::fs::write(&database, &bytes).expect("to damage it");
    told(&run(&damaged), 5, &["the audit log is damaged"]);
    assert_eq!(std::fs::read(&database).expect("the database"), bytes, "nothing is lost");

    let emptied = Engine::new();
    assert_eq!(run(&emptied).code, 0);
    std::fs::write(emptied.data().join("audit.db"), "").expect("to empty it");
    told(&run(&emptied), 5, &["the audit log is gone", "is empty", ".note"]);
    told(&emptied.run(&["runs", "list"]), 5, &["the audit log is gone"]);
    told(&emptied.run(&["audit", "verify"]), 5, &["is empty", ".note"]);
    emptied.must(4, &["doctor", "--no-services"]).says(&["the audit log is gone"]);
}

#[test]
fn what_is_not_there_was_not_tampered_with() {
    let engine = Engine::new();
    told(&engine.run(&["audit", "verify", "log.jsonl"]), 3, &["there is no `log.jsonl`"]);
    told(&engine.run(&["audit", "verify", "/"]), 3, &["`/` holds neither an audit log nor an export"]);
    engine.must(0, &["run", &engine.write("hello.yaml", HELLO)]);
    engine.write("log.jsonl", "mine");
    let again = engine.run(&["audit", "export", "log.jsonl"]);
    told(&again, 4, &["log.jsonl", "nothing that exists is overwritten"]);
}

#[test]
fn a_plugin_that_is_no_component() {
    let engine = Engine::new();
    engine.write("notes.wasm", "these are only words");
    told(&engine.run(&["plugin", "add", "notes.wasm"]), 3, &["`notes` is not a WASM component"]);
    let listed = engine.must(0, &["plugin", "list"]);
    assert!(!listed.stdout.contains("notes"), "{}", listed.stdout);
}

#[test]
fn an_empty_selector_is_never_everything() {
    let engine = Engine::new();
    let text = crate::support::books::steps(
        "read, stop",
        "  - id: stop\n    uses: service.stop\n    with: { service: \"${{ parameters.service }}\" }\n",
    );
    let book = engine.write("stop.yaml", &text);
    told(&engine.run(&["run", &book, "-p", "service=", "--yes"]), 3, &["stop.yaml:9", "empty"]);
    assert_eq!(engine.status(), "", "there is no run");
}
