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
