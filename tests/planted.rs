//! What others put where we look: folders that look like segments of an emergency; files that look like exports; and that
//! nobody else can put anything where we keep ours, whatever the umask is.

use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _, chown};
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::support::books::HELLO;
use crate::support::engine::{BINARY, Engine};

/// Another user of the machine.
const SOMEBODY: u32 = 65534;

fn copy(from: &Path, to: &Path) {
    let copied = Command::new("cp").arg("-a").arg(from).arg(to).status().expect("cp");
    assert!(copied.success());
}

fn give_away(path: &Path) {
    chown(path, Some(SOMEBODY), Some(SOMEBODY)).expect("to be root");
    if path.is_dir() {
        for entry in std::fs::read_dir(path).expect("a folder").flatten() {
            give_away(&entry.path());
        }
    }
}

fn mode(path: &Path, mode: u32) {
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(mode)).expect("to be the owner");
}

/// An engine whose place for temporary files is one that everyone shares, and that place.
fn shared() -> (Engine, PathBuf) {
    let mut engine = Engine::new();
    let place = engine.path("shared");
    std::fs::create_dir(&place).expect("a folder");
    mode(&place, 0o1777);
    engine.set("TMPDIR", place.to_string_lossy());
    engine.must(0, &["run", &engine.write("hello.yaml", HELLO)]);
    (engine, place)
}

/// A log that says what never happened.
fn forged_log(at: &Path) {
    let other = Engine::new();
    other.must(0, &["run", &other.write("hello.yaml", HELLO)]);
    copy(other.data(), at);
    mode(at, 0o700);
}

#[test]
fn a_planted_segment_is_no_segment() {
    let (engine, place) = shared();
    let theirs = place.join("runbook-emergency-00000000000000000000000000000000");
    forged_log(&theirs);
    give_away(&theirs);
    let ours = place.join("runbook-emergency-11111111111111111111111111111111");
    forged_log(&ours);
    let linked = place.join("runbook-emergency-22222222222222222222222222222222");
    std::os::unix::fs::symlink(&ours, &linked).expect("a link");
    // An announcement that was made for another segment.
    let real = emergency(&engine, "hello.yaml");
    std::fs::copy(real.join("announcement.note"), ours.join("announcement.note")).expect("the announcement");
    std::fs::copy(real.join("announcement.note"), theirs.join("announcement.note"))
        .expect("the announcement");

    let looked = engine.run(&["doctor", "--no-services"]).said();
    assert!(looked.contains("1 emergency segments were not joined"), "{looked}");
    assert!(!looked.contains("runbook-emergency-0") && !looked.contains("runbook-emergency-1"), "{looked}");
    let joined = engine.must(0, &["audit", "join"]);
    joined.says(&["the engine may act again", &ours.to_string_lossy(), "--trust"]);
    assert!(!joined.said().contains("runbook-emergency-0") && !joined.said().contains("runbook-emergency-2"));
    let told = engine.must(0, &["audit", "tail", "--kind", "audit.joined", "--output", "json"]).stdout;
    assert_eq!(told.lines().count(), 1, "{told}");
    engine.must(0, &["run", "hello.yaml"]);

    let named = theirs.to_string_lossy();
    engine.must(3, &["audit", "join", &named]).says(&["is not a segment of"]);
    engine.must(2, &["audit", "join", "--trust"]);
    engine.must(0, &["audit", "join", &named, "--trust"]).says(&[
        "nobody announced",
        "user 65534",
        "you vouch",
    ]);
    engine.must(0, &["audit", "verify"]);
}

/// One emergency run; gives its segment.
fn emergency(engine: &Engine, book: &str) -> PathBuf {
    let ended = engine.must(0, &["run", book, "--emergency", "--reason", "nothing else works"]);
    let (_, after) = ended.stderr.split_once("this run is written down in ").expect("the segment");
    after.lines().next().expect("a line").into()
}

#[test]
fn nobody_is_where_a_segment_will_be_before_us() {
    let (mut engine, place) = shared();
    // No room inside of the data directory, as on a full disk; and one place in which everyone can change everything.
    std::fs::write(engine.data().join("emergency"), "").expect("a file");
    let open = engine.path("open");
    std::fs::create_dir(&open).expect("a folder");
    mode(&open, 0o777);
    engine.set("XDG_RUNTIME_DIR", open.to_string_lossy());
    let (one, other) = (emergency(&engine, "hello.yaml"), emergency(&engine, "hello.yaml"));
    for segment in [&one, &other] {
        let found = std::fs::symlink_metadata(segment).expect("the segment");
        assert_eq!((found.mode() & 0o7777, found.uid()), (0o700, rustix_uid()));
        assert_eq!(segment.parent(), Some(&*place));
        assert!(segment.file_name().is_some_and(|name| name.len() >= 32 + "runbook-emergency-".len()));
    }
    let prefix = |path: &PathBuf| path.file_name().expect("a name").to_string_lossy()[..34].to_owned();
    assert_ne!(prefix(&one), prefix(&other));
    mode(&other, 0o770);
    engine.must(0, &["audit", "join"]);
    engine.must(0, &["run", "hello.yaml"]);
    mode(&other, 0o700);
    engine.must(0, &["audit", "join"]).says(&["joined 1"]);
}

fn rustix_uid() -> u32 {
    std::fs::metadata("/proc/self").expect("/proc").uid()
}

#[test]
fn without_the_key_a_segment_needs_a_person_who_vouches_for_it() {
    let (engine, _) = shared();
    let key = engine.data().join("audit.key");
    let aside = engine.path("aside");
    std::fs::rename(&key, &aside).expect("to move the key");
    let ended = engine.must(0, &["run", "hello.yaml", "--emergency", "--reason", "the key is gone"]);
    ended.says(&["nobody vouches", "--trust"]);
    let (_, after) = ended.stderr.split_once("this run is written down in ").expect("the segment");
    let segment = after.lines().next().expect("a line").to_owned();
    std::fs::rename(&aside, &key).expect("to put the key back");
    engine.must(0, &["audit", "join"]).says(&["did not announce", "--trust"]);
    engine.must(0, &["audit", "join", &segment, "--trust"]).says(&["joined 1"]);
    engine.must(0, &["audit", "verify"]);
}

/// Everything below, with its mode.
fn modes(path: &Path, into: &mut Vec<(PathBuf, u32)>) {
    let found = std::fs::symlink_metadata(path).expect("a file");
    if found.is_symlink() {
        return;
    }
    into.push((path.to_owned(), found.mode() & 0o777));
    if found.is_dir() {
        for entry in std::fs::read_dir(path).expect("a folder").flatten() {
            modes(&entry.path(), into);
        }
    }
}

#[test]
fn modes_do_not_depend_on_the_umask() {
    for umask in ["0", "022", "0777"] {
        let engine = Engine::new();
        let book = engine.write("hello.yaml", HELLO);
        let with = |arguments: &str| {
            let line = format!("umask {umask}; exec {BINARY} {arguments}");
            let ended = engine.begin(Command::new("sh").args(["-c", &line])).wait();
            assert_eq!(ended.code, 0, "umask {umask}: {arguments}: {ended:?}");
        };
        with(&format!("run {book}"));
        with(&format!("run {book} --emergency --reason why"));
        with("audit join");
        with("state set mine k 1");
        engine.write("token.txt", "a-token-of-some-length");
        with("secret set token --file token.txt");
        let mut found = Vec::new();
        modes(engine.data(), &mut found);
        assert!(found.len() > 15, "{found:?}");
        for (path, mode) in &found {
            let expected = if path.is_dir() { 0o700 } else { 0o600 };
            assert_eq!(*mode, expected, "umask {umask}: {}", path.display());
        }
    }
}

#[test]
fn what_version_0_1_left_open_is_closed() {
    let engine = Engine::new();
    let book = engine.write("hello.yaml", HELLO);
    engine.must(0, &["run", &book]);
    for name in ["audit.db", "audit.pub", "fence.open", "reserve"] {
        mode(&engine.data().join(name), 0o666);
    }
    mode(&engine.data().join("checkpoints"), 0o777);
    mode(engine.data(), 0o777);
    engine.must(0, &["run", &book]);
    let mut found = Vec::new();
    modes(engine.data(), &mut found);
    let open: Vec<_> = found.iter().filter(|(_, mode)| mode & 0o077 != 0).collect();
    // What stands in a folder that is closed need not be closed itself.
    assert!(open.iter().all(|(path, _)| path.parent().is_some_and(|dir| dir != engine.data())), "{open:?}");
}
