//! Engines of one machine that know nothing of each other: other data directories, other users. One acts on a service at a
//! time, and whoever waits is told for whom.

use std::os::linux::net::SocketAddrExt as _;
use std::os::unix::net::{SocketAddr, UnixListener};
use std::path::Path;
use std::process::Command;

use words::ids::Digest;

use crate::support::books::{self, ASKS, SLEEPS};
use crate::support::docker::docker;
use crate::support::docker_events::most_down;
use crate::support::engine::{BINARY, Engine, Running, signal};
use crate::support::patience::{until, until_true};
use crate::support::proxy::{Proxy, Trap, Trick};
use crate::support::service::Service;

/// The user `nobody`.
const NOBODY: &str = "65534";

/// A run that has the lock of the service and asks, and the process of its engine.
fn asking(engine: &Engine, service: &Service) -> (Running, u32) {
    let book = engine.write("asks.yaml", &books::steps("read, restart", ASKS));
    let run = engine.spawn(&["run", &book, "-p", &service.parameter(), "--yes"]);
    engine.until_status("waiting");
    let pid = engine_of(engine);
    (run, pid)
}

/// The process that is the engine of a data directory.
fn engine_of(engine: &Engine) -> u32 {
    let number = std::fs::read_to_string(engine.data().join("engine.lock")).expect("a lock file");
    number.trim().parse().expect("a number")
}

fn restarting(engine: &Engine, service: &Service) -> Running {
    engine.spawn(&["service", "restart", &service.name(), "--yes", "--grace", "1s"])
}

#[test]
fn two_data_directories_restart_a_service_one_at_a_time() {
    let service = Service::of(2).up();
    let engines = [Engine::new(), Engine::new(), Engine::new()];
    let mark = service.events.mark();
    std::thread::scope(|scope| {
        for engine in &engines {
            let service = &service;
            scope.spawn(move || {
                for _ in 0..3 {
                    let ended = restarting(engine, service).wait();
                    assert_eq!(ended.code, 0, "{ended:?}");
                }
            });
        }
    });
    assert_eq!(most_down(&service.events.since(mark)), 1);
    let starts = service.events.count(mark, "start");
    assert_eq!(starts.values().copied().collect::<Vec<_>>(), [9, 9]);
}

#[test]
fn who_waits_is_told_of_the_neighbour_and_goes_on_when_it_dies() {
    let service = Service::of(1).up();
    let (one, other) = (Engine::new(), Engine::new());
    let (_run, pid) = asking(&one, &service);
    let holder = one.last()["run"].as_str().expect("its id").to_owned();
    let data = one.data().display().to_string();

    let refused = other.run(&["service", "restart", &service.name(), "--yes", "--no-wait"]);
    assert_eq!(refused.code, 10, "{refused:?}");
    let who = [&holder, &data, &service.name(), &format!("process {pid}"), "since", "some-steps"];
    refused.says(&who);
    let refused =
        other.run(&["service", "restart", &service.name(), "--yes", "--take-lock", "--reason", "now"]);
    assert_eq!(refused.code, 10, "{refused:?}");
    refused.says(&["--take-lock takes no lock of another engine", "--data-dir", "runs cancel", &holder]);

    let waits = restarting(&other, &service);
    until_true("it to be told", || waits.said().contains(&format!("waits: run `{holder}`")));
    let shown = other.json(&["runs", "show", "last"]);
    assert_eq!(shown["status"], "queued");
    assert!(shown["waits_for_lock"].as_str().is_some_and(|text| text.contains(&data)), "{shown}");
    let mark = service.events.mark();
    signal(pid, "KILL");
    let ended = waits.wait();
    assert_eq!(ended.code, 0, "{ended:?}");
    assert_eq!(service.events.so_far(mark, "start"), 1);
}

#[test]
fn what_is_told_of_a_neighbour_can_be_typed() {
    let service = Service::of(1).up();
    let (one, other) = (Engine::new(), Engine::new());
    let (run, _) = asking(&one, &service);
    let waits = restarting(&other, &service);
    let told = until("it to be told", || {
        let said = waits.said();
        said.split('`')
            .find_map(|part| part.strip_prefix("runbook ").filter(|c| c.contains("cancel")))
            .map(str::to_owned)
    });
    other.must(0, &told.split(' ').collect::<Vec<_>>());
    assert_eq!(waits.wait().code, 0);
    assert_eq!(run.wait().code, 130);
}

#[test]
fn a_suspended_run_frees_the_machine_while_its_engine_lives() {
    let (service, busy) = (Service::of(1).up(), Service::of(1).up());
    let (one, other) = (Engine::new(), Engine::new());
    let book = one.write("sleeps.yaml", &books::steps("read, restart", SLEEPS));
    let sleeps = one.spawn(&["run", &book, "-p", &busy.parameter(), "--yes"]);
    one.until_status("waiting");
    let (run, pid) = asking(&one, &service);
    let refused = other.run(&["service", "restart", &service.name(), "--yes", "--no-wait"]);
    assert_eq!(refused.code, 10, "{refused:?}");
    run.signal("INT");
    assert_eq!(run.wait().code, 130);
    let free = other.run(&["service", "restart", &service.name(), "--yes", "--no-wait"]);
    assert_eq!(free.code, 0, "{free:?}");
    assert_eq!(engine_of(&one), pid, "its engine still is the same");
    sleeps.kill();
}

#[test]
fn a_neighbour_that_is_stopped_is_told_with_the_way_to_let_it_go_on() {
    let service = Service::of(1).up();
    let (one, other) = (Engine::new(), Engine::new());
    let (_run, pid) = asking(&one, &service);
    signal(pid, "STOP");
    let waits = restarting(&other, &service);
    until_true("it to be told", || waits.said().contains(&format!("`kill -CONT {pid}`")));
    assert!(waits.said().contains("is stopped"), "{}", waits.said());
    signal(pid, "CONT");
    one.must(0, &["runs", "approve", "last"]);
    assert_eq!(waits.wait().code, 0);
}

#[test]
fn a_cancel_reaches_who_waits_for_a_neighbour() {
    let service = Service::of(1).up();
    let (one, other) = (Engine::new(), Engine::new());
    let (run, _) = asking(&one, &service);
    let mark = service.events.mark();
    let waits = restarting(&other, &service);
    other.until_status("queued");
    until_true("it to be told", || waits.said().contains("waits: run"));
    other.must(0, &["runs", "cancel", "last"]);
    assert_eq!(waits.wait().code, 130);
    assert_eq!(service.events.writes(mark), []);
    run.kill();
}

#[test]
fn a_stranger_on_the_name_only_keeps_runs_waiting_and_is_told() {
    let service = Service::of(1).up();
    let engine = Engine::new();
    let id = docker(&["info", "--format", "{{.ID}}"]);
    let hex = Digest::of(format!("{}\n{}", id.trim(), service.name()));
    let address = SocketAddr::from_abstract_name(format!("runbook/lock/{}", hex.as_str())).expect("a name");
    let squatter = UnixListener::bind_addr(&address).expect("a free name");
    let waits = restarting(&engine, &service);
    let process = format!("process {}", std::process::id());
    until_true("it to be told", || waits.said().contains(&process));
    assert!(waits.said().contains("does not answer as an engine does"), "{}", waits.said());
    drop(squatter);
    let ended = waits.wait();
    assert_eq!(ended.code, 0, "{ended:?}");
}

/// Somebody else on this machine, who may use the daemon.
struct Nobody {
    folder: tempfile::TempDir,
    proxy: Proxy,
}

impl Nobody {
    fn new() -> Self {
        let proxy = Proxy::with(Trap { words: "nothing", nth: 0, trick: Trick::Pass });
        let folder = tempfile::tempdir().expect("a folder");
        let program = folder.path().join("runbook");
        std::fs::hard_link(BINARY, &program)
            .or_else(|_| std::fs::copy(BINARY, &program).map(drop))
            .expect("it");
        let socket = proxy.address().trim_start_matches("unix://").to_owned();
        let socket = Path::new(&socket);
        let home = folder.path().join("home");
        std::fs::create_dir(&home).expect("a home");
        for path in [folder.path(), &home, socket, socket.parent().expect("a folder")] {
            assert!(Command::new("chmod").arg("777").arg(path).status().expect("chmod").success());
        }
        Self { folder, proxy }
    }

    /// A command of this user, begun with the patience of `engine`.
    fn spawn(&self, engine: &Engine, arguments: &[&str]) -> Running {
        let ids = [format!("--reuid={NOBODY}"), format!("--regid={NOBODY}"), "--clear-groups".to_owned()];
        let home = self.folder.path().join("home");
        let mut command = Command::new("setpriv");
        command.args(ids).args(["env", "-C"]).arg(&home);
        command.arg(format!("HOME={}", home.display())).arg(format!("DOCKER_HOST={}", self.proxy.address()));
        command.arg(format!("RUNBOOK_DATA_DIR={}", home.join("data").display()));
        command.arg(self.folder.path().join("runbook")).args(arguments);
        engine.begin(&mut command)
    }
}

#[test]
fn another_user_waits_for_root_and_root_for_the_other() {
    let service = Service::of(1).up();
    let (one, nobody) = (Engine::new(), Nobody::new());
    // Whoever is started below the test's own folder must be able to enter it.
    let work = one.path(".");
    let parent = one.path("..");
    for folder in [work, parent] {
        assert!(Command::new("chmod").arg("755").arg(folder).status().expect("chmod").success());
    }
    let (run, _) = asking(&one, &service);
    let name = service.name();
    let arguments = ["service", "restart", &name, "--yes", "--grace", "1s"];
    let refused = nobody.spawn(&one, &[&arguments[..], &["--no-wait"]].concat()).wait();
    assert_eq!(refused.code, 10, "{refused:?}");
    refused.says(&["of root", "ask root"]);
    let waits = nobody.spawn(&one, &arguments);
    until_true("it to be told", || waits.said().contains("of root"));
    one.must(0, &["runs", "approve", "last"]);
    assert_eq!(run.wait().code, 0);
    let ended = waits.wait();
    assert_eq!(ended.code, 0, "{ended:?}");

    let mark = service.events.mark();
    let commands: Vec<Running> =
        (0..3).flat_map(|_| [restarting(&one, &service), nobody.spawn(&one, &arguments)]).collect();
    for command in commands {
        let ended = command.wait();
        assert_eq!(ended.code, 0, "{ended:?}");
    }
    assert_eq!(service.events.so_far(mark, "start"), 6);
    // Every one was down and healthy again before the next one began.
    let order: Vec<_> = service.events.since(mark).into_iter().map(|event| event.action).collect();
    let order: Vec<_> = order.into_iter().filter(|a| a == "die" || a == "health_status: healthy").collect();
    assert!(order.chunks(2).all(|pair| pair == ["die", "health_status: healthy"]), "{order:?}");
}
