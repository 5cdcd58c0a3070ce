//! Order, versions, group commit, limits, and what happens when a commit fails.

use std::sync::Arc;

use serde_json::json;

use super::super::{Audit, Draft, EntryFilter, Error, ErrorKind, Options, Reader, StateChange};
use super::{fact, of_run, open, run};

#[test]
fn entries_are_numbered_from_one_and_survive_closing() {
    let dir = tempfile::tempdir().unwrap();
    let audit = open(dir.path());
    let first = audit.append_blocking(vec![fact(json!(1)), fact(json!(2))], None).unwrap();
    assert_eq!((first.first_seq, first.last_seq), (1, 2));
    audit.close().unwrap();
    assert!(matches!(audit.append_blocking(vec![fact(json!(3))], None), Err(Error::Failed { .. })));
    let audit = open(dir.path());
    assert_eq!(*audit.committed().borrow(), 2);
    let next = audit.append_blocking(vec![fact(json!(3))], None).unwrap();
    assert_eq!(next.first_seq, 3);
    assert!(next.time_ms >= first.time_ms);
    let entries = Reader::open(dir.path()).unwrap().entries(&EntryFilter::default()).unwrap();
    assert_eq!(
        entries.iter().map(|e| (e.seq, e.data.clone())).collect::<Vec<_>>(),
        [(1, json!(1)), (2, json!(2)), (3, json!(3))]
    );
    assert_eq!(entries[2].time_ms, next.time_ms);
}

#[test]
fn a_stale_version_is_refused_alone_and_writes_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let audit = open(dir.path());
    let one = run(1);
    let accepted = || vec![of_run(&one, "run.accepted")];
    audit.append_blocking(accepted(), Some((one.clone(), 0))).unwrap();
    // Handed over together, so that they share a commit or nearly so.
    let tickets: Vec<_> =
        [1, 1, 2, 7].map(|n| audit.submit(accepted(), Some((one.clone(), n)))).into_iter().collect();
    let other = audit.submit(vec![of_run(&run(2), "run.accepted")], Some((run(2), 0)));
    let results: Vec<_> = tickets.into_iter().map(super::super::Ticket::wait).collect();
    assert!(results[0].is_ok() && results[2].is_ok());
    assert_eq!(results[1], Err(Error::Stale { run: one.clone(), expected: 1, found: 2 }));
    assert_eq!(results[3], Err(Error::Stale { run: one.clone(), expected: 7, found: 3 }));
    assert!(other.wait().is_ok());
    let reader = Reader::open(dir.path()).unwrap();
    let journal = reader.entries(&EntryFilter::journal(&one)).unwrap();
    assert_eq!(journal.iter().map(|e| e.version.unwrap()).collect::<Vec<_>>(), [1, 2, 3]);
    assert_eq!(
        (reader.version(&one).unwrap(), reader.version(&run(9)).unwrap(), reader.last_seq().unwrap()),
        (3, 0, 4)
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn many_at_once_share_commits_and_each_is_found() {
    let dir = tempfile::tempdir().unwrap();
    let audit = Arc::new(open(dir.path()));
    let mut tasks = tokio::task::JoinSet::new();
    for n in 0..32 {
        let audit = Arc::clone(&audit);
        tasks.spawn(async move {
            for version in 0..20 {
                audit.append(vec![of_run(&run(n), "call.finished")], Some((run(n), version))).await.unwrap();
            }
        });
    }
    while let Some(task) = tasks.join_next().await {
        task.unwrap();
    }
    let reader = Reader::open(dir.path()).unwrap();
    assert_eq!(reader.last_seq().unwrap(), 640);
    for n in 0..32 {
        let versions: Vec<_> = reader
            .entries(&EntryFilter::journal(&run(n)))
            .unwrap()
            .iter()
            .map(|e| e.version.unwrap())
            .collect();
        assert_eq!(versions, (1..=20).collect::<Vec<_>>());
    }
}

#[test]
fn a_blocking_append_inside_an_async_task_neither_panics_nor_hangs() {
    let dir = tempfile::tempdir().unwrap();
    let audit = open(dir.path());
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    runtime.block_on(async {
        for n in 0..300 {
            audit.append_blocking(vec![fact(json!(n))], None).unwrap();
        }
    });
}

#[test]
fn large_data_moves_to_blobs_and_comes_back_whole() {
    let dir = tempfile::tempdir().unwrap();
    let audit = open(dir.path());
    let text = "é".repeat(100_000);
    let data = json!({"lines": [text, "short"], "exit": 0});
    let many = json!(vec!["x".repeat(50); 5000]);
    audit.append_blocking(vec![fact(data.clone()), fact(many.clone())], None).unwrap();
    let reader = Reader::open(dir.path()).unwrap();
    assert_eq!(reader.entry(1).unwrap().unwrap().data, data);
    assert_eq!(reader.entry(2).unwrap().unwrap().data, many);
    assert!(reader.body(1).unwrap().unwrap().len() < 1000);
    let too_large = audit.append_blocking(vec![fact(json!("x".repeat(17 << 20)))], None).unwrap_err();
    assert_eq!(too_large.kind(), ErrorKind::Invalid);
    let state =
        vec![StateChange::Set { bucket: "b".into(), key: "k".into(), value: json!("x".repeat(70_000)) }];
    assert!(matches!(
        audit.append_blocking(vec![Draft { state, ..fact(json!(1)) }], None),
        Err(Error::TooLarge { .. })
    ));
    assert_eq!(
        audit.append_blocking(vec![fact(json!(1))], None).unwrap().first_seq,
        3,
        "nothing was lost on the way"
    );
}

#[test]
fn a_failed_commit_is_final_for_everyone() {
    let dir = tempfile::tempdir().unwrap();
    let audit = open(dir.path());
    audit.append_blocking(vec![fact(json!(1))], None).unwrap();
    let raw = rusqlite::Connection::open(dir.path().join("audit.db")).unwrap();
    // Whatever is written is refused, and the schema is the same again afterwards.
    raw.execute_batch("CREATE TRIGGER no BEFORE INSERT ON entry BEGIN SELECT raise(ABORT, 'no'); END")
        .unwrap();
    let tickets: Vec<_> = (0..5).map(|n| audit.submit(vec![fact(json!(n))], None)).collect();
    for ticket in tickets {
        assert!(ticket.wait().is_err());
    }
    raw.execute_batch("DROP TRIGGER no").unwrap();
    assert!(matches!(audit.append_blocking(vec![fact(json!(6))], None), Err(Error::Failed { .. })));
    assert!(audit.failure().is_some() && audit.close().is_err());
    assert_eq!(*open(dir.path()).committed().borrow(), 1);
}

#[test]
fn a_full_disk_costs_the_reserve_and_then_the_log() {
    let dir = tempfile::tempdir().unwrap();
    open(dir.path()).close().unwrap();
    let audit = Audit::open(dir.path(), &Options { max_pages: Some(60), ..Options::default() }).unwrap();
    assert!(!audit.reserve_spent());
    let mut acknowledged = 0;
    let error = loop {
        match audit.append_blocking(vec![fact(json!("x".repeat(3000)))], None) {
            Ok(_) => acknowledged += 1,
            Err(error) => break error,
        }
    };
    assert_eq!((error, audit.reserve_spent()), (Error::Full, true));
    assert!(!dir.path().join("reserve").exists());
    drop(audit);
    let audit = open(dir.path());
    assert!(!audit.reserve_spent(), "there is room again, so the reserve is made again");
    assert_eq!(*audit.committed().borrow(), acknowledged);
}

#[test]
fn a_newer_foreign_or_broken_database_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    open(dir.path()).close().unwrap();
    let raw = || rusqlite::Connection::open(dir.path().join("audit.db")).unwrap();
    let refused = || Audit::open(dir.path(), &Options::default()).err().unwrap();
    raw().execute_batch("PRAGMA user_version = 2").unwrap();
    assert_eq!(refused(), Error::Newer { found: 2, known: 1 });
    assert!(matches!(Reader::open(dir.path()).err().unwrap(), Error::Newer { .. }));
    raw().execute_batch("PRAGMA user_version = 0").unwrap();
    assert_eq!(refused().kind(), ErrorKind::BusyOrDamaged);
    raw().execute_batch("PRAGMA user_version = 1; DELETE FROM tree").unwrap();
    assert_eq!(refused(), Error::Damaged { what: "the signed checkpoint is missing".into() });
    std::fs::write(dir.path().join("audit.db"), "rubbish".repeat(1000)).unwrap();
    assert_eq!(refused().kind(), ErrorKind::BusyOrDamaged);
    let empty = tempfile::tempdir().unwrap();
    assert!(matches!(Reader::open(empty.path()).err().unwrap(), Error::Absent { .. }));
}
