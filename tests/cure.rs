//! The cure is not blocked by the illness: what is down or sick goes first and costs no budget, what crashes again and again
//! is no success, and a plan that a person reads may be overtaken.

use std::process::Command;

use crate::support::books::{self, Restart};
use crate::support::docker::docker;
use crate::support::engine::{BINARY, Engine, Running};
use crate::support::patience::until_true;
use crate::support::service::Service;

/// On a busy machine a health check may take long; it must not fail for that.
const PATIENT: [&str; 2] = ["--health-timeout", "1m"];

/// Makes a replica unhealthy until its next start.
fn sicken(service: &Service, number: u32) {
    let mark = service.events.mark();
    docker(&["exec", &service.replica(number), "rm", "/www/health"]);
    service.events.wait_for(mark, "health_status: unhealthy", &service.replica(number));
}

fn image_of(service: &Service, number: u32) -> String {
    service.inspect(number, "{{.Config.Image}}")
}

#[test]
fn a_restart_of_what_crashes_again_and_again_does_not_succeed() {
    let service = Service::of(1).env("EXIT_AFTER=4").unchecked().options(&["--restart", "always"]).up();
    let engine = Engine::new();
    let mark = service.events.mark();
    service.events.wait_for(mark, "start", &service.replica(1));
    let mut restart = vec!["run", "service-restart", "-y"];
    let parameter = service.parameter();
    for given in [parameter.as_str(), "wait=20s", "accept_weak_evidence=true"] {
        restart.extend(["-p", given]);
    }
    let ended = engine.must(10, &restart);
    ended.says(&[
        "failed",
        &format!("`{}` did not come back", service.replica(1)),
        "crashed and was started again",
    ]);
}

/// As above, but Docker has given up.
#[test]
fn a_crash_loop_that_docker_gave_up_is_no_better_for_a_replacement() {
    let service = Service::of(1)
        .env("EXIT_AFTER=4")
        .env("EXIT_CODE=3")
        .unchecked()
        .options(&["--restart", "on-failure:2"])
        .up();
    let engine = Engine::new();
    until_true("Docker to give up", || {
        service.inspect(1, "{{.State.Status}} {{.RestartCount}}") == "exited 2"
    });
    let mut recreate = vec!["run", "service-recreate", "-y"];
    let parameter = service.parameter();
    for given in [parameter.as_str(), "accept_weak_evidence=true", "env=MODE=safe"] {
        recreate.extend(["-p", given]);
    }
    engine.must(10, &recreate).says(&[&service.replica(1), "exited"]);
}

#[test]
fn a_dead_release_is_replaced() {
    let service = Service::of(2).options(&PATIENT).up();
    let engine = Engine::new();
    for number in 1..=2 {
        docker(&["kill", &service.replica(number)]);
    }
    engine.must(0, &["service", "recreate", &service.name(), "--image", "runbook-test:2", "-y"]);
    for number in 1..=2 {
        assert_eq!(image_of(&service, number), "runbook-test:2");
        assert!(service.is_healthy(number));
    }
    assert_eq!(service.containers(), service.replicas(), "nothing is left behind");
}

#[test]
fn the_sick_are_replaced_first_and_a_second_run_does_the_rest() {
    let service = Service::of(4).env("START_DELAY=4").options(&PATIENT).up();
    let engine = Engine::new();
    sicken(&service, 3);
    docker(&["kill", &service.replica(2)]);
    let mark = service.events.mark();
    let recreate = ["service", "recreate", &service.name(), "--env", "MODE=safe", "-y"];
    let run = engine.spawn(&recreate);
    // The dead one and the sick one are done, the first healthy one is under way.
    service.events.wait_for(mark, "stop", &service.replica(1));
    let destroyed = service.events.count(mark, "destroy").len();
    assert_eq!(destroyed, 2, "{:?}", service.events.writes(mark));
    engine.run(&["runs", "cancel", "last", "--reason", "enough"]);
    assert_eq!(run.wait().code, 130);
    until_true("the old one to be back", || service.is_healthy(1));
    let ids: Vec<String> = (1..=4).map(|number| service.inspect(number, "{{.Id}}")).collect();

    let ended = engine.json(&recreate);

    assert_eq!(ended["outputs"]["healthy"], 4, "{ended}");
    for number in [2, 3] {
        assert_eq!(service.inspect(number, "{{.Id}}"), ids[number as usize - 1], "it had got it already");
    }
    for number in 1..=4 {
        assert!(service.inspect(number, "{{.Config.Env}}").contains("MODE=safe"), "{number}");
    }
}

#[test]
fn scale_in_takes_the_sick_one() {
    let service = Service::of(3).options(&PATIENT).up();
    let engine = Engine::new();
    sicken(&service, 1);
    engine.must(0, &["service", "scale", &service.name(), "2", "-y"]);
    assert_eq!(service.containers(), [service.replica(2), service.replica(3)]);
    assert!(service.is_healthy(2) && service.is_healthy(3));
}

#[test]
fn scale_out_of_what_cannot_run_says_what_to_do_and_does_not_get_stuck() {
    let service = Service::of(2).env("EXIT_AFTER=1").unchecked().up();
    let engine = Engine::new();
    until_true("both to have ended", || !service.is_running(1) && !service.is_running(2));
    let ended = engine.run(&[
        "run",
        "service-scale",
        "-p",
        &service.parameter(),
        "-p",
        "replicas=3",
        "-p",
        "wait=5s",
        "-y",
    ]);
    assert_eq!(ended.code, 11, "{ended:?}");
    ended.says(&["was down and does not come up", "runbook service recreate", "--image IMAGE"]);
    assert_eq!(service.containers(), service.replicas());
}

#[test]
fn a_healthy_one_is_spared_while_another_is_sick() {
    let service = Service::of(3).options(&PATIENT).up();
    let engine = Engine::new();
    sicken(&service, 2);
    let stop = r#"
  - id: stop
    uses: service.stop
    with: { service: "${{ parameters.names[0] }}", grace: 1s }
"#;
    let book = engine.write("stop.yaml", &books::steps("read, stop", stop));
    let (service_parameter, mark) = (service.parameter(), service.events.mark());
    let stop = |code: i32, number: u32| {
        let names = format!("names={}", service.replica(number));
        engine.must(code, &["run", &book, "-p", &service_parameter, "-p", &names, "-y"])
    };
    let told = format!(
        "`{}` is down or not healthy: taking down `{}` makes 2 (limit 1)",
        service.replica(2),
        service.replica(1)
    );
    stop(13, 1).says(&[&told, "max_unavailable", "runbook service recreate"]);
    assert_eq!(service.events.writes(mark), []);
    stop(0, 2);
    assert!(!service.is_running(2) && service.is_healthy(1));
    stop(13, 3);
}

#[test]
fn what_is_paused_goes_on() {
    let service = Service::of(1).options(&PATIENT).up();
    let engine = Engine::new();
    let (name, replica) = (service.name(), service.replica(1));
    let state = || service.inspect(1, "{{.State.Status}}");
    for cure in ["start", "unpause", "restart"] {
        engine.must(0, &["service", "pause", &name, "-y"]);
        assert_eq!(state(), "paused");
        let mark = service.events.mark();
        engine.must(0, &["service", cure, &name, "-y"]);
        assert_eq!(state(), "running", "{cure}");
        let restarted = service.events.count(mark, "start").contains_key(&replica);
        assert_eq!(restarted, cure == "restart");
    }
    let mark = service.events.mark();
    engine.must(0, &["service", "signal", &name, "sigwinch", "-y"]);
    assert_eq!(service.events.count(mark, "kill 28").len(), 1);
    engine.must(3, &["service", "signal", &name, "WHINCH", "-y"]).says(&["WINCH"]);
}

/// `run` of a restart at a terminal; types a line as soon as the file of its name is there.
fn at_a_terminal(engine: &Engine, service: &Service, lines: &[&str]) -> Running {
    let book = books::restart(&Restart { wait: "15s", ..Restart::default() });
    let book = book.replace("grace: 1s", "grace: 1s, accept_weak_evidence: true");
    let book = engine.write("restart.yaml", &book);
    let line = format!("{BINARY} run {book} -p {}", service.parameter());
    let typed: Vec<String> =
        lines.iter().map(|line| format!("until [ -e {line} ]; do sleep 0.1; done; echo {line};")).collect();
    let script = format!("({} sleep 30) | script -qec '{line}' /dev/null", typed.concat());
    let run = engine.begin(Command::new("sh").args(["-c", &script]));
    until_true("the question", || run.said().contains("go ahead?"));
    run
}

#[test]
fn when_the_world_moves_while_a_person_reads_they_are_asked_again() {
    let service = Service::of(1).options(&PATIENT).up();
    let engine = Engine::new();
    let mark = service.events.mark();
    let run = at_a_terminal(&engine, &service, &["yes", "y", "no"]);
    service.add_replica(2);
    engine.write("yes", "");
    until_true("the second question", || run.said().matches("go ahead?").count() == 2);
    assert!(run.said().contains("this has changed since you were shown the plan"), "{}", run.said());
    assert!(run.said().contains(&format!("`{}`: something is to be done to it as well", service.replica(2))));
    docker(&["restart", "--time", "1", &service.replica(1)]);
    engine.write("y", "");
    until_true("the third question", || run.said().matches("go ahead?").count() == 3);
    assert!(run.said().contains(&format!("`{}`: it was started again at", service.replica(1))));
    engine.write("no", "");
    until_true("the end", || run.said().contains("nothing was done"));
    assert_eq!(service.events.count(mark, "stop").len(), 1, "that of `docker restart`");
}

#[test]
fn what_a_crash_loop_does_by_itself_is_no_change() {
    let service = Service::of(1).env("EXIT_AFTER=4").unchecked().options(&["--restart", "always"]).up();
    let engine = Engine::new();
    let first = service.events.mark();
    service.events.wait_for(first, "start", &service.replica(1));
    let run = at_a_terminal(&engine, &service, &["yes"]);
    let mark = service.events.mark();
    service.events.wait_for(mark, "start", &service.replica(1));
    engine.write("yes", "");
    until_true("the end", || run.said().contains("did not come back"));
    assert!(!run.said().contains("has changed since"), "{}", run.said());
    assert_eq!(run.said().matches("go ahead?").count(), 1);
}
