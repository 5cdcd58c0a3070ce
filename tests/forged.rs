//! Someone who may write everything in the data directory but has no key: what they forge is found, and is acted on by nobody.

use std::path::{Path, PathBuf};
use std::process::Command;

use crate::support::books::HELLO;
use crate::support::engine::{Engine, signal, until_idle};
use crate::support::patience::until;

/// Waits for a person, then keeps a value.
const KEEPS: &str = "format: 1
runbook: keeps
summary: Keep a value.
risk: low
parameters: { value: { type: string } }
grants: { state: [{ bucket: mine, actions: [read, write] }] }
steps:
  - { id: ask, uses: ask.person, with: { question: sure } }
  - { id: keep, uses: state.set, with: { bucket: mine, key: k, value: \"${{ parameters.value }}\" } }
";

/// Replaces one text by another in all bodies, and makes every column fit; the last argument says whether the hash as well.
const FORGE: &str = r#"
import hashlib, json, sqlite3, sys
path, old, new, hashes = sys.argv[1:]
db = sqlite3.connect(path)
found = [row for row in db.execute("SELECT seq, body, hash FROM entry") if old in row[1]]
assert found, "nothing to forge"
for seq, body, digest in found:
    body = body.replace(old, new)
    if hashes == "hashes":
        digest = hashlib.sha256(b"\0" + body.encode()).digest()
    told = json.loads(body)
    db.execute("UPDATE entry SET body = ?, hash = ?, actor = ?, kind = ? WHERE seq = ?",
               (body, digest, told["actor"], told["kind"], seq))
db.commit()
"#;

/// Puts in the place of an index another that answers as the attacker likes, and leaves no trace of it in the schema.
const EXCHANGE: &str = r#"
import sqlite3, sys
path, table, columns, condition, index, rows = sys.argv[1:]
db = sqlite3.connect(path, isolation_level=None)
db.execute(f"CREATE TABLE forged AS SELECT rowid AS id, * FROM {table}" if table != "run" else "CREATE TABLE forged AS SELECT * FROM run")
db.execute(rows)
db.execute(f"CREATE INDEX forged_index ON forged ({columns}) {condition}")
db.execute("PRAGMA writable_schema = ON")
roots = dict(db.execute("SELECT name, rootpage FROM sqlite_schema WHERE name IN (?, 'forged_index')", (index,)))
db.execute("UPDATE sqlite_schema SET rootpage = ? WHERE name = ?", (roots["forged_index"], index))
db.execute("DELETE FROM sqlite_schema WHERE name LIKE 'forged%'")
"#;

fn python(script: &str, arguments: &[&str]) {
    let output = Command::new("python3").args(["-c", script]).args(arguments).output().expect("python3");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
}

fn database(data: &Path) -> String {
    data.join("audit.db").to_string_lossy().into_owned()
}

fn sqlite(data: &Path, sql: &str) -> String {
    let output = Command::new("sqlite3").arg(data.join("audit.db")).arg(sql).output().expect("sqlite3");
    assert!(output.status.success(), "{sql}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8_lossy(&output.stdout).trim().to_owned()
}

fn forge(data: &Path, old: &str, new: &str, hashes: bool) {
    python(FORGE, &[&database(data), old, new, if hashes { "hashes" } else { "bodies" }]);
}

/// Ends the engine in the background in good order, whatever it waits for.
fn stop(engine: &Engine) {
    for id in engine.background() {
        signal(id, "TERM");
    }
    until_idle(engine);
}

/// A run that waits for a person, and no engine; gives its id.
fn waiting(engine: &Engine, value: &str) -> String {
    let book = engine.write("keeps.yaml", KEEPS);
    engine.must(0, &["run", &book, "-p", &format!("value={value}"), "--yes", "--detach"]);
    engine.until_status("waiting");
    stop(engine);
    engine.newest()["run"].as_str().expect("a run").to_owned()
}

/// So many entries that none of those before shares a tile of the tree with what comes next.
fn fill(engine: &Engine) {
    let items: Vec<String> = (0..100).map(|n| n.to_string()).collect();
    let step = format!("    for_each: [{}]\n    uses: core.log\n", items.join(", "));
    let book = engine.write("many.yaml", &HELLO.replace("    uses: core.log\n", &step));
    while last_seq(engine) < 256 {
        engine.must(0, &["run", &book]);
    }
}

fn last_seq(engine: &Engine) -> u64 {
    sqlite(engine.data(), "SELECT max(seq) FROM entry").parse().expect("a number")
}

fn kept(engine: &Engine) -> String {
    engine.run(&["state", "get", "mine", "k"]).stdout
}

/// Until a run that was let go on has kept its value.
fn settled(engine: &Engine, value: &str) {
    until("the value", || kept(engine).contains(value).then_some(()));
    stop(engine);
}

/// A copy of the data directory, and an engine for it.
fn copied(engine: &Engine) -> (PathBuf, Engine) {
    stop(engine);
    let path = engine.path(&format!("copy-{}", crate::support::service::next_number()));
    let copied = Command::new("cp").arg("-a").arg(engine.data()).arg(&path).status().expect("cp");
    assert!(copied.success());
    (path.clone(), Engine::new().data_dir(&path))
}

#[test]
fn what_was_forged_in_the_journal_of_a_run_is_not_acted_on_and_others_go_on() {
    let engine = Engine::new();
    let run = waiting(&engine, "good");
    fill(&engine);
    let other = waiting(&engine, "other");
    let forgeries = [
        ("\"value\":\"good\"", "\"value\":\"evil\"", true),
        ("\"value\":\"good\"", "\"value\":\"evil\"", false),
        (
            "\"actions\":[\"read\",\"write\"],\"bucket\":\"mine\"",
            "\"actions\":[\"write\"],\"bucket\":\"mine\"",
            true,
        ),
    ];
    for (old, new, hashes) in forgeries {
        let (data, forged) = copied(&engine);
        // Only in the journal of the first run: the second has the same grants.
        sqlite(
            &data,
            "CREATE TABLE later AS SELECT * FROM entry WHERE seq > 256; DELETE FROM entry WHERE seq > 256",
        );
        forge(&data, old, new, hashes);
        sqlite(&data, "INSERT INTO entry SELECT * FROM later; DROP TABLE later");

        let refused = forged.run(&["runs", "approve", &run]);
        assert_eq!(refused.code, 5, "{old}: {refused:?}");
        assert_eq!(kept(&forged), "", "{old}");
        forged.must(0, &["runs", "approve", &other]);
        settled(&forged, "other");
        forged.must(0, &["halt", "on", "--reason", "look at this"]);
        forged.must(0, &["runs", "list"]).says(&[&run[..8]]);
        forged.must(5, &["audit", "verify"]).says(&["entr"]);
    }
    engine.must(0, &["runs", "approve", &run]);
    settled(&engine, "good");
    engine.must(0, &["audit", "verify"]);
}

#[test]
fn rows_and_state_that_nobody_signed_mislead_no_start() {
    let engine = Engine::new();
    let run = waiting(&engine, "good");
    engine.must(0, &["halt", "on", "--reason", "night"]);
    let (data, forged) = copied(&engine);
    sqlite(&data, "DELETE FROM state WHERE bucket = 'engine'");
    let hello = forged.write("keeps.yaml", KEEPS);
    forged.must(14, &["run", &hello, "-p", "value=x", "--yes"]);
    forged.must(5, &["audit", "verify"]).says(&["state `engine/halt`"]);

    engine.must(0, &["halt", "off", "--reason", "day"]);
    let (data, forged) = copied(&engine);
    sqlite(&data, "UPDATE run SET status = 'succeeded', finished_ms = 1");
    forged.must(5, &["audit", "verify"]).says(&[&run]);
    forged.must(0, &["runs", "approve", &run]);
    settled(&forged, "good");
}

#[test]
fn an_index_that_is_not_its_table_is_found_and_nobody_acts_on_it() {
    let engine = Engine::new();
    let run = waiting(&engine, "good");
    let other = waiting(&engine, "evil");
    // The journal of the one run is to be that of the other.
    let swapped = format!(
        "UPDATE forged SET run = CASE run WHEN '{run}' THEN '{other}' WHEN '{other}' THEN '{run}' ELSE run END"
    );
    let hidden = format!("DELETE FROM forged WHERE run = '{run}' AND version > 1");
    let indexes = [
        ("entry", "run, version", "WHERE run IS NOT NULL", "entry_run", swapped.as_str()),
        ("entry", "run, version", "WHERE run IS NOT NULL", "entry_run", hidden.as_str()),
        ("run", "run", "WHERE finished_ms IS NULL", "run_unfinished", "DELETE FROM forged"),
    ];
    for (table, columns, condition, index, rows) in indexes {
        let (data, forged) = copied(&engine);
        python(EXCHANGE, &[&database(&data), table, columns, condition, index, rows]);
        let verified = forged.must(5, &["audit", "verify"]);
        verified.says(&["audit.db: "]);
        let answered = forged.run(&["runs", "approve", &run]);
        stop(&forged);
        let kept = kept(&forged);
        assert!(!kept.contains("evil"), "{rows}: {kept}");
        // SQLite itself may refuse to write where it finds an index that lacks a row.
        assert!(answered.code == 5 || table == "run", "{rows}: {answered:?}");
    }
    for sql in [
        "CREATE INDEX cover ON run (run DESC, runbook, status, actor, trigger, target, started_ms, finished_ms, parent, reason, \
         subject, message) WHERE run > ''",
        "CREATE INDEX cover ON entry (run, version, seq, body, hash) WHERE run IS NOT NULL",
        "CREATE VIEW runs AS SELECT * FROM run",
        "CREATE TRIGGER quiet AFTER INSERT ON entry BEGIN DELETE FROM note; END",
    ] {
        let (data, forged) = copied(&engine);
        sqlite(&data, sql);
        for command in [
            &["audit", "verify"][..],
            &["runs", "list"],
            &["runs", "approve", &run],
            &["state", "get", "mine", "k"],
        ] {
            forged.must(5, command).says(&["does not belong to it"]);
        }
    }
}

#[test]
fn the_end_that_a_kill_left_is_hashed_again() {
    let engine = Engine::new();
    let book = engine.write("keeps.yaml", KEEPS);
    let killed = engine.spawn(&["run", &book, "-p", "value=good", "--yes"]);
    engine.until_status("waiting");
    killed.kill();
    let (data, forged) = copied(&engine);
    forge(&data, "\"value\":\"good\"", "\"value\":\"evil\"", true);
    forged.must(5, &["runs", "approve", "last"]).says(&["not those of the signed checkpoint"]);
    // What the database says of where to begin need not be believed.
    sqlite(&data, "UPDATE tree SET clean = 1, trusted_size = size, trusted_frontier = frontier");
    forged.must(5, &["runs", "approve", "last"]).says(&["not those of the signed checkpoint"]);
    assert_eq!(kept(&forged), "");
    engine.must(0, &["runs", "approve", "last"]);
    settled(&engine, "good");
}

#[test]
fn an_engine_writes_down_what_it_leaves_unfinished() {
    let engine = Engine::new();
    let run = waiting(&engine, "good");
    let stopped = || {
        let sql = "SELECT json_extract(body, '$.data.unfinished') FROM entry WHERE kind = 'engine.stopped' ORDER BY seq DESC LIMIT 1";
        sqlite(engine.data(), sql)
    };
    let versions = format!("SELECT max(version) FROM entry WHERE run = '{run}'");
    assert_eq!(stopped(), format!("{{\"{run}\":{}}}", sqlite(engine.data(), &versions)));
    engine.must(0, &["runs", "cancel", &run, "--reason", "no more"]);
    engine.until_status("cancelled");
    stop(&engine);
    assert_eq!(stopped(), "{}");
}
