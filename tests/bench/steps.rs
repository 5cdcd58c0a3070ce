//! What a durable step costs, alone and many at once. The external write is `state.set`: in this process, named, and
//! answered only when it is durable.

use std::fmt::Write as _;
use std::path::Path;
use std::time::{Duration, Instant};

use audit::{EntryFilter, Reader};
use executor::request::{LockWish, Request, Source};
use executor::{Engine, EngineConfig};
use secrets::{Keeper, SecretsSettings};
use words::ids::RunId;
use words::trigger::TriggerKind;

use crate::figure::{Board, Goal, median, ms};
use crate::floor;

/// Steps of one run.
const STEPS: usize = 100;
/// Runs at once.
const RUNS: usize = 100;
/// Runs one after the other.
const REPEATS: usize = 9;

pub(crate) fn runbook(steps: usize) -> String {
    let mut text = "format: 1\nrunbook: bench\nsummary: Many small durable steps.\nrisk: low\ngrants:\n  state: [{ bucket: bench, actions: [write] }]\nsteps:\n".to_owned();
    for n in 0..steps {
        writeln!(
            text,
            "  - {{ id: s{n}, summary: Keep., uses: state.set, with: {{ bucket: bench, key: k{n}, value: {{ n: {n} }} }} }}"
        )
        .unwrap();
    }
    text
}

pub(crate) fn request(text: &str) -> Request {
    Request {
        runbook: Source { file: "bench.yaml".to_owned(), text: text.to_owned(), others: Vec::new() },
        parameters: serde_json::Map::new(),
        actor: "bench".to_owned(),
        sudo_user: None,
        trigger: TriggerKind::Api,
        reason: None,
        target: None,
        dedupe: None,
        plan: None,
        step_by_step: false,
        lock: LockWish::Wait,
    }
}

pub(crate) fn engine(dir: &Path) -> Engine {
    let (name, actor) = ("bench:1".to_owned(), "bench".to_owned());
    let secrets = keeper(dir);
    let quota = runbook::config::DEFAULT_QUOTA;
    let user_name = runbook::config::name_of_user;
    let (data_dir, targets) = (dir.to_owned(), [].into());
    Engine::start(EngineConfig { data_dir, targets, name, actor, secrets, quota, user_name }).unwrap()
}

pub(crate) fn keeper(dir: &Path) -> Keeper {
    Keeper::new(dir, SecretsSettings::default())
}

/// A directory on the same disk as the build: memory file systems sync for nothing.
pub(crate) fn scratch() -> tempfile::TempDir {
    let target = Path::new(env!("CARGO_TARGET_TMPDIR"));
    tempfile::Builder::new().prefix("bench").tempdir_in(target).unwrap()
}

pub(crate) async fn one_run(engine: &Engine, text: &str) -> (RunId, Duration) {
    let started = Instant::now();
    let run = engine.submit(request(text)).await.unwrap();
    engine.settled(&run).await;
    (run, started.elapsed())
}

/// One run of many steps, one after the other.
pub(crate) fn latency(board: &mut Board) {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    let dir = scratch();
    let text = runbook(STEPS);
    let (run, times) = runtime.block_on(async {
        let engine = engine(dir.path());
        let (mut run, _) = one_run(&engine, &text).await;
        let mut times = Vec::new();
        for _ in 0..REPEATS {
            let (last, took) = one_run(&engine, &text).await;
            times.push(took / u32::try_from(STEPS).unwrap());
            run = last;
        }
        engine.drain().await;
        (run, times)
    });
    let reader = Reader::open(dir.path()).unwrap();
    let entries = reader.entries(&EntryFilter::journal(&run)).unwrap();
    let bytes: usize = entries.iter().map(|e| reader.body(e.seq).unwrap().map_or(0, |body| body.len())).sum();
    let a_commit = bytes / STEPS / 2;
    let (call, commit) = (floor::instantiate_and_call(), floor::synced_commit(dir.path(), a_commit));
    let floor = call + 2 * commit;
    let step = median(times);
    board.figure("one synced commit of half a step's bytes (floor)", ms(commit), "ms", Goal::None);
    board.figure("one raw instantiate and call (floor)", ms(call), "ms", Goal::None);
    board.figure("one durable step with one external write", ms(step), "ms", Goal::None);
    board.figure("  against its floor", step.as_secs_f64() / floor.as_secs_f64(), "x", Goal::AtMost(1.5));
    let scaled = ms(step) * (0.1 / ms(commit)).min(1.0);
    board.figure("  where a sync costs 0.1 ms", scaled, "ms", Goal::AtMost(0.45));
}

/// Many runs of many steps at once.
pub(crate) fn throughput(board: &mut Board) {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    let dir = scratch();
    let text = runbook(STEPS);
    let took = runtime.block_on(async {
        let engine = engine(dir.path());
        one_run(&engine, &text).await;
        let started = Instant::now();
        let mut all = tokio::task::JoinSet::new();
        for _ in 0..RUNS {
            let (engine, text) = (engine.clone(), text.clone());
            all.spawn(async move { one_run(&engine, &text).await });
        }
        all.join_all().await;
        let took = started.elapsed();
        engine.drain().await;
        took
    });
    let each = f64::from(u32::try_from(RUNS * STEPS).unwrap()) / took.as_secs_f64();
    board.figure("100 runs of 100 durable steps at once", each, "steps/s", Goal::AtLeast(8_000.0));
}
