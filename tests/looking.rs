//! What only looks needs no engine and no directory that it may write to, leaves no entry, and changes no file.

use std::collections::BTreeMap;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};
use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use crate::support::books::HELLO;
use crate::support::engine::{BINARY, Ended, Engine};
use crate::support::service::Service;

/// Far less than the ten seconds for which a command waits for an engine that does not answer.
const SOON: Duration = Duration::from_secs(8);

/// A user who is nobody else on this machine.
const STRANGER: u32 = 47_110;

/// Name, kind, size and time of change of everything below.
fn tree(folder: &Path) -> BTreeMap<String, (u32, u64, i64, i64)> {
    let mut found = BTreeMap::new();
    let mut open = vec![folder.to_owned()];
    while let Some(path) = open.pop() {
        let Ok(meta) = std::fs::symlink_metadata(&path) else { continue };
        let facts = (meta.mode(), meta.size(), meta.mtime(), meta.mtime_nsec());
        found.insert(path.display().to_string(), facts);
        if meta.is_dir() {
            open.extend(std::fs::read_dir(&path).expect("a folder").flatten().map(|entry| entry.path()));
        }
    }
    found
}

/// A command and what it says.
type Look = (Vec<String>, &'static str);

/// Everything that looks, and a word that each says of a directory in which `hello` was run.
fn looks(service: &Service) -> Vec<Look> {
    let (name, parameter) = (service.name(), service.parameter());
    let line = |words: &str| words.split(' ').map(str::to_owned).collect::<Vec<String>>();
    vec![
        (line(&format!("service status {name}")), "1 replicas, 1 running"),
        (line("service list"), "SERVICE"),
        (line(&format!("service logs {name} --lines 5")), "===="),
        (line(&format!("plan service-restart -p {parameter}")), "service-restart"),
        (line("plan reads.yaml"), "reads"),
        (line("runs list"), "hello"),
        (line("runs show last"), "hello"),
        (line("runs watch last"), "hello"),
        (line("runs replay last"), "identical"),
        (line("audit tail"), "run.finished"),
        (line("audit verify"), "verified"),
        (line("state get bucket key"), "kept"),
        (line("state list bucket"), "key"),
        (line("halt status"), "not halted"),
        (line("secret list"), "NAME"),
        (line("list"), "service-restart"),
        (line("show service-restart"), "Restart a service"),
        (line("validate hello.yaml"), "hello"),
        (line("plugin list"), "service.restart"),
        (line("config show"), "data_dir"),
    ]
}

const READS: &str = "format: 1
runbook: reads
summary: Read state.
grants:
  state: { bucket: bucket, actions: [read] }
steps:
  - { id: get, uses: state.get, with: { bucket: bucket, key: key } }
";

const ASKS: &str = "format: 1
runbook: asks
summary: Ask, and wait.
steps:
  - { id: ask, uses: ask.person, with: { question: well? } }
";

/// An engine in whose directory something was run and is kept; its plugins are compiled.
fn kept(service: &Service) -> Engine {
    let engine = Engine::new();
    for (name, text) in [("hello.yaml", HELLO), ("reads.yaml", READS), ("asks.yaml", ASKS)] {
        engine.write(name, text);
    }
    engine.must(0, &["state", "set", "bucket", "key", "\"kept\""]);
    engine.must(0, &["run", "reads.yaml"]);
    engine.must(0, &["run", "service-status", "-p", &service.parameter()]);
    engine.must(0, &["run", "hello.yaml"]);
    engine
}

/// Runs it and sees that it waits for nobody and says what it should.
fn looks_at(engine: &Engine, (words, said): &Look) -> Ended {
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    let began = Instant::now();
    let ended = engine.must(0, &words);
    assert!(began.elapsed() < SOON, "{words:?} took {:?}", began.elapsed());
    ended.says(&[said]);
    ended
}

fn entries(engine: &Engine) -> String {
    engine.must(0, &["audit", "verify"]).stdout
}

#[test]
fn while_the_engine_is_stopped() {
    let service = Service::of(1).up();
    let engine = kept(&service);
    let asks = engine.spawn(&["run", "asks.yaml", "--dedupe", "one"]);
    engine.until_status("waiting");
    let id: u32 = std::fs::read_to_string(engine.data().join("engine.lock"))
        .expect("the engine's own file")
        .trim()
        .parse()
        .expect("its process");
    crate::support::engine::signal(id, "STOP");
    let (before, log) = (changed_by_looking(&engine), entries(&engine));
    for look in looks(&service) {
        // The newest run waits for a person, so that whoever follows it would, too.
        if look.0[0] == "runs" && look.0.last().is_some_and(|word| word == "last") {
            continue;
        }
        looks_at(&engine, &look);
    }
    engine.must(0, &["runs", "show", "last"]).says(&["asked", "well?"]);
    assert_eq!(changed_by_looking(&engine), before);
    assert_eq!(entries(&engine), log, "who looks leaves no entry");
    crate::support::engine::signal(id, "CONT");
    engine.must(0, &["runs", "approve", "last"]);
    assert_eq!(asks.wait().code, 0);
}

/// The memory that SQLite's readers share notes who reads.
fn changed_by_looking(engine: &Engine) -> BTreeMap<String, (u32, u64, i64, i64)> {
    let mut files = tree(engine.data());
    files.retain(|name, _| !name.ends_with("audit.db-shm"));
    files
}

#[test]
fn where_there_is_no_directory() {
    let service = Service::of(1).up();
    let engine = Engine::new();
    for (name, text) in [("hello.yaml", HELLO), ("reads.yaml", READS)] {
        engine.write(name, text);
    }
    let mut of_a_log = Vec::new();
    for look in looks(&service) {
        let words: Vec<&str> = look.0.iter().map(String::as_str).collect();
        let ended = engine.run(&words);
        if ended.code != 0 {
            ended.says(&["there is no audit log in", &engine.data().display().to_string()]);
            of_a_log.push(words[..2].join(" "));
        }
    }
    let expected =
        ["runs show", "runs watch", "runs replay", "audit tail", "audit verify", "state get", "state list"];
    assert_eq!(of_a_log, expected, "only who reads the log needs one");
    engine.run(&["doctor", "--no-services"]).says(&["none yet"]);
    assert!(!engine.data().exists(), "who looks makes no directory");
    let mut homeless = Command::new(BINARY);
    homeless.args(["service", "status", &service.name()]);
    let homeless = setpriv(&mut homeless).env_remove("HOME").env_remove("RUNBOOK_DATA_DIR").output();
    let said = String::from_utf8_lossy(&homeless.expect("setpriv").stderr).into_owned();
    assert!(!said.contains("no data directory"), "{said}");
}

/// The same command as the user who is nobody else.
fn setpriv(command: &mut Command) -> Command {
    let mut other = Command::new("setpriv");
    other.args(["--reuid", &STRANGER.to_string(), "--clear-groups"]).arg(command.get_program());
    other.args(command.get_args());
    other
}

/// A view of a folder that nobody may write to.
struct ReadOnly<'a>(&'a Path);

impl<'a> ReadOnly<'a> {
    fn of(folder: &Path, at: &'a Path) -> Self {
        std::fs::create_dir(at).expect("a folder");
        let mounted = Self(at);
        let bound = Command::new("mount").arg("--bind").args([folder, at]).status();
        assert!(bound.expect("mount").success(), "a mount needs root");
        let closed = Command::new("mount").args(["-o", "remount,ro,bind"]).arg(at).status();
        assert!(closed.expect("mount").success());
        mounted
    }
}

impl Drop for ReadOnly<'_> {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg("--lazy").arg(self.0).status();
    }
}

#[test]
fn where_nobody_may_write() {
    let service = Service::of(1).up();
    let engine = kept(&service);
    crate::support::engine::until_idle(&engine);
    let (data, at) = (engine.data().to_owned(), engine.path("read-only"));
    let mount = ReadOnly::of(&data, &at);
    let engine = engine.data_dir(&at);
    let before = tree(&data);
    for look in looks(&service) {
        looks_at(&engine, &look);
    }
    assert_eq!(tree(&data), before);
    // And beside an engine that writes.
    let engine = engine.data_dir(&data);
    let asks = engine.spawn(&["run", "asks.yaml"]);
    engine.until_status("waiting");
    let engine = engine.data_dir(&at);
    engine.must(0, &["runs", "list"]).says(&["asks", "waiting"]);
    looks_at(&engine, &(["plan", "reads.yaml"].map(str::to_owned).to_vec(), "reads"));
    let engine = engine.data_dir(&data);
    engine.must(0, &["runs", "approve", "last"]);
    assert_eq!(asks.wait().code, 0);
    drop(mount);
}

#[test]
fn of_another_user_who_may_only_read() {
    let service = Service::of(1).up();
    let engine = kept(&service);
    let open = |path: &Path| {
        for path in
            std::iter::once(path).chain(path.ancestors().skip(1)).map(Path::to_owned).collect::<Vec<_>>()
        {
            if path.starts_with(engine.data()) || engine.data().parent().is_some_and(|home| path == home) {
                let meta = std::fs::metadata(&path).expect("it is there");
                let mode = meta.permissions().mode() | if meta.is_dir() { 0o055 } else { 0o044 };
                std::fs::set_permissions(&path, std::fs::Permissions::from_mode(mode)).expect("our own");
            }
        }
    };
    for name in tree(engine.data()).keys() {
        open(Path::new(name));
    }
    let before = tree(engine.data());
    for (words, said) in looks(&service) {
        if words[0] == "service" || words.iter().any(|word| word == "service-restart" && words[0] == "plan") {
            // The daemon is closed to that user.
            continue;
        }
        let mut command = Command::new(BINARY);
        let ended = engine.begin(&mut setpriv(command.args(&words))).wait();
        assert_eq!(ended.code, 0, "{words:?}: {}", ended.said());
        ended.says(&[said]);
    }
    assert_eq!(tree(engine.data()), before);
}
