//! `kill -9` at any moment, and what becomes of it: nothing lost, nothing doubled, nobody's work overwritten.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use crate::support::books::{self, HELLO, Restart};
use crate::support::docker::docker;
use crate::support::engine::Engine;
use crate::support::proxy::{Proxy, Trap, Trick};
use crate::support::service::Service;

/// Kills of the random test, unless time runs out.
const KILLS: u32 = 12;

/// How long the random test may go on beginning new trials.
const BUDGET: Duration = Duration::from_secs(75);

/// As long as a run of the random test takes, more or less.
const LONGEST_LIFE_MS: u64 = 3_500;

/// A small generator (PCG's multiplier), so that a failing seed can be had again.
pub(crate) struct Dice(pub(crate) u64);

impl Dice {
    pub(crate) fn below(&mut self, limit: u64) -> u64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % limit
    }
}

fn each_once(service: &Service) -> BTreeMap<String, usize> {
    service.replicas().into_iter().map(|name| (name, 1)).collect()
}

fn assert_each_once(service: &Service, mark: usize, place: &str) {
    assert_eq!(service.events.count(mark, "start"), each_once(service), "{place}");
    assert_eq!(service.events.count(mark, "die"), each_once(service), "{place}");
}

#[test]
fn at_random_moments() {
    let service = Service::of(2).up();
    let engine = Engine::new();
    let book = engine.write("restart.yaml", &books::restart(&Restart::default()));
    let mut dice = Dice(20_260);
    let began = Instant::now();
    let mut cut = 0;
    for trial in 0..KILLS {
        if began.elapsed() > BUDGET && cut > 0 {
            break;
        }
        let mark = service.events.mark();
        let run = engine.spawn(&["run", &book, "-p", &service.parameter(), "--yes"]);
        std::thread::sleep(Duration::from_millis(dice.below(LONGEST_LIFE_MS)));
        let killed = run.kill();
        if dice.below(2) == 0 {
            let resume = engine.spawn(&["runs", "resume", "--yes"]);
            std::thread::sleep(Duration::from_millis(dice.below(LONGEST_LIFE_MS)));
            resume.kill();
        }
        let unfinished = engine.status();
        let resumed = engine.run(&["runs", "resume", "--yes"]);
        let place = format!("trial {trial}, `{unfinished}`: {killed:?}\n{resumed:?}");
        if service.events.so_far(mark, "start") == 0 && !unfinished.contains("running") {
            // Killed before it was accepted: then nothing may have happened at all.
            assert_eq!(service.events.writes(mark), [], "{place}");
            continue;
        }
        cut += u32::from(unfinished == "running");
        assert_eq!(resumed.code, 0, "{place}");
        assert_eq!(engine.status(), "succeeded", "{place}");
        assert_each_once(&service, mark, &place);
    }
    assert!(cut > 0, "no kill hit a run under way");
    engine.must(0, &["audit", "verify"]);
}

/// Runs a restart through a proxy that plays a trick, and kills the engine when it has.
fn killed_by(service: &Service, engine: &mut Engine, trap: Trap, more: &'static str) -> usize {
    let book = engine.write("restart.yaml", &books::restart(&Restart { more, ..Restart::default() }));
    let mark = service.events.mark();
    killed_in(engine, trap, &["run", &book, "-p", &service.parameter(), "--yes"]);
    mark
}

/// The same of any command.
fn killed_in(engine: &mut Engine, trap: Trap, command: &[&str]) {
    let proxy = Proxy::with(trap);
    engine.set("DOCKER_HOST", proxy.address());
    let run = engine.spawn(command);
    proxy.wait();
    run.kill();
    engine.set("DOCKER_HOST", "");
}

/// A trap for the nth request of this kind.
fn trap(words: &'static str, nth: usize, trick: Trick) -> Trap {
    Trap { words, nth, trick }
}

#[test]
fn between_doing_and_hearing() {
    let service = Service::of(2).up();
    for (words, nth) in [("/stop", 1), ("/start", 1), ("/stop", 2), ("/start", 2)] {
        let mut engine = Engine::new();
        let mark = killed_by(&service, &mut engine, trap(words, nth, Trick::Hold), "");
        let resumed = engine.must(0, &["runs", "resume", "--yes"]);
        assert_each_once(&service, mark, &format!("{words} {nth}: {resumed:?}"));
        assert_eq!(engine.status(), "succeeded");
    }
}

#[test]
fn between_announcing_and_doing() {
    let service = Service::of(2).up();
    for (words, nth) in [("/stop", 1), ("/start", 2)] {
        let mut engine = Engine::new();
        let mark = killed_by(&service, &mut engine, trap(words, nth, Trick::Lose), "");
        let resumed = engine.must(0, &["runs", "resume", "--yes"]);
        assert_each_once(&service, mark, &format!("{words} {nth}: {resumed:?}"));
    }
}

#[test]
fn an_answer_that_is_cut_off_is_established() {
    let service = Service::of(2).up();
    for (words, nth) in [("/stop", 1), ("/start", 1), ("/start", 2)] {
        let proxy = Proxy::with(trap(words, nth, Trick::Cut));
        let engine = Engine::new().env("DOCKER_HOST", proxy.address());
        let book = engine.write("restart.yaml", &books::restart(&Restart::default()));
        let mark = service.events.mark();
        let ended = engine.must(0, &["run", &book, "-p", &service.parameter(), "--yes"]);
        assert_each_once(&service, mark, &format!("{words} {nth}: {ended:?}"));
    }
}

/// The engine is killed with a stop announced that Docker never got; then a person restarts the same container.
fn moved_by_a_person(service: &Service, engine: &mut Engine) -> usize {
    killed_by(service, engine, trap("/stop", 1, Trick::Lose), "");
    docker(&["restart", "--time", "1", &service.replica(1)]);
    service.events.mark()
}

#[test]
fn what_a_person_moved_is_in_doubt_and_then_done_again() {
    let service = Service::of(2).up();
    let mut engine = Engine::new();
    let mark = moved_by_a_person(&service, &mut engine);

    let resumed = engine.must(12, &["runs", "resume", "--yes"]);

    resumed.says(&["in-doubt", "containers.stop", "runbook runs settle"]);
    assert_eq!(service.events.writes(mark), [], "nobody's work is overwritten");
    assert_eq!(engine.status(), "in-doubt");
    assert_eq!(engine.must(12, &["runs", "resume", "--yes"]).code, 12, "asking again changes nothing");
    assert_eq!(service.events.writes(mark), []);

    engine.must(0, &["runs", "settle", "last", "--retry"]);
    engine.must(0, &["runs", "watch", "last"]);
    assert_each_once(&service, mark, "settled with --retry");
}

#[test]
fn what_a_person_moved_is_said_to_be_done() {
    let service = Service::of(2).up();
    let mut engine = Engine::new();
    let mark = moved_by_a_person(&service, &mut engine);
    engine.must(12, &["runs", "resume", "--yes"]);
    engine.must(0, &["runs", "settle", "last", "--done"]);
    engine.must(0, &["runs", "watch", "last"]);
    let expected: BTreeMap<String, usize> = [(service.replica(2), 1)].into_iter().collect();
    assert_eq!(service.events.count(mark, "die"), expected, "what is done is not done again");
}

#[test]
fn what_a_person_moved_is_given_up() {
    let service = Service::of(2).up();
    let mut engine = Engine::new();
    let mark = moved_by_a_person(&service, &mut engine);
    engine.must(12, &["runs", "resume", "--yes"]);
    engine.must(0, &["runs", "settle", "last", "--fail"]);
    engine.must(10, &["runs", "watch", "last"]);
    assert_eq!(service.events.writes(mark), []);
}

#[test]
fn what_was_done_and_undone_by_a_person_is_in_doubt() {
    let service = Service::of(2).up();
    let mut engine = Engine::new();
    killed_by(&service, &mut engine, trap("/stop", 1, Trick::Hold), "");
    docker(&["start", &service.replica(1)]);
    let mark = service.events.mark();
    engine.must(12, &["runs", "resume", "--yes"]);
    assert_eq!(service.events.writes(mark), []);
}

#[test]
fn one_that_was_not_touched_yet_is_not_overwritten() {
    let service = Service::of(2).up();
    let mut engine = Engine::new();
    killed_by(&service, &mut engine, trap("/start", 1, Trick::Hold), "");
    docker(&["restart", "--time", "1", &service.replica(2)]);
    let mark = service.events.mark();
    engine.must(12, &["runs", "resume", "--yes"]);
    assert_eq!(service.events.writes(mark), [], "a person restarted it already");
    assert_eq!(engine.status(), "in-doubt");
}

#[test]
fn one_that_a_person_replaced_is_in_doubt() {
    let service = Service::of(2).up();
    let mut engine = Engine::new();
    killed_by(&service, &mut engine, trap("/start", 1, Trick::Hold), "");
    let replica = service.replica(2);
    docker(&["rm", "--force", &replica]);
    service.add_replica(2);
    let mark = service.events.mark();
    engine.must(12, &["runs", "resume", "--yes"]).says(&["in-doubt", "was removed meanwhile", &replica]);
    assert_eq!(
        service.events.writes(mark),
        [],
        "the old one is nobody's business any more, the new one not ours"
    );
    engine.must(0, &["runs", "settle", "last", "--fail"]);
    engine.until_status("failed");
    assert!(service.is_healthy(2));
}

/// Looks at the service and then restarts its replicas one by one.
const LOOK_AND_RESTART: &str = r#"
  - id: look
    uses: service.status
    with: { service: "${{ parameters.service }}" }
  - id: first
    uses: service.restart
    with: { service: "${{ parameters.names[0] }}", grace: 1s }
  - id: second
    uses: service.restart
    with: { service: "${{ parameters.names[1] }}", grace: 1s }
"#;

#[test]
fn looking_again_does_not_hide_what_a_person_did() {
    let service = Service::of(2).up();
    let mut engine = Engine::new();
    let book = engine.write("look.yaml", &books::steps("read, restart", LOOK_AND_RESTART));
    let names = format!("names={}", service.replicas().join(","));
    let command = ["run", &book, "-p", &service.parameter(), "-p", &names, "--yes"];
    killed_in(&mut engine, trap("/start", 1, Trick::Hold), &command);
    let replica = service.replica(2);
    docker(&["restart", "--time", "1", &replica]);
    let mark = service.events.mark();

    let resumed = engine.must(12, &["runs", "resume", "--yes"]);

    resumed.says(&["in-doubt", "was changed meanwhile", &replica]);
    assert_eq!(service.events.writes(mark), [], "a person restarted it already");
}

/// A step for each replica.
const EACH: &str = r#"
  - { id: look, uses: service.status, with: { service: "${{ parameters.service }}" } }
  - id: each
    for_each: parameters.names
    uses: service.restart
    with: { service: "${{ item }}", grace: 1s }
"#;

#[test]
fn an_item_in_doubt_rests_the_command() {
    let service = Service::of(2).up();
    let mut engine = Engine::new();
    let book = engine.write("each.yaml", &books::steps("read, restart", EACH));
    let names = format!("names={}", service.replicas().join(","));
    let command = ["run", &book, "-p", &service.parameter(), "-p", &names, "--yes"];
    killed_in(&mut engine, trap("/start", 1, Trick::Hold), &command);
    docker(&["restart", "--time", "1", &service.replica(2)]);
    let mark = service.events.mark();

    engine.must(12, &["runs", "resume", "--yes"]).says(&["in-doubt", &service.replica(2)]);
    assert_eq!(service.events.writes(mark), [], "a person restarted it already");
}

#[test]
fn an_old_one_waits_for_a_person() {
    let service = Service::of(2).up();
    let mut engine = Engine::new();
    let mark = killed_by(&service, &mut engine, trap("/stop", 2, Trick::Hold), "resume_within: 1s");
    let run = engine.last()["run"].as_str().expect("its id").to_owned();
    let before = service.events.count(mark, "start");
    std::thread::sleep(Duration::from_millis(1_500));

    let other = engine.write("hello.yaml", HELLO);
    engine.must(0, &["run", &other]);

    assert_eq!(service.events.count(mark, "start"), before, "another engine leaves it alone");
    engine.must(0, &["runs", "resume", &run]);
    assert_each_once(&service, mark, "resumed by a person");
}

#[test]
fn a_fresh_one_is_carried_on_by_the_next_engine() {
    let service = Service::of(2).up();
    let mut engine = Engine::new();
    let mark = killed_by(&service, &mut engine, trap("/stop", 2, Trick::Hold), "");
    let run = engine.last()["run"].as_str().expect("its id").to_owned();

    let other = engine.write("hello.yaml", HELLO);
    engine.must(0, &["run", &other]);

    engine.must(0, &["runs", "watch", &run]);
    assert_each_once(&service, mark, "carried on");
}
