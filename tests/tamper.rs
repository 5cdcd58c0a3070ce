//! Ten thousand seeded changes of the database and of an export, judged by a verifier that shares no code with ours.

use std::process::Command;

use crate::support::books::HELLO;
use crate::support::engine::{BINARY, Engine};

#[test]
fn ten_thousand_changes_are_found_or_change_nothing_that_was_said() {
    let engine = Engine::new();
    let hello = engine.write("hello.yaml", HELLO);
    for _ in 0..3 {
        engine.must(0, &["run", &hello]);
    }
    engine.must(0, &["state", "set", "shop", "answer", "42"]);
    engine.must(0, &["halt", "on", "--reason", "a test"]);
    engine.must(0, &["halt", "off", "--reason", "a test"]);
    engine.must(0, &["audit", "export", "log.jsonl"]);
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/scripts/tamper.py");
    let mut command = Command::new("python3");
    command.arg(script).arg(engine.data()).arg("log.jsonl").args(["--count", "10000", "--engine", BINARY]);

    let ended = engine.begin(command.args(["--sample", "60"])).wait();

    assert_eq!(ended.code, 0, "{}", ended.said());
    ended.says(&["10000 tampers:", " 0 missed"]);
}
