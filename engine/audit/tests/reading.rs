//! What a reader finds, and how long it takes.

use std::sync::atomic::Ordering;

use serde_json::json;

use words::ids::{Digest, StepId, StepPath};

use super::super::{Draft, EntryFilter, Note, Reader, RunFilter, StateChange};
use super::{fact, of_run, open, row, run};

#[test]
fn filters_choose_entries_and_runs() {
    let dir = tempfile::tempdir().unwrap();
    let audit = open(dir.path());
    for n in 1..=4 {
        let status = if n == 2 { "succeeded" } else { "running" };
        let accepted = Draft { row: Some(row(&run(n), "queued")), ..of_run(&run(n), "run.accepted") };
        let later = Draft { row: Some(row(&run(n), status)), ..of_run(&run(n), "call.finished") };
        audit.append_blocking(vec![accepted, fact(json!(n)), later], Some((run(n), 0))).unwrap();
    }
    let reader = Reader::open(dir.path()).unwrap();
    let seqs =
        |filter: EntryFilter| reader.entries(&filter).unwrap().iter().map(|e| e.seq).collect::<Vec<_>>();
    assert_eq!(seqs(EntryFilter { run: Some(run(2)), ..EntryFilter::default() }), [4, 6]);
    let kinds = vec!["call.*".to_owned(), "test.fact".to_owned()];
    let filter = EntryFilter { kinds, newest_first: true, limit: 3, ..EntryFilter::default() };
    assert_eq!(seqs(filter.clone()), [12, 11, 9]);
    assert_eq!(seqs(EntryFilter { before_seq: Some(6), after_seq: 2, ..filter }), [5, 3]);

    let runs =
        |filter: RunFilter| reader.runs(&filter).unwrap().into_iter().map(|r| r.run).collect::<Vec<_>>();
    assert_eq!(runs(RunFilter { limit: 2, ..RunFilter::default() }), [run(4), run(3)]);
    assert_eq!(runs(RunFilter { before: Some(run(2)), ..RunFilter::default() }), [run(1)]);
    assert_eq!(
        runs(RunFilter { statuses: vec!["succeeded".into(), "failed".into()], ..RunFilter::default() }),
        [run(2)]
    );
    assert!(runs(RunFilter { subject: Some("shop/db".into()), ..RunFilter::default() }).is_empty());
    assert_eq!(reader.unfinished().unwrap().len(), 3);
    assert_eq!(reader.run(&run(2)).unwrap(), Some(row(&run(2), "succeeded")));
    assert_eq!(reader.run(&run(7)).unwrap(), None);
    let id = run(3).to_string();
    assert_eq!(reader.resolve_prefix(&id[..9], 10).unwrap(), [4, 3, 2, 1].map(run));
    assert_eq!(reader.resolve_prefix(&id, 10).unwrap(), [run(3)]);
    let growth = reader.growth().unwrap();
    assert_eq!((growth.entries, growth.bytes == growth.bytes_per_day), (12, true));
}

#[test]
fn what_is_kept_is_counted_once_however_often() {
    let dir = tempfile::tempdir().unwrap();
    let keep = |text: &str| Draft { blobs: vec![text.as_bytes().to_vec()], ..fact(json!(1)) };
    let audit = open(dir.path());
    let since = audit.kept_since();
    let counts = |drafts| {
        audit.append_blocking(drafts, None).unwrap();
        (Reader::open(dir.path()).unwrap().kept_bytes().unwrap(), since.load(Ordering::Acquire))
    };
    assert_eq!(counts(vec![fact(json!(1))]), (0, 0));
    assert_eq!(counts(vec![keep("twelve bytes"), keep("ten bytes.")]), (22, 22));
    assert_eq!(counts(vec![keep("ten bytes."), keep("a"), keep("a")]), (23, 23));
    assert_eq!(counts(vec![fact(json!("x".repeat(100_000)))]), (100_023, 100_023), "a long output");
    audit.close().unwrap();
    let again = open(dir.path());
    again.append_blocking(vec![keep("a"), keep("bc")], None).unwrap();
    assert_eq!(again.kept_since().load(Ordering::Acquire), 2, "of this opening alone");
}

#[test]
fn state_blobs_and_notes_are_kept_with_their_entries() {
    let dir = tempfile::tempdir().unwrap();
    let audit = open(dir.path());
    let set =
        |key: &str, n: u32| StateChange::Set { bucket: "b".into(), key: key.into(), value: json!({"n": n}) };
    let delete = StateChange::Delete { bucket: "b".into(), key: "y".into() };
    let state = vec![set("x", 1), set("y", 2), set("x", 3), set("ya", 4), delete];
    let blobs = vec![b"the text".to_vec()];
    audit.append_blocking(vec![Draft { state, blobs, ..fact(json!(1)) }], None).unwrap();
    let reader = Reader::open(dir.path()).unwrap();
    assert_eq!(reader.state_get("b", "x").unwrap(), Some(json!({"n": 3})));
    assert_eq!(reader.state_list("b", "").unwrap().len(), 2);
    assert_eq!(reader.state_list("b", "y").unwrap(), [("ya".to_owned(), json!({"n": 4}))]);
    assert_eq!(reader.state_buckets().unwrap(), ["b"]);
    assert_eq!(reader.blob(&Digest::of("the text")).unwrap().unwrap(), b"the text");

    let note = |n: u32| Note {
        run: run(1),
        path: StepPath::step(StepId::new("restart").unwrap()),
        attempt: 1,
        level: "info".into(),
        text: format!("line {n} hunter2\u{1b}[2J"),
    };
    let mut committed = audit.committed();
    committed.mark_unchanged();
    (0..3).for_each(|n| audit.note(note(n)));
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
    runtime.block_on(committed.changed()).unwrap();
    let notes = reader.notes(&run(1), 0, 10).unwrap();
    assert_eq!(notes.len(), 3);
    assert_eq!(notes[1].note.text, "line 1 [secret]\u{fffd}[2J");
    assert_eq!(reader.notes(&run(1), notes[1].id, 10).unwrap()[0], notes[2]);
}

#[test]
fn of_many_runs_the_newest_come() {
    let dir = tempfile::tempdir().unwrap();
    let audit = open(dir.path());
    let mut last = None;
    for n in 0..20 {
        let drafts = (0..100).map(|m| n * 100 + m);
        let drafts =
            drafts.map(|n| Draft { row: Some(row(&run(n), "succeeded")), ..of_run(&run(n), "run.accepted") });
        last = Some(audit.submit(drafts.collect(), None));
    }
    last.unwrap().wait().unwrap();
    let reader = Reader::open(dir.path()).unwrap();
    let runs = reader.runs(&RunFilter { limit: 50, ..RunFilter::default() }).unwrap();
    assert_eq!((runs.len(), &runs[0].run), (50, &run(1999)));
}
