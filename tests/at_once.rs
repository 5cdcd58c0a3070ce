//! Many commands at once on one data directory: all do their work, and of equal wishes one is carried out.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use serde_json::Value;

use crate::support::books::{self, ASKS};
use crate::support::echo::Echo;
use crate::support::engine::{Ended, Engine, Running, signal, until_idle};
use crate::support::patience::{until, until_true};
use crate::support::service::Service;
use crate::support::socket::{hello, post};

const HELLO: &str = r"
format: 1
runbook: hello
summary: Say hello.
steps:
  - { id: say, summary: Say it., uses: core.log, with: { message: hello } }
";

/// Begins the nth of a mixture of commands.
fn nth(engine: &Engine, book: &str, n: usize) -> Running {
    match n % 5 {
        0 => engine.spawn(&["run", book, "--yes"]),
        1 => engine.spawn(&["state", "set", "at-once", &format!("key-{n}"), "1"]),
        2 => engine.spawn(&["runs", "list"]),
        3 => engine.spawn(&["run", book, "--yes", "--detach"]),
        _ => engine.spawn(&["run", book, "--yes", "--dedupe", &format!("key-{n}")]),
    }
}

fn all_well(ended: &[Ended]) {
    let bad: Vec<_> = ended.iter().filter(|ended| ended.code != 0).collect();
    assert!(bad.is_empty(), "{} of {} were not done: {bad:#?}", bad.len(), ended.len());
}

/// What so many of the mixture leave behind.
fn left_behind(engine: &Engine, commands: usize) {
    until_idle(engine);
    let keys = engine.json(&["state", "list", "at-once"]);
    assert_eq!(keys.as_object().map(serde_json::Map::len), Some(commands / 5), "{keys}");
    let runs = engine.json(&["runs", "list", "--limit", "1000"]);
    let runs = runs.as_array().expect("a list");
    assert!(runs.iter().all(|run| run["status"] == "succeeded"), "{runs:#?}");
    engine.must(0, &["audit", "verify"]);
}

#[test]
fn fifty_commands_on_a_fresh_directory_and_on_an_idle_one_are_all_done() {
    let engine = Engine::new();
    let book = engine.write("hello.yaml", HELLO);
    for round in 0..3 {
        let running: Vec<_> = (0..50).map(|n| nth(&engine, &book, n)).collect();
        all_well(&running.into_iter().map(Running::wait).collect::<Vec<_>>());
        left_behind(&engine, 50);
        // The ten with a key are the same runs in each round.
        let runs = engine.json(&["runs", "list", "--limit", "1000"]);
        assert_eq!(runs.as_array().map(Vec::len), Some(10 + 20 * (round + 1)));
    }
}

#[test]
fn a_hundred_commands_twenty_at_a_time_are_all_done() {
    let engine = Engine::new();
    let book = engine.write("hello.yaml", HELLO);
    let (mut running, mut ended) = (std::collections::VecDeque::new(), Vec::new());
    for n in 0..100 {
        if running.len() == 20 {
            ended.extend(running.pop_front().map(Running::wait));
        }
        running.push_back(nth(&engine, &book, n));
    }
    ended.extend(running.into_iter().map(Running::wait));
    all_well(&ended);
    left_behind(&engine, 100);
}

#[test]
fn of_a_hundred_equal_commands_one_becomes_a_run_whoever_dies() {
    let engine = Engine::new();
    let book = engine.write("hello.yaml", HELLO);
    let running: Vec<_> = (0..100)
        .map(|_| engine.spawn(&["run", &book, "--yes", "--detach", "--dedupe", "alert 4711"]))
        .collect();
    for _ in 0..10 {
        std::thread::sleep(Duration::from_millis(150));
        engine.background().into_iter().for_each(|id| signal(id, "KILL"));
    }
    let ended: Vec<_> = running.into_iter().map(Running::wait).collect();
    all_well(&ended);
    let runs = engine.json(&["runs", "list"]);
    assert_eq!(runs.as_array().map(Vec::len), Some(1), "{runs}");
    let run = runs[0]["run"].as_str().expect("its id");
    assert!(ended.iter().all(|ended| ended.stdout.trim() == run), "each is told which run it is");
}

#[test]
fn of_a_hundred_equal_requests_over_the_socket_one_becomes_a_run_whoever_dies() {
    let engine = Engine::new();
    let over = AtomicBool::new(false);
    let begin = || {
        until("an engine", || {
            if engine.background().is_empty() {
                drop(engine.spawn(&["engine", "--data-dir", &engine.data().to_string_lossy()]));
            }
            std::thread::sleep(Duration::from_millis(50));
            post(&engine, "/v1/plans", &hello("a look")).map(drop)
        });
    };
    begin();
    let runs: Vec<String> = std::thread::scope(|scope| {
        let ask = |n: usize| {
            let (engine, over) = (&engine, &over);
            scope.spawn(move || {
                let document = hello(&format!("key {}", n % 5));
                loop {
                    match post(engine, "/v1/runs", &document) {
                        Some((200, answer)) => return answer["run"].as_str().expect("a run").to_owned(),
                        Some((status, answer)) if answer["leaving"] != true => panic!("{status}: {answer}"),
                        _ if over.load(Ordering::SeqCst) => panic!("no answer"),
                        _ => std::thread::sleep(Duration::from_millis(20)),
                    }
                }
            })
        };
        let asking: Vec<_> = (0..100).map(ask).collect();
        for _ in 0..3 {
            std::thread::sleep(Duration::from_millis(30));
            engine.background().into_iter().for_each(|id| signal(id, "KILL"));
            begin();
        }
        until_true("every answer", || {
            if engine.background().is_empty() {
                begin();
            }
            asking.iter().all(std::thread::ScopedJoinHandle::is_finished)
        });
        over.store(true, Ordering::SeqCst);
        asking.into_iter().map(|one| one.join().expect("an answer")).collect()
    });
    let told: std::collections::BTreeSet<_> = runs.iter().collect();
    assert_eq!(told.len(), 5, "one run for each key: {told:?}");
    until_idle(&engine);
    let kept = engine.json(&["runs", "list", "--limit", "1000"]);
    assert_eq!(kept.as_array().map(Vec::len), Some(5), "{kept}");
}

#[test]
fn of_many_that_do_not_wait_one_is_accepted() {
    let service = Service::of(1).up();
    let engine = Engine::new();
    let book = engine.write("asks.yaml", &books::steps("read, restart", ASKS));
    let command = ["run", &book, "-p", &service.parameter(), "--yes", "--no-wait", "--detach"];
    let running: Vec<_> = (0..10).map(|_| engine.spawn(&command)).collect();
    let ended: Vec<_> = running.into_iter().map(Running::wait).collect();
    let mut codes: Vec<_> = ended.iter().map(|ended| ended.code).collect();
    codes.sort_unstable();
    assert_eq!(codes, [0, 10, 10, 10, 10, 10, 10, 10, 10, 10], "{ended:#?}");
    let runs = engine.json(&["runs", "list"]);
    assert_eq!(runs.as_array().map(Vec::len), Some(1), "{runs}");
    let run = runs[0]["run"].as_str().expect("its id");
    for refused in ended.iter().filter(|ended| ended.code == 10) {
        refused.says(&[run, &service.name()]);
    }
    engine.must(0, &["runs", "cancel", run]);
}

/// Sends one request after the other.
fn posts(url: &str) -> String {
    format!(
        r#"
format: 1
runbook: posts
summary: Send many requests.
grants: {{ http: ["{url}*"] }}
steps:
  - id: send
    summary: Send them.
    uses: http.request
    for_each: [{}]
    max_parallel: 4
    with: {{ url: "{url}", method: POST, body: "x" }}
"#,
        (0..200).map(|n| n.to_string()).collect::<Vec<_>>().join(", ")
    )
}

#[test]
fn after_halt_on_has_returned_no_write_is_announced() {
    let (engine, echo) = (Engine::new(), Echo::start());
    let book = engine.write("posts.yaml", &posts(&echo.url("/")));
    let runs: Vec<_> = (0..4).map(|_| engine.spawn(&["run", &book, "--yes"])).collect();
    until_true("requests", || echo.seen().matches("POST /").count() > 20);
    engine.must(0, &["halt", "on", "--reason", "storage is failing over"]);
    for run in runs {
        assert_eq!(run.wait().code, 14);
    }
    let tail = engine.must(0, &["audit", "tail", "-n", "100000", "--output", "json"]).stdout;
    let entries: Vec<Value> =
        tail.lines().map(|line| serde_json::from_str(line).expect("an entry")).collect();
    let halted = entries.iter().find(|entry| entry["kind"] == "halt.on").expect("the entry of the halt");
    let announced = |entry: &&Value| entry["kind"] == "call.intended";
    let after =
        entries.iter().filter(announced).filter(|entry| entry["seq"].as_u64() > halted["seq"].as_u64());
    assert_eq!(after.count(), 0);
    assert!(entries.iter().filter(announced).count() < 800, "it was halted in the middle");
    engine.must(14, &["run", &book, "--yes"]);
    engine.must(0, &["halt", "off"]);
}
