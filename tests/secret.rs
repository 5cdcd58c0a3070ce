//! Secrets from outside: the built binary, the program `age`, real modes, real kills, a disk that is really full.

mod bad_input;
mod bed;
mod killed;
mod outside;

use std::os::unix::fs::PermissionsExt as _;
use std::process::Command;

use serde_json::Value;

use bed::{CANARY, Home, age, hits};

#[test]
fn a_secret_is_set_shown_and_removed_and_the_log_knows() {
    let home = Home::new();
    let made = home.set("mail/password", CANARY);
    made.says(&["mail/password version 1", "made a key", "secrets-identity", "apart from"]);
    let again = home.stdin(&["secret", "set", "mail/password"], b"second\n");
    again.says(&["version 2"]);
    assert!(!again.said().contains("made a key"));
    assert_eq!(home.reveal("mail/password"), "second");
    let old = home.engine.must(0, &["secret", "show", "mail/password", "--version", "1", "--reveal"]);
    assert_eq!(old.stdout, CANARY);
    let shown = home.engine.json(&["secret", "show", "mail/password"]);
    assert_eq!((&shown["version"], &shown["versions"][0]["version"]), (&Value::from(2), &Value::from(1)));
    assert!(home.engine.must(0, &["secret", "list"]).stdout.contains("mail/password"));
    assert_eq!(home.engine.json(&["secret", "list"])["secrets"][0]["name"], "mail/password");
    assert_eq!(home.engine.json(&["secret", "versions", "mail/password"]).as_array().map(Vec::len), Some(2));
    home.engine.must(2, &["secret", "remove", "mail/password"]).says(&["--yes"]);
    home.engine.must(0, &["secret", "remove", "mail/password", "--version", "2", "--yes"]);
    assert_eq!(home.reveal("mail/password"), CANARY);
    home.engine.must(0, &["secret", "remove", "mail/password", "--yes"]);
    home.engine.must(3, &["secret", "show", "mail/password"]).says(&["there is no secret"]);
    let entries = home.entries();
    let count = |kind: &str| entries.iter().filter(|entry| entry["kind"] == kind).count();
    assert_eq!((count("secret.set"), count("secret.revealed"), count("secret.removed")), (2, 3, 2));
    let set = entries.iter().find(|entry| entry["kind"] == "secret.set").expect("an entry");
    assert_eq!((&set["data"]["name"], &set["data"]["version"]), (&"mail/password".into(), &1.into()));
    assert_eq!(hits(home.engine.data()), Vec::<String>::new());
    home.engine.must(0, &["audit", "verify"]);
}

#[test]
fn files_are_for_their_owner_alone_whatever_the_umask() {
    let home = Home::new();
    let path = home.engine.write("value", CANARY);
    let mut command = Command::new("sh");
    command.args(["-c", "umask 000; exec \"$0\" secret set a --file \"$1\"", bed::BINARY, &path]);
    assert_eq!(home.engine.begin(&mut command).wait().code, 0);
    home.engine.must(0, &["secret", "export", "--to", "out.age"]);
    let store = home.engine.data().join("secrets");
    for path in bed::files(&store).into_iter().chain([store, home.identity(), home.engine.path("out.age")]) {
        let mode = std::fs::metadata(&path).expect("a file").permissions().mode() & 0o777;
        assert_eq!(mode, if path.is_dir() { 0o700 } else { 0o600 }, "{}", path.display());
    }
    let doctor = home.engine.run(&["doctor", "--no-services"]);
    doctor.says(&["secrets", "1 kept, opened by"]);
}

#[test]
fn a_copy_of_the_data_directory_is_useless_without_the_key() {
    let home = Home::new();
    for number in 0..5 {
        home.set(&format!("n{number}"), CANARY);
    }
    home.engine.must(0, &["secret", "rekey"]);
    assert_eq!(hits(home.engine.data()), Vec::<String>::new());
    let thief = Home::new();
    let copied = Command::new("cp").arg("-a").arg(home.engine.data()).arg(thief.engine.data()).status();
    assert!(copied.expect("cp").success());
    let refused = thief.engine.must(4, &["secret", "show", "n1", "--reveal"]);
    refused.says(&["no key", "RUNBOOK_SECRETS_KEY"]);
    thief.engine.must(4, &["secret", "export", "--to", "out.age"]);
    let path = thief.engine.write("value", "x");
    thief.engine.must(4, &["secret", "set", "other", "--file", &path]);
    assert!(!thief.identity().exists());
    // The names are known, and with the key all of it opens.
    thief.engine.must(0, &["secret", "list"]).says(&["n1"]);
    let key = std::fs::read_to_string(home.identity()).expect("the key");
    let with_key = thief.with("RUNBOOK_SECRETS_KEY", &key);
    assert_eq!(with_key.reveal("n1"), CANARY);
}

#[test]
fn a_credential_of_systemd_opens_it() {
    let home = Home::new();
    home.set("a", CANARY);
    let folder = home.engine.path("credentials");
    std::fs::create_dir_all(&folder).expect("a folder");
    std::fs::rename(home.identity(), folder.join("runbook-secrets-key")).expect("moved");
    home.engine.must(4, &["secret", "show", "a", "--reveal"]);
    let unit = home.with("CREDENTIALS_DIRECTORY", &folder.to_string_lossy());
    assert_eq!(unit.reveal("a"), CANARY);
}

#[test]
fn the_program_age_opens_an_export_and_what_it_wrote_comes_back() {
    let home = Home::new();
    home.set("api/token", CANARY);
    home.set("api/token", "second");
    home.set("lines", "one\ntwo \"quoted\"\n");
    home.engine.must(0, &["secret", "export", "--to", "out.age"]);
    let identity = home.identity().to_string_lossy().into_owned();
    let out = home.engine.path("out.age").to_string_lossy().into_owned();
    let plain = age(&["--decrypt", "-i", &identity, &out], b"");
    let document: Value = serde_json::from_slice(&plain).expect("one document");
    assert_eq!(document["format"], "runbook-secrets-export/1");
    assert_eq!(document["secrets"][0]["versions"][0]["value"], CANARY);
    assert_eq!(document["secrets"][1]["versions"][0]["value"], "one\ntwo \"quoted\"\n");
    assert!(hits(&home.engine.path("out.age")).is_empty());

    // For somebody else, and back from what `age` wrote.
    let keygen = Command::new("age-keygen").output().expect("age-keygen");
    let other = home.engine.write("other.txt", &String::from_utf8_lossy(&keygen.stdout));
    let public = bed::public(&keygen.stdout);
    home.engine.must(0, &["secret", "export", "--to", "other.age", "--recipient", &public]);
    let path = home.engine.path("other.age").to_string_lossy().into_owned();
    let key = home.engine.path(&other).to_string_lossy().into_owned();
    assert_eq!(age(&["--decrypt", "-i", &key, &path], b"").len(), plain.len());
    let armored = age(&["--encrypt", "--armor", "-r", &public], &plain);
    let fresh = Home::new();
    fresh.engine.write("in.age", &String::from_utf8_lossy(&armored));
    fresh.engine.must(4, &["secret", "import", "in.age"]);
    let readable = fresh.engine.write("key", &std::fs::read_to_string(key).expect("the key"));
    fresh.engine.must(4, &["secret", "import", "in.age", "--identity", &readable]).says(&["chmod 600"]);
    bed::tighten(&fresh.engine.path("key"));
    fresh.engine.must(0, &["secret", "import", "in.age", "--identity", &readable]);
    assert_eq!(
        (fresh.reveal("api/token"), fresh.reveal("lines")),
        ("second".to_owned(), "one\ntwo \"quoted\"\n".to_owned())
    );
    fresh.engine.must(10, &["secret", "import", "in.age", "--identity", &readable]).says(&["--existing"]);
    let kinds: Vec<String> =
        fresh.entries().iter().filter_map(|entry| entry["kind"].as_str().map(str::to_owned)).collect();
    assert!(kinds.contains(&"secret.imported".to_owned()), "{kinds:?}");
}

#[test]
fn a_passphrase_opens_an_export_and_the_store() {
    let home = Home::new();
    home.set("a", CANARY);
    let export = ["secret", "export", "--to", "out.age", "--passphrase"];
    assert_eq!(home.stdin(&export, b"correct horse\n").code, 0);
    home.engine.must(0, &["secret", "remove", "a", "--yes"]);
    let wrong = home.stdin(&["secret", "import", "out.age"], b"wrong horse\n");
    assert_eq!(wrong.code, 4);
    wrong.says(&["the passphrase does not open", "nothing was changed"]);
    assert_eq!(home.stdin(&["secret", "import", "out.age"], b"correct horse\n").code, 0);
    assert_eq!(home.reveal("a"), CANARY);
    assert_eq!(home.stdin(&["secret", "rekey", "--passphrase"], b"battery staple\n").code, 0);
    home.engine.must(4, &["secret", "show", "a", "--reveal"]).says(&["RUNBOOK_SECRETS_PASSPHRASE"]);
    assert_eq!(home.with("RUNBOOK_SECRETS_PASSPHRASE", "battery staple").reveal("a"), CANARY);
    let wrong = home.with("RUNBOOK_SECRETS_PASSPHRASE", "wrong");
    wrong.engine.must(4, &["secret", "show", "a", "--reveal"]).says(&["the passphrase does not open"]);
    assert_eq!(hits(home.engine.data()), Vec::<String>::new());
}

/// Answers the questions of a command on a terminal of its own, and prints what was on the screen.
const TERMINAL: &str = r#"
import os, pty, sys
pid, fd = pty.fork()
if pid == 0:
    os.execv(sys.argv[1], sys.argv[1:])
answers, screen, asked = os.environ["ANSWERS"].split(","), b"", 0
while True:
    try:
        part = os.read(fd, 4096)
    except OSError:
        break
    if not part:
        break
    screen += part
    if answers and screen.count(b": ") > asked:
        asked += 1
        os.write(fd, answers.pop(0).encode())
sys.stdout.buffer.write(screen)
sys.exit(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]))
"#;

#[test]
fn a_terminal_is_asked_twice_and_shows_nothing() {
    let home = Home::new();
    let ask = |answers: &str| {
        let mut command = Command::new("python3");
        command.args(["-c", TERMINAL, bed::BINARY, "secret", "set", "typed"]).env("ANSWERS", answers);
        home.engine.begin(&mut command).wait()
    };
    let typed = ask(&format!("x\u{7f}{CANARY}\n,{CANARY}\n"));
    assert_eq!(typed.code, 0, "{typed:?}");
    typed.says(&["Value of typed:", "Once more:", "version 1"]);
    assert!(!typed.said().contains(CANARY), "{typed:?}");
    assert_eq!(home.reveal("typed"), CANARY);
    let differs = ask("one\n,two\n");
    assert_eq!(differs.code, 3, "{differs:?}");
    assert_eq!(ask("one\u{3}").code, 130);
    assert_eq!(home.reveal("typed"), CANARY);
}
