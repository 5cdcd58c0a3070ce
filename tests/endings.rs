//! However a command ends, its run goes on or rests where nothing is down, and whoever asks is told where it stands.

use std::collections::BTreeMap;
use std::process::Command;
use std::time::{Duration, Instant};

use crate::crash::Dice;
use crate::support::books::{self, HELLO, Restart};
use crate::support::engine::{BINARY, Engine, Running, signal, until_idle};
use crate::support::patience::{until, until_true};
use crate::support::service::Service;

/// After `TERM` a command waits 8 s; who runs it kills it after 10. So much more is allowed to a busy machine.
const SOON: Duration = Duration::from_secs(25);

/// A restart that takes longer than a command waits after `TERM`.
const SLOW_START: &str = "START_DELAY=6";

fn once(service: &Service) -> BTreeMap<String, usize> {
    service.replicas().into_iter().map(|name| (name, 1)).collect()
}

/// A restart under way, its first replica stopped.
struct Restarting {
    service: Service,
    engine: Engine,
    mark: usize,
    run: Running,
}

impl Restarting {
    fn of(service: Service) -> Self {
        Self::by(service, |book, parameter| {
            let mut command = Command::new(BINARY);
            command.args(["run", book, "-p", parameter, "--yes"]);
            command
        })
    }

    fn by(service: Service, command: impl FnOnce(&str, &str) -> Command) -> Self {
        let engine = Engine::new();
        let book = engine.write("restart.yaml", &books::restart(&Restart::default()));
        let mark = service.events.mark();
        let run = engine.begin(&mut command(&book, &service.parameter()));
        service.events.wait_for(mark, "stop", &service.replica(1));
        Self { service, engine, mark, run }
    }

    /// The run has ended as if nobody had disturbed it.
    fn is_done(&self) {
        self.engine.until_status("succeeded");
        assert_eq!(self.service.events.count(self.mark, "start"), once(&self.service));
        assert!((1..=2).all(|number| self.service.is_running(number)));
    }
}

#[test]
fn told_to_end_a_command_waits_a_little_and_says_where_the_run_goes_on() {
    for name in ["TERM", "HUP"] {
        let it = Restarting::of(Service::of(2).env(SLOW_START).up());
        let began = Instant::now();
        it.run.signal(name);
        let run = it.engine.newest()["run"].as_str().expect("its id").to_owned();
        let Restarting { service, engine, mark, run: command } = it;
        let ended = command.wait();
        assert_eq!(ended.code, 143, "{name}: {ended:?}");
        assert!(began.elapsed() < SOON, "{name}: {:?}", began.elapsed());
        let follow = format!("runbook runs watch {run}");
        ended.says(&["goes on without this command", &follow, "runbook runs cancel"]);
        let watched = engine.must(0, &["runs", "watch", &run]);
        assert_eq!(service.events.count(mark, "start"), once(&service), "{watched:?}");
    }
}

#[test]
fn a_run_that_ends_soon_after_gives_the_command_its_own_code() {
    let it = Restarting::of(Service::of(1).up());
    let began = Instant::now();
    it.run.signal("TERM");
    let ended = it.run.wait();
    // A busy machine may take longer than the command waits.
    let gave_up = ended.code == 143 && began.elapsed() >= Duration::from_secs(8);
    assert!(ended.code == 0 || gave_up, "{ended:?}");
    assert_eq!(it.service.events.count(it.mark, "start"), once(&it.service));
}

#[test]
fn told_twice_it_ends_at_once() {
    let it = Restarting::of(Service::of(2).env(SLOW_START).up());
    it.run.signal("TERM");
    std::thread::sleep(Duration::from_millis(500));
    it.run.signal("TERM");
    let Restarting { service, engine, mark, run } = it;
    let ended = run.wait();
    assert_eq!(ended.code, 143, "{ended:?}");
    assert_eq!(engine.status(), "running");
    engine.until_status("succeeded");
    assert_eq!(service.events.count(mark, "start"), once(&service));
}

#[test]
fn a_job_with_a_time_limit_leaves_the_run_to_the_engine() {
    let service = Service::of(2).env("IGNORE_TERM=1").env(SLOW_START).up();
    let it = Restarting::by(service, |book, parameter| {
        let mut command = Command::new("timeout");
        command.args(["3", BINARY, "run", book, "-p", parameter, "--yes"]);
        command
    });
    until_true("the time limit", || !it.run.runs());
    it.is_done();
    assert_eq!(it.run.wait().code, 124);
}

#[test]
fn a_command_that_is_stopped_and_goes_on_has_missed_nothing() {
    let it = Restarting::of(Service::of(2).up());
    it.run.signal("STOP");
    it.is_done();
    it.run.signal("CONT");
    let ended = it.run.wait();
    assert_eq!(ended.code, 0, "{ended:?}");
    assert_eq!(ended.stderr, "", "nothing is held against the engine");
}

#[test]
fn an_engine_that_is_told_to_end_is_followed_by_another() {
    let it = Restarting::of(Service::of(2).env("START_DELAY=1").up());
    let first = it.engine.process();
    it.run.signal_engine("TERM");
    it.is_done();
    let ended = it.run.wait();
    assert_eq!(ended.code, 0, "{ended:?}");
    assert_ne!(it.engine.background(), [first]);
}

#[test]
fn whoever_ends_them_all_has_ended_them() {
    let it = Restarting::of(Service::of(2).env("START_DELAY=1").up());
    let engine = it.engine.process();
    it.run.signal("TERM");
    signal(engine, "TERM");
    let Restarting { service, engine, mark, run } = it;
    let ended = run.wait();
    assert_eq!(ended.code, 143, "{ended:?}");
    ended.says(&["is not over", "runbook runs resume"]);
    until_idle(&engine);
    assert_eq!(engine.status(), "running");
    engine.must(0, &["runs", "resume", "--yes"]);
    assert_eq!(service.events.count(mark, "start"), once(&service));
    assert!(service.is_running(1) && service.is_running(2));
}

#[test]
fn a_reader_of_stdout_that_is_gone_does_not_end_it() {
    let it = Restarting::by(Service::of(1).up(), |book, parameter| {
        let mut command = Command::new("sh");
        command.args(["-c", r#""$0" run "$1" -p "$2" --yes | head -n 1"#, BINARY, book, parameter]);
        command
    });
    it.engine.until_status("succeeded");
    assert_eq!(it.service.events.count(it.mark, "start"), once(&it.service));
    it.run.wait();
}

/// What may befall a command and its engine.
const BLOWS: [fn(&Running); 8] = [
    |run| run.signal("TERM"),
    |run| run.signal("HUP"),
    |run| run.signal("INT"),
    |run| {
        run.signal("STOP");
        std::thread::sleep(Duration::from_secs(1));
        run.signal("CONT");
    },
    |run| run.signal("KILL"),
    |run| run.signal_engine("TERM"),
    |run| run.signal_engine("KILL"),
    |run| {
        run.signal("TERM");
        run.signal_engine("TERM");
    },
];

/// Commands that were disturbed, unless time runs out.
const BLOWS_TRIED: u64 = 16;

/// How long the random test may go on beginning new trials.
const BUDGET: Duration = Duration::from_mins(2);

/// How long an undisturbed run takes, more or less.
const LIFE_MS: u64 = 8_000;

#[test]
fn whatever_befalls_a_command_as_many_serve_afterwards() {
    // Half of them are killed by every stop.
    let service = Service::of(2).up();
    let stubborn = Service::of(2).env("IGNORE_TERM=1").up();
    let (mut dice, began) = (Dice(20_261), Instant::now());
    for trial in 0..BLOWS_TRIED {
        if began.elapsed() > BUDGET && trial > BLOWS.len() as u64 {
            break;
        }
        let service = if trial % 2 == 0 { &service } else { &stubborn };
        let engine = Engine::new();
        let round = format!("env={{\"ROUND\":\"{trial}\"}}");
        let what = match dice.below(3) {
            0 => vec!["service-restart"],
            1 => vec!["service-recreate", "-p", &round],
            _ => vec!["service-scale", "-p", "replicas=2"],
        };
        let parameter = service.parameter();
        let rest = ["-p", &parameter, "-p", "grace=1s", "--yes"];
        let run = engine.spawn(&[&["run"], what.as_slice(), &rest].concat());
        until_true("it to be accepted", || engine.status() != "" || !run.runs());
        let blow = dice.below(BLOWS.len() as u64);
        std::thread::sleep(Duration::from_millis(dice.below(LIFE_MS)));
        if run.runs() {
            BLOWS[usize::try_from(blow).expect("small")](&run);
        }
        let ended = run.wait();
        let place = format!("trial {trial}, {what:?}, blow {blow}: {ended:?}");
        assert!(matches!(ended.code, 0 | 130 | 137 | 143), "{place}");
        until_true("it to be over", || {
            if engine.background().is_empty() {
                engine.run(&["runs", "resume", "--yes"]);
            }
            engine.json(&["runs", "list", "--unfinished"]) == serde_json::json!([])
        });
        assert_eq!(engine.status(), "succeeded", "{place}");
        assert_eq!(service.containers(), service.replicas(), "{place}");
        assert!((1..=2).all(|number| service.is_healthy(number)), "{place}");
        engine.must(0, &["audit", "verify"]);
    }
}

#[test]
fn what_a_shell_lets_a_command_ignore_it_ignores() {
    let it = Restarting::by(Service::of(1).up(), |book, parameter| {
        let mut command = Command::new("sh");
        let line = r#"trap "" INT HUP; exec "$0" run "$1" -p "$2" --yes"#;
        command.args(["-c", line, BINARY, book, parameter]);
        command
    });
    it.run.signal("INT");
    it.run.signal("HUP");
    let ended = it.run.wait();
    assert_eq!(ended.code, 0, "{ended:?}");
}

#[test]
fn a_stopped_engine_is_named_with_what_helps() {
    let service = Service::of(1).up();
    let engine = Engine::new();
    let asks = "  - id: ask\n    uses: ask.person\n    with: { question: sure }\n";
    let book = engine.write("asks.yaml", &books::steps("read, restart", asks));
    let watching = engine.spawn(&["run", &book, "-p", &service.parameter(), "--yes"]);
    engine.until_status("waiting");
    let process = engine.process();
    signal(process, "STOP");
    let cure = format!("kill -CONT {process}");
    until_true("the one who watches to be told", || watching.told().contains(&cure));
    let began = Instant::now();
    let fresh = engine.spawn(&["state", "set", "mine", "key", "1"]);
    until_true("the other to be told", || fresh.told().contains(&cure));
    assert!(began.elapsed() < Duration::from_secs(9), "before its patience is over: {:?}", began.elapsed());
    let fresh = fresh.wait();
    assert_eq!(fresh.code, 5, "{fresh:?}");
    fresh.says(&["is stopped", "--emergency"]);

    signal(process, "CONT");
    engine.must(0, &["runs", "approve", "last"]);
    let ended = watching.wait();
    assert_eq!(ended.code, 0, "{ended:?}");
    assert_eq!(ended.stderr.matches(&cure).count(), 1, "told once: {ended:?}");
}

#[test]
fn an_engine_whose_directory_is_gone_ends() {
    let engine = Engine::new();
    let sleeps = "format: 1\nrunbook: sleeps\nsummary: Sleep.\nsteps:\n  - { id: s, uses: core.sleep, with: { for: 30m } }\n";
    engine.must(0, &["run", &engine.write("sleeps.yaml", sleeps), "--detach"]);
    engine.process();
    let watching = engine.spawn(&["runs", "watch", "last"]);
    until_true("it to watch", || watching.said().contains("accepted") || watching.said().contains("queued"));
    let away = engine.path("away");
    std::fs::rename(engine.data(), &away).expect("to move it");
    let ended = watching.wait();
    assert_eq!(ended.code, 5, "{ended:?}");
    ended.says(&["was removed or moved", "put the directory back", "runs resume"]);
    until_idle(&engine);
    assert!(!engine.data().exists(), "nothing stands in its place");

    std::fs::rename(&away, engine.data()).expect("to move it back");
    engine.must(0, &["runs", "cancel", "last"]);
    engine.until_status("cancelled");
}

#[test]
fn a_command_that_is_refused_begins_nothing() {
    let engine = Engine::new();
    engine.must(3, &["run", "no-such-runbook"]);
    assert!(!engine.data().exists());
    engine.must(0, &["run", &engine.write("hello.yaml", HELLO)]);
    let entries = || engine.must(0, &["audit", "tail", "-n", "1000"]).stdout;
    let before = entries();
    engine.must(3, &["run", "no-such-runbook"]);
    assert_eq!(entries(), before);
    assert_eq!(engine.background(), Vec::<u32>::new(), "an engine ends with the command that needed it");
}

/// A command at a terminal, which is gone when this is killed.
fn at_a_terminal(engine: &Engine, line: &str) -> Running {
    let mut command = Command::new("sh");
    // Stdin of `script` stays open: its end would be typed.
    command.args(["-c", "tail --pid=$$ -f /dev/null | exec script -qfec \"$0\" /dev/null", line]);
    engine.begin(&mut command)
}

/// The process of a command, by a word of its command line.
fn process(engine: &Engine, word: &str) -> Option<u32> {
    let home = engine.path("").to_string_lossy().into_owned();
    let processes = std::fs::read_dir("/proc").expect("/proc").flatten();
    processes.filter_map(|entry| entry.file_name().to_str()?.parse::<u32>().ok()).find(|id| {
        let line = std::fs::read(format!("/proc/{id}/cmdline")).unwrap_or_default();
        let words: Vec<_> = line.split(|byte| *byte == 0).map(String::from_utf8_lossy).collect();
        words.first().is_some_and(|first| first.contains(word)) && words.iter().any(|one| one.contains(&home))
    })
}

/// Closes the terminal of the only command at one.
fn close(engine: &Engine) {
    signal(until("the terminal", || process(engine, "script")), "KILL");
}

#[test]
fn a_terminal_that_is_gone_while_the_plan_is_shown_says_no() {
    let service = Service::of(1).up();
    let engine = Engine::new();
    engine.write("restart.yaml", &books::restart(&Restart::default()));
    let book = engine.path("restart.yaml").display().to_string();
    let mark = service.events.mark();
    let terminal = at_a_terminal(&engine, &format!("{BINARY} run {book} -p {}", service.parameter()));
    until_true("the question", || terminal.said().contains("go ahead?"));
    close(&engine);
    until_true("the command to end", || process(&engine, BINARY).is_none());
    assert_eq!(service.events.writes(mark), []);
    assert_eq!(engine.status(), "");
    terminal.kill();
}

#[test]
fn a_terminal_that_is_gone_while_a_step_asks_leaves_the_question_to_others() {
    let service = Service::of(1).up();
    let engine = Engine::new();
    let asks = "  - id: ask\n    uses: ask.person\n    with: { question: sure }\n";
    engine.write("asks.yaml", &books::steps("read, restart", asks));
    let book = engine.path("asks.yaml").display().to_string();
    let terminal = at_a_terminal(&engine, &format!("{BINARY} run {book} -p {} --yes", service.parameter()));
    until_true("the question", || terminal.said().contains("[y/N]"));
    close(&engine);
    until_true("the command to end", || process(&engine, BINARY).is_none());
    assert_eq!(engine.status(), "waiting");
    engine.must(0, &["runs", "approve", "last"]);
    engine.must(0, &["runs", "watch", "last"]);
    terminal.kill();
}
