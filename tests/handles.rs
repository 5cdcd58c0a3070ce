//! Secrets that plugins never see: the value arrives where it is meant to, and stands nowhere else.

use crate::support::books;
use crate::support::echo::Echo;
use crate::support::engine::Engine;
use crate::support::patience::until;
use crate::support::service::Service;
use crate::support::vault;

const TOKEN: &str = "tok3n-b9c1 d\u{e9}/+&=\"x";
const PASSWORD: &str = "pa55w0rd-4711-geheim";

fn engine() -> Engine {
    let engine = Engine::new();
    vault::set(&engine, "api/token", TOKEN);
    vault::set(&engine, "db/password", PASSWORD);
    engine
}

/// A runbook of these steps, with these grants beside one for the server.
fn asking(echo: &Echo, grants: &str, steps: &str) -> String {
    format!(
        "format: 1
runbook: asking
summary: Ask with secrets.
grants:
  http: [\"{}\"]
{grants}
steps:
{steps}",
        echo.url("/*")
    )
}

const USE: &str = "  secrets: [{ names: [api/token, db/*], actions: [use] }]\n";

fn request(url: &str, more: &str) -> String {
    format!("  - id: ask\n    uses: http.request\n    with:\n      url: {url}\n{more}")
}

#[test]
fn a_request_carries_it_and_nobody_else_sees_it() {
    let (echo, engine) = (Echo::start(), engine());
    let more = "      method: POST
      json: { user: me, auth: { password: none } }
      secrets:
        - { name: db/password, header: x-token, prefix: 'Bearer ' }
        - { name: api/token, json_field: /auth/password }
        - { name: api/token, json_field: /new }
        - { name: db/password, basic_auth: me }
";
    let book = engine.write("ask.yaml", &asking(&echo, USE, &request(&echo.url("/json"), more)));
    let ended = engine.must(0, &["run", &book, "--yes", "--output", "json"]);
    let form = "      method: POST
      body: user=me
      secrets: [{ name: api/token, form_field: password }]
";
    let book = engine.write("form.yaml", &asking(&echo, USE, &request(&echo.url("/form"), form)));
    engine.must(0, &["run", &book, "--yes"]);

    let seen = echo.seen();
    let json = serde_json::json!({ "auth": { "password": TOKEN }, "new": TOKEN, "user": "me" });
    let body = seen.lines().find(|line| line.starts_with('{')).expect("a JSON body");
    assert_eq!(serde_json::from_str::<serde_json::Value>(body).expect("JSON"), json);
    assert!(seen.contains(&format!("x-token: Bearer {PASSWORD}\r\n")), "{seen}");
    assert!(seen.contains("authorization: Basic bWU6cGE1NXcwcmQtNDcxMS1nZWhlaW0=\r\n"), "{seen}");
    assert!(seen.contains("user=me&password=tok3n-b9c1+d%C3%A9%2F%2B%26%3D%22x"), "{seen}");

    let told = [
        ended.said(),
        engine.must(0, &["runs", "show", "last", "--output", "json"]).said(),
        engine.must(0, &["audit", "tail", "-n", "1000", "--output", "json"]).said(),
    ];
    for text in &told {
        for form in vault::forms(TOKEN).iter().chain(&vault::forms(PASSWORD)) {
            assert!(!text.contains(form), "`{form}` in {text}");
        }
    }
    assert!(told[2].contains(r#""secret":"db/password","version":"1""#), "a use is an entry: {}", told[2]);
    vault::clean(&engine, &[TOKEN, PASSWORD]);
    let mut engine = engine;
    engine.set("HOME", engine.path("nobody").to_string_lossy().into_owned());
    engine.must(0, &["runs", "replay", "last"]).says(&["identical"]);
    engine.must(0, &["audit", "verify"]);
}

#[test]
fn what_was_not_granted_is_denied() {
    let (echo, engine) = (Echo::start(), engine());
    let secrets = "      secrets: [{ name: api/token, header: x-token }]\n";
    let other = "  secrets: [{ names: [db/*], actions: [use] }]";
    for (grants, words) in [("", "grants"), (other, "add `api/token`")] {
        let book = engine.write("no.yaml", &asking(&echo, grants, &request(&echo.url("/"), secrets)));
        engine.must(3, &["run", &book, "--yes"]).says(&["api/token", words, "no.yaml:"]);
    }
    // A name that is known only when it runs.
    let late = "      secrets: [{ name: \"${{ 'api/' + 'token' }}\", header: x-token }]\n";
    let book = engine.write("late.yaml", &asking(&echo, other, &request(&echo.url("/"), late)));
    engine.must(13, &["run", &book, "--yes"]).says(&["may not use the secret `api/token`", "late.yaml:6"]);
    let unknown = "      secrets: [{ name: db/unknown, header: x-token }]\n";
    let book = engine.write("unknown.yaml", &asking(&echo, USE, &request(&echo.url("/"), unknown)));
    engine.must(10, &["run", &book, "--yes"]).says(&["db/unknown"]);
    assert_eq!(echo.seen(), "");
}

#[test]
fn a_plan_names_versions_and_sends_nothing() {
    let (echo, engine) = (Echo::start(), engine());
    let get = request(&echo.url("/x"), "      secrets: [{ name: api/token, header: x-token }]\n");
    let book = engine.write("ask.yaml", &asking(&echo, USE, &get));
    let planned = engine.must(0, &["plan", &book]);
    planned.says(&["use the secrets api/token, db/* without seeing them", "header `x-token` of GET"]);
    let planned = engine.json(&["plan", &book]);
    assert_eq!(planned["secrets"][0]["version"], "1", "{planned}");
    assert_eq!(echo.seen(), "");
    engine.must(0, &["show", &book]).says(&["use the secrets api/token, db/* without seeing them"]);
    let digest = planned["digest"].as_str().expect("a digest").to_owned();
    vault::set(&engine, "api/token", "another-value-now");
    let refused = engine.run(&["run", &book, "--plan", &digest, "--yes"]);
    assert_ne!(refused.code, 0, "{}", refused.said());
    assert_eq!(echo.seen(), "");
}

const INSIDE: &str = r#"  - id: exec
    uses: container.exec
    with:
      service: "${{ parameters.service }}"
      command: [sh, -c, 'printf %s "$PASSWORD" | sha256sum']
      secret_env: { PASSWORD: db/password }
  - id: alone
    uses: container.run
    with:
      service: "${{ parameters.service }}"
      command: [sh, -c, 'printf %s "$PASSWORD" | sha256sum; sha256sum < /run/secrets/deep/token; stat -c %a:%u /run/secrets/deep/token']
      secret_env: { PASSWORD: db/password }
      secret_files: { /run/secrets/deep/token: api/token }
outputs:
  exec: "${{ steps.exec.output.stdout }}"
  alone: "${{ steps.alone.output.stdout }}"
"#;

fn inside() -> String {
    books::granted("read, exec, create, start, remove", USE, INSIDE)
}

#[test]
fn a_container_has_it_in_its_environment_and_in_a_file() {
    let (service, engine) = (Service::of(1).up(), engine());
    let book = engine.write("inside.yaml", &inside());
    engine
        .must(0, &["plan", &book, "-p", &service.parameter()])
        .says(&["variable `PASSWORD` of `sh`", "file `/run/secrets/deep/token` of container"]);
    engine.must(0, &["run", &book, "-p", &service.parameter(), "--yes"]);
    let outputs = engine.last()["outputs"].clone();
    let (exec, alone) = (outputs["exec"].to_string(), outputs["alone"].to_string());
    assert!(exec.contains(&vault::sha256(PASSWORD)), "{outputs}");
    for wanted in [vault::sha256(PASSWORD), vault::sha256(TOKEN), "400:0".to_owned()] {
        assert!(alone.contains(&wanted), "{wanted}: {outputs}");
    }
    assert_eq!(service.containers().len(), 1, "the one-shot container is gone");
    vault::clean(&engine, &[TOKEN, PASSWORD]);
    engine.must(0, &["runs", "replay", "last"]).says(&["identical"]);
}

#[test]
fn a_container_that_a_crash_left_behind_gets_its_file() {
    let (service, engine) = (Service::of(1).up(), engine());
    let book = engine.write("inside.yaml", &inside());
    let run = engine.spawn(&["run", &book, "-p", &service.parameter(), "--yes"]);
    // Killed between the making of the container and its start: with some luck before the file is in it.
    until("the container to be made", || (service.containers().len() == 2).then_some(()));
    run.kill();
    for name in ["db/password", "api/token"] {
        vault::set(&engine, name, "a-newer-value-of-it");
    }
    engine.must(0, &["runs", "resume", "--yes"]);
    let alone = engine.last()["outputs"]["alone"].to_string();
    for wanted in [vault::sha256(PASSWORD), vault::sha256(TOKEN), "400:0".to_owned()] {
        assert!(alone.contains(&wanted), "{wanted}: {alone}");
    }
    assert_eq!(service.containers().len(), 1, "the one-shot container is gone");
    engine.must(0, &["runs", "replay", "last"]).says(&["identical"]);
}

/// Waits between the `get` and the request, so that the engine can be killed there.
const SLOW: &str = "  - id: ask
    uses: slow.attack
";

#[test]
fn a_run_that_was_killed_uses_the_version_it_had() {
    use crate::hostile::component::{Arg, Guest};
    let (echo, engine) = (Echo::start(), engine());
    let mut guest = Guest::new();
    let get = guest.call("secrets.get", &[Arg::Text("api/token")]);
    let part = guest.place(&[0; 24]);
    let header = guest.place(b"x-token");
    let sleep = guest.call("clock.sleep", &[Arg::Long(4_000)]);
    let number = |n: usize| Arg::Number(u32::try_from(n).expect("small"));
    let url = echo.url("/slow");
    let send = guest.call(
        "http.send-with-secrets",
        &[
            Arg::Text("POST"),
            Arg::Text(&url),
            Arg::Pairs(&[]),
            Arg::Maybe(None),
            Arg::Long(5_000),
            Arg::Number(1),
            number(part),
            Arg::Number(1),
        ],
    );
    let put = format!(
        "(i32.store (i32.const {part}) (i32.load (i32.const 72))) (i32.store (i32.const {}) (i32.const {header}))
         (i32.store (i32.const {}) (i32.const 7))",
        part + 8,
        part + 12
    );
    let wasm = guest.does(&format!("{get}\n{put}\n{sleep}\n{send}"));
    crate::hostile::arena::add(&engine, "slow", &wasm);
    vault::set(&engine, "api/token", "first-value-of-it");
    let book = engine.write("slow.yaml", &asking(&echo, USE, SLOW));

    let run = engine.spawn(&["run", &book, "--yes"]);
    until("the handle to be had", || {
        let entries = engine.run(&["audit", "tail", "-n", "50", "--output", "json"]).said();
        entries.contains("secrets.get").then_some(())
    });
    run.kill();
    vault::set(&engine, "api/token", "second-value-of-it");
    engine.must(0, &["runs", "resume", "--yes"]);

    let seen = echo.seen();
    assert!(seen.contains("x-token: first-value-of-it"), "{seen}");
    assert!(!seen.contains("second-value"), "{seen}");
    engine.must(0, &["runs", "replay", "last"]).says(&["identical"]);
}

#[test]
fn a_look_at_the_text_is_loud_and_leaves_no_trace() {
    use crate::hostile::component::{Arg, Guest};
    let mut engine = engine();
    let mut guest = Guest::new();
    let get = guest.call("secrets.get", &[Arg::Text("db/password")]);
    let reveal = guest.raw("plain-text.reveal", "(i32.load (i32.const 72))");
    // Fails unless the text has its length, and tells it to the log.
    let length = PASSWORD.len();
    let log = guest.raw("log.write", "(i32.const 1) (i32.load (i32.const 72)) (i32.load (i32.const 76))");
    let check = format!("(if (i32.ne (i32.load (i32.const 76)) (i32.const {length})) (then unreachable))");
    let wasm = guest.does(&format!("{get}\n{reveal}\n{log}\n{check}"));
    crate::hostile::arena::add(&engine, "seer", &wasm);
    engine
        .must(0, &["plugin", "show", "seer"])
        .says(&["MAY SEE THE PLAIN TEXT", "runbook:secrets/plain-text"]);
    let book = |actions: &str| {
        format!(
            "format: 1\nrunbook: seeing\nsummary: See.\ngrants:\n  secrets: {{ names: db/password, actions: [{actions}] }}\nsteps:\n  - {{ id: see, uses: seer.attack }}\n"
        )
    };
    let no = engine.write("no.yaml", &book("use"));
    engine.must(10, &["run", &no, "--yes"]);
    engine.must(0, &["audit", "tail", "-n", "20", "--output", "json"]).says(&["may not see the plain text"]);

    let yes = engine.write("runbooks/yes.yaml", &book("reveal"));
    let yes = format!("./{yes}");
    engine.must(0, &["show", &yes]).says(&["SEE THE PLAIN TEXT of the secret db/password"]);
    engine.must(0, &["validate", &yes]).says(&["SEE THE PLAIN TEXT of db/password"]);
    engine.must(0, &["list"]).says(&["REVEALS SECRETS"]);
    engine.must(0, &["run", &yes, "--yes"]).says(&["[secret db/password]"]);
    vault::clean(&engine, &[PASSWORD]);
    engine.must(0, &["runs", "replay", "last"]).says(&["identical"]);
    crate::support::engine::until_idle(&engine);
    engine.set("HOME", engine.path("nobody").to_string_lossy().into_owned());
    let replayed = engine.must(10, &["runs", "replay", "last"]);
    replayed.says(&["saw the plain text of the secret `db/password`"]);
}

#[test]
fn what_hides_a_value_does_not_hide_it() {
    let (service, engine) = (Service::of(1).up(), engine());
    let steps = INSIDE.replace(
        "printf %s \"$PASSWORD\" | sha256sum'",
        "printf \"user:%s%s%s\" \"$PASSWORD\" \"$PASSWORD\" \"$PASSWORD\" | base64'",
    );
    let book = books::granted("read, exec, create, start, remove", USE, &steps);
    let book = engine.write("folded.yaml", &book);
    engine.must(0, &["run", &book, "-p", &service.parameter(), "--yes"]);
    let outputs = engine.last()["outputs"]["exec"].to_string();
    assert!(outputs.contains("[secret db/password]"), "{outputs}");

    let plain = engine.write("plain.yaml", &format!("# {PASSWORD}\n{}", inside()));
    let parameter = service.parameter();
    for words in [&["validate", &plain][..], &["run", &plain, "-p", &parameter]] {
        let refused = engine.must(3, words);
        refused.says(&["plain.yaml:1:3", "the value of the secret `db/password` stands here"]);
    }
    let kept = ["state", "set", "notes", PASSWORD, "1"];
    assert_ne!(engine.run(&kept).code, 0, "a key is kept as it is");
    vault::clean(&engine, &[TOKEN, PASSWORD]);

    engine.must(0, &["secret", "list"]);
    std::fs::rename(engine.path("../.config"), engine.path("elsewhere")).expect("the key's folder");
    engine
        .must(0, &["run", "service-status", "-p", &service.parameter()])
        .says(&["the secrets cannot be opened"]);
}
