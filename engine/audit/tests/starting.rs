//! What a start believes: the newest list of unfinished runs, and journals held against the signed tree.

use std::path::Path;

use rusqlite::Connection;
use serde_json::{Value, json};
use tempfile::TempDir;

use words::ids::RunId;

use super::super::{
    Audit, Draft, Error, Options, Reader, STANDING, STOPPED, StateChange, VerifyOptions, archive, examine,
    verify,
};
use super::{fact, of_run, open, row, run};

fn raw(dir: &Path, sql: &str) {
    Connection::open(dir.join("audit.db")).unwrap().execute_batch(sql).unwrap();
}

fn number(dir: &Path, sql: &str) -> i64 {
    Connection::open(dir.join("audit.db")).unwrap().query_row(sql, [], |row| row.get(0)).unwrap()
}

fn begins(audit: &Audit, n: u32) {
    let accepted = Draft { row: Some(row(&run(n), "running")), ..of_run(&run(n), "run.accepted") };
    audit.append_blocking(vec![accepted, of_run(&run(n), "call.finished")], Some((run(n), 0))).unwrap();
}

fn ends(audit: &Audit, n: u32) {
    audit
        .append_blocking(
            vec![Draft { row: Some(row(&run(n), "succeeded")), ..of_run(&run(n), "run.ended") }],
            None,
        )
        .unwrap();
}

fn facts(audit: &Audit, count: u32) {
    for _ in 0..count / 500 {
        audit.append_blocking((0..500).map(|n| fact(json!(n))).collect(), None).unwrap();
    }
}

fn stops(audit: &Audit) {
    let stopped = Draft::fact("ann", STOPPED, json!({ "engine": "host:1" }));
    audit.append_blocking(vec![Draft { lists_unfinished: true, ..stopped }], None).unwrap();
    audit.close().unwrap();
}

fn found(audit: &Audit) -> Vec<(RunId, u32)> {
    audit.found_unfinished().map(|(run, version)| (run.clone(), version)).collect()
}

fn refused(dir: &Path) -> String {
    Audit::open(dir, &Options::default()).err().unwrap().to_string()
}

fn trusted(dir: &Path) -> i64 {
    number(dir, "SELECT trusted_size FROM tree")
}

fn halt(on: bool) -> Draft {
    let (bucket, key) = ("engine".to_owned(), "halt".to_owned());
    let change = if on {
        StateChange::Set { bucket, key, value: json!({ "reason": "night" }) }
    } else {
        StateChange::Delete { bucket, key }
    };
    Draft { state: vec![change], ..fact(json!("halt")) }
}

#[test]
fn after_a_stop_only_the_list_is_read() {
    let dir = tempfile::tempdir().unwrap();
    let audit = open(dir.path());
    (0..3).for_each(|n| begins(&audit, n));
    ends(&audit, 1);
    audit.append_blocking(vec![halt(true)], None).unwrap();
    facts(&audit, 1000);
    stops(&audit);
    let last = number(dir.path(), "SELECT max(seq) FROM entry");
    assert_eq!(trusted(dir.path()), last - 1);
    let audit = open(dir.path());
    assert_eq!(found(&audit), [(run(0), 2), (run(2), 2)]);
    assert_eq!(audit.found_engine_state("halt"), Some(&json!({ "reason": "night" })));
    ends(&audit, 0);
    audit.append_blocking(vec![halt(false)], None).unwrap();
    drop(audit);
    // Not stopped: the list, and what came after it.
    let audit = open(dir.path());
    assert_eq!((found(&audit), audit.found_engine_state("halt")), (vec![(run(2), 2)], None));
    audit.close().unwrap();
    verify(dir.path(), &VerifyOptions::default()).unwrap();
}

#[test]
fn rows_that_hide_or_invent_unfinished_runs_are_seen_by_a_look_and_mislead_no_start() {
    for change in ["UPDATE run SET finished_ms = 1", "UPDATE run SET finished_ms = NULL", "DELETE FROM run"] {
        let dir = tempfile::tempdir().unwrap();
        let audit = open(dir.path());
        (0..2).for_each(|n| begins(&audit, n));
        ends(&audit, 0);
        stops(&audit);
        assert_eq!(examine(dir.path()), Ok(()));
        raw(dir.path(), change);
        let seen = examine(dir.path()).unwrap_err().to_string();
        assert!(seen.contains("is not the one its entries tell"), "{change}: {seen}");
        assert_eq!(found(&open(dir.path())), [(run(1), 2)], "{change}");
        assert!(verify(dir.path(), &VerifyOptions::default()).is_err());
    }
}

#[test]
fn a_long_life_lists_what_stands_so_that_a_start_reads_little() {
    let dir = tempfile::tempdir().unwrap();
    let audit = open(dir.path());
    (0..300).for_each(|n| begins(&audit, n));
    facts(&audit, 10_000);
    (0..3).for_each(|n| ends(&audit, n));
    drop(audit);
    let lists = format!("SELECT count(*) FROM entry WHERE kind = '{STANDING}'");
    assert_eq!(number(dir.path(), &lists), 2);
    let last = number(dir.path(), "SELECT max(seq) FROM entry");
    assert!(last - trusted(dir.path()) < 5000, "{last}");
    assert_eq!(number(dir.path(), "SELECT count(*) FROM blob"), 1, "only the newest list is kept");
    let audit = open(dir.path());
    assert_eq!(found(&audit).len(), 297);
    stops(&audit);
    verify(dir.path(), &VerifyOptions::default()).unwrap();

    // Whoever takes the list away only makes the next start read everything.
    raw(dir.path(), "DELETE FROM blob");
    assert_eq!(found(&open(dir.path())).len(), 297);
}

#[test]
fn a_log_of_version_0_1_is_read_once_from_its_beginning() {
    let dir = tempfile::tempdir().unwrap();
    let audit = open(dir.path());
    (0..3).for_each(|n| begins(&audit, n));
    facts(&audit, 5000);
    audit.append_blocking(vec![Draft::fact("ann", STOPPED, json!({ "engine": "old" }))], None).unwrap();
    audit.close().unwrap();
    // As it closed a log: everything is trusted.
    raw(dir.path(), "UPDATE tree SET trusted_size = size, trusted_frontier = frontier");
    let audit = open(dir.path());
    assert_eq!(found(&audit).len(), 3);
    stops(&audit);
    assert_eq!(trusted(dir.path()), number(dir.path(), "SELECT max(seq) FROM entry") - 1);
    raw(dir.path(), "UPDATE tree SET trusted_size = size, trusted_frontier = frontier");
    raw(dir.path(), "UPDATE entry SET body = replace(body, 'ann', 'eve') WHERE seq = 2");
    assert!(refused(dir.path()).contains("entry 2: the body does not match its hash"));
}

#[test]
fn what_was_archived_is_not_asked_for() {
    let dir = tempfile::tempdir().unwrap();
    let audit = open(dir.path());
    begins(&audit, 1);
    ends(&audit, 1);
    facts(&audit, 1000);
    stops(&audit);
    let audit = open(dir.path());
    begins(&audit, 2);
    stops(&audit);
    let entries = number(dir.path(), "SELECT max(seq) FROM entry");
    let to = TempDir::new().unwrap();
    let moved = archive(dir.path(), "ann", u64::MAX >> 1, &to.path().join("old")).unwrap();
    assert!(moved.last < entries.try_into().unwrap());
    let audit = open(dir.path());
    assert_eq!(found(&audit), [(run(2), 2)]);
    // The entries of the run share a tile with some that were moved.
    assert_eq!(Reader::open(dir.path()).unwrap().journal(&run(2)).unwrap().entries.len(), 2);
    ends(&audit, 2);
    stops(&audit);
    let moved = archive(dir.path(), "ann", u64::MAX >> 1, &to.path().join("all")).unwrap();
    assert_eq!(trusted(dir.path()), i64::try_from(moved.last).unwrap());
    let audit = open(dir.path());
    assert_eq!(found(&audit), []);
    begins(&audit, 3);
    audit.close().unwrap();
    assert_eq!(found(&open(dir.path())), [(run(3), 2)]);
    assert_eq!(Reader::open(dir.path()).unwrap().journal(&run(3)).unwrap().entries.len(), 2);
    verify(dir.path(), &VerifyOptions::default()).unwrap();
    // Cut without an entry that vouches for it.
    raw(dir.path(), "DELETE FROM entry WHERE kind = 'audit.archived'");
    assert!(Audit::open(dir.path(), &Options::default()).is_err());
}

/// Changes the journal of a run in an old tile; reading it must fail and name what is wrong.
fn unproved(change: &str, expected: &str) {
    let dir = tempfile::tempdir().unwrap();
    let audit = open(dir.path());
    (0..3).for_each(|n| begins(&audit, n));
    facts(&audit, 1000);
    begins(&audit, 5);
    stops(&audit);
    let journal = |n| Reader::open(dir.path()).unwrap().journal(&run(n));
    let good = journal(1).unwrap();
    assert_eq!((good.entries.len(), good.row.unwrap()), (2, row(&run(1), "running")));
    raw(dir.path(), change);
    let error = journal(1).map(|journal| journal.entries.len());
    match expected {
        "" => assert_eq!(error, Ok(1), "{change}"),
        _ => assert!(error.as_ref().is_err_and(|e| e.to_string().contains(expected)), "{change}: {error:?}"),
    }
    let other = journal(5).map(|journal| journal.entries.len());
    assert!(other == Ok(2) || expected.contains("tiles"), "{change}: {other:?}");
}

#[test]
fn only_entries_of_the_signed_tree_make_a_journal() {
    let forged = |seq: i64| {
        let body = json!({
            "actor": "eve", "data": 1, "kind": "call.finished", "run": run(1), "seq": seq, "time_ms": 1, "version": 2,
        });
        let hash = super::super::tree::leaf(body.to_string().as_bytes());
        let hex = hash.iter().fold(String::new(), |text, byte| format!("{text}{byte:02x}"));
        (body.to_string(), hex)
    };
    let (body, hash) = forged(4);
    let cases: [(String, &str); 8] = [
        (
            format!("UPDATE entry SET body = '{body}', hash = x'{hash}' WHERE seq = 4"),
            "entries 1 to 256 are not those",
        ),
        (
            format!("UPDATE entry SET body = '{body}' WHERE seq = 4"),
            "entry 4 cannot be read: it is not the one of the signed",
        ),
        (
            "UPDATE entry SET run = NULL, version = NULL WHERE seq = 3".into(),
            "entry 4 cannot be read: it is not version 1 of run",
        ),
        (
            format!("UPDATE entry SET run = '{}', version = 3 WHERE seq = 1", run(1)),
            "entry 1 cannot be read: it is not version 3 of run",
        ),
        ("UPDATE entry SET run = NULL, version = NULL WHERE seq = 4".into(), ""),
        ("DELETE FROM entry WHERE seq = 200".into(), "entries 1 to 256 are not those"),
        ("UPDATE tile SET root = zeroblob(32) WHERE number = 1".into(), "the tiles of the tree"),
        ("DELETE FROM tile WHERE number = 1".into(), "the tiles of the tree"),
    ];
    for (change, expected) in cases {
        unproved(&change, expected);
    }
}

#[test]
fn entries_after_the_last_whole_tile_are_proved_by_the_frontier() {
    let dir = tempfile::tempdir().unwrap();
    let audit = open(dir.path());
    begins(&audit, 1);
    let reader = Reader::open(dir.path()).unwrap();
    assert_eq!(reader.journal(&run(1)).unwrap().entries.len(), 2);
    // The log grew since the reader looked.
    begins(&audit, 2);
    assert_eq!(reader.journal(&run(2)).unwrap().entries.len(), 2);
    ends(&audit, 1);
    let journal = reader.journal(&run(1)).unwrap();
    assert_eq!((journal.entries.len(), journal.row.unwrap().status.as_str()), (3, "succeeded"));
    drop(audit);
    raw(dir.path(), "UPDATE entry SET hash = zeroblob(32) WHERE seq = 1");
    let error = Reader::open(dir.path()).unwrap().journal(&run(2)).unwrap_err();
    assert!(matches!(error, Error::Unreadable { changed: true, .. }), "{error}");
    // Another key than that of the log proves nothing.
    let (one, other) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    begins(&open(one.path()), 1);
    let another = open(other.path()).public_key().clone();
    let reader = Reader::open(one.path()).unwrap();
    assert_eq!(reader.journal(&run(1)).unwrap().entries.len(), 2);
    assert!(Reader::open(one.path()).unwrap().with_key(&another).journal(&run(1)).is_err());
}

#[test]
fn a_list_is_not_taken_from_anywhere() {
    let dir = tempfile::tempdir().unwrap();
    let audit = open(dir.path());
    begins(&audit, 1);
    // Looks like a list, and is what a plugin or a person wrote.
    audit.append_blocking(vec![fact(json!({ "unfinished": {} }))], None).unwrap();
    audit.close().unwrap();
    let body: String = Connection::open(dir.path().join("audit.db"))
        .unwrap()
        .query_row("SELECT body FROM entry WHERE seq = 2", [], |row| row.get(0))
        .unwrap();
    assert!(serde_json::from_str::<Value>(&body).is_ok());
    let frontier = {
        let mut tree = super::super::tree::Frontier::default();
        let db = Connection::open(dir.path().join("audit.db")).unwrap();
        let mut statement = db.prepare("SELECT hash FROM entry WHERE seq <= 2 ORDER BY seq").unwrap();
        let hashes: Vec<Vec<u8>> =
            statement.query_map([], |row| row.get(0)).unwrap().collect::<Result<_, _>>().unwrap();
        for hash in hashes {
            tree.push(hash.try_into().unwrap());
        }
        tree.to_bytes()
    };
    Connection::open(dir.path().join("audit.db"))
        .unwrap()
        .execute("UPDATE tree SET trusted_size = 2, trusted_frontier = ?1", [frontier])
        .unwrap();
    assert_eq!(found(&open(dir.path())), [(run(1), 2)]);
}
