//! Plugins that together want more memory than there is for all of them.

use std::io::Write as _;

use serde_json::Value;

use super::arena::add;
use super::component::{Arg, Guest};
use crate::support::books::HELLO;
use crate::support::engine::{Engine, until_idle};
use crate::support::memory::high_water_kib;

/// Takes 50 MiB, touches all of it and keeps it for a while.
fn large() -> Vec<u8> {
    let mut guest = Guest::new();
    let sleep = guest.call("clock.sleep", &[Arg::Long(5_000)]);
    guest.does(&format!(
        "(if (i32.eq (memory.grow (i32.const 800)) (i32.const -1)) (then unreachable))
         (memory.fill (i32.const 131072) (i32.const 1) (i32.const 52000000)) {sleep}"
    ))
}

const BOOK: &str = "format: 1
runbook: forty
summary: Take much memory forty times at once.
steps:
  - id: take
    summary: Take it.
    uses: large.attack
    timeout: 60s
    for_each: ITEMS
    max_parallel: 40
    stop_after: 41
    on_failure: continue
";

/// 512 MiB for all, and what the engine and the first 2 MiB of each need.
const MOST_KIB: u64 = (512 + 40 * 2 + 200) << 10;

#[test]
fn forty_that_want_50_mib_each_share_512() {
    let engine = Engine::new();
    add(&engine, "large", &large());
    engine.write("hello.yaml", HELLO);
    let items: Vec<String> = (0..40).map(|item| item.to_string()).collect();
    let book = engine.write("forty.yaml", &BOOK.replace("ITEMS", &format!("[{}]", items.join(", "))));
    let run = engine.spawn(&["run", &book, "--yes"]);
    engine.until_status("running");
    let process = engine.process();
    let hello = engine.spawn(&["run", "hello.yaml"]);
    let mut highest_kib = 0;
    while run.runs() {
        highest_kib = highest_kib.max(high_water_kib(process).unwrap_or(0));
        std::thread::sleep(std::time::Duration::from_millis(50));
    }
    let (ended, hello) = (run.wait(), hello.wait());
    assert_eq!((ended.code, hello.code), (10, 0), "{ended:?} {hello:?}");
    until_idle(&engine);
    let _ = writeln!(std::io::stderr(), "forty plugins: {} MiB", highest_kib >> 10);
    assert!(highest_kib > 0 && highest_kib < MOST_KIB, "{} MiB", highest_kib >> 10);

    let runs = engine.json(&["runs", "list", "--limit", "10"]);
    let row = runs.as_array().and_then(|rows| rows.iter().find(|row| row["runbook"] == "forty"));
    let run = row.and_then(|row| row["run"].as_str()).expect("the run");
    let lines = engine.must(0, &["audit", "tail", "--run", run, "-n", "1000", "--output", "json"]);
    let ends: Vec<Value> = lines
        .stdout
        .lines()
        .map(|line| serde_json::from_str::<Value>(line).expect("an entry"))
        .filter(|entry| entry["kind"] == "attempt.finished")
        .map(|entry| entry["data"]["outcome"].clone())
        .collect();
    let done = ends.iter().filter(|outcome| outcome.get("ok").is_some()).count();
    let refused = ends.iter().filter(|outcome| outcome["error"]["code"] == "plugin.memory-all").count();
    assert_eq!((ends.len(), done + refused), (40, 40), "{ends:?}");
    assert!(done >= 10 && refused > 0, "{done} had their memory, {refused} had not");
    assert_eq!(engine.json(&["audit", "verify"])["verified"], true);
}
