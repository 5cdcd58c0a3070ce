//! Old entries moved out of the log: still provable, and nothing else may be missing.

use std::path::{Path, PathBuf};

use rusqlite::Connection;
use serde_json::json;
use tempfile::TempDir;

use words::ids::Digest;

use super::super::archive::{ArchiveError, archive};
use super::super::prune::{Pruned, prune};
use super::super::{
    Draft, Reader, StateChange, VerifyError, VerifyOptions, export, prove, public_key, verify, verify_export,
    verify_receipt,
};
use super::{fact, of_run, open, row, run};

/// Later than every entry.
const ALL: u64 = u64::MAX >> 1;

/// The last entry that can be moved of [`log`].
const CUT: u64 = 300;

/// 600 entries: a run that has ended, with a blob; state; facts; and from the 301st on a run under way, which names a blob
/// again.
fn log() -> TempDir {
    let dir = tempfile::tempdir().unwrap();
    let audit = open(dir.path());
    let of_run = |n: u32, status: &str, blobs: Vec<Vec<u8>>| Draft {
        row: Some(row(&run(n), status)),
        blobs,
        ..of_run(&run(n), "run.accepted")
    };
    let set = |key: &str| {
        let (bucket, key) = ("drills".to_owned(), key.to_owned());
        Draft { state: vec![StateChange::Set { bucket, key, value: json!("done") }], ..fact(json!("set")) }
    };
    let facts = |count| (0..count).map(|n| fact(json!({ "n": n })));
    let begins = of_run(1, "succeeded", vec![b"old".to_vec(), b"shared".to_vec()]);
    let mut drafts = vec![begins, set("first"), set("second")];
    drafts.extend(facts(297));
    drafts.extend([of_run(2, "running", vec![b"shared".to_vec()]), set("second")]);
    drafts.extend(facts(298));
    audit.append_blocking(drafts, None).unwrap();
    audit.close().unwrap();
    dir
}

fn archived(dir: &TempDir) -> PathBuf {
    let to = dir.path().join("archive-1");
    let done = archive(dir.path(), "ann", ALL, &to).unwrap();
    assert_eq!((done.first, done.last), (1, CUT));
    to
}

fn state(dir: &TempDir, key: &str) -> Option<serde_json::Value> {
    Reader::open(dir.path()).unwrap().state_get("drills", key).unwrap()
}

fn place(path: &Path) -> String {
    match verify(path, &VerifyOptions::default()) {
        Err(VerifyError::Tampered(tampered)) => tampered.place,
        other => panic!("{other:?}"),
    }
}

#[test]
fn what_was_moved_is_provable_and_what_is_in_force_stays() {
    let dir = log();
    let early = Reader::open(dir.path()).unwrap().checkpoint().unwrap();
    let to = archived(&dir);
    let key = public_key(dir.path()).unwrap();

    let verified = verify(dir.path(), &VerifyOptions::default()).unwrap();
    assert_eq!((verified.archived, verified.entries, verified.runs, verified.blobs), (CUT, 602, 1, 1));
    assert_eq!(state(&dir, "first"), Some(json!("done")), "only moved entries told of it");
    assert_eq!(state(&dir, "second"), Some(json!("done")));
    let part = verify_export(&to, &key, None).unwrap();
    assert_eq!((part.after, part.entries), (0, CUT));
    assert_eq!(std::fs::read_dir(to.join("blobs")).unwrap().count(), 2, "an archive stands by itself");
    let options = VerifyOptions { checkpoint: Some(early), public_key: None };
    assert_eq!(verify(dir.path(), &options).unwrap().witnessed, Some(600));
    assert!(prove(dir.path(), 17).unwrap().is_none(), "it is in the archive");
    for seq in CUT + 1..=602 {
        let receipt = prove(dir.path(), seq).unwrap().unwrap();
        assert_eq!(verify_receipt(&receipt, &key, None).unwrap().entries, 602);
    }

    let finished = Draft { row: Some(row(&run(2), "succeeded")), ..of_run(&run(2), "run.finished") };
    open(dir.path()).append_blocking(vec![finished, fact(json!("after"))], None).unwrap();
    let whole = dir.path().join("whole.jsonl");
    export(dir.path(), &whole).unwrap();
    let again = verify_export(&whole, &key, None).unwrap();
    assert_eq!((again.after, again.entries), (CUT, 604));
    let second = archive(dir.path(), "ann", ALL, &dir.path().join("archive-2")).unwrap();
    assert_eq!((second.first, second.last), (CUT + 1, 604));
    assert_eq!(verify(dir.path(), &VerifyOptions::default()).unwrap().archived, 604);
    let part = verify_export(&second.to, &key, None).unwrap();
    assert_eq!((part.after, part.entries), (CUT, 604));
    assert_eq!(state(&dir, "first"), Some(json!("done")), "said again and again");
}

#[test]
fn a_checkpoint_from_before_is_held_against_the_archive() {
    let dir = tempfile::tempdir().unwrap();
    let append = |count| open(dir.path()).append_blocking((0..count).map(|n| fact(json!(n))).collect(), None);
    append(100).unwrap();
    let early = Reader::open(dir.path()).unwrap().checkpoint().unwrap();
    append(500).unwrap();
    let to = dir.path().join("archive-1");
    archive(dir.path(), "ann", ALL, &to).unwrap();
    let options = VerifyOptions { checkpoint: Some(early.clone()), public_key: None };
    let told = verify(dir.path(), &options).unwrap_err().to_string();
    assert!(told.contains("the first 600 were archived"), "{told}");
    let key = public_key(dir.path()).unwrap();
    verify_export(&to, &key, Some(&early)).unwrap();
    let entries = to.join("entries.jsonl");
    let text = std::fs::read_to_string(&entries).unwrap();
    std::fs::write(&entries, text.replacen("\"data\":7,", "\"data\":8,", 1)).unwrap();
    assert!(verify_export(&to, &key, Some(&early)).is_err());
}

#[test]
fn nothing_else_may_be_missing() {
    let dir = log();
    archived(&dir);
    open(dir.path()).append_blocking((0..600).map(|n| fact(json!(n))).collect(), None).unwrap();
    let copy = tempfile::tempdir().unwrap();
    let tamper = |sql: &str| {
        for file in ["audit.db", "audit.pub"] {
            std::fs::copy(dir.path().join(file), copy.path().join(file)).unwrap();
        }
        let db = Connection::open(copy.path().join("audit.db")).unwrap();
        assert!(db.execute(sql, []).unwrap() > 0, "{sql}");
        place(copy.path())
    };
    for sql in [
        "DELETE FROM entry WHERE seq <= 301",
        "DELETE FROM entry WHERE seq <= 512",
        "DELETE FROM entry WHERE kind = 'audit.archived'",
    ] {
        assert_eq!(tamper(sql), "entry 1", "{sql}");
    }
    let tree = "the tree over the archived entries";
    assert_eq!(tamper("DELETE FROM tile WHERE number = 0"), tree);
    assert_eq!(tamper("UPDATE tile SET root = zeroblob(32) WHERE number = 0"), tree);
    assert_eq!(tamper("UPDATE tile SET root = zeroblob(32) WHERE number = 1"), "entries 257 to 512");
    assert_eq!(tamper("DELETE FROM state WHERE key = 'first'"), "state `drills/first`");
    let untouched = log();
    Connection::open(untouched.path().join("audit.db"))
        .unwrap()
        .execute("DELETE FROM entry WHERE seq <= 256", [])
        .unwrap();
    assert_eq!(place(untouched.path()), "entry 1");
}

#[test]
fn runs_are_moved_whole_or_not_at_all() {
    let dir = tempfile::tempdir().unwrap();
    let audit = open(dir.path());
    let facts = |count| (0..count).map(|n| fact(json!(n))).collect::<Vec<_>>();
    let begun = Draft { row: Some(row(&run(1), "running")), ..of_run(&run(1), "run.accepted") };
    audit.append_blocking([facts(300), vec![begun], facts(300)].concat(), None).unwrap();
    audit.close().unwrap();
    let done = archive(dir.path(), "ann", ALL, &dir.path().join("a")).unwrap();
    assert_eq!(done.last, 300, "the run is not over");
    let nothing = archive(dir.path(), "ann", ALL, &dir.path().join("b"));
    let Err(ArchiveError::Nothing(why)) = nothing else { panic!("{nothing:?}") };
    assert!(why.contains("entry 301"), "{why}");
    assert!(matches!(archive(dir.path(), "ann", 1, &dir.path().join("b")), Err(ArchiveError::Nothing(_))));
    assert_eq!(Reader::open(dir.path()).unwrap().unfinished().unwrap().len(), 1);
}

#[test]
fn what_exists_is_not_overwritten_and_what_is_damaged_is_not_moved() {
    let dir = log();
    let to = dir.path().join("archive-1");
    std::fs::create_dir(&to).unwrap();
    assert!(matches!(archive(dir.path(), "ann", ALL, &to), Err(ArchiveError::Place(_))));
    let partial = dir.path().join(".archive-2.partial");
    std::fs::create_dir(&partial).unwrap();
    std::fs::write(partial.join("entries.jsonl"), "half").unwrap();
    Connection::open(dir.path().join("audit.db"))
        .unwrap()
        .execute("UPDATE entry SET body = '{}' WHERE seq = 9", [])
        .unwrap();
    let to = dir.path().join("archive-2");
    assert!(matches!(archive(dir.path(), "ann", ALL, &to), Err(ArchiveError::Unverified(_))));
    assert!(!to.exists());
}

#[test]
fn what_only_old_entries_of_runs_that_are_over_keep_is_forgotten() {
    let dir = tempfile::tempdir().unwrap();
    let audit = open(dir.path());
    let keep = |n: u32, kind: &str, status: &str, text: &str| Draft {
        row: Some(row(&run(n), status)),
        blobs: vec![text.as_bytes().to_vec()],
        ..of_run(&run(n), kind)
    };
    let drafts = vec![
        keep(1, "run.accepted", "succeeded", "runbook"),
        keep(1, "call.finished", "succeeded", "artifact"),
        keep(1, "call.finished", "succeeded", "shared"),
        keep(2, "call.finished", "running", "shared"),
        keep(2, "call.finished", "running", "of a run under way"),
    ];
    audit.append_blocking(drafts, None).unwrap();
    audit.close().unwrap();
    assert_eq!(prune(dir.path(), "ann", 1).unwrap(), Pruned { blobs: 0, bytes: 0 }, "nothing is that old");
    assert_eq!(prune(dir.path(), "ann", ALL).unwrap(), Pruned { blobs: 1, bytes: 8 });
    let verified = verify(dir.path(), &VerifyOptions::default()).unwrap();
    assert_eq!((verified.blobs, verified.pruned), (3, vec![Digest::of("artifact")]));
    assert_eq!(prune(dir.path(), "ann", ALL).unwrap(), Pruned { blobs: 0, bytes: 0 });
}
