//! What programs read: documents with the promised fields, exit codes, lines without colours.

use serde_json::Value;

use crate::support::books::{self, HELLO, Restart};
use crate::support::engine::Engine;
use crate::support::service::Service;

fn has(document: &Value, fields: &[&str]) {
    for field in fields {
        assert!(!document[field].is_null(), "there is no `{field}` in {document}");
    }
}

#[test]
fn documents_of_runs_and_plans() {
    let service = Service::of(1).up();
    let engine = Engine::new();
    let book = engine.write("restart.yaml", &books::restart(&Restart::default()));
    let plan = engine.json(&["plan", &book, "-p", &service.parameter()]);
    has(&plan, &["digest", "writes", "unknown", "steps", "card", "runbook"]);

    let run = engine.json(&["run", &book, "-p", &service.parameter(), "--yes"]);
    has(&run, &["run", "runbook", "status", "steps", "outputs", "parameters"]);
    assert_eq!(run["status"], "succeeded");
    assert_eq!(run["outputs"]["restarted"], serde_json::json!([service.replica(1)]));
    assert_eq!(run["steps"][0]["status"], "succeeded");

    let shown = engine.json(&["runs", "show", "last"]);
    assert_eq!(shown["run"], run["run"]);
    let listed = engine.json(&["runs", "list"]);
    assert_eq!(listed[0]["run"], run["run"]);
    has(&listed[0], &["status", "runbook", "actor", "started_ms", "subject"]);
}

#[test]
fn lines_of_documents() {
    let engine = Engine::new();
    let book = engine.write("hello.yaml", HELLO);
    engine.must(0, &["run", &book]);
    for arguments in [["runs", "watch", "last"], ["audit", "tail", "--lines=50"]] {
        let mut arguments = arguments.to_vec();
        arguments.extend(["--output", "json"]);
        let ended = engine.must(0, &arguments);
        assert!(ended.stdout.lines().count() >= 5, "{ended:?}");
        for line in ended.stdout.lines() {
            let document: Value = serde_json::from_str(line).expect("a document per line");
            assert!(document.is_object(), "{line}");
        }
    }
}

#[test]
fn every_error_is_a_document_too() {
    let engine = Engine::new();
    let ended = engine.json_with(3, &["run", "service-restrat"]);
    has(&ended["error"], &["kind", "message", "hint"]);
    let ended = engine.json_with(2, &["run", "--no-such-flag"]);
    has(&ended["error"], &["kind", "message"]);
}

#[test]
fn lost_output_is_no_success() {
    let engine = Engine::new();
    let book = engine.write("hello.yaml", HELLO);
    engine.must(0, &["run", &book]);
    let program = env!("CARGO_BIN_EXE_runbook");
    for arguments in ["schema", "list", "audit prove 1", "run hello.yaml --output json"] {
        let line = format!("{program} {arguments} > /dev/full");
        let ended = engine.begin(std::process::Command::new("sh").args(["-c", &line])).wait();
        assert_eq!(ended.code, 4, "{arguments}: {ended:?}");
        ended.says(&["cannot write to stdout", "no space left", "hint:"]);
    }
    let line = format!("{program} schema | true");
    let ended = engine.begin(std::process::Command::new("bash").args(["-o", "pipefail", "-c", &line])).wait();
    assert_eq!(ended.code, 0, "a reader who has gone wanted no more: {ended:?}");
}

#[test]
fn what_makes_no_sense_is_refused_at_once() {
    let engine = Engine::new();
    let book = engine.write("hello.yaml", HELLO);
    engine.must(2, &["runs", "list", "--status", "bogus"]).says(&["rolled-back"]);
    engine.must(2, &["halt", "on", "--reason", " "]);
    engine.must(2, &["run", &book, "--dedupe", ""]);
    engine.must(3, &["new", "service-restart"]).says(&["library/service-restart", "hint:"]);
    engine.must(3, &["plugin", "add", "/dev/zero", "--name", "zero"]).says(&["16 MiB"]);
    let failing = engine.write("fails.yaml", &one("    uses: core.fail\n    with: { message: no }\n"));
    engine.must(10, &["run", &failing]).says(&[&format!("runbook run {failing}")]);
    engine.must(0, &["run", &book, "--dedupe", "k"]);
    engine.must(10, &["run", &failing, "--dedupe", "k"]).says(&["dedupe key", "hint:"]);
    let shown = engine.json(&["runs", "show", "last", "--log"]);
    assert!(shown["log"].as_array().is_some_and(|log| log.len() > 3), "{shown}");
}

/// A runbook of one step.
fn one(step: &str) -> String {
    format!("format: 1\nrunbook: one\nsummary: One step.\nsteps:\n  - id: it\n{step}")
}

#[test]
fn exit_codes() {
    let engine = Engine::new();
    let ends = [
        (0, "    uses: core.log\n    with: { message: hello }\n"),
        (10, "    uses: core.fail\n    with: { message: no }\n"),
        (10, "    uses: core.assert\n    with: { that: false, message: no }\n"),
        (15, "    uses: core.log\n    with: { message: hello }\n    if: 1 > 2\n"),
        (3, "    uses: core.lgo\n    with: { message: hello }\n"),
    ];
    for (code, step) in ends {
        let book = engine.write("one.yaml", &one(step));
        engine.must(code, &["run", &book]);
    }
    engine.must(2, &["run"]);
    engine.must(2, &["frobnicate"]);
    engine.must(0, &["--version"]);
    engine.must(3, &["runs", "show", "zzzz"]);
    let risky = one("    uses: core.log\n    with: { message: hello }\n").replace(
        "steps:",
        "risk: high\ngrants:\n  containers: { select: { service: a/b }, actions: [stop] }\nsteps:",
    );
    let book = engine.write("risky.yaml", &risky);
    engine.must(2, &["run", &book]).says(&["risk", "--yes"]);
}

#[test]
fn no_colours_where_nobody_looks() {
    let engine = Engine::new();
    let good = engine.write("hello.yaml", HELLO);
    let bad = engine.write("bad.yaml", &HELLO.replace("core.log", "core.lgo"));
    let commands: [&[&str]; 9] = [
        &["run", &good],
        &["run", &bad],
        &["list"],
        &["show", "service-restart"],
        &["runs", "list"],
        &["runs", "show", "last", "--log"],
        &["audit", "tail"],
        &["audit", "verify"],
        &["run", "service-restrat"],
    ];
    for command in commands {
        let ended = engine.run(command);
        assert!(!ended.said().contains('\u{1b}'), "{command:?}: {ended:?}");
    }
    let wished = engine.run(&["--color", "always", "runs", "list"]);
    assert!(wished.stdout.contains('\u{1b}'), "{wished:?}");
}
