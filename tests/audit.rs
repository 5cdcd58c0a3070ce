//! Nobody changes the audit log unseen: every byte of every entry, whole entries, its end, and old copies of it.

use std::path::Path;
use std::process::Command;

use crate::support::books::HELLO;
use crate::support::engine::Engine;

/// Runs SQL with the `sqlite3` program.
fn sqlite(data: &Path, sql: &str) -> String {
    let output = Command::new("sqlite3").arg(data.join("audit.db")).arg(sql).output().expect("sqlite3");
    assert!(output.status.success(), "{sql}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8_lossy(&output.stdout).trim().to_owned()
}

fn copy(from: &Path, to: &Path) {
    let copied = Command::new("cp").arg("-a").arg(from).arg(to).status().expect("cp");
    assert!(copied.success());
}

/// An engine that ran something twice, so that there are a few dozen entries.
fn used() -> (Engine, u64) {
    let engine = Engine::new();
    let book = engine.write("hello.yaml", HELLO);
    for _ in 0..2 {
        engine.must(0, &["run", &book]);
    }
    let entries = sqlite(engine.data(), "SELECT count(*) FROM entry").parse().expect("a number");
    (engine, entries)
}

/// Changes a copy of the log; verify must fail and name one of these places.
fn found(engine: &Engine, sql: &str, places: &[String]) {
    let copied = engine.path("copy");
    let _ = std::fs::remove_dir_all(&copied);
    copy(engine.data(), &copied);
    sqlite(&copied, sql);
    let ended = engine.must(5, &["audit", "verify", &copied.to_string_lossy()]);
    assert!(
        places.iter().any(|place| ended.stderr.contains(place)),
        "{sql}: none of {places:?} is named: {}",
        ended.stderr
    );
    ended.says(&["hint:"]);
}

#[test]
fn what_was_written_verifies() {
    let (engine, entries) = used();
    let verified = engine.json(&["audit", "verify"]);
    assert_eq!(verified["verified"], true);
    assert_eq!(verified["entries"], entries);
    assert_eq!(verified["runs"], 2);
    assert_eq!(sqlite(engine.data(), "PRAGMA integrity_check"), "ok");
}

#[test]
fn any_changed_byte_of_any_entry() {
    let (engine, entries) = used();
    let mut at: u64 = 7;
    for seq in 1..=entries {
        let length: u64 = sqlite(engine.data(), &format!("SELECT length(body) FROM entry WHERE seq = {seq}"))
            .parse()
            .expect("a length");
        // A different place of every body, spread over all of it.
        at = (at * 31 + 17) % length + 1;
        let sql = format!(
            "UPDATE entry SET body = substr(body, 1, {at} - 1) || \
             CASE substr(body, {at}, 1) WHEN 'x' THEN 'y' ELSE 'x' END || substr(body, {at} + 1) WHERE seq = {seq}"
        );
        found(&engine, &sql, &[format!("entry {seq}")]);
    }
}

#[test]
fn any_changed_column() {
    let (engine, _) = used();
    let changes = [
        "actor = 'mallory'",
        "time_ms = time_ms + 1",
        "kind = 'run.left'",
        "run = NULL",
        "hash = randomblob(32)",
    ];
    for change in changes {
        found(&engine, &format!("UPDATE entry SET {change} WHERE seq = 4"), &["entry 4".to_owned()]);
    }
    found(&engine, "UPDATE run SET status = 'failed'", &["run ".to_owned(), "run`".to_owned()]);
    found(&engine, "UPDATE tree SET size = size - 1", &["tree".to_owned(), "checkpoint".to_owned()]);
}

#[test]
fn tables_that_are_gone() {
    let (engine, _) = used();
    for table in ["entry", "run", "blob", "tile", "tree", "state"] {
        found(&engine, &format!("DROP TABLE {table}"), &[format!("no table `{table}`")]);
        let copied = engine.path("copy");
        let looked = engine.run(&["doctor", "--no-services", "--data-dir", &copied.to_string_lossy()]);
        assert_eq!(looked.code, 4, "{looked:?}");
        looked.says(&[&format!("no table `{table}`")]);
    }
}

#[test]
fn entries_that_are_gone_or_swapped() {
    let (engine, entries) = used();
    for seq in [1, entries / 2, entries - 1] {
        let places = [format!("entry {seq}"), format!("entry {}", seq + 1)];
        found(&engine, &format!("DELETE FROM entry WHERE seq = {seq}"), &places);
    }
    let swap = "UPDATE entry SET seq = -1 WHERE seq = 3; UPDATE entry SET seq = 3 WHERE seq = 4; \
                UPDATE entry SET seq = 4 WHERE seq = -1";
    found(&engine, swap, &["entry 3".to_owned()]);
}

#[test]
fn a_tail_that_was_cut() {
    let (engine, entries) = used();
    let from = entries - 3;
    let places = [format!("entry {from}"), "checkpoint".to_owned(), "tree".to_owned()];
    found(&engine, &format!("DELETE FROM entry WHERE seq >= {from}"), &places);
}

#[test]
fn an_old_copy_is_found_by_a_checkpoint_kept_elsewhere() {
    let (engine, _) = used();
    let old = engine.path("old");
    copy(engine.data(), &old);
    engine.must(0, &["run", &engine.write("hello.yaml", HELLO)]);
    let newest = engine.json(&["audit", "verify"]);
    let kept = engine.write("checkpoint", newest["checkpoint"].as_str().expect("a signed note"));

    engine.must(0, &["audit", "verify", "--checkpoint", &kept]);
    let old = old.to_string_lossy();
    engine.must(0, &["audit", "verify", &old]).says(&["self-signed only"]);
    engine.must(5, &["audit", "verify", &old, "--checkpoint", &kept]);
}

/// Another verifier, which shares no code with ours.
fn stranger(log: &Path, key: &Path) -> bool {
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/scripts/verify-export.py");
    let key = std::fs::read_to_string(key).expect("the key");
    let output = Command::new("python3").arg(script).arg(log).arg(key.trim()).output().expect("python3");
    output.status.success()
}

#[test]
fn an_export_verifies_elsewhere_with_the_public_key_alone() {
    let (engine, entries) = used();
    engine.must(0, &["audit", "export", "log.jsonl"]);
    let elsewhere = Engine::new();
    let (log, key) = (elsewhere.path("log.jsonl"), elsewhere.path("runbook.pub"));
    copy(&engine.path("log.jsonl"), &log);
    elsewhere.write("runbook.pub", &engine.must(0, &["audit", "key"]).stdout);
    let verify = ["audit", "verify", "log.jsonl", "--public-key", "runbook.pub"];

    assert_eq!(elsewhere.json(&verify)["entries"], entries);
    assert!(stranger(&log, &key));
    assert!(!elsewhere.data().exists(), "a stranger needs no data directory");

    let good = std::fs::read_to_string(&log).expect("the export");
    let lines: Vec<&str> = good.lines().collect();
    let without = |gone: usize| {
        let kept = lines.iter().enumerate().filter(|(number, _)| *number != gone);
        kept.flat_map(|(_, line)| [*line, "\n"]).collect::<String>()
    };
    let tampered = [
        good.replacen("hello", "hullo", 1),
        without(1),
        without(lines.len() / 2),
        format!("{}\n{}", lines[..lines.len() - 3].join("\n"), lines[lines.len() - 1]),
    ];
    for text in tampered {
        elsewhere.write("log.jsonl", &text);
        elsewhere.must(5, &verify).says(&["hint:"]);
        assert!(!stranger(&log, &key));
    }

    let other = Engine::new();
    other.must(0, &["run", &other.write("hello.yaml", HELLO)]);
    elsewhere.write("log.jsonl", &good);
    elsewhere.write("runbook.pub", &other.must(0, &["audit", "key"]).stdout);
    assert_eq!(elsewhere.run(&verify).code, 5, "another's key vouches for nothing");
    assert!(!stranger(&log, &key));
}

#[test]
fn what_was_archived_is_proved_by_a_stranger_and_missed_by_nobody() {
    let (engine, entries) = used();
    let hello = engine.write("hello.yaml", HELLO);
    let ran = engine.last()["run"].as_str().expect("a run").to_owned();
    let moved = engine.json(&["audit", "archive", "--older-than", "0s", "--to", "old"]);
    assert_eq!((moved["first"].as_u64(), moved["last"].as_u64()), (Some(1), Some(entries)));

    let key = engine.data().join("audit.pub");
    assert!(stranger(&engine.path("old"), &key));
    engine.must(0, &["audit", "verify", "old", "--public-key", &key.to_string_lossy()]);
    let verified = engine.json(&["audit", "verify"]);
    assert_eq!(verified["archived"], entries);
    engine.must(3, &["runs", "show", &ran]);
    engine.must(0, &["run", &hello]);
    engine.must(0, &["runs", "replay", "last"]);
    engine.must(0, &["audit", "export", "rest.jsonl"]);
    assert!(stranger(&engine.path("rest.jsonl"), &key));

    let text = std::fs::read_to_string(engine.path("old/entries.jsonl")).expect("the entries");
    engine.write("old/entries.jsonl", &text.replacen("hello", "hullo", 1));
    assert!(!stranger(&engine.path("old"), &key));
    sqlite(engine.data(), &format!("DELETE FROM entry WHERE seq <= {entries} + 2"));
    engine.must(5, &["audit", "verify"]).says(&["entry 1: is missing"]);
}

/// The blobs in an exported folder.
fn blobs(folder: &Path) -> Vec<std::path::PathBuf> {
    let files = std::fs::read_dir(folder.join("blobs")).expect("the blobs");
    let mut files: Vec<_> = files.map(|file| file.expect("a file").path()).collect();
    files.sort();
    assert!(!files.is_empty());
    files
}

/// Changes a copy of an exported folder; both verifiers must find it, and ours must name one of these.
fn found_in_folder(engine: &Engine, folder: &str, places: &[&str], change: impl FnOnce(&Path)) {
    let (copied, key) = (engine.path("folder"), engine.data().join("audit.pub"));
    let _ = std::fs::remove_dir_all(&copied);
    copy(&engine.path(folder), &copied);
    change(&copied);
    let ended = engine.must(5, &["audit", "verify", "folder", "--public-key", &key.to_string_lossy()]);
    assert!(places.iter().all(|place| ended.stderr.contains(place)), "{places:?}: {}", ended.stderr);
    assert!(!stranger(&copied, &key), "{places:?}");
}

#[test]
fn a_folder_is_verified_with_its_blobs() {
    let (engine, _) = used();
    engine.must(0, &["audit", "export", "evidence/"]);
    engine.must(0, &["run", &engine.write("other.yaml", &HELLO.replace("hello }", "good day }"))]);
    engine.must(0, &["audit", "archive", "--older-than", "0s", "--to", "old"]);
    let key = engine.data().join("audit.pub");
    for folder in ["evidence", "old"] {
        let verified = engine.json(&["audit", "verify", folder, "--public-key", &key.to_string_lossy()]);
        assert_eq!(verified["blobs"]["checked"], blobs(&engine.path(folder)).len());
        assert!(stranger(&engine.path(folder), &key));
        let first = blobs(&engine.path(folder))[0].clone();
        let name = first.file_name().expect("a name").to_string_lossy().into_owned();
        let blob = |folder: &Path| folder.join("blobs").join(&name);
        found_in_folder(&engine, folder, &[&name, "does not match"], |folder| {
            let mut bytes = std::fs::read(blob(folder)).expect("a blob");
            bytes.push(b'\n');
            std::fs::write(blob(folder), bytes).expect("to append");
        });
        found_in_folder(&engine, folder, &[&name, "is missing"], |folder| {
            std::fs::remove_file(blob(folder)).expect("to delete");
        });
        found_in_folder(&engine, folder, &["is missing"], |folder| {
            std::fs::remove_dir_all(folder.join("blobs")).expect("to delete");
        });
        found_in_folder(&engine, folder, &["blobs/extra"], |folder| {
            std::fs::write(folder.join("blobs/extra"), "").expect("to add");
        });
        // The digest of nothing: a blob that is what its name says, and that no entry names.
        let nothing = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";
        found_in_folder(&engine, folder, &[nothing, "does not belong"], |folder| {
            std::fs::write(folder.join("blobs").join(nothing), "").expect("to add");
        });
        found_in_folder(&engine, folder, &["does not match"], |folder| {
            std::fs::rename(blob(folder), folder.join("blobs").join(nothing)).expect("to rename");
        });
        found_in_folder(&engine, folder, &["blobs/"], |folder| {
            std::fs::rename(blob(folder), folder.join("elsewhere")).expect("to move");
            std::os::unix::fs::symlink(folder.join("elsewhere"), blob(folder)).expect("a link");
        });
        found_in_folder(&engine, folder, &["entries.jsonl", "is missing"], |folder| {
            std::fs::remove_file(folder.join("entries.jsonl")).expect("to delete");
        });
    }
    found_in_folder(&engine, "old", &["blobs.note"], |folder| {
        let note = std::fs::read_to_string(folder.join("blobs.note")).expect("the list");
        let kept: Vec<&str> = note.lines().collect();
        let without = [&kept[..2], &kept[3..]].concat().join("\n") + "\n";
        std::fs::write(folder.join("blobs.note"), without).expect("to write");
    });
}

#[test]
fn an_archive_of_version_0_1_has_no_list_of_its_blobs() {
    let (engine, _) = used();
    let key = engine.data().join("audit.pub").to_string_lossy().into_owned();
    engine.must(0, &["audit", "archive", "--older-than", "0s", "--to", "old"]);
    engine.must(0, &["audit", "verify", "old", "--public-key", &key]);
    // As version 0.1 made it: without a list, and with blobs that only other entries name.
    std::fs::remove_file(engine.path("old/blobs.note")).expect("the list");
    engine.must(0, &["audit", "verify", "old", "--public-key", &key]);
    let nothing = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";
    std::fs::write(engine.path("old/blobs").join(nothing), "").expect("a blob");
    engine.must(5, &["audit", "verify", "old", "--public-key", &key]).says(&["--no-blob-list"]);
    let verify = ["audit", "verify", "old", "--public-key", &key, "--no-blob-list"];
    engine.must(0, &verify).says(&["1 blobs are not named by its entries", nothing]);
    std::fs::write(engine.path("old/blobs").join(nothing), "x").expect("a blob");
    engine.must(5, &verify).says(&[nothing]);
}

#[test]
fn what_is_no_export_is_told_in_plain_words() {
    let engine = Engine::new();
    engine.write("empty.jsonl", "");
    engine.write("cut", "runb");
    std::fs::create_dir(engine.path("folder")).expect("a folder");
    let cases = [
        ("/etc/passwd", "`/etc/passwd` is not an export of an audit log"),
        ("empty.jsonl", "`empty.jsonl` is empty"),
        ("cut", "`cut` is not an export of an audit log"),
        ("folder", "`folder` holds neither an audit log nor an export of one"),
    ];
    for (path, words) in cases {
        let ended = engine.must(3, &["audit", "verify", path]);
        ended.says(&[words, "hint:"]);
        assert!(!ended.said().contains("line 1"), "{ended:?}");
    }
    engine.must(4, &["audit", "export", "nothing.jsonl"]).says(&["there is no audit log in"]);
    assert!(!engine.path("nothing.jsonl").exists());
}
