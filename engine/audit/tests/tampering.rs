//! Every way to change history that we could think of, done with a raw connection, and the place that `verify` names.

use std::path::Path;

use rusqlite::Connection;
use serde_json::json;
use tempfile::TempDir;

use words::ids::Digest;

use super::super::{
    Audit, Draft, Error, Options, Reader, StateChange, Tampered, Verified, VerifyError, VerifyOptions,
    examine, verify,
};
use super::{fact, of_run, open, row, run};

/// A log with runs, state and blobs; 600 entries, so that there are whole tiles.
fn log() -> TempDir {
    log_of(600)
}

fn log_of(entries: u32) -> TempDir {
    let dir = tempfile::tempdir().unwrap();
    let audit = open(dir.path());
    for n in 0..3 {
        let accepted = Draft { row: Some(row(&run(n), "running")), ..of_run(&run(n), "run.accepted") };
        let set = StateChange::Set { bucket: "b".into(), key: format!("k{n}"), value: json!(n) };
        let blobs = vec![format!("text {n}").into_bytes()];
        let local = Draft { state: vec![set], blobs, ..of_run(&run(n), "call.finished") };
        let ended = Draft { row: Some(row(&run(n), "succeeded")), ..of_run(&run(n), "run.ended") };
        audit.append_blocking(vec![accepted, local, ended], Some((run(n), 0))).unwrap();
    }
    audit.append_blocking((9..entries).map(|n| fact(json!(n))).collect(), None).unwrap();
    dir
}

fn raw(dir: &TempDir, sql: &str) {
    Connection::open(dir.path().join("audit.db")).unwrap().execute_batch(sql).unwrap();
}

fn verified(dir: &Path) -> Verified {
    verify(dir, &VerifyOptions::default()).unwrap()
}

fn found(dir: &Path, checkpoint: Option<String>) -> Tampered {
    match verify(dir, &VerifyOptions { checkpoint, public_key: None }) {
        Err(VerifyError::Tampered(tampered)) => tampered,
        other => panic!("not found: {other:?}"),
    }
}

#[test]
fn an_untouched_log_verifies_also_while_it_is_written() {
    let dir = log();
    let all = verified(dir.path());
    assert_eq!((all.entries, all.runs, all.blobs, all.witnessed), (600, 3, 3, None));
    let audit = open(dir.path());
    audit.append_blocking(vec![fact(json!("more"))], None).unwrap();
    assert_eq!(verified(dir.path()).entries, 601);
    let options =
        VerifyOptions { checkpoint: Some(all.checkpoint), public_key: Some(audit.public_key().clone()) };
    assert_eq!(verify(dir.path(), &options).unwrap().witnessed, Some(600));
}

#[test]
fn any_changed_byte_of_any_body_is_found_and_named() {
    let dir = log_of(12);
    let db = Connection::open(dir.path().join("audit.db")).unwrap();
    let body: String = db.query_row("SELECT body FROM entry WHERE seq = 2", [], |row| row.get(0)).unwrap();
    for at in 0..body.len() {
        let mut bytes = body.clone().into_bytes();
        bytes[at] ^= 1;
        let text = String::from_utf8(bytes).unwrap();
        db.execute("UPDATE entry SET body = ?1 WHERE seq = 2", [text]).unwrap();
        assert_eq!(found(dir.path(), None).to_string(), "entry 2: the body does not match its hash");
    }
    db.execute("UPDATE entry SET body = ?1 WHERE seq = 2", [body]).unwrap();
    verified(dir.path());
    let dir = log();
    for seq in [1, 255, 256, 257, 600] {
        let change = "UPDATE entry SET body = replace(body, 'ann', 'eve') WHERE seq = ";
        raw(&dir, &format!("{change}{seq}"));
        assert_eq!(found(dir.path(), None).place, format!("entry {seq}"));
        raw(&dir, &format!("UPDATE entry SET body = replace(body, 'eve', 'ann') WHERE seq = {seq}"));
    }
}

fn in_schema(change: &str, name: &str) -> String {
    format!("PRAGMA writable_schema = ON; UPDATE sqlite_schema SET {change} WHERE name = '{name}'")
}

/// Exchanges where two tables or indexes stand in the file.
fn exchange(one: &str, other: &str) -> String {
    format!(
        "PRAGMA writable_schema = ON;
         CREATE TEMP TABLE roots AS SELECT name, rootpage FROM sqlite_schema WHERE name IN ('{one}', '{other}');
         UPDATE sqlite_schema SET rootpage = (SELECT rootpage FROM roots WHERE roots.name != sqlite_schema.name)
         WHERE name IN ('{one}', '{other}')"
    )
}

#[test]
fn every_edit_is_found_at_its_place() {
    let cases = [
        (
            "UPDATE entry SET actor = 'eve' WHERE seq = 3",
            "entry 3: column `actor` says `eve`, the body says `ann`",
        ),
        ("UPDATE entry SET time_ms = 1 WHERE seq = 1", "entry 1: column `time_ms` says 1, the body says "),
        ("UPDATE entry SET run = NULL WHERE seq = 4", "entry 4: column `run` says nothing, the body says "),
        ("UPDATE entry SET version = 7 WHERE seq = 5", "entry 5: column `version` says 7, the body says 2"),
        ("UPDATE entry SET kind = 'x' WHERE seq = 6", "entry 6: column `kind` says `x`"),
        ("UPDATE entry SET hash = zeroblob(32) WHERE seq = 7", "entry 7: the body does not match its hash"),
        ("UPDATE entry SET body = CAST(body AS BLOB) WHERE seq = 8", "entry 8: its body is not text"),
        ("DELETE FROM entry WHERE seq = 300", "entry 300: is missing"),
        ("DELETE FROM entry WHERE seq = 1", "entry 1: is missing"),
        (
            "DELETE FROM entry WHERE seq = 300; UPDATE entry SET seq = seq - 1 WHERE seq > 300",
            "entry 300: its body says that it is entry 301",
        ),
        (
            "INSERT INTO entry SELECT 0, time_ms, actor, run, version, kind, body, hash FROM entry WHERE seq = 1",
            "entry 0: was never written",
        ),
        (
            "DELETE FROM entry WHERE seq > 590",
            "entry 591: is missing: the signed checkpoint counts 600 entries",
        ),
        ("DELETE FROM entry WHERE seq > 400", "entry 401: is missing: the tree knows more"),
        ("DELETE FROM entry", "entry 1: is missing: the tree knows more"),
        ("DELETE FROM tree", "audit.db: the signed checkpoint is missing"),
        ("DELETE FROM entry WHERE seq > 590; DELETE FROM tree", "audit.db: the signed checkpoint is missing"),
        (
            "UPDATE tree SET checkpoint = replace(checkpoint, '600', '590')",
            "the signed checkpoint: the signature of",
        ),
        ("UPDATE tree SET frontier = zeroblob(length(frontier))", "the frontier of the tree: is not that of"),
        ("UPDATE tile SET root = zeroblob(32) WHERE number = 1", "entries 257 to 512: are not the ones"),
        ("DELETE FROM tile WHERE number = 0", "entries 1 to 256: are not the ones"),
        (
            "UPDATE run SET status = 'failed' WHERE run = (SELECT max(run) FROM run)",
            "run `RUN2`: its row is not",
        ),
        ("DELETE FROM run WHERE run = (SELECT min(run) FROM run)", "run `RUN0`: its row is missing"),
        ("DELETE FROM run", "run `RUN0`: its row is missing"),
        (
            "UPDATE run SET run = 'zzzzzzzzzzzzzz' WHERE run = (SELECT max(run) FROM run)",
            "run `RUN2`: its row is missing",
        ),
        ("UPDATE state SET value = '7' WHERE key = 'k1'", "state `b/k1`: its value is not"),
        ("INSERT INTO state VALUES ('b', 'new', '1')", "state `b/new`: no entry tells of it"),
        ("DELETE FROM state WHERE key = 'k2'", "state `b/k2`: is missing"),
        ("UPDATE blob SET bytes = CAST('other' AS BLOB) WHERE rowid = 1", "blob `"),
        ("INSERT INTO blob VALUES ('x', x'00')", "blob `x`: its content does not match"),
        (
            "CREATE TRIGGER quiet AFTER INSERT ON entry BEGIN DELETE FROM note; END",
            "audit.db: `audit.db` has the trigger `quiet`, which",
        ),
    ];
    found_each(&cases);
}

/// Each change of a copy is found, in words that begin so.
fn found_each(cases: &[(&str, &str)]) {
    let untouched = log();
    for (sql, expected) in cases {
        let dir = copy(&untouched);
        raw(&dir, sql);
        let text = found(dir.path(), None).to_string();
        let expected =
            (0..3).fold((*expected).to_owned(), |text, n| text.replace(&format!("RUN{n}"), run(n).as_str()));
        assert!(text.starts_with(&expected), "{sql}\n found    {text}\n expected {expected}");
    }
}

#[test]
fn a_schema_that_is_not_ours_to_the_letter_is_found() {
    found_each(&[
        ("CREATE VIEW other AS SELECT * FROM run", "audit.db: `audit.db` has the view `other`, which"),
        ("CREATE TABLE other (a)", "audit.db: `audit.db` has the table `other`, which"),
        (
            "CREATE INDEX other ON run (run, status) WHERE status > ''",
            "audit.db: `audit.db` has the index `other`, which",
        ),
        ("DROP INDEX entry_run", "audit.db: `audit.db` has no index `entry_run` any more"),
        (
            "DROP INDEX run_unfinished; CREATE INDEX run_unfinished ON run (run, finished_ms)",
            "audit.db: the index `run_unfinished` of `audit.db` is not the one that was made",
        ),
        ("ANALYZE", "audit.db: `audit.db` has the table `sqlite_stat1`, which"),
        (&exchange("entry_run", "note_run"), "audit.db: "),
        (&exchange("run_unfinished", "entry_run"), "audit.db: "),
        (&exchange("state", "run_unfinished"), "state `b/k0`: is missing"),
        (
            &in_schema("rootpage = (SELECT rootpage FROM sqlite_schema WHERE name = 'note')", "tile"),
            "audit.db: two",
        ),
    ]);
}

#[test]
fn swapped_bodies_are_found_even_with_their_hashes() {
    let dir = log();
    raw(
        &dir,
        "CREATE TEMP TABLE two AS SELECT * FROM entry WHERE seq IN (20, 21);
         UPDATE entry SET (body, hash) = (SELECT body, hash FROM two WHERE two.seq = 41 - entry.seq) WHERE seq IN (20, 21)",
    );
    assert_eq!(found(dir.path(), None).to_string(), "entry 20: its body says that it is entry 21");
}

#[test]
fn a_history_rewritten_without_the_key_is_found_by_the_tree() {
    let dir = log();
    let db = Connection::open(dir.path().join("audit.db")).unwrap();
    let forge = |seq: i64| {
        let body: String =
            db.query_row("SELECT body FROM entry WHERE seq = ?1", [seq], |row| row.get(0)).unwrap();
        let body = body.replace("\"actor\":\"ann\"", "\"actor\":\"eve\"");
        let hash = super::super::tree::leaf(body.as_bytes());
        db.execute(
            "UPDATE entry SET actor = 'eve', body = ?1, hash = ?2 WHERE seq = ?3",
            (body, &hash[..], seq),
        )
        .unwrap();
    };
    forge(599);
    assert_eq!(
        found(dir.path(), None).to_string(),
        "entries 513 to 600: do not hash to the root of the signed checkpoint"
    );
    forge(20);
    assert_eq!(
        found(dir.path(), None).to_string(),
        "entries 1 to 256: are not the ones the tree was made of"
    );
}

#[test]
fn cut_tails_and_old_copies_are_found_by_a_checkpoint_kept_elsewhere() {
    let dir = log();
    let old = copy(&dir);
    let old_note = Reader::open(dir.path()).unwrap().checkpoint().unwrap();
    let audit = open(dir.path());
    audit.append_blocking(vec![fact(json!("later"))], None).unwrap();
    audit.close().unwrap();
    let new_note = Reader::open(dir.path()).unwrap().checkpoint().unwrap();

    // The whole older database put back is consistent in itself.
    assert_eq!(verified(old.path()).witnessed, None);
    let text = found(old.path(), Some(new_note.clone())).to_string();
    assert!(
        text.starts_with("entry 601: is missing: the checkpoint kept elsewhere counts 601 entries"),
        "{text}"
    );

    // Another history of the same key: branches after the copy was made.
    let audit = open(old.path());
    audit.append_blocking(vec![fact(json!("other")), fact(json!("other"))], None).unwrap();
    audit.close().unwrap();
    assert_eq!(verified(old.path()).entries, 602);
    assert_eq!(found(old.path(), Some(new_note)).place, "entries 1 to 601");

    // Only the checkpoint replaced by an older one.
    let db = Connection::open(dir.path().join("audit.db")).unwrap();
    db.execute("UPDATE tree SET checkpoint = ?1", [&old_note]).unwrap();
    let text = found(dir.path(), None).to_string();
    assert_eq!(text, "entry 601: is not covered by the signed checkpoint, which counts 600 entries");

    // A checkpoint of another log says so.
    let other = log();
    let note = Reader::open(other.path()).unwrap().checkpoint().unwrap();
    assert!(found(old.path(), Some(note)).what.starts_with("it is of the log `runbook.audit/"));
    assert_eq!(found(old.path(), Some("rubbish".into())).place, "the checkpoint kept elsewhere");
}

#[test]
fn checkpoints_written_at_the_ends_of_runs_find_an_old_copy_put_back() {
    let dir = log();
    let old = copy(&dir);
    let audit = open(dir.path());
    audit.append_blocking(vec![of_run(&run(0), "run.finished")], None).unwrap();
    audit.close().unwrap();
    assert!(dir.path().join("checkpoints/000000000601.note").exists());
    verified(dir.path());
    std::fs::copy(old.path().join("audit.db"), dir.path().join("audit.db")).unwrap();
    assert!(found(dir.path(), None).what.contains("000000000601.note"));
    let refused = |trace: &str| {
        let examined = examine(dir.path()).unwrap_err();
        assert!(examined.to_string().contains(trace), "{examined}");
        let opened = Audit::open(dir.path(), &Options::default()).err().unwrap();
        assert_eq!(opened, examined, "nothing may be done on what is left");
    };
    refused("audit.mark` tells of 601");
    std::fs::remove_file(dir.path().join("audit.mark")).unwrap();
    refused("000000000601.note` tells of 601");
    std::fs::remove_dir_all(dir.path().join("checkpoints")).unwrap();
    open(dir.path());
}

#[test]
fn a_wal_that_was_deleted_is_missed() {
    let dir = tempfile::tempdir().unwrap();
    let audit = open(dir.path());
    audit.append_blocking(vec![fact(json!(1)), fact(json!(2))], None).unwrap();
    audit.close().unwrap();
    drop(audit);
    let saved = copy(&dir);
    let audit = open(dir.path());
    audit.append_blocking(vec![fact(json!(3))], None).unwrap();
    // As a kill would leave it, and then without its WAL.
    for file in ["audit.db", "audit.mark"] {
        std::fs::copy(dir.path().join(file), saved.path().join(file)).unwrap();
    }
    let refused = Audit::open(saved.path(), &Options::default()).err().unwrap();
    assert!(matches!(refused, Error::Behind { entries: 2, known: 3, .. }), "{refused}");
    assert_eq!(found(saved.path(), None).place, "entry 3");
}

#[test]
fn a_blob_that_an_entry_forgot_is_told_and_not_missed() {
    let dir = log();
    let audit = open(dir.path());
    let digest = Digest::of("text 1");
    audit.append_blocking(vec![Draft { prune: vec![digest.clone()], ..fact(json!("old")) }], None).unwrap();
    audit.close().unwrap();
    assert_eq!(Reader::open(dir.path()).unwrap().blob(&digest).unwrap(), None);
    assert_eq!(verified(dir.path()).pruned, [digest]);
    raw(&dir, "DELETE FROM blob WHERE rowid = 1");
    assert!(found(dir.path(), None).to_string().contains("of entry 2: is missing"));
}

#[test]
fn opening_after_a_crash_hashes_the_tail_again() {
    let dir = log();
    raw(&dir, "UPDATE tree SET clean = 0, trusted_size = 0, trusted_frontier = x''");
    drop(open(dir.path()));
    verified(dir.path());
    raw(
        &dir,
        "UPDATE tree SET clean = 0, trusted_size = 0, trusted_frontier = x'';
               UPDATE entry SET body = replace(body, 'ann', 'eve') WHERE seq = 444",
    );
    let refused = |dir: &TempDir| refused(dir).to_string();
    assert_eq!(refused(&dir), "the audit log is damaged: entry 444: the body does not match its hash");
    let dir = log();
    raw(&dir, "DELETE FROM entry WHERE seq = 600");
    assert!(refused(&dir).contains("the newest entry is 599, but the signed checkpoint counts 600"));
}

fn refused(dir: &TempDir) -> Error {
    super::super::Audit::open(dir.path(), &Options::default()).err().unwrap()
}

#[test]
fn a_table_that_was_dropped_is_damage_to_everyone() {
    let untouched = log_of(300);
    for table in ["blob", "entry", "note", "run", "state", "tile", "tree"] {
        let dir = copy(&untouched);
        raw(&dir, &format!("DROP TABLE {table}"));
        let expected = format!("`audit.db` has no table `{table}` any more");
        assert_eq!(found(dir.path(), None).to_string(), format!("audit.db: {expected}"));
        let error = refused(&dir);
        assert_eq!(error, Error::Damaged { what: expected });
        assert!(error.hint().is_some());
        assert_eq!(Reader::open(dir.path()).err(), Some(error.clone()));
        assert_eq!(examine(dir.path()), Err(error));
    }
    let dir = copy(&untouched);
    raw(&dir, "ALTER TABLE run RENAME COLUMN status TO state");
    assert_eq!(found(dir.path(), None).place, "audit.db");
}

#[test]
fn what_is_refused_at_the_opening_is_found_by_verify_and_by_a_look() {
    let untouched = log();
    let changes = [
        "UPDATE tree SET trusted_frontier = zeroblob(32)",
        "UPDATE tree SET trusted_size = 7",
        "UPDATE tree SET trusted_size = 256, trusted_frontier = zeroblob(32)",
        "UPDATE tree SET checkpoint = 'gone'",
        "UPDATE tree SET frontier = x''",
        "DELETE FROM tree",
        "DELETE FROM entry WHERE seq > 590",
    ];
    for sql in changes {
        let dir = copy(&untouched);
        assert_eq!(examine(dir.path()), Ok(()));
        raw(&dir, sql);
        let error = refused(&dir);
        assert!(matches!(error, Error::Damaged { .. }), "{sql}: {error:?}");
        assert_eq!(examine(dir.path()), Err(error), "{sql}");
        found(dir.path(), None);
    }
    let dir = copy(&untouched);
    std::fs::remove_file(dir.path().join("audit.key")).unwrap();
    assert_eq!(examine(dir.path()), Err(refused(&dir)));
}

/// Another directory with the same database and key.
fn copy(dir: &TempDir) -> TempDir {
    let other = tempfile::tempdir().unwrap();
    for name in ["audit.db", "audit.key", "audit.pub"] {
        std::fs::copy(dir.path().join(name), other.path().join(name)).unwrap();
    }
    other
}
