//! Commands in containers that outlive their limit or their run's cancel: they are ended there.

use std::net::{Shutdown, TcpListener};
use std::os::unix::net::UnixStream;
use std::time::{Duration, Instant};

use crate::support::books;
use crate::support::docker::{docker, socket};
use crate::support::engine::{Engine, signal};
use crate::support::patience::until;
use crate::support::service::Service;

/// How long after its limit a command may be there, and what a busy machine may take beside.
const GONE: Duration = Duration::from_mins(1);

fn book(script: &str, timeout: &str) -> String {
    let step = format!(
        r#"  - id: command
    uses: container.exec
    with: {{ service: "${{{{ parameters.service }}}}", command: [sh, -c, "{script}"], timeout: {timeout} }}
"#
    );
    books::steps("read, exec", &step)
}

fn sleeps(service: &Service) -> usize {
    docker(&["top", &service.replica(1), "-eo", "pid,stat,args"])
        .lines()
        .filter(|line| line.contains("sleep 36") && !line.contains(" Z"))
        .count()
}

#[test]
fn one_that_outlives_its_limit_is_ended_and_its_step_fails() {
    let (service, engine) = (Service::of(1).unchecked().up(), Engine::new());
    for (script, signal) in
        [("sleep 3600 & sleep 3601", "TERM"), ("trap '' TERM; while true; do sleep 3602; done", "KILL")]
    {
        let text = engine.write("command.yaml", &book(script, "5s"));
        let ended = engine.must(10, &["run", &text, "-p", &service.parameter(), "--yes"]);
        ended.says(&["did not end within 5 s", &format!("was ended with {signal}")]);
        assert_eq!((engine.status().as_str(), sleeps(&service)), ("failed", 0));
    }
    assert!(service.is_running(1));
}

#[test]
fn a_cancel_ends_it() {
    let (service, engine) = (Service::of(1).unchecked().up(), Engine::new());
    let text = engine.write("command.yaml", &book("sleep 3600", "1h"));
    let run = engine.spawn(&["run", &text, "-p", &service.parameter(), "--yes"]);
    until("the command to run", || (sleeps(&service) == 1).then_some(()));
    let id = engine.last()["run"].as_str().expect("a run").to_owned();
    let began = Instant::now();
    engine.run(&["runs", "cancel", &id, "--reason", "enough"]);
    let ended = run.wait();
    assert!(began.elapsed() < GONE, "{:?}", began.elapsed());
    assert_eq!((ended.code, engine.status().as_str(), sleeps(&service)), (130, "cancelled", 0));
}

#[test]
fn the_next_engine_ends_one_that_is_past_its_limit() {
    let (service, engine) = (Service::of(1).unchecked().up(), Engine::new());
    let text = engine.write("command.yaml", &book("sleep 3600", "8s"));
    let run = engine.spawn(&["run", &text, "-p", &service.parameter(), "--yes"]);
    until("the command to run", || (sleeps(&service) == 1).then_some(()));
    let process = std::fs::read_to_string(engine.data().join("engine.lock")).expect("an engine");
    signal(process.trim().parse().expect("its process"), "KILL");
    run.kill();
    std::thread::sleep(Duration::from_secs(10));
    let resumed = engine.run(&["runs", "resume", "--yes"]);
    assert_eq!((engine.status().as_str(), sleeps(&service)), ("failed", 0), "{resumed:?}");
    resumed.says(&["did not end within 8 s; it was ended with TERM"]);
}

/// The same daemon by way of a port: for all that can be told, it is on another machine. The address for `DOCKER_HOST`.
fn far_daemon() -> String {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = format!("tcp://{}", listener.local_addr().expect("its address"));
    std::thread::spawn(move || {
        for near in listener.incoming().map_while(Result::ok) {
            let Ok(far) = UnixStream::connect(socket()) else { continue };
            let (mut near_in, mut far_in) =
                (near.try_clone().expect("a copy"), far.try_clone().expect("a copy"));
            let (mut near_out, mut far_out) = (near, far);
            std::thread::spawn(move || {
                let _ = std::io::copy(&mut near_in, &mut far_out);
                let _ = far_out.shutdown(Shutdown::Write);
            });
            std::thread::spawn(move || {
                let _ = std::io::copy(&mut far_in, &mut near_out);
                let _ = near_out.shutdown(Shutdown::Write);
            });
        }
    });
    address
}

#[test]
fn on_another_machine_it_stays_behind_in_doubt_and_the_plan_says_so() {
    let service = Service::of(1).unchecked().up();
    let engine = Engine::new().env("DOCKER_HOST", far_daemon());
    let text = engine.write("command.yaml", &book("sleep 3600", "3s"));
    let command = ["plan", &text, "-p", &service.parameter()];
    engine.run(&command).says(&["on another machine nobody can end it"]);
    let ended = engine.must(12, &["run", &text, "-p", &service.parameter(), "--yes"]);
    ended.says(&["cannot be ended from here: the daemon is on another machine"]);
    assert_eq!((engine.status().as_str(), sleeps(&service)), ("in-doubt", 1));
}
