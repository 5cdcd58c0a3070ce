//! The engine in this process, on a real audit log and with real plugins.

mod admission;
mod children;
mod containers;
mod library;

use std::collections::BTreeMap;
use std::path::Path;

use serde_json::{Map, json};

use super::journal::fold;
use super::request::{LockWish, Request, Source};
use super::{Engine, EngineConfig, Rest, replay};
use audit::Reader;
use docker::Connection;
use run::event::EndStatus;
use secrets::{Keeper, SecretsSettings};
use words::ids::TargetName;
use words::trigger::TriggerKind;

const HELLO: &str = r#"
format: 1
runbook: hello
summary: Say something and check something.
risk: low
parameters:
  name: { type: string, default: world }
steps:
  - id: say
    summary: Say it.
    uses: core.log
    with: { message: "hello ${{ parameters.name }}" }
  - id: check
    summary: Check it.
    uses: core.assert
    with: { that: "${{ parameters.name != 'nobody' }}", message: "there is nobody" }
"#;

fn engine(dir: &Path) -> Engine {
    start(dir, BTreeMap::new())
}

/// With the daemon of this machine.
fn engine_with(dir: &Path) -> Engine {
    let daemon = Connection::parse("unix:///var/run/docker.sock", None).expect("an address");
    start(dir, [(super::acceptance::local_target(), daemon)].into())
}

fn start(dir: &Path, targets: BTreeMap<TargetName, Connection>) -> Engine {
    Engine::start(EngineConfig {
        data_dir: dir.to_owned(),
        targets,
        name: "test:1".to_owned(),
        actor: "tester".to_owned(),
        secrets: keeper(dir),
        quota: 1 << 30,
        user_name: |uid| format!("uid:{uid}"),
    })
    .expect("an engine")
}

fn keeper(dir: &Path) -> Keeper {
    Keeper::new(dir, SecretsSettings::default())
}

fn request(text: &str, parameters: &serde_json::Value) -> Request {
    let parameters: Map<String, serde_json::Value> = parameters.as_object().cloned().unwrap_or_default();
    Request {
        runbook: Source { file: "hello.yaml".to_owned(), text: text.to_owned(), others: Vec::new() },
        parameters,
        actor: "tester".to_owned(),
        sudo_user: None,
        trigger: TriggerKind::Manual,
        reason: None,
        target: None,
        dedupe: None,
        plan: None,
        step_by_step: false,
        lock: LockWish::Wait,
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_run_succeeds_is_journalled_and_replays_alike() {
    let dir = tempfile::tempdir().unwrap();
    let engine = engine(dir.path());
    let run = engine.submit(request(HELLO, &json!({}))).await.unwrap();
    let rest = engine.settled(&run).await;
    assert!(matches!(rest, Rest::Ended(EndStatus::Succeeded) | Rest::Gone), "{rest:?}");
    engine.drain().await;
    let state = fold(&Reader::open(dir.path()).unwrap(), &run).unwrap();
    assert_eq!(state.end().map(|end| end.status), Some(EndStatus::Succeeded), "{:?}", state.end());
    let replay = replay::replay(dir.path(), &run, &keeper(dir.path())).await.unwrap();
    assert_eq!((replay.attempts, replay.differences), (2, Vec::new()));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_failed_assertion_fails_the_run_with_its_words() {
    let dir = tempfile::tempdir().unwrap();
    let engine = engine(dir.path());
    let run = engine.submit(request(HELLO, &json!({ "name": "nobody" }))).await.unwrap();
    engine.settled(&run).await;
    engine.drain().await;
    let state = fold(&Reader::open(dir.path()).unwrap(), &run).unwrap();
    let end = state.end().expect("an end");
    assert_eq!(end.status, EndStatus::Failed);
    assert!(end.message.contains("there is nobody"), "{}", end.message);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_plan_predicts_the_end_and_writes_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let engine = engine(dir.path());
    let plan = engine.plan(request(HELLO, &json!({ "name": "nobody" }))).await.unwrap();
    assert_eq!((plan.status, plan.writes.len()), (EndStatus::Failed, 0));
    assert_eq!(plan.steps.iter().map(|s| s.fate.as_str()).collect::<Vec<_>>(), ["runs", "fails"]);
    let again = engine.plan(request(HELLO, &json!({ "name": "nobody" }))).await.unwrap();
    assert_eq!(plan.digest, again.digest);
    assert!(Reader::open(dir.path()).unwrap().runs(&audit::RunFilter::default()).unwrap().is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_dedupe_key_names_one_wish() {
    use super::Refusal;
    let dir = tempfile::tempdir().unwrap();
    let engine = engine(dir.path());
    let with = |key: &str, text: &str| {
        let dedupe = Some(key.to_owned());
        Request { dedupe, ..request(text, &json!({})) }
    };
    let run = engine.submit(with("k", HELLO)).await.unwrap();
    assert_eq!(engine.submit(with("k", HELLO)).await.unwrap(), run);
    let other = HELLO.replace("runbook: hello", "runbook: other");
    let refused = engine.submit(with("k", &other)).await.unwrap_err();
    assert!(matches!(&refused, Refusal::KeyTaken { run: known, .. } if *known == run), "{refused}");
    assert!(matches!(engine.submit(with(" ", HELLO)).await, Err(Refusal::Input(_))));
    engine.settled(&run).await;
    engine.drain().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_people_say_reaches_no_entry_with_control_characters() {
    let dir = tempfile::tempdir().unwrap();
    let engine = engine(dir.path());
    let reason = Some("\u{1b}[31mred".to_owned());
    let run = engine.submit(Request { reason, ..request(HELLO, &json!({})) }).await.unwrap();
    engine.settled(&run).await;
    engine.halt(true, "\u{1b}[2Jgone", "tester").await.unwrap();
    engine.drain().await;
    let entries = Reader::open(dir.path()).unwrap().entries(&audit::EntryFilter::default()).unwrap();
    let said = serde_json::to_string(&entries).unwrap();
    assert!(said.contains(" [31mred") && said.contains(" [2Jgone"), "{said}");
    assert!(!said.contains("\\u001b"), "{said}");
}
