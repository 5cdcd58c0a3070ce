//! A data directory of version 0.1, made by its binary and kept as it was after a `kill -9`: each later version verifies it,
//! shows what it showed, replays what had ended, and carries on what had not. `tests/scripts/keep-data.py` made it.

mod kept;
mod stage;

use std::collections::BTreeMap;
use std::path::Path;
use std::time::{Duration, Instant};

use crate::support::docker::docker;
use crate::support::engine::until_idle;
use crate::support::patience::PATIENCE;
use kept::{Kept, beside};
use stage::Stage;

#[test]
fn verifies() {
    let kept = Kept::unpack();
    let (key, checkpoint) = (beside("audit.pub"), beside("checkpoint.note"));
    let elsewhere = ["--public-key", &key, "--checkpoint", &checkpoint];
    kept.engine.must(0, &[&["audit", "verify"], &elsewhere[..]].concat());
    let archive = kept.folder.join("archive").to_string_lossy().into_owned();
    kept.engine.must(0, &["audit", "verify", &archive, "--public-key", &key]);
    for segment in segments(&kept) {
        kept.engine.must(0, &["audit", "verify", &segment]);
    }
}

/// One that was joined, and one that was not.
fn segments(kept: &Kept) -> Vec<String> {
    let all = std::fs::read_dir(kept.engine.data().join("emergency")).expect("segments").flatten();
    let all: Vec<String> = all.map(|entry| entry.path().to_string_lossy().into_owned()).collect();
    assert_eq!(all.len(), 2);
    all
}

/// What a run was and did, without the advice what to do next.
const MATTERS: [&str; 11] = [
    "run",
    "runbook",
    "status",
    "message",
    "parameters",
    "outputs",
    "steps",
    "in_doubt",
    "accepted_ms",
    "started_ms",
    "finished_ms",
];

#[test]
fn shows_what_it_showed() {
    let kept = Kept::unpack();
    let listed = kept.engine.json(&["runs", "list", "--limit", "500"]);
    let listed = listed.as_array().expect("a list");
    assert_eq!(listed.len(), kept.runs().len());
    for said in kept.runs() {
        let run = said["run"].as_str().expect("an id");
        let row = listed.iter().find(|row| row["run"] == run).expect("its row");
        for (key, value) in said["row"].as_object().expect("a row") {
            assert_eq!(row[key], *value, "`{key}` of run {run} in the list");
        }
        let shown = kept.engine.json(&["runs", "show", run]);
        for key in MATTERS {
            // A later version says why a run rests, which 0.1 did not.
            let says_why = key == "message" && said["status"] == "left" && said[key].is_null();
            assert!(
                says_why || shown[key] == said[key],
                "`{key}` of run {run}: {} {}",
                shown[key],
                said[key]
            );
        }
    }
}

#[test]
fn replays_what_had_ended() {
    let kept = Kept::unpack();
    let mut replayed = 0;
    for run in kept.runs().iter().filter(|run| !run["finished_ms"].is_null()) {
        let run = run["run"].as_str().expect("an id");
        let told = kept.engine.json(&["runs", "replay", run]);
        assert_eq!(told["identical"], true, "{told}");
        replayed += 1;
    }
    assert!(replayed > 30, "{replayed}");
}

#[test]
fn every_runbook_of_its_library_is_kept_ended_and_half_done() {
    let kept = Kept::unpack();
    let mut ends: BTreeMap<&str, (bool, bool)> = BTreeMap::new();
    for run in kept.runs() {
        let (ended, open) = ends.entry(run["runbook"].as_str().expect("a name")).or_default();
        *ended |= run["status"] == "succeeded";
        *open |= run["status"] == "running";
    }
    for book in kept.engine.json(&["list"]).as_array().expect("a list") {
        let name = book["name"].as_str().expect("a name");
        if let Some(found) = ends.get(name) {
            assert_eq!(*found, (true, true), "{name}");
        }
    }
    let library = ends.keys().filter(|name| name.starts_with("service-") || name.contains('-')).count();
    assert_eq!(library, 13, "{ends:?}");
}

/// What becomes of each run when all are carried on, and nobody has decided anything yet.
const CARRIED_ON: [(&str, &str); 30] = [
    ("half-children", "succeeded"),
    ("half-diagnose", "succeeded"),
    ("half-force-restart", "succeeded"),
    ("half-health-check", "succeeded"),
    ("half-http", "in-doubt"),
    ("half-items", "succeeded"),
    ("half-logs", "succeeded"),
    ("half-one-shot", "succeeded"),
    ("half-recreate-between", "succeeded"),
    ("half-recreate-made", "succeeded"),
    ("half-resize", "succeeded"),
    ("half-restart-between", "succeeded"),
    ("half-restart-unheard", "succeeded"),
    ("half-scale-in", "succeeded"),
    ("half-scale-out", "succeeded"),
    ("half-script", "succeeded"),
    ("half-secrets", "succeeded"),
    ("half-stack-restart", "succeeded"),
    ("half-start", "succeeded"),
    ("half-status", "succeeded"),
    ("half-stop", "succeeded"),
    ("half-undo", "rolled-back"),
    ("in-doubt", "in-doubt"),
    ("in-doubt-http", "in-doubt"),
    ("left", "succeeded"),
    ("queued", "queued"),
    ("waiting-for-person", "waiting"),
    ("waiting-for-time", "succeeded"),
    ("waiting-for-work", "waiting"),
    ("waiting-too-long", "failed"),
];

/// How many are carried on at once.
const AT_ONCE: usize = 4;

/// What people then decide, and how those runs end.
const DECIDED: [(&str, &[&str], &str); 5] = [
    (
        "half-http",
        &["settle", "--done", "--result", r#"{"body":"ok","headers":[],"status":200,"truncated":false}"#],
        "succeeded",
    ),
    ("in-doubt", &["settle", "--retry"], "succeeded"),
    ("in-doubt-http", &["settle", "--fail"], "failed"),
    ("waiting-for-person", &["approve"], "succeeded"),
    ("waiting-for-work", &["answer", "--done"], "succeeded"),
];

/// How often each container is to be started, by service and replica, a one-off container with the one it was made from; those
/// that are not named, never.
const STARTS: [(&str, u32, usize); 18] = [
    ("asks", 1, 2),
    ("children", 1, 1),
    ("children", 2, 1),
    ("doubt", 1, 1),
    ("forcerestart", 1, 1),
    ("items", 1, 1),
    ("items", 2, 1),
    ("left", 1, 1),
    ("recreatebetween", 1, 1),
    ("recreatemade", 1, 1),
    ("restartbetween", 1, 1),
    ("restartbetween", 2, 1),
    ("restartunheard", 2, 1),
    ("scaleout", 2, 1),
    ("start", 2, 1),
    ("undo", 1, 1),
    ("oneshot", 1, 1),
    ("secrets", 1, 1),
];

#[test]
fn carries_on_what_had_not_ended() {
    let mut kept = Kept::unpack();
    let mut names: Vec<&str> = CARRIED_ON.iter().map(|(name, _)| *name).collect();
    names.sort_unstable();
    assert_eq!(kept.unfinished(), names);
    let stage = Stage::set(&kept);
    kept.engine.set("DOCKER_HOST", stage.address());
    docker(&["exec", &stage.replica("health", 1), "touch", "/tmp/heal"]);
    // An emergency run was the last thing that happened.
    kept.engine.must(5, &["runs", "resume", "--yes"]).says(&["fenced", "audit join"]);
    // Its log was not announced by the key of the directory, as later versions do: a person vouches for it.
    let left = segments(&kept).into_iter().find(|segment| !Path::new(segment).join("joined").exists());
    kept.engine.must(0, &["audit", "join", &left.expect("one that was not joined"), "--trust"]);
    let mark = stage.events.mark();

    // The time of a question stands still while no engine runs: it is answered late, and not too late.
    kept.engine.must(0, &["runs", "reject", kept.run("waiting-too-long")]);
    let mut resuming = Vec::new();
    for some in CARRIED_ON.chunks(AT_ONCE) {
        let resume =
            |(name, _): &(&str, &str)| kept.engine.spawn(&["runs", "resume", kept.run(name), "--yes"]);
        resuming.extend(some.iter().map(resume));
        until_they_are(&kept, some);
    }
    for (name, command, _) in DECIDED {
        let (verb, more) = command.split_first().expect("a verb");
        kept.engine.must(0, &[&["runs", verb, kept.run(name)], more].concat());
    }
    let ends = DECIDED.map(|(name, _, end)| (name, end));
    until_they_are(&kept, &[&ends[..], &[("queued", "succeeded")]].concat());
    for resumed in resuming {
        resumed.wait();
    }
    until_idle(&kept.engine);

    assert_eq!(kept.engine.json(&["runs", "list", "--unfinished"]), serde_json::json!([]));
    world_is_as_it_should_be(&stage, mark);
    kept.engine.must(
        0,
        &[
            "audit",
            "verify",
            "--public-key",
            &beside("audit.pub"),
            "--checkpoint",
            &beside("checkpoint.note"),
        ],
    );
    kept.engine.set("DOCKER_HOST", "unix:///nonexistent/docker.sock");
    for (name, _) in CARRIED_ON {
        let told = kept.engine.json(&["runs", "replay", kept.run(name)]);
        assert_eq!(told["identical"], true, "{name}: {told}");
    }
}

/// Waits for each of these runs to be so, as long as anything moves.
fn until_they_are(kept: &Kept, wanted: &[(&str, &str)]) {
    let (mut seen, mut since) = (BTreeMap::new(), Instant::now());
    loop {
        let rows = kept.engine.json(&["runs", "list", "--limit", "500"]);
        let rows = rows.as_array().expect("a list").iter();
        let now: BTreeMap<String, (String, String)> = rows
            .map(|row| {
                [&row["run"], &row["status"], &row["message"]]
                    .map(|text| text.as_str().unwrap_or_default().to_owned())
            })
            .map(|[run, status, message]| (run, (status, message)))
            .collect();
        let others: Vec<_> = wanted
            .iter()
            .map(|(name, wish)| (name, wish, &now[kept.run(name)]))
            .filter(|(_, wish, (status, _))| **wish != status)
            .collect();
        if others.is_empty() {
            return;
        }
        if now != seen {
            since = Instant::now();
        }
        assert!(since.elapsed() < PATIENCE, "name, wanted, is: {others:#?}");
        seen = now.clone();
        std::thread::sleep(Duration::from_millis(200));
    }
}

fn world_is_as_it_should_be(stage: &Stage, mark: usize) {
    let mut starts: BTreeMap<(String, u32), usize> = BTreeMap::new();
    for (name, count) in stage.events.count(mark, "start") {
        let mut parts = name.split('-').skip(1);
        let service = parts.next().expect("a service").to_owned();
        let replica = parts.next().and_then(|number| number.parse().ok()).expect("a replica");
        *starts.entry((service, replica)).or_default() += count;
    }
    let expected = STARTS.map(|(service, replica, count)| ((service.to_owned(), replica), count)).into();
    assert_eq!(starts, expected);

    for (service, replicas) in [
        ("children", 2),
        ("forcerestart", 1),
        ("items", 2),
        ("recreatebetween", 1),
        ("recreatemade", 1),
        ("resize", 2),
        ("restartbetween", 2),
        ("restartunheard", 2),
        ("scalein", 1),
        ("scaleout", 2),
        ("start", 2),
        ("undo", 1),
        ("oneshot", 1),
        ("secrets", 1),
        ("health", 1),
        ("doubt", 1),
        ("asks", 1),
        ("left", 1),
        ("script", 1),
    ] {
        let names: Vec<String> = (1..=replicas).map(|number| stage.replica(service, number)).collect();
        assert_eq!(stage.containers(service), names);
        for number in 1..=replicas {
            assert_eq!(
                stage.inspect(service, number, "{{.State.Health.Status}}"),
                "healthy",
                "{service} {number}"
            );
        }
    }
    let stack = docker(&["inspect", "--format", "{{.State.Health.Status}}", &stage.of_stack("web", 1)]);
    assert_eq!(stack, "healthy");
    for service in ["recreatebetween", "recreatemade"] {
        assert!(stage.inspect(service, 1, "{{.Config.Env}}").contains("ROUND=2"), "{service}");
    }
    for number in 1..=2 {
        assert_eq!(stage.inspect("resize", number, "{{.HostConfig.Memory}}"), (64 << 20).to_string());
        assert_eq!(stage.inspect("stop", number, "{{.State.Running}}"), "false");
    }
    let ran = |service, number| {
        let lines = ["sh", "-c", "cat /tmp/ran 2>/dev/null | wc -l"];
        docker(&[&["exec", &stage.replica(service, number)], &lines[..]].concat())
            .parse::<usize>()
            .expect("a number")
    };
    assert_eq!(ran("script", 1), 1);
    assert_eq!(ran("items", 1) + ran("items", 2), 1, "the other had it before the kill");
}
