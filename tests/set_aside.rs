//! Runs that cannot be read stop nobody but themselves. The data directory is one that version 0.1 wrote: an answer nested 125
//! deep in the journal of a run under way, and a value nested 124 deep in the state.

use std::path::Path;
use std::process::Command;

use serde_json::Value;

use crate::support::engine::Engine;

const HELLO: &str = r"
format: 1
runbook: hello
summary: Say hello.
steps:
  - { id: say, summary: Say it., uses: core.log, with: { message: hello } }
";

/// An engine in that directory, and the run.
fn written_by_0_1() -> (Engine, String) {
    let engine = Engine::new();
    std::fs::create_dir_all(engine.data()).expect("a data directory");
    let archive = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/set_aside/deep-entries.tar.gz");
    let unpacked = Command::new("tar").arg("-xzf").arg(archive).arg("-C").arg(engine.data()).status();
    assert!(unpacked.expect("the program `tar`").success());
    let rows = engine.json(&["runs", "list", "--unfinished"]);
    let run = rows[0]["run"].as_str().expect("a run").to_owned();
    (engine, run)
}

#[test]
fn everything_else_goes_on() {
    let (engine, run) = written_by_0_1();
    let hello = engine.write("hello.yaml", HELLO);
    let ran = engine.must(0, &["run", &hello, "--yes"]);
    assert!(ran.stderr.contains(&run) && ran.stderr.contains("set aside"), "{ran:?}");
    engine.must(0, &["state", "set", "deploys", "web", "1"]);
    assert_eq!(engine.json(&["state", "get", "deploys", "web"]), 1);
    engine.must(0, &["halt", "on", "--reason", "a look"]);
    engine.must(14, &["halt", "status"]);
    engine.must(0, &["halt", "off"]);
    engine.must(0, &["audit", "verify"]);
    engine.must(0, &["runs", "resume", "--yes"]).says(&[&run, "set aside"]);
    let tail = engine.must(0, &["audit", "tail", "--run", &run, "--output", "json"]).stdout;
    let entries: Vec<Value> =
        tail.lines().map(|line| serde_json::from_str(line).expect("an entry")).collect();
    assert!(entries.iter().any(|entry| entry["data"]["$unreadable"].is_string()), "{tail}");
    assert_eq!(engine.last()["status"], "succeeded");
}

#[test]
fn it_is_told_everywhere_and_only_a_person_ends_it() {
    let (engine, run) = written_by_0_1();
    engine.must(0, &["runs", "list"]).says(&["set-aside", &run]);
    let rows = engine.json(&["runs", "list", "--unfinished"]);
    assert!(rows[0]["set_aside"].as_str().is_some_and(|why| why.contains("cannot be read")), "{rows}");
    engine.must(0, &["runs", "show", &run]).says(&["set-aside", "cannot be read", "runs cancel"]);
    let doctor = engine.run(&["doctor", "--no-services"]);
    doctor.says(&[&run, "set aside"]);
    engine.must(10, &["runs", "resume", &run]).says(&["set aside", "runs cancel"]);
    engine.must(10, &["runs", "cancel", &run, "--undo"]);
    assert_eq!(engine.json(&["runs", "list", "--unfinished"])[0]["run"], run.as_str());

    engine.must(0, &["runs", "cancel", &run, "--reason", "looked at it by hand"]);
    assert_eq!(engine.json(&["runs", "list", "--unfinished"]), serde_json::json!([]));
    let row = engine.json(&["runs", "list"])[0].clone();
    assert_eq!(row["status"], "stuck");
    assert!(row["message"].as_str().is_some_and(|why| why.contains("looked at it by hand")), "{row}");
    let ran = engine.must(0, &["run", &engine.write("hello.yaml", HELLO), "--yes"]);
    assert!(!ran.stderr.contains("set aside"), "{ran:?}");
    engine.must(0, &["audit", "verify"]);
}

#[test]
fn what_nobody_could_read_is_not_written() {
    let engine = Engine::new();
    let deep = format!("{}1{}", "[".repeat(124), "]".repeat(124));
    engine.must(3, &["state", "set", "deploys", "web", &deep]);
    engine.must(0, &["run", &engine.write("hello.yaml", HELLO), "--yes"]);
    engine.must(0, &["audit", "verify"]);
    engine.must(3, &["state", "get", "deploys", "web"]);
}
