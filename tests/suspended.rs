//! Runs that wait for a person and their locks: what is not needed is given back, what is kept is told with the commands
//! that free it, and a lock that was taken ends its run for good.

use std::io::{Read as _, Write as _};
use std::net::TcpListener;

use serde_json::Value;

use crate::support::books;
use crate::support::engine::{Ended, Engine, Running, until_idle};
use crate::support::patience::{until, until_true};
use crate::support::service::Service;

/// Restarts, then asks: nothing is down while it asks.
const RESTARTED: &str = r#"
  - id: restart
    uses: service.restart
    with: { service: "${{ parameters.service }}", grace: 1s }
  - id: ask
    uses: ask.person
    with: { question: "is it well?" }
"#;

/// Stops, then asks: the service is down while it asks.
const STOPPED: &str = r#"
  - id: stop
    uses: service.stop
    with: { service: "${{ parameters.service }}", grace: 1s }
    undo:
      uses: service.start
      with: { service: "${{ parameters.service }}" }
  - id: ask
    uses: ask.person
    with: { question: "start it again?" }
  - id: start
    uses: service.start
    with: { service: "${{ parameters.service }}" }
"#;

/// A run of these steps that asks something, and its id.
fn asking(engine: &Engine, service: &Service, steps: &str) -> (Running, String) {
    let text = books::steps("read, restart, start, stop", steps);
    let book = engine.write("asking.yaml", &text);
    let run = engine.spawn(&["run", &book, "-p", &service.parameter(), "--yes"]);
    engine.until_status("waiting");
    (run, id(engine))
}

fn id(engine: &Engine) -> String {
    engine.last()["run"].as_str().expect("its id").to_owned()
}

/// The same, left by its person.
fn suspended(engine: &Engine, service: &Service, steps: &str) -> String {
    let (run, id) = asking(engine, service, steps);
    run.signal("INT");
    let ended = run.wait();
    assert_eq!(ended.code, 130, "{ended:?}");
    assert_eq!(engine.json(&["runs", "show", &id])["status"], "left");
    id
}

fn restart(engine: &Engine, service: &Service, more: &[&str]) -> Ended {
    let name = service.name();
    let mut arguments = vec!["service", "restart", &name, "--yes"];
    arguments.extend(more);
    engine.run(&arguments)
}

/// Waits for the lock, and starts what is down.
fn starting(engine: &Engine, service: &Service, more: &[&str]) -> Running {
    let name = service.name();
    let mut arguments = vec!["service", "start", &name, "--yes"];
    arguments.extend(more);
    engine.spawn(&arguments)
}

/// The commands in backticks that were told, without the program's name.
fn told_commands(text: &str) -> Vec<Vec<String>> {
    let parts = text.split('`').filter_map(|part| part.strip_prefix("runbook "));
    parts.map(|command| command.split_whitespace().map(str::to_owned).collect()).collect()
}

/// Types a command that was told, which must not fail, and answers what the run asks afterwards.
fn type_it(engine: &Engine, command: &[String], run: &str) {
    let words: Vec<&str> = command.iter().map(String::as_str).collect();
    let typed = engine.spawn(&words);
    until_true("the run to end", || {
        engine.run(&["runs", "approve", run]);
        engine.json(&["runs", "show", run])["finished_ms"].is_u64()
    });
    let ended = typed.wait();
    assert!([0, 11, 130].contains(&ended.code), "{command:?}: {ended:?}");
}

#[test]
fn a_suspended_run_with_nothing_down_gives_its_lock_back_and_takes_it_anew() {
    let service = Service::of(1).up();
    let engine = Engine::new();
    let left = suspended(&engine, &service, RESTARTED);
    let free = restart(&engine, &service, &["--no-wait"]);
    assert_eq!(free.code, 0, "{free:?}");

    // Whoever resumes waits like any other.
    let (holder, holding) = asking(&engine, &service, RESTARTED);
    let resumed = engine.spawn(&["runs", "resume", &left]);
    until_true("it to tell for whom it waits", || {
        engine.run(&["runs", "show", &left]).stdout.contains(&format!("waits: run `{holding}`"))
    });
    engine.must(0, &["runs", "approve", &holding]);
    assert_eq!(holder.wait().code, 0);
    until_true("it to be answered", || engine.run(&["runs", "approve", &left]).code == 0);
    assert_eq!(resumed.wait().code, 0);
    engine.must(0, &["runs", "replay", &left]);
}

#[test]
fn a_new_engine_leaves_the_lock_of_a_suspended_run_free_unless_something_is_down() {
    let service = Service::of(1).up();
    let engine = Engine::new();
    for (steps, code) in [(RESTARTED, 0), (STOPPED, 10)] {
        suspended(&engine, &service, steps);
        until_idle(&engine);
        let ended = restart(&engine, &service, &["--no-wait"]);
        assert_eq!(ended.code, code, "{ended:?}");
    }
    let refused = restart(&engine, &service, &["--no-wait"]);
    let down = format!("`{}` is down", service.replica(1));
    refused.says(&[&id(&engine), &down, "some-steps", "asked by", "since", "nobody carries it on"]);
}

#[test]
fn each_command_that_is_told_frees_the_lock_of_a_suspended_run() {
    let service = Service::of(1).up();
    let engine = Engine::new();
    for number in 0..3 {
        let left = suspended(&engine, &service, STOPPED);
        let waiter = starting(&engine, &service, &[]);
        let told = until("whom it waits for", || {
            let said = waiter.said();
            said.contains("is down").then_some(said)
        });
        let commands = told_commands(&told);
        assert_eq!(commands.len(), 3, "{told}");
        type_it(&engine, &commands[number], &left);
        let ended = waiter.wait();
        assert_eq!(ended.code, 0, "{ended:?}");
        assert!(service.is_running(1));
    }
    // With `--output json` it is talk, and the document stays whole.
    let left = suspended(&engine, &service, STOPPED);
    let waiter = starting(&engine, &service, &["--output", "json"]);
    until_true("whom it waits for", || waiter.told().contains(&format!("run `{left}`")));
    let waits = engine.json(&["runs", "show", "last"]);
    assert!(waits["waits_for_lock"].as_str().is_some_and(|text| text.contains(&left)), "{waits}");
    engine.must(0, &["runs", "cancel", &left, "--undo"]);
    assert_eq!(waiter.wait().document()["status"], "succeeded");
}

#[test]
fn a_run_that_asks_is_told_with_the_answers_that_free_its_lock() {
    let service = Service::of(1).up();
    let engine = Engine::new();
    for (number, code) in [(0, 0), (1, 10), (2, 130)] {
        let (run, holder) = asking(&engine, &service, RESTARTED);
        let waiter = engine.spawn(&["service", "restart", &service.name(), "--yes"]);
        let told = until("whom it waits for", || {
            let said = waiter.said();
            said.contains("asks a person: is it well?").then_some(said)
        });
        let command = &told_commands(&told)[number];
        assert!(command.contains(&holder), "{told}");
        engine.must(0, &command.iter().map(String::as_str).collect::<Vec<_>>());
        assert_eq!(run.wait().code, code, "{command:?}");
        assert_eq!(waiter.wait().code, 0);
    }
}

/// A server that takes the first request and hangs up, and answers the later ones.
fn moody_server() -> String {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = listener.local_addr().expect("its address");
    std::thread::spawn(move || {
        for (number, stream) in listener.incoming().enumerate() {
            let Ok(mut stream) = stream else { return };
            let mut request = [0; 4096];
            let _ = stream.read(&mut request);
            if number > 0 {
                let _ =
                    stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\nconnection: close\r\n\r\n");
            }
        }
    });
    format!("http://{address}/pay")
}

/// A run that holds the lock of its service and has a call in doubt.
fn in_doubt(engine: &Engine, service: &Service) -> String {
    let url = moody_server();
    let steps =
        format!("  - id: pay\n    uses: http.request\n    with: {{ url: \"{url}\", method: POST }}\n");
    let more = format!("  http: [\"{url}\"]\n");
    let book = engine.write("pay.yaml", &books::granted("read, restart", &more, &steps));
    let ended = engine.run(&["run", &book, "-p", &service.parameter(), "--yes"]);
    assert_eq!(ended.code, 12, "{ended:?}");
    id(engine)
}

#[test]
fn each_command_that_is_told_frees_the_lock_of_a_run_in_doubt() {
    let service = Service::of(1).up();
    let engine = Engine::new();
    for number in 0..3 {
        let holder = in_doubt(&engine, &service);
        let waiter = engine.spawn(&["service", "restart", &service.name(), "--yes"]);
        let told = until("whom it waits for", || {
            let said = waiter.said();
            said.contains("is in doubt").then_some(said)
        });
        let commands = told_commands(&told);
        assert_eq!(commands.len(), 3, "{told}");
        assert!(commands[number].contains(&holder), "{told}");
        engine.must(0, &commands[number].iter().map(String::as_str).collect::<Vec<_>>());
        let ended = waiter.wait();
        assert_eq!(ended.code, 0, "{ended:?}");
    }
}

/// The run has ended as cancelled, tells this, and holds no lock any more.
fn lost(engine: &Engine, service: &Service, run: &str, words: &[&str]) -> Value {
    until_true("it to end", || engine.json(&["runs", "show", run])["finished_ms"].is_u64());
    let shown = engine.json(&["runs", "show", run]);
    assert_eq!(shown["status"], "cancelled", "{shown}");
    let message = shown["message"].as_str().unwrap_or_default();
    assert!(words.iter().all(|word| message.contains(word)), "{message}");
    let next = restart(engine, service, &["--no-wait"]);
    assert_eq!(next.code, 0, "{next:?}");
    engine.must(0, &["runs", "replay", run]);
    shown
}

#[test]
fn a_lock_that_is_taken_ends_its_run_for_good() {
    let service = Service::of(1).up();
    let engine = Engine::new();
    let take = ["--take-lock", "--reason", "hung"];
    let doubtful = in_doubt(&engine, &service);
    let took = restart(&engine, &service, &take);
    assert_eq!(took.code, 0, "{took:?}");
    lost(&engine, &service, &doubtful, &["hung", "whether `http.send` at step `pay` happened is unknown"]);

    let left = suspended(&engine, &service, STOPPED);
    until_idle(&engine);
    let took = starting(&engine, &service, &take).wait();
    assert_eq!(took.code, 0, "{took:?}");
    lost(&engine, &service, &left, &["hung", &format!("`{}` is down", service.replica(1))]);

    let (run, asks) = asking(&engine, &service, RESTARTED);
    let took = restart(&engine, &service, &take);
    assert_eq!(took.code, 0, "{took:?}");
    assert_eq!(run.wait().code, 130);
    lost(&engine, &service, &asks, &["hung"]);
    engine.must(0, &["audit", "verify"]);
}

#[test]
fn a_lock_that_is_taken_ends_the_runs_of_its_steps_too() {
    let service = Service::of(1).up();
    let engine = Engine::new();
    let child =
        books::steps("read, restart", RESTARTED).replace("runbook: some-steps", "runbook: child-steps");
    std::fs::create_dir_all(engine.path("runbooks")).expect("a folder");
    engine.write("runbooks/child-steps.yaml", &child);
    let parent = "  - id: child\n    uses: runbook.child-steps\n    with: { service: \"${{ parameters.service }}\" }\n";
    let book = engine.write(
        "runbooks/parent.yaml",
        &books::steps("read, restart", parent).replace("runbook: some-steps", "runbook: parent"),
    );
    let run = engine.spawn(&["run", &book, "-p", &service.parameter(), "--yes"]);
    let asks = until("the child to ask", || {
        let runs = engine.json(&["runs", "list", "--status", "waiting"]);
        let child = runs.as_array()?.iter().find(|run| run["runbook"] == "child-steps")?;
        child["run"].as_str().map(str::to_owned)
    });
    // Who waits is told of the run that asks, not of the one that waits for it.
    let refused = restart(&engine, &service, &["--no-wait"]);
    refused.says(&[&format!("run `{asks}`"), "asks a person: is it well?"]);
    let took = restart(&engine, &service, &["--take-lock", "--reason", "hung"]);
    assert_eq!(took.code, 0, "{took:?}");
    assert_eq!(run.wait().code, 130);
    lost(&engine, &service, &asks, &["hung"]);
}
