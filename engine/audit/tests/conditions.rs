//! What must hold for an append is looked at in its commit, and what nobody could read is not committed.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use serde_json::{Value, json};

use super::super::body::MAX_ENTRY_BYTES;
use super::super::{
    Append, Audit, Condition, Draft, EntryFilter, Error, Reader, Ready, StateChange, Taken, Ticket, Unmet,
    Urgency, VerifyOptions, verify,
};
use super::{fact, of_run, open, row, run};

fn hand_over(audit: &Audit, drafts: Vec<Draft>, conditions: Vec<Condition>) -> Ticket {
    audit.submit_ready(Ready::new(Append { drafts, conditions, urgency: Urgency::Now }).unwrap())
}

fn holds(value: Option<Value>) -> Condition {
    Condition::State { bucket: "keys".to_owned(), key: "alert".to_owned(), value }
}

fn sets(value: u32) -> Draft {
    let change = StateChange::Set { bucket: "keys".to_owned(), key: "alert".to_owned(), value: json!(value) };
    Draft { state: vec![change], ..fact(json!(value)) }
}

/// Nested so deep.
fn nested(depth: usize) -> Value {
    (0..depth).fold(json!(1), |inside, _| json!([inside]))
}

#[test]
fn of_a_hundred_that_want_the_same_key_free_one_is_written() {
    let dir = tempfile::tempdir().unwrap();
    let audit = open(dir.path());
    let tickets: Vec<_> = (0..100).map(|n| hand_over(&audit, vec![sets(n)], vec![holds(None)])).collect();
    let results: Vec<_> = tickets.into_iter().map(Ticket::wait).collect();
    assert!(results[0].is_ok(), "first come, first served");
    for refused in &results[1..] {
        assert!(
            matches!(refused, Err(Error::Unmet(Unmet::State { found: Some(found), .. })) if *found == json!(0)),
            "{refused:?}"
        );
    }
    // An old value is exchanged once, too, and also by another engine.
    drop(audit);
    let audit = open(dir.path());
    let exchange = |n| hand_over(&audit, vec![sets(n)], vec![holds(Some(json!(0)))]);
    let tickets = [exchange(1), exchange(2)];
    let results = tickets.map(Ticket::wait);
    assert!(results[0].is_ok() && results[1].is_err(), "{results:?}");
    let reader = Reader::open(dir.path()).unwrap();
    assert_eq!((reader.state_get("keys", "alert").unwrap(), reader.last_seq().unwrap()), (Some(json!(1)), 2));
}

#[test]
fn the_number_of_unfinished_runs_is_never_over_its_limit() {
    let dir = tempfile::tempdir().unwrap();
    let audit = open(dir.path());
    let begin = |n: u32| {
        let draft = Draft { row: Some(row(&run(n), "running")), ..of_run(&run(n), "run.accepted") };
        let version = Condition::Version { run: run(n), version: 0 };
        hand_over(&audit, vec![draft], vec![version, Condition::Unfinished { below: 3 }])
    };
    let tickets: Vec<_> = (0..20).map(begin).collect();
    let taken = tickets.into_iter().filter_map(|ticket| ticket.wait().ok()).count();
    assert_eq!(taken, 3);
    let over = Draft { row: Some(row(&run(0), "succeeded")), ..of_run(&run(0), "run.finished") };
    audit.append_blocking(vec![over], Some((run(0), 1))).unwrap();
    assert!(begin(30).wait().is_ok(), "there is room again");
    assert_eq!(begin(31).wait(), Err(Error::Unmet(Unmet::Unfinished { found: 3, limit: 3 })));
}

#[test]
fn a_claim_is_made_in_order_and_only_when_all_else_holds() {
    let dir = tempfile::tempdir().unwrap();
    let audit = open(dir.path());
    let claimed = Arc::new(AtomicUsize::new(0));
    let claim = |free: bool| {
        let claimed = Arc::clone(&claimed);
        Condition::Claim(Box::new(move || {
            claimed.fetch_add(1, Ordering::SeqCst);
            if free { Ok(()) } else { Err(Taken { what: "web".to_owned(), by: run(7) }) }
        }))
    };
    assert!(hand_over(&audit, vec![sets(1)], vec![holds(Some(json!(9))), claim(true)]).wait().is_err());
    assert_eq!(claimed.load(Ordering::SeqCst), 0);
    assert!(hand_over(&audit, vec![sets(1)], vec![holds(None), claim(true)]).wait().is_ok());
    let taken = Taken { what: "web".to_owned(), by: run(7) };
    let refused = hand_over(&audit, vec![sets(2)], vec![claim(false)]).wait();
    assert_eq!(refused, Err(Error::Unmet(Unmet::Taken(taken))));
    assert_eq!(claimed.load(Ordering::SeqCst), 2);
    assert_eq!(Reader::open(dir.path()).unwrap().last_seq().unwrap(), 1);
}

#[test]
fn what_nobody_could_read_is_refused_and_the_log_takes_the_next() {
    let dir = tempfile::tempdir().unwrap();
    let audit = open(dir.path());
    let large = "x".repeat(MAX_ENTRY_BYTES);
    let state = StateChange::Set { bucket: "b".to_owned(), key: "k".to_owned(), value: nested(125) };
    let drafts = [
        fact(nested(128)),
        fact(json!({ "deep": nested(127), "and": ["long", large] })),
        Draft { state: vec![state], ..fact(Value::Null) },
    ];
    for draft in drafts {
        let refused = audit.append_blocking(vec![draft], None).unwrap_err();
        assert!(matches!(refused, Error::Unwritable { .. }) && refused.is_about_the_draft(), "{refused:?}");
    }
    // What entry points let in is well inside.
    audit.append_blocking(vec![fact(nested(100))], None).unwrap();
    let entries = Reader::open(dir.path()).unwrap().entries(&EntryFilter::default()).unwrap();
    assert_eq!(entries.into_iter().map(|entry| entry.data).collect::<Vec<_>>(), [nested(100)]);
    audit.close().unwrap();
    verify(dir.path(), &VerifyOptions::default()).unwrap();
}

#[test]
fn a_row_that_is_known_late_is_part_of_the_entry() {
    let dir = tempfile::tempdir().unwrap();
    let audit = open(dir.path());
    let full = json!("x".repeat(3_000));
    let draft = Draft { data: json!(vec![full; 17]), ..of_run(&run(1), "run.accepted") };
    let append = Append { drafts: vec![draft], conditions: Vec::new(), urgency: Urgency::Now };
    let ready = Ready::new(append).unwrap().with_row(row(&run(1), "running")).unwrap();
    audit.submit_ready(ready).wait().unwrap();
    assert_eq!(Reader::open(dir.path()).unwrap().run(&run(1)).unwrap(), Some(row(&run(1), "running")));
    audit.close().unwrap();
    verify(dir.path(), &VerifyOptions::default()).unwrap();
}
