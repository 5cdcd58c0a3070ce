//! Which directories a log is begun in, and which are left as they are since there was one.

use std::path::Path;

use serde_json::json;
use tempfile::TempDir;

use super::super::{Audit, Error, Options, Reader, VerifyError, VerifyOptions, examine, verify};
use super::{fact, of_run, open, run};

/// A log with the end of a run, so that there is a checkpoint beside it.
fn log() -> TempDir {
    let dir = tempfile::tempdir().unwrap();
    let audit = open(dir.path());
    audit.append_blocking(vec![fact(json!(1)), of_run(&run(1), "run.finished")], None).unwrap();
    audit.close().unwrap();
    dir
}

fn refused(dir: &Path) -> Error {
    Audit::open(dir, &Options::default()).err().unwrap()
}

/// Everyone says the same: the engine, readers, `verify` and `examine`.
fn lost(dir: &Path, state: &str, trace: &str) {
    let said = refused(dir);
    assert!(matches!(said, Error::Lost { .. }), "{said:?}");
    let text = said.to_string();
    assert!(text.contains(&format!("audit.db` {state}, but `")) && text.contains(trace), "{text}");
    assert_eq!(Reader::open(dir).err(), Some(said.clone()));
    assert_eq!(examine(dir), Err(said));
    let verified = verify(dir, &VerifyOptions::default());
    assert!(matches!(verified, Err(VerifyError::Tampered(_))), "{verified:?}");
}

#[test]
fn a_log_that_is_gone_is_not_begun_again() {
    let dir = log();
    let database = dir.path().join("audit.db");
    std::fs::write(&database, "").unwrap();
    lost(dir.path(), "is empty", "000000000002.note");
    assert_eq!(std::fs::metadata(&database).unwrap().len(), 0, "left as it is");
    std::fs::remove_file(&database).unwrap();
    lost(dir.path(), "is missing", "000000000002.note");
    assert!(!database.exists(), "left as it is");
    // Some other database put in its place.
    rusqlite::Connection::open(&database).unwrap().execute_batch("PRAGMA journal_mode = WAL").unwrap();
    lost(dir.path(), "is empty", "000000000002.note");
}

#[test]
fn a_wal_that_outlived_its_database_is_kept() {
    let dir = log();
    let wal = dir.path().join("audit.db-wal");
    std::fs::remove_dir_all(dir.path().join("checkpoints")).unwrap();
    std::fs::write(dir.path().join("audit.db"), "").unwrap();
    std::fs::write(&wal, "entries").unwrap();
    lost(dir.path(), "is empty", "audit.db-wal");
    assert_eq!(std::fs::read(&wal).unwrap(), b"entries");
}

#[test]
fn a_beginning_that_was_interrupted_is_begun_again() {
    let dir = log();
    let key = open(dir.path()).public_key().clone();
    let files = [None, Some(""), Some("PRAGMA journal_mode = WAL")];
    for sql in files {
        let again = tempfile::tempdir().unwrap();
        std::fs::copy(dir.path().join("audit.key"), again.path().join("audit.key")).unwrap();
        if let Some(sql) = sql {
            let database = again.path().join("audit.db");
            std::fs::write(&database, "").unwrap();
            rusqlite::Connection::open(&database).unwrap().execute_batch(sql).unwrap();
        }
        let audit = open(again.path());
        assert_eq!(audit.public_key(), &key);
        audit.append_blocking(vec![fact(json!(1))], None).unwrap();
    }
}

#[test]
fn what_cannot_be_looked_at_is_not_absent() {
    let file = tempfile::NamedTempFile::new().unwrap();
    let error = Reader::open(file.path()).err().unwrap();
    assert!(matches!(error, Error::Environment { .. }), "{error:?}");
    assert!(error.hint().is_some());
    let empty = tempfile::tempdir().unwrap();
    assert!(matches!(Reader::open(empty.path()).err(), Some(Error::Absent { .. })));
    assert!(matches!(examine(empty.path()), Err(Error::Absent { .. })));
    let verified = verify(empty.path(), &VerifyOptions::default());
    assert!(matches!(verified, Err(VerifyError::Unreadable(Error::Absent { .. }))), "{verified:?}");
}
