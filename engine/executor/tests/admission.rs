//! Who becomes a run, and what becomes of one that cannot be read.

use std::path::Path;

use serde_json::json;

use super::{HELLO, engine, request};
use crate::request::{Command, Request};
use crate::{DEDUPE_DAYS, Refusal, dedupe};
use audit::{Audit, Draft, Options, Reader, RunRow, StateChange};
use words::clock;
use words::ids::{RunId, RunbookName, TargetName};
use words::trigger::TriggerKind;

const HOUR_MS: u64 = 60 * 60 * 1000;

fn keyed(key: &str) -> Request {
    Request { dedupe: Some(key.to_owned()), ..request(HELLO, &json!({})) }
}

/// Writes an entry of a run that nobody performs, as an earlier engine may have.
fn written(dir: &Path, run: &RunId, kind: &str, (started_ms, over): (u64, bool), state: Vec<StateChange>) {
    let row = RunRow {
        run: run.clone(),
        runbook: RunbookName::new("hello").unwrap(),
        status: if over { "succeeded" } else { "running" }.to_owned(),
        actor: "ann".to_owned(),
        trigger: TriggerKind::Manual,
        target: TargetName::new("local").unwrap(),
        started_ms,
        finished_ms: over.then_some(started_ms),
        parent: None,
        reason: None,
        subject: String::new(),
        message: String::new(),
    };
    let fact = Draft::fact("ann", kind, json!({}));
    let draft = Draft { run: Some(run.clone()), row: Some(row), state, ..fact };
    let audit = Audit::open(dir, &Options::default()).unwrap();
    audit.append_blocking(vec![draft], None).unwrap();
    audit.close().unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn of_a_hundred_equal_requests_at_once_one_becomes_a_run() {
    let dir = tempfile::tempdir().unwrap();
    let engine = engine(dir.path());
    let mut asking = tokio::task::JoinSet::new();
    for _ in 0..100 {
        let engine = engine.clone();
        asking.spawn(async move { engine.submit(keyed("k")).await.unwrap() });
    }
    let mut told = asking.join_all().await;
    told.dedup();
    assert_eq!(told.len(), 1, "{told:?}");
    engine.settled(&told[0]).await;
    engine.drain().await;
    assert_eq!(Reader::open(dir.path()).unwrap().runs(&audit::RunFilter::default()).unwrap().len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn after_seven_days_a_key_is_a_new_run() {
    let dir = tempfile::tempdir().unwrap();
    let lasting_ms = DEDUPE_DAYS * 24 * HOUR_MS;
    let now_ms = clock::now_ms();
    let runs = [RunId::from_parts(1, 1), RunId::from_parts(1, 2)];
    for (key, run, age_ms) in
        [("old", &runs[0], lasting_ms + HOUR_MS), ("young", &runs[1], lasting_ms - HOUR_MS)]
    {
        written(dir.path(), run, "run.accepted", (now_ms - age_ms, true), vec![dedupe::remembered(key, run)]);
    }
    let engine = engine(dir.path());
    assert_eq!(engine.submit(keyed("young")).await.unwrap(), runs[1]);
    let new = engine.submit(keyed("old")).await.unwrap();
    assert_ne!(new, runs[0]);
    assert_eq!(engine.submit(keyed("old")).await.unwrap(), new, "the new run has the key now");
    engine.settled(&new).await;
    engine.drain().await;
    // The key of a child is for ever: its parent may have rested for longer.
    let child = dedupe::look(dir.path(), &keyed("old"), Some(&runs[0]), now_ms + 100 * lasting_ms).unwrap();
    assert!(matches!(&child, dedupe::Key::Run(run) if *run == new), "{child:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_run_of_an_unknown_kind_is_set_aside_and_ended_by_a_person() {
    let dir = tempfile::tempdir().unwrap();
    let run = RunId::from_parts(clock::now_ms(), 1);
    written(dir.path(), &run, "run.of-the-future", (clock::now_ms(), false), Vec::new());
    let started = engine(dir.path());
    let aside = started.set_aside();
    assert!(aside[0].0 == run && aside[0].1.why.contains("run.of-the-future"), "{aside:?}");
    let other = started.submit(request(HELLO, &json!({}))).await.unwrap();
    started.settled(&other).await;
    let refused = started.command(&run, Command::Resume, "ann").await.unwrap_err();
    assert!(matches!(&refused, Refusal::SetAside { .. }), "{refused}");
    let end = Command::Cancel { reason: "seen to".to_owned(), undo: false };
    started.command(&run, end, "ann").await.unwrap();
    assert!(started.set_aside().is_empty());
    started.drain().await;
    let row = Reader::open(dir.path()).unwrap().run(&run).unwrap().unwrap();
    assert!(row.status == "stuck" && row.message.contains("seen to"), "{row:?}");
    let next = engine(dir.path());
    assert!(next.set_aside().is_empty(), "for good");
    next.drain().await;
}
