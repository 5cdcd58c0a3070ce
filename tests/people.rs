//! One person, one name: entries name whom the kernel knows, whatever the environment or a client says; and who asked for a
//! run does not answer what it asks of named people.

use std::os::unix::fs::chown;
use std::process::Command;

use serde_json::{Value, json};

use crate::support::books::HELLO;
use crate::support::engine::{BINARY, Ended, Engine, Running};
use crate::support::patience::until;
use crate::support::socket::{hello, post};

/// Users whom nobody gave a name on this machine.
const ALICE: u32 = 47_111;
const BOB: u32 = 47_112;

/// What a person may claim to be.
const CLAIMS: [(&str, &str); 4] =
    [("SUDO_USER", "mallory"), ("USER", "mallory"), ("LOGNAME", "mallory"), ("RUNBOOK_ACTOR", "mallory")];

fn name(uid: u32) -> String {
    format!("uid:{uid}")
}

/// As this user, without a login.
fn user(engine: &Engine, uid: u32, words: &[&str]) -> Running {
    let mut command = Command::new("setpriv");
    command.args(["--reuid", &uid.to_string(), "--clear-groups", BINARY]).args(words).envs(CLAIMS);
    engine.begin(&mut command)
}

/// As root, after this user has logged in, as with `sudo`.
fn login(engine: &Engine, uid: u32, words: &[&str]) -> Running {
    let mut command = Command::new("sh");
    let script = "echo \"$0\" > /proc/self/loginuid && exec \"$@\"";
    command.args(["-c", script, &uid.to_string(), BINARY]).args(words).envs(CLAIMS);
    engine.begin(&mut command)
}

fn must(code: i32, running: Running) -> Ended {
    let ended = running.wait();
    assert_eq!(ended.code, code, "{}", ended.said());
    ended
}

/// Who made the entries, each once.
fn actors(engine: &Engine) -> Vec<String> {
    let tail = engine.must(0, &["audit", "tail", "--lines=1000", "--output", "json"]).stdout;
    let actor = |line: &str| {
        let entry: Value = serde_json::from_str(line).expect("a document a line");
        entry["actor"].as_str().expect("an actor").to_owned()
    };
    let mut actors: Vec<String> = tail.lines().map(actor).collect();
    actors.sort();
    actors.dedup();
    actors
}

/// The home of somebody else: a directory of theirs in it.
fn of(uid: u32) -> Engine {
    let engine = Engine::new();
    engine.write("hello.yaml", HELLO);
    let home = engine.data().parent().expect("a home").to_owned();
    for folder in [home.clone(), home.join("work")] {
        chown(folder, Some(uid), Some(uid)).expect("only root gives a folder away");
    }
    engine
}

#[test]
fn of_a_user_whatever_they_claim() {
    let engine = of(ALICE);
    must(0, user(&engine, ALICE, &["run", "hello.yaml"]));
    must(0, user(&engine, ALICE, &["state", "set", "bucket", "key", "1"]));
    must(0, user(&engine, ALICE, &["halt", "on", "--reason", "storage"]));
    must(0, user(&engine, ALICE, &["halt", "off", "--reason", "over"]));
    assert_eq!(actors(&engine), [name(ALICE)]);
    let shown = engine.json(&["runs", "show", "last"]);
    assert_eq!(shown["row"]["actor"], name(ALICE).as_str());
    // What the environment said is kept as a remark.
    let tail = engine.must(0, &["audit", "tail", "--lines=1000", "--output", "json"]).stdout;
    let accepted = tail.lines().find(|line| line.contains("run.accepted")).expect("an acceptance");
    let accepted: Value = serde_json::from_str(accepted).expect("a document");
    assert_eq!(accepted["data"]["sudo_user"], "mallory");
}

#[test]
fn of_root_whatever_they_claim() {
    let engine = Engine::new();
    engine.write("hello.yaml", HELLO);
    let mut root = Command::new(BINARY);
    must(0, engine.begin(root.args(["run", "hello.yaml"]).envs(CLAIMS)));
    assert_eq!(actors(&engine), ["root"]);
}

/// Whoever makes a namespace of users is root in it, or anybody else.
#[test]
fn of_nobody_in_a_namespace_of_users() {
    let engine = Engine::new();
    engine.write("hello.yaml", HELLO);
    let mut root = Command::new("unshare");
    root.args(["--user", "--map-root-user", BINARY, "run", "hello.yaml"]).envs(CLAIMS);
    must(0, engine.begin(&mut root));
    assert_eq!(actors(&engine), ["root@user-namespace"]);
}

#[test]
fn of_who_logged_in_and_became_root() {
    let engine = Engine::new();
    engine.write("hello.yaml", HELLO);
    must(0, login(&engine, ALICE, &["run", "hello.yaml"]));
    assert_eq!(actors(&engine), [name(ALICE)]);
    // Over the socket of somebody else's engine too.
    let serves = login(&engine, BOB, &["engine", "--data-dir", &engine.data().display().to_string()]);
    until("an engine", || post(&engine, "/v1/plans", &hello("a look")).map(drop));
    must(0, login(&engine, ALICE, &["state", "set", "bucket", "key", "1"]));
    let tail = engine.must(0, &["audit", "tail", "--lines=1000"]).stdout;
    let set = tail.lines().find(|line| line.contains("state.set")).expect("an entry");
    assert!(set.contains(&name(ALICE)), "{set}");
    must(0, serves);
}

/// Asks an engine until one answers: one that nobody needs goes away.
fn answered(engine: &Engine, path: &str, document: &Value) -> u16 {
    let serve = || engine.spawn(&["engine", "--data-dir", &engine.data().display().to_string()]);
    until("an answer", || {
        if engine.background().is_empty() {
            drop(serve());
        }
        post(engine, path, document).filter(|(_, said)| said["leaving"] != true)
    })
    .0
}

#[test]
fn of_a_client_that_gives_itself_a_name() {
    let engine = Engine::new();
    let mut request = hello("forged");
    request["actor"] = json!("mallory");
    assert_eq!(answered(&engine, "/v1/runs", &request), 200);
    let fact = json!({ "actor": "mallory", "kind": "state.set", "data": {}, "state": [] });
    assert_eq!(answered(&engine, "/v1/facts", &fact), 200);
    let halt = json!({ "actor": "mallory", "on": false, "reason": "none" });
    assert_eq!(answered(&engine, "/v1/halt", &halt), 200);
    assert_eq!(actors(&engine), ["root"]);
}

/// A runbook that asks these people.
fn asks(who: &str, more: &str) -> String {
    format!(
        "format: 1
runbook: asks
summary: Ask.
steps:
  - {{ id: ask, uses: ask.person, with: {{ question: well?, who: {who}{more} }} }}
"
    )
}

#[test]
fn who_asked_does_not_answer() {
    let engine = Engine::new();
    let alice = name(ALICE);
    engine.write("asks.yaml", &asks(&format!("[root, '{alice}']"), ""));
    let asked = engine.spawn(&["run", "asks.yaml"]);
    engine.until_status("waiting");
    let run = engine.newest()["run"].as_str().expect("a run").to_owned();

    let refused = engine.must(10, &["runs", "approve", "last"]);
    refused.says(&["`root` asked for the run", &alice, &format!("runbook runs approve {run} --step ask")]);
    let refused = must(10, login(&engine, BOB, &["runs", "approve", "last"]));
    refused.says(&[&format!("{alice} must answer, not `{}`", name(BOB))]);

    // Whoever waits is told who may answer, and how.
    let who = format!("{alice}, not root, who asked for the run");
    engine.must(0, &["runs", "show", "last"]).says(&["may answer:", &who, "runbook runs approve"]);
    engine.must(0, &["runs", "list"]).says(&[&format!("asks {alice}")]);
    let asks = engine.last()["asked"][0].clone();
    assert_eq!((&asks["path"], &asks["by"]), (&json!("ask"), &json!([alice])));
    assert_eq!(asks["with"][0], format!("runbook runs approve {run} --step ask"));
    assert!(asked.told().contains(&who) || asked.said().contains(&who), "the one who asked is told too");

    must(0, login(&engine, ALICE, &["runs", "approve", "last"]));
    assert_eq!(asked.wait().code, 0);
    assert_eq!(engine.last()["steps"][0]["output"]["by"], alice.as_str());
}

#[test]
fn who_asked_answers_where_the_runbook_says_so() {
    let engine = Engine::new();
    engine.write("asks.yaml", &asks("[root]", ", self: true"));
    let asked = engine.spawn(&["run", "asks.yaml"]);
    engine.until_status("waiting");
    engine.must(0, &["runs", "approve", "last"]);
    assert_eq!(asked.wait().code, 0);
}

#[test]
fn a_plan_says_that_nobody_could_answer() {
    let engine = Engine::new();
    engine.write("asks.yaml", &asks("[root]", ""));
    engine.must(0, &["plan", "asks.yaml"]).says(&["nobody: it asks only root, who asked for the run"]);
    engine.write("asks.yaml", &asks("[root, kim]", ""));
    engine.must(0, &["plan", "asks.yaml"]).says(&["may answer: kim, not root"]);
}

#[test]
fn root_is_told_whose_directory_it_is() {
    let engine = of(ALICE);
    must(0, user(&engine, ALICE, &["run", "hello.yaml"]));
    let refused = engine.must(4, &["run", "hello.yaml"]);
    refused.says(&[&name(ALICE), &format!("sudo -u '#{ALICE}' runbook")]);
    for words in [
        "state set bucket key 1",
        "secret set a",
        "halt on --reason storage",
        "audit join",
        "audit prune --older-than 1d",
    ] {
        engine.must(4, &words.split(' ').collect::<Vec<_>>()).says(&["belongs to", "sudo -u"]);
    }
    engine.must(4, &["run", "hello.yaml", "--emergency", "--reason", "urgent"]).says(&["sudo -u"]);
    engine.must(0, &["runs", "list"]).says(&["hello"]);
    must(0, user(&engine, ALICE, &["run", "hello.yaml"]));
    assert_eq!(actors(&engine), [name(ALICE)]);
}
