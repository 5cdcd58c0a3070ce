//! How soon a plugin that does not end is ended.

use std::fs;
use std::process::{Command, Output};

use serde_json::Value;

use crate::component::{Guest, forever};
use crate::figure::{Board, Goal};
use crate::steps::scratch;

const ROUNDS: usize = 5;
const BOOK: &str = "format: 1
runbook: spin
summary: Do not end.
risk: low
steps:
  - { id: spin, summary: Spin., uses: spin.attack, timeout: 1s }
";

/// From the end of a step's time to the entry of its end, while the plugin computes without a pause.
pub(crate) fn overrun(board: &mut Board) {
    let dir = scratch();
    let (plugin, book) = (dir.path().join("spin.wasm"), dir.path().join("spin.yaml"));
    fs::write(&plugin, Guest::new().does(&forever(""))).unwrap();
    fs::write(&book, BOOK).unwrap();
    let ask = |arguments: &[&str]| -> Output {
        let mut command = Command::new(env!("CARGO_BIN_EXE_runbook"));
        command.args(arguments).env("RUNBOOK_DATA_DIR", dir.path().join("data")).output().unwrap()
    };
    let added = ask(&["plugin", "add", plugin.to_str().unwrap()]);
    assert!(added.status.success(), "{added:?}");
    let late_ms = |_| {
        let ended = ask(&["run", book.to_str().unwrap(), "--yes"]);
        assert_eq!(ended.status.code(), Some(10), "{ended:?}");
        let told = ask(&["audit", "tail", "--run", "last", "-n", "100", "--output", "json"]).stdout;
        let entries: Vec<Value> =
            String::from_utf8_lossy(&told).lines().map(|line| serde_json::from_str(line).unwrap()).collect();
        let of_kind = |kind: &str| entries.iter().find(|entry| entry["kind"] == kind).unwrap();
        let deadline_ms = of_kind("attempt.started")["data"]["deadline_ms"].as_f64().unwrap();
        of_kind("attempt.finished")["time_ms"].as_f64().unwrap() - deadline_ms
    };
    let latest = (0..ROUNDS).map(late_ms).fold(0.0, f64::max);
    board.figure("a plugin that does not end, after its time", latest, "ms", Goal::AtMost(100.0));
}
