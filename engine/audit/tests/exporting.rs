//! What leaves the machine: exports, receipts, segments to be joined.

use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::json;
use tempfile::TempDir;

use words::ids::Digest;

use super::super::{
    Draft, Error, Exported, JOINED, JoinError, Reader, VerifyError, VerifyOptions, export, join, prove,
    public_key, verify, verify_export, verify_receipt,
};
use super::{fact, of_run, open, row, run};

fn log(entries: u32) -> TempDir {
    let dir = tempfile::tempdir().unwrap();
    let audit = open(dir.path());
    let accepted = Draft {
        row: Some(row(&run(1), "succeeded")),
        blobs: vec![b"the runbook".to_vec()],
        ..of_run(&run(1), "run.accepted")
    };
    audit.append_blocking(vec![accepted], None).unwrap();
    audit
        .append_blocking((1..entries).map(|n| fact(json!({"line": format!("{n}\n")}))).collect(), None)
        .unwrap();
    dir
}

fn exported(dir: &TempDir) -> (TempDir, PathBuf) {
    let out = tempfile::tempdir().unwrap();
    let file = out.path().join("audit.jsonl");
    export(dir.path(), &file).unwrap();
    (out, file)
}

fn found(file: &Path, dir: &TempDir) -> String {
    verify_export(file, &public_key(dir.path()).unwrap(), None).unwrap_err().to_string()
}

#[test]
fn an_export_verifies_with_the_public_key_alone() {
    let dir = log(40);
    let key = public_key(dir.path()).unwrap();
    let (out, file) = exported(&dir);
    let stranger = verify_export(&file, &key, None).unwrap();
    assert_eq!(stranger.entries, 40);
    assert_eq!(stranger.checkpoint, Reader::open(dir.path()).unwrap().checkpoint().unwrap());
    let again = export(dir.path(), &file).unwrap_err();
    assert!(matches!(again, Error::Environment { .. }), "nothing is overwritten: {again:?}");
    assert!(again.hint().unwrap().contains("nothing that exists is overwritten"));

    let folder = out.path().join("folder/");
    export(dir.path(), &folder).unwrap();
    let whole = verify_export(&folder, &key, None).unwrap();
    assert_eq!(whole.blobs.as_ref().map(|blobs| blobs.checked), Some(1));
    assert_eq!(Exported { blobs: None, ..whole }, stranger);
    let blob = folder.join("blobs").join(Digest::of("the runbook").as_str());
    assert_eq!(std::fs::read(blob).unwrap(), b"the runbook");
    assert_eq!(std::fs::read_to_string(folder.join("audit.pub")).unwrap(), format!("{key}\n"));

    let other = public_key(log(2).path()).unwrap();
    assert!(matches!(verify_export(&file, &other, None), Err(VerifyError::Tampered(_))));
}

#[test]
fn every_change_to_an_export_is_found() {
    let dir = log(20);
    let (_out, file) = exported(&dir);
    let text = std::fs::read_to_string(&file).unwrap();
    let lines: Vec<&str> = text.lines().collect();
    let key = public_key(dir.path()).unwrap();
    let place_of = |lines: &[&str]| {
        std::fs::write(&file, lines.join("\n") + "\n").unwrap();
        found(&file, &dir)
    };
    let changed = lines[5].replace("ann", "eve");
    assert_eq!(
        place_of(&[&lines[..5], &[&changed], &lines[6..]].concat()),
        "the entries: do not hash to the root of the signed checkpoint"
    );
    assert_eq!(place_of(&[&lines[..5], &lines[6..]].concat()), "entry 5: its body says that it is entry 6");
    assert_eq!(place_of(&lines[..20]), "entry 20: is missing: the signed checkpoint counts 20 entries");
    let more = lines[20].replace("\"seq\":20", "\"seq\":21");
    assert_eq!(
        place_of(&[&lines[..], &[&more]].concat()),
        "entry 21: is not covered by the signed checkpoint, which counts 20"
    );
    assert!(place_of(&lines[1..]).starts_with("the first line: "));
    // Bytes everywhere, signature and header included; the header's count and key are for people and prove nothing.
    for at in (0..text.len()).step_by(7) {
        let mut bytes = text.clone().into_bytes();
        bytes[at] ^= 2;
        std::fs::write(&file, &bytes).unwrap();
        let harmless = ["\"entries\":", "\"public_key\":"].iter().any(|name| {
            let start = text.find(name).unwrap();
            (start..start + 120).contains(&at) && at < lines[0].len()
        });
        assert!(harmless || verify_export(&file, &key, None).is_err(), "byte {at} of {}", text.len());
    }
}

/// A verifier that shares no code with ours: Python's standard library and openssl.
#[test]
fn a_stranger_agrees_with_us() {
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/scripts/verify-export.py");
    let at_hand = |program: &str| Command::new(program).arg("--help").output().is_ok();
    if !at_hand("python3") || !at_hand("openssl") {
        return;
    }
    for entries in [2, 3, 64, 77] {
        let dir = log(entries);
        let (_out, file) = exported(&dir);
        let key = public_key(dir.path()).unwrap().to_string();
        let stranger = || Command::new("python3").arg(&script).arg(&file).arg(&key).output().unwrap();
        let said = stranger();
        assert!(said.status.success(), "{}", String::from_utf8_lossy(&said.stderr));
        let changed = std::fs::read_to_string(&file).unwrap().replacen("\"ann\"", "\"eve\"", 1);
        std::fs::write(&file, changed).unwrap();
        assert!(!stranger().status.success());
    }
}

#[test]
fn a_receipt_proves_its_entry_and_nothing_else() {
    let dir = log(1100);
    let key = public_key(dir.path()).unwrap();
    for seq in [1, 2, 255, 256, 257, 512, 1023, 1024, 1025, 1099, 1100] {
        let mut receipt = prove(dir.path(), seq).unwrap().unwrap();
        let proven = verify_receipt(&receipt, &key, None).unwrap();
        assert_eq!((proven.seq, proven.entries), (seq, 1100));
        let body = receipt.body.take().unwrap();
        assert!(serde_json::to_string(&receipt).unwrap().len() <= 2048);
        assert_eq!(verify_receipt(&receipt, &key, Some(&body)).unwrap(), proven);
        assert_eq!(verify_receipt(&receipt, &key, None).unwrap().body, None);
        assert!(verify_receipt(&receipt, &key, Some(&body.replace("ann", "eve"))).is_err());
        receipt.seq = seq % 1100 + 1;
        assert!(verify_receipt(&receipt, &key, None).is_err());
    }
    assert_eq!(prove(dir.path(), 0).unwrap(), None);
    assert_eq!(prove(dir.path(), 1101).unwrap(), None);
    let raw = rusqlite::Connection::open(dir.path().join("audit.db")).unwrap();
    raw.execute_batch("UPDATE entry SET body = replace(body, 'ann', 'eve') WHERE seq = 7").unwrap();
    assert!(matches!(prove(dir.path(), 7), Err(Error::Damaged { .. })), "no receipt for what was changed");
    assert!(prove(dir.path(), 8).is_ok());
}

#[test]
fn a_segment_is_joined_once_whole_and_verified() {
    let (dir, segment) = (tempfile::tempdir().unwrap(), log(5));
    let audit = open(dir.path());
    let joined = join(&audit, "ann", segment.path()).unwrap();
    assert_eq!((joined.seq, joined.segment.entries), (1, 5));
    let reader = Reader::open(dir.path()).unwrap();
    let entry = reader.entry(1).unwrap().unwrap();
    assert_eq!((entry.kind.as_str(), &entry.data["runs"][0]["run"]), (JOINED, &json!(run(1))));
    let bytes = reader.blob(&Digest::new(entry.data["export"].as_str().unwrap()).unwrap()).unwrap().unwrap();
    let file = dir.path().join("segment.jsonl");
    std::fs::write(&file, bytes).unwrap();
    let key = entry.data["public_key"].as_str().unwrap().parse().unwrap();
    assert_eq!(verify_export(&file, &key, None).unwrap().entries, 5);
    assert!(reader.blob(&Digest::of("the runbook")).unwrap().is_some());
    assert!(matches!(join(&audit, "ann", segment.path()), Err(JoinError::Already { entries: 5, .. })));

    open(segment.path()).append_blocking(vec![fact(json!("more"))], None).unwrap();
    assert_eq!(join(&audit, "ann", segment.path()).unwrap().seq, 2);
    let raw = rusqlite::Connection::open(segment.path().join("audit.db")).unwrap();
    raw.execute_batch("DELETE FROM entry WHERE seq = 3").unwrap();
    assert!(matches!(join(&audit, "ann", segment.path()), Err(JoinError::Segment(_))));
    audit.close().unwrap();
    assert_eq!(verify(dir.path(), &VerifyOptions::default()).unwrap().entries, 2);
}
