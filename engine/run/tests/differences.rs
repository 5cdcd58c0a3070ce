//! What the end says is not as it was.

use serde_json::{Value, json};

use crate::differences::{What, differences, words};
use crate::event::{CallId, EndStatus, Event, Outcome};
use crate::keeping::keeping;
use crate::simulator::{Simulator, book, broken, path};
use crate::view::view;
use words::effect::Effect;

fn container(name: &str, state: &str) -> Value {
    let id = name.trim_end_matches("-old").trim_end_matches("-new");
    json!({ "id": id, "name": name, "state": state, "started_at": "", "limits": { "memory_bytes": 0 } })
}

fn new(name: &str, state: &str) -> Value {
    let mut made = container(name, state);
    made["id"] = json!(format!("{name} made"));
    made
}

/// A step under way that has made these calls: function, what was seen before, answer.
fn after(calls: &[(&str, Value, Value)]) -> Simulator {
    let mut run = Simulator::new(book(|book| drop(book.step("a").id.clone())));
    run.script("a", [broken()]);
    let begun = Event::AttemptStarted {
        path: path("a"),
        attempt: 1,
        uses: "service.recreate".to_owned(),
        with: Value::Null,
        plugin: None,
        deadline_ms: run.now_ms + 5000,
    };
    run.record(begun);
    for ((function, before, answer), ordinal) in calls.iter().zip(0..) {
        let call = CallId { path: path("a"), attempt: 1, ordinal };
        let function = (*function).to_owned();
        let reads = before.is_null();
        let from = before.get("from").unwrap_or(before);
        let arguments = json!({ "id": from["id"] });
        if !reads {
            run.record(Event::CallIntended {
                call: call.clone(),
                function: function.clone(),
                arguments: arguments.clone(),
                effect: Effect::Idempotent,
                before: before.clone(),
            });
        }
        let arguments = reads.then_some(arguments);
        let outcome = Outcome::Ok(answer.clone());
        run.record(Event::CallFinished { call, function, arguments, outcome, established: None });
    }
    run
}

fn told(calls: &[(&str, Value, Value)]) -> String {
    words(&differences(&after(calls).state))
}

#[test]
fn what_is_as_it_was_is_not_told() {
    let (up, down) = (container("web-1", "running"), container("web-1", "exited"));
    assert_eq!(told(&[]), "");
    let restarted =
        [("containers.stop", up.clone(), down.clone()), ("containers.start", down.clone(), up.clone())];
    assert_eq!(told(&restarted), "");
    assert_eq!(told(&[("containers.start", down.clone(), up.clone())]), "", "it was down, and serves now");
    let looked = [
        ("containers.service", Value::Null, json!([up])),
        ("containers.service", Value::Null, json!([down])),
    ];
    assert_eq!(told(&looked), "", "the run did nothing to it");
}

#[test]
fn what_is_down_gone_new_or_otherwise_named_is_told() {
    let (up, down) = (container("web-1", "running"), container("web-1", "exited"));
    let stopped = ("containers.stop", up.clone(), down.clone());
    assert_eq!(told(std::slice::from_ref(&stopped)), "`web-1` is down");
    assert_eq!(
        told(&[stopped.clone(), ("containers.remove", down.clone(), Value::Null)]),
        "`web-1` was removed"
    );
    let renamed = ("containers.rename", down.clone(), container("web-1-old", "exited"));
    assert_eq!(
        told(&[stopped.clone(), renamed.clone()]),
        "`web-1` is down; `web-1` (now `web-1-old`) was renamed"
    );
    let made = ("containers.create", json!({ "from": up }), new("web-2", "created"));
    assert_eq!(told(&[made]), "`web-2` was created and is still there");
    let paused = ("containers.pause", up.clone(), container("web-1", "paused"));
    assert_eq!(told(&[paused]), "`web-1` is paused");
    let mut smaller = up.clone();
    smaller["limits"]["memory_bytes"] = json!(5);
    assert_eq!(told(&[("containers.update", up.clone(), smaller)]), "`web-1` has other limits");
    let exec = ("containers.exec", json!({ "exec": "1", "container": up }), json!({ "exit_code": 0 }));
    assert_eq!(told(&[exec, ("containers.inspect", Value::Null, down)]), "`web-1` is down");
}

#[test]
fn a_replacement_is_one_thing_and_not_two() {
    let (up, down) = (container("web-1", "running"), container("web-1", "exited"));
    let old = container("web-1-old", "exited");
    let mut half = vec![
        ("containers.create", json!({ "from": up }), new("web-1-new", "created")),
        ("containers.stop", up, down.clone()),
        ("containers.rename", down, old.clone()),
    ];
    let made = new("web-1-new", "created");
    let named = json!({ "id": made["id"], "name": "web-1", "state": "created", "limits": {} });
    half.push(("containers.rename", made, named.clone()));
    assert_eq!(
        told(&half),
        "`web-1` is down; `web-1` (the old one is `web-1-old`) was replaced by a new container"
    );
    let runs =
        json!({ "id": named["id"], "name": "web-1", "state": "running", "started_at": "", "limits": {} });
    let mut whole = half.clone();
    whole.push(("containers.start", named, runs));
    whole.push(("containers.remove", old, Value::Null));
    assert_eq!(told(&whole), "`web-1` was replaced by a new container");
}

#[test]
fn many_are_counted() {
    let calls: Vec<_> = (10..30)
        .map(|number| format!("web-{number}"))
        .map(|name| ("containers.stop", container(&name, "running"), container(&name, "exited")))
        .collect();
    let told = told(&calls);
    assert!(told.starts_with("`web-10`, `web-11`") && told.ends_with("`web-17`, 12 more are down"), "{told}");
}

#[test]
fn the_end_and_the_view_tell_it() {
    let calls = [("containers.stop", container("web-1", "running"), container("web-1", "exited"))];
    let mut run = after(&calls);
    assert_eq!(run.run(), Some(EndStatus::Failed));
    assert_eq!(
        run.end_message(),
        "step `a` failed: it broke; what was written by `a` was not undone; `web-1` is down"
    );
    let view = view(Some(&run.runbook), &run.state);
    assert_eq!(view.not_as_before.len(), 1);
    assert_eq!((view.not_as_before[0].what, view.not_as_before[0].container.as_str()), (What::Down, "web-1"));
}

#[test]
fn a_run_that_rests_keeps_its_locks_for_what_does_not_serve() {
    let (up, down) = (container("web-1", "running"), container("web-1", "exited"));
    let kept = |calls: &[(&str, Value, Value)]| keeping(&after(calls).state).words();
    assert_eq!(kept(&[]), "");
    let stop = ("containers.stop", up.clone(), down.clone());
    assert_eq!(kept(std::slice::from_ref(&stop)), "`web-1` is down");
    assert_eq!(kept(&[stop.clone(), ("containers.start", down.clone(), up.clone())]), "");
    let remove = ("containers.remove", down.clone(), Value::Null);
    let mut run = after(&[stop, remove]);
    assert_eq!(keeping(&run.state).words(), "`web-1` was removed", "its successor is still to come");
    run.record(Event::AttemptFinished {
        path: path("a"),
        attempt: 1,
        outcome: Outcome::Ok(Value::Null),
        met: None,
        lines: Vec::new(),
    });
    assert!(keeping(&run.state).is_empty(), "it was to be removed");

    let mut run = after(&[("containers.inspect", Value::Null, up.clone())]);
    run.record(Event::CallIntended {
        call: CallId { path: path("a"), attempt: 1, ordinal: 1 },
        function: "containers.stop".to_owned(),
        arguments: json!({ "id": up["id"] }),
        effect: Effect::Idempotent,
        before: up,
    });
    assert_eq!(keeping(&run.state).words(), "whether `containers.stop` at step `a` happened is unknown");
}
