//! A restart under load, and one that meets a replica that does not come back.

use std::collections::BTreeMap;

use crate::support::books::{self, Restart};
use crate::support::docker_events::most_down;
use crate::support::engine::Engine;
use crate::support::load::Load;
use crate::support::service::Service;

#[test]
fn five_replicas_under_load_two_at_a_time() {
    let service = Service::of(5).env("START_DELAY=2").up();
    let engine = Engine::new();
    let book = engine.write("restart.yaml", &books::restart(&Restart { batch: 2, ..Restart::default() }));
    let mark = service.events.mark();
    let load = Load::on(&service);

    let ended = engine.must(0, &["run", &book, "-p", &service.parameter(), "--yes"]);

    let seen = load.stop();
    let events = service.events.since(mark);
    let once: BTreeMap<String, usize> = service.replicas().into_iter().map(|name| (name, 1)).collect();
    assert_eq!(service.events.count(mark, "start"), once);
    assert_eq!(service.events.count(mark, "die"), once);
    assert!(most_down(&events) <= 2, "{events:#?}");
    assert!(seen.fewest >= 3 && seen.rounds > 5, "{seen:?}");
    ended.says(&["succeeded"]);
    assert!((1..=5).all(|number| service.is_healthy(number)));
    assert_eq!(engine.last()["status"], "succeeded");
}

#[test]
fn one_that_never_heals_costs_one() {
    let service = Service::of(4).heals_by_mark().up();
    let engine = Engine::new();
    let book = engine.write("restart.yaml", &books::restart(&Restart { wait: "4s", ..Restart::default() }));
    service.never_heals_again(2);
    let mark = service.events.mark();

    let ended = engine.must(10, &["run", &book, "-p", &service.parameter(), "--yes"]);

    let expected = [(service.replica(1), 1), (service.replica(2), 1)].into_iter().collect();
    assert_eq!(service.events.count(mark, "start"), expected);
    assert_eq!(service.events.count(mark, "die"), expected);
    assert!(most_down(&service.events.since(mark)) <= 1);
    assert!(service.is_healthy(1) && !service.is_healthy(2) && service.is_running(2));
    assert!(service.is_healthy(3) && service.is_healthy(4));
    let run = engine.last()["run"].as_str().expect("its id").to_owned();
    ended.says(&[
        "failed",
        &format!("`{}` did not come back", service.replica(2)),
        "Look at the logs of the replica",
        "next:",
        &format!("runbook runs show {run}"),
    ]);
}
