//! A plan changes nothing and tells the truth; a run held to it does that or nothing.

use serde_json::Value;

use crate::support::books::{self, Restart};
use crate::support::docker::{IMAGE, docker};
use crate::support::engine::Engine;
use crate::support::service::Service;

/// `stop NAME`, `start NAME` of a plan, in order.
fn planned(plan: &Value) -> Vec<String> {
    let writes = plan["writes"].as_array().expect("writes");
    let word = |write: &Value| {
        let function = write["function"].as_str().expect("a function");
        let word = function.strip_prefix("containers.").expect("of containers");
        format!("{word} {}", write["target"].as_str().expect("a target"))
    };
    writes.iter().map(word).collect()
}

/// The same of what Docker saw. It tells of a stop's signal too, and calls a removal `destroy`.
fn done(service: &Service, mark: usize) -> Vec<String> {
    let writes = service.events.writes(mark).into_iter().filter(|(action, _)| !action.starts_with("kill"));
    let word = |action: String| if action == "destroy" { "remove".to_owned() } else { action };
    writes.map(|(action, name)| format!("{} {name}", word(action))).collect()
}

/// Plans twice, sees that nothing happens, runs the plan, sees that exactly that happens.
fn holds(service: &Service, engine: &Engine, arguments: &[&str]) -> Vec<String> {
    let mark = service.events.mark();
    let with = |verb: &'static str, more: &[&'static str]| -> Vec<String> {
        [verb].iter().chain(arguments).chain(more).map(ToString::to_string).collect()
    };
    let run = |words: &[String], code: i32| {
        let words: Vec<&str> = words.iter().map(String::as_str).collect();
        engine.json_with(code, &words)
    };
    let plan = run(&with("plan", &[]), 0);
    let again = run(&with("plan", &[]), 0);
    assert_eq!(plan["digest"], again["digest"], "the same world, the same plan");
    assert_eq!(plan["unknown"], Value::Array(Vec::new()));
    assert_eq!(service.events.writes(mark), [], "a plan touches nothing");

    let mut held = with("run", &["--yes", "--plan"]);
    held.push(plan["digest"].as_str().expect("a digest").to_owned());
    let ended = run(&held, 0);
    assert_eq!(ended["status"], "succeeded");
    assert_eq!(done(service, mark), planned(&plan));

    let mark = service.events.mark();
    let refused = run(&held, 10);
    assert!(refused["error"]["message"].as_str().expect("words").contains("changed since the plan"));
    assert_eq!(service.events.writes(mark), [], "what was planned for another world is not begun");
    planned(&plan)
}

#[test]
fn of_a_restart() {
    let service = Service::of(3).up();
    let engine = Engine::new();
    let book = engine.write("restart.yaml", &books::restart(&Restart::default()));
    let writes = holds(&service, &engine, &[&book, "-p", &service.parameter()]);
    let expected: Vec<String> = service
        .replicas()
        .iter()
        .flat_map(|name| [format!("stop {name}"), format!("start {name}")])
        .collect();
    assert_eq!(writes, expected);
}

#[test]
fn of_a_scale() {
    let service = Service::of(2).up();
    let engine = Engine::new();
    let up = ["service-scale", "-p", &service.parameter(), "-p", "replicas=3"];
    let writes = holds(&service, &engine, &up);
    let third = service.replica(3);
    assert_eq!(writes, [format!("create {third}"), format!("start {third}")]);
    assert_eq!(service.containers().len(), 3);

    let down = ["service-scale", "-p", &service.parameter(), "-p", "replicas=2", "-p", "grace=1s"];
    let writes = holds(&service, &engine, &down);
    assert_eq!(writes, [format!("stop {third}"), format!("remove {third}")]);
    assert_eq!(service.containers().len(), 2);
}

/// One step is skipped, one runs once per replica.
const CHOOSY: &str = r#"
  - id: look
    uses: service.status
    with: { service: "${{ parameters.service }}" }
  - id: never
    uses: service.restart
    with: { service: "${{ parameters.service }}", grace: 1s }
    if: steps.look.output.running > 100
  - id: each
    uses: service.restart
    with: { service: "${{ item }}", grace: 1s }
    if: steps.look.output.running > 1
    for_each: parameters.names
"#;

#[test]
fn of_conditions_and_items() {
    let service = Service::of(3).up();
    let engine = Engine::new();
    let book = engine.write("choosy.yaml", &books::steps("read, restart", CHOOSY));
    let names = format!("names={},{}", service.replica(3), service.replica(1));
    let writes = holds(&service, &engine, &[&book, "-p", &service.parameter(), "-p", &names]);
    let expected: Vec<String> = [service.replica(3), service.replica(1)]
        .iter()
        .flat_map(|name| [format!("stop {name}"), format!("start {name}")])
        .collect();
    assert_eq!(writes, expected);
}

#[test]
fn a_person_who_was_quicker_makes_it_stale() {
    let service = Service::of(2).up();
    let engine = Engine::new();
    let book = engine.write("restart.yaml", &books::restart(&Restart::default()));
    let plan = engine.json(&["plan", &book, "-p", &service.parameter()]);
    docker(&["restart", "--time", "1", &service.replica(2)]);
    let mark = service.events.mark();

    let digest = plan["digest"].as_str().expect("a digest");
    let ended = engine.must(10, &["run", &book, "-p", &service.parameter(), "--yes", "--plan", digest]);

    ended.says(&["changed since the plan", "hint:"]);
    assert_eq!(service.events.writes(mark), []);
}

#[test]
fn of_what_keeps_evidence_and_of_a_clone_for_one_command() {
    let service = Service::of(1).up();
    let engine = Engine::new();
    let parameter = service.parameter();
    let books: [&[&str]; 2] = [
        &["service-force-restart", "-p", &parameter],
        &["container-script", "-p", &parameter, "-p", "body=true", "-p", "one_shot=true"],
    ];
    for book in books {
        let plan = engine.json(&[["plan"].as_slice(), book].concat());
        let digest = plan["digest"].as_str().expect("a digest");
        let held = [["run"].as_slice(), book, &["--yes", "--plan", digest]].concat();
        let mark = service.events.mark();
        assert_eq!(engine.json(&held)["status"], "succeeded", "{book:?}");
        assert!(!service.events.writes(mark).is_empty());
    }
    assert_eq!(service.containers(), service.replicas(), "the clone is gone");
}

/// Asks before it restarts.
const ASK_AND_RESTART: &str = r#"
  - { id: ask, uses: ask.person, with: { question: sure } }
  - id: restart
    uses: service.restart
    with: { service: "${{ parameters.service }}", grace: 1s }
"#;

/// A held run that waits for a person, while somebody does something: then it touches nothing and says these words.
fn finds_another_world(change: impl FnOnce(&Service), words: impl FnOnce(&Service) -> [String; 2]) {
    let service = Service::of(2).up();
    let engine = Engine::new();
    let book = engine.write("ask.yaml", &books::steps("read, restart", ASK_AND_RESTART));
    let parameter = service.parameter();
    let plan = engine.json(&["plan", &book, "-p", &parameter]);
    let digest = plan["digest"].as_str().expect("a digest");
    let run = engine.spawn(&["run", &book, "-p", &parameter, "--yes", "--plan", digest]);
    engine.until_status("waiting");
    change(&service);
    let mark = service.events.mark();
    engine.must(0, &["runs", "approve", "last"]);
    let ended = run.wait();
    assert_eq!(ended.code, 10, "{ended:?}");
    let [name, how] = words(&service);
    ended.says(&[&format!("`{name}` has changed since the plan was made"), &how, "nothing was done"]);
    assert_eq!(service.events.writes(mark), [], "not even what is still as it was");
}

#[test]
fn a_world_that_changes_while_a_person_thinks_is_left_alone() {
    finds_another_world(
        |service| drop(docker(&["restart", "--time", "1", &service.replica(1)])),
        |service| [service.replica(1), "it was started again at".to_owned()],
    );
}

#[test]
fn a_target_that_is_gone_is_not_passed_over() {
    finds_another_world(
        |service| drop(docker(&["rm", "--force", &service.replica(2)])),
        |service| [service.replica(2), "it is gone".to_owned()],
    );
}

#[test]
fn of_a_recreate_the_way_back_is_open() {
    let service = Service::of(1).up();
    let engine = Engine::new();
    let id = service.inspect(1, "{{.Id}}");
    let recreate =
        ["service-recreate", "-p", &service.parameter(), "-p", "env=NEVER_HEALTHY=1", "-p", "wait=3s"];
    let recreate = [recreate.as_slice(), &["-p", "grace=1s"]].concat();
    let plan = engine.json(&[["plan"].as_slice(), &recreate].concat());
    let digest = plan["digest"].as_str().expect("a digest");
    let ended = engine.must(10, &[["run"].as_slice(), &recreate, &["--yes", "--plan", digest]].concat());
    ended.says(&["the old one is back"]);
    assert_eq!(service.containers(), service.replicas());
    assert_eq!(service.inspect(1, "{{.Id}}"), id);
    assert!(service.is_healthy(1));
}

#[test]
fn a_tag_that_moved_is_another_world() {
    let service = Service::of(1).up();
    let engine = Engine::new();
    let tag = format!("{}:next", service.project());
    docker(&["tag", "runbook-test:1", &tag]);
    let image = format!("image={tag}");
    let recreate = ["service-recreate", "-p", &service.parameter(), "-p", &image];
    let plan = engine.json(&[["plan"].as_slice(), &recreate].concat());
    docker(&["tag", "runbook-test:2", &tag]);
    let mark = service.events.mark();
    let digest = plan["digest"].as_str().expect("a digest");
    let ended = engine.must(10, &[["run"].as_slice(), &recreate, &["--yes", "--plan", digest]].concat());
    docker(&["rmi", &tag]);
    ended.says(&["changed since the plan"]);
    assert_eq!(service.events.writes(mark), []);
}

/// What a plan does not reach is unknown, and no run is held to it.
#[test]
fn of_more_than_a_plan_may_hold() {
    let engine = Engine::new();
    let items: Vec<String> = (0..12).map(|item| format!("\"{item}\"")).collect();
    let items = items.join(", ");
    let steps = (0..200).fold(String::new(), |all, step| {
        all + &format!(
            "  - {{ id: s{step}, uses: core.log, with: {{ message: \"${{{{ item }}}}\" }}, for_each: parameters.all, max_parallel: 50 }}\n"
        )
    });
    let book = format!(
        "format: 1\nrunbook: many\nsummary: Do very much.\nparameters: {{ all: {{ type: list, default: [{items}] }} }}\nsteps:\n{steps}"
    );
    let book = engine.write("many.yaml", &book);
    let plan = engine.json(&["plan", &book]);
    let unknown = plan["unknown"].as_array().expect("what is unknown");
    assert!(
        unknown.iter().any(|one| one.as_str().is_some_and(|one| one.contains("2000 attempts"))),
        "{unknown:?}"
    );
    let planned = plan["steps"].as_array().expect("steps");
    let of = |fate: &str, step: &str| {
        let path =
            |row: &&Value| row["path"].as_str().is_some_and(|path| path.split('[').next() == Some(step));
        planned.iter().filter(path).filter(|row| row["fate"] == fate).count()
    };
    let reached = 2_000 / 12;
    assert_eq!((of("runs", "s0"), of("runs", "s199")), (12, 0));
    for step in reached..200 {
        assert!(of("unknown", &format!("s{step}")) > 0, "s{step}");
    }
    let digest = plan["digest"].as_str().expect("a digest");
    let held = engine.must(10, &["run", &book, "--yes", "--plan", digest]);
    held.says(&["no run can be held to this plan", "2000 attempts", "without --plan"]);
    assert_eq!(engine.json(&["runs", "list"]), Value::Array(Vec::new()));
}

/// What a command prints decides about all that follows.
const GUESSED: &str = r#"
  - id: count
    uses: container.exec
    with: { service: "${{ parameters.service }}", command: [echo, "3"] }
  - id: some
    uses: core.log
    if: int(steps.count.output.stdout) > 2
    with: { message: "${{ steps.count.output.stdout }} of them" }
  - id: each
    uses: core.log
    for_each: "[1, 2, 3].filter(n, n < int(steps.count.output.stdout))"
    with: { message: "number ${{ item }}" }
  - id: nap
    uses: core.sleep
    with: { for: "${{ steps.count.output.stdout }}ms" }
  - id: known
    uses: core.log
    with: { message: "${{ size(steps.each.output) }} of them" }
outputs:
  count: ${{ int(steps.count.output.stdout) }}
"#;

#[test]
fn what_cannot_be_known_stays_unknown() {
    let service = Service::of(1).up();
    let engine = Engine::new();
    let book = engine.write("guessed.yaml", &books::steps("read, exec", GUESSED));
    let plan = engine.json(&["plan", &book, "-p", &service.parameter()]);
    assert_eq!(plan["status"], "succeeded");
    let fates: Vec<&str> =
        plan["steps"].as_array().expect("steps").iter().filter_map(|step| step["fate"].as_str()).collect();
    assert_eq!(fates, ["runs", "unknown", "unknown", "unknown", "runs"]);
    let unknown = plan["unknown"].to_string();
    for words in ["`if: int(steps.count", "what items step `each` has", "step `nap`", "output `count`"] {
        assert!(unknown.contains(words), "{unknown}");
    }
    let run = engine.json(&["run", &book, "-p", &service.parameter(), "--yes"]);
    assert_eq!((run["status"].as_str(), run["outputs"]["count"].as_i64()), (Some("succeeded"), Some(3)));
}

#[test]
fn of_a_script_in_a_container_of_its_own() {
    let service = Service::of(1).up();
    let engine = Engine::new();
    let parameter = service.parameter();
    let script = ["-p", "body=echo hi", "-p", "one_shot=true"];
    let arguments = [&["plan", "container-script", "-p", &parameter], &script[..]].concat();
    let plan = engine.json(&arguments);
    assert_eq!(plan["status"], "succeeded");
    assert!(plan["unknown"].to_string().contains("what it prints"), "{}", plan["unknown"]);
}

#[test]
fn a_plan_that_ends_badly_exits_as_the_run_would() {
    let service = Service::of(1).up();
    let engine = Engine::new();
    let fail = "  - { id: no, uses: core.fail, with: { message: no } }\n";
    let denied = r#"  - { id: no, uses: service.stop, with: { service: "${{ parameters.service }}" } }
"#;
    for (name, steps, code) in [("fail", fail, 10), ("denied", denied, 13)] {
        let text = books::steps("read, stop", steps).replace("max_unavailable: 1", "min_healthy: 1");
        let book = engine.write(&format!("{name}.yaml"), &text);
        let plan = engine.json_with(code, &["plan", &book, "-p", &service.parameter()]);
        let run = engine.json_with(code, &["run", &book, "-p", &service.parameter(), "--yes"]);
        assert_eq!((&plan["status"], plan["status"].as_str()), (&run["status"], Some("failed")));
    }
}

/// A copy, the old one out of its way, a new replica: each wants a name, which somebody else's container may have.
#[test]
fn a_name_that_is_taken_is_told_before_anything_is_stopped() {
    let service = Service::of(1).up();
    let engine = Engine::new();
    let project = format!("com.docker.compose.project={}", service.project());
    let parameter = service.parameter();
    for (name, plan) in [
        (format!("{}-new", service.replica(1)), ["service-recreate", "env=A=1"]),
        (format!("{}-old", service.replica(1)), ["service-recreate", "env=A=1"]),
        (service.replica(2), ["service-scale", "replicas=2"]),
    ] {
        docker(&["create", "--name", &name, "--label", &project, IMAGE]);
        let mark = service.events.mark();
        let [runbook, wish] = plan;
        let planned = engine.run(&["plan", runbook, "-p", &parameter, "-p", wish]);
        assert_eq!(planned.code, 10, "{planned:?}");
        planned.says(&[&format!("the name `{name}` is taken by another container")]);
        assert_eq!(service.events.writes(mark), [], "{name}");
        docker(&["rm", &name]);
    }
}
