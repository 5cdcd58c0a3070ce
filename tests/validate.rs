//! Broken runbooks through the binary: where, the line, what to do; all of them at once.

use crate::support::engine::Engine;

const UNKNOWN_KEY: &str = "format: 1
runbook: one
sumary: A slip.
steps:
  - id: hello
    uses: core.log
    with: { message: hello }
";

const UNKNOWN_STEP: &str = "format: 1
runbook: two
summary: Another slip.
steps:
  - id: hello
    uses: core.lgo
    with: { message: hello }
  - id: again
    uses: core.log
    with: { message: \"${{ parameters.nmae }}\" }
";

const UNQUOTED: &str = "format: 1
runbook: three
summary: No quotes.
parameters:
  name: { type: string }
steps:
  - id: hello
    uses: core.log
    with: { message: ${{ parameters.name }} }
";

#[test]
fn each_trouble_has_its_place_its_line_and_a_hint() {
    let engine = Engine::new();
    let files = [("one.yaml", UNKNOWN_KEY), ("two.yaml", UNKNOWN_STEP), ("three.yaml", UNQUOTED)];
    let names: Vec<String> = files.iter().map(|(name, text)| engine.write(name, text)).collect();
    let mut arguments = vec!["validate"];
    arguments.extend(names.iter().map(String::as_str));

    let ended = engine.must(3, &arguments);

    ended.says(&[
        "one.yaml:3:1: unknown key `sumary`",
        "sumary: A slip.",
        "did you mean `summary`?",
        "two.yaml:6:11: ",
        "uses: core.lgo",
        "core.log",
        "two.yaml:10:",
        "three.yaml:9:",
        "with: { message: ${{ parameters.name }} }",
    ]);
    assert!(ended.said().matches("hint:").count() >= 4, "{}", ended.said());
    assert!(!engine.data().exists(), "looking changes nothing");
}

const CANNOT_WORK: &str = "format: 1
runbook: four
summary: It reads well and cannot work.
parameters:
  n: { type: integer, default: 1 }
grants:
  containers: { select: { service: shop/web }, actions: [read] }
  http: [\"http://web:99999/\"]
  state: [{ bucket: engine, actions: [write] }]
steps:
  - id: look
    uses: service.status
    with: { service: shop/web }
    until: output.runing > 0
  - id: there
    uses: check.container
    with: { container: web, state: runing }
  - id: say
    uses: core.log
    with: { message: hello }
    if: parameters.n + 1
";

#[test]
fn what_could_never_work_is_told_before_it_runs() {
    let engine = Engine::new();
    let book = engine.write("four.yaml", CANNOT_WORK);
    let ended = engine.must(3, &["validate", &book]);
    ended.says(&[
        "the port is a number from 1 to 65535",
        "the bucket `engine` is the engine's own",
        "`output` has no `runing`",
        "did you mean `running`?",
        "this must be one of `",
        "this comes to a number, and it must be true or false",
    ]);
}

const SLIP_LATER: &str = "format: 1
runbook: five
summary: A slip in the second step.
grants:
  containers: { select: { service: shop/db }, actions: [read, exec, restart] }
  http: [\"http://*:8080/*\"]
steps:
  - id: first
    uses: service.restart
    with: { service: shop/db }
  - id: dump
    uses: container.exec
    with: { service: shop/db, command: [id, -un], timout: 2h }
  - id: site
    uses: check.http
    with: { service: shop/db, port: 8080, headers: { Host: shop.example } }
";

/// Nothing may happen before a later step turns out to be wrong.
#[test]
fn a_slip_in_a_later_step_is_told_before_the_first_one_runs() {
    let engine = Engine::new();
    let book = engine.write("five.yaml", SLIP_LATER);
    for verb in ["validate", "plan", "run"] {
        engine.must(3, &[verb, &book]).says(&[
            "five.yaml:13:51: steps[1].with: there is no input `timout`",
            "did you mean `timeout`?",
            "five.yaml:16:54: steps[2].with.headers: a step may not set the header `Host`",
            "write the site into the URL",
        ]);
    }
}

const QUIET: &str = "format: 1
runbook: six
summary: It says less than it does.
risk: low
grants:
  containers: { select: { service: shop/db }, actions: [read, exec] }
steps:
  - id: look
    summary: Look.
    uses: container.exec
    with: { service: shop/db, command: [date] }
";

#[test]
fn the_risk_that_counts_is_shown_and_less_is_warned_of() {
    let engine = Engine::new();
    let medium = engine.write("runbooks/six.yaml", QUIET);
    engine.must(0, &["validate", &medium]).says(&[
        "six.yaml:4:7: the risk is `medium`, not `low`: its grants change something",
        "write `risk: medium`",
    ]);
    engine.must(0, &["show", &medium]).says(&["risk   medium", "commands are not held back"]);
    assert_eq!(engine.json(&["show", &medium])["risk"], "medium");
    let grants = "actions: [read, exec] }\n  secrets: { names: [token], actions: [reveal] }";
    let high = QUIET.replace("six", "seven").replace("actions: [read, exec] }", grants);
    let high = engine.write("runbooks/seven.yaml", &high);
    engine
        .must(0, &["validate", &high])
        .says(&["the risk is `high`, not `low`: it may see the plain text of secrets"]);
    engine.must(2, &["run", &high]).says(&["the risk of `seven` is high", "--yes"]);
    let listed = engine.json(&["list"]);
    let risk = |name: &str| {
        listed
            .as_array()
            .into_iter()
            .flatten()
            .find(|book| book["name"] == name)
            .map(|book| book["risk"].clone())
    };
    assert_eq!((risk("six"), risk("seven")), (Some("medium".into()), Some("high".into())));
    assert_eq!(risk("service-stop"), Some("high".into()));
}

#[test]
fn a_broken_one_does_not_run() {
    let engine = Engine::new();
    let book = engine.write("one.yaml", UNKNOWN_KEY);
    for verb in ["run", "plan"] {
        engine.must(3, &[verb, &book]).says(&["one.yaml:3:1", "hint:"]);
    }
}

#[test]
fn good_ones_are_said_to_be_good() {
    let engine = Engine::new();
    let book = engine.write("hello.yaml", crate::support::books::HELLO);
    engine.must(0, &["validate", &book]);
    let document = engine.run(&["validate", &book, "--output", "json"]).document();
    assert!(document.is_object() || document.is_array(), "{document}");
}

#[test]
fn the_library_is_good() {
    let engine = Engine::new();
    let listed = engine.json(&["list"]);
    let names: Vec<&str> =
        listed.as_array().expect("a list").iter().filter_map(|book| book["name"].as_str()).collect();
    assert!(names.len() >= 11, "{names:?}");
    for name in names {
        engine.must(0, &["show", name]).says(&[name]);
    }
}
