//! `runbook-verify` as whoever is given evidence runs it.

use std::fs;
use std::path::Path;
use std::process::Command;

use runbook_audit::{Audit, Draft, Options, export, public_key};
use serde_json::json;

/// Its exit code, and what it says.
fn verify(words: &[&str]) -> (Option<i32>, String) {
    let output = Command::new(env!("CARGO_BIN_EXE_runbook-verify")).args(words).output().expect("it runs");
    let said = [output.stdout, output.stderr].concat();
    (output.status.code(), String::from_utf8_lossy(&said).into_owned())
}

fn expect(words: &[&str], code: i32, says: &str) {
    let (ended, said) = verify(words);
    assert!(ended == Some(code) && said.contains(says), "{words:?}: {ended:?} {said}");
}

/// A log of three entries, and its export.
fn evidence(dir: &Path) -> (String, String, String) {
    let (data, exported) = (dir.join("data"), dir.join("log.jsonl"));
    fs::create_dir(&data).expect("a folder");
    let audit = Audit::open(&data, &Options::default()).expect("a log");
    for n in 0..3 {
        audit
            .append_blocking(vec![Draft::fact("test", "test.said", json!({ "n": n }))], None)
            .expect("durable");
    }
    audit.close().expect("closed");
    export(&data, &exported).expect("an export");
    let shown = |path: &Path| path.display().to_string();
    (shown(&data), shown(&exported), public_key(&data).expect("a key").to_string())
}

#[test]
fn what_was_written_is_verified_and_what_was_changed_is_found() {
    let dir = tempfile::tempdir().expect("a folder");
    let (log, exported, key) = evidence(dir.path());
    expect(&[&log], 0, "verified 3 entries of 0 runs");
    expect(&[&exported, "--public-key", &key], 0, "verified an export of entries 1 to 3");
    let file = format!("{log}/audit.pub");
    expect(&[&exported, "--public-key", &file], 0, "signed by");

    expect(&[&exported], 2, "a public key is required");
    expect(&[&exported, "--public-key", "nobody"], 4, "cannot read `nobody`");
    let text = fs::read_to_string(&exported).expect("its text");
    fs::write(&exported, text.replace("\\\"n\\\":1", "\\\"n\\\":7").replace("\"n\":1", "\"n\":7"))
        .expect("changed");
    expect(
        &[&exported, "--public-key", &key],
        5,
        "not what was written: the entries: do not hash to the root",
    );
}

#[test]
fn what_is_typed_wrong_is_told() {
    expect(&[], 2, "what is to be verified?");
    expect(&["/does/not/exist"], 4, "there is no `/does/not/exist`");
    expect(&["/etc/passwd"], 4, "is not an export");
    expect(&["--frobnicate"], 2, "there is no option `--frobnicate`");
    expect(&["a", "b"], 2, "one path at a time");
    expect(&["--help"], 0, "Usage: runbook-verify PATH");
    expect(&["--version"], 0, "runbook-verify ");
}
