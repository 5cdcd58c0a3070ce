//! Canaries: many secrets, which the world spills in every encoding into every place where a run lets it speak. Afterwards
//! none of them is in any file, output or line of the list of processes.

use std::hash::{BuildHasher as _, RandomState};
use std::io::{Read as _, Write as _};
use std::net::TcpListener;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};
use std::os::unix::process::ExitStatusExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use aho_corasick::AhoCorasick;
use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use serde_json::{Value, json};

use crate::support::docker::docker;
use crate::support::engine::{BINARY, Engine, signal};
use crate::support::patience::{until, until_true};
use crate::support::service::Service;
use crate::support::vault;

/// How many.
const CANARIES: usize = 200;

/// How many share an environment variable of the container that spills them.
const TOGETHER: usize = 20;

/// Values of all shapes, never the same twice.
fn canaries() -> Vec<String> {
    let random =
        |n: usize| format!("{:016x}{:016x}", RandomState::new().hash_one(n), RandomState::new().hash_one(n));
    (0..CANARIES)
        .map(|n| match n % 5 {
            0 => format!("cAn{}", random(n)),
            1 => format!("cAn \"{}\"/é&<{}>+\\", &random(n)[..9], &random(n)[..9]),
            2 => format!("-----BEGIN CAN-----\n{}\n{}/+\n-----END CAN-----\n", random(n), random(n)),
            3 => format!("{{\"user\":\"can\",\"password\":\"{}\"}}", random(n)),
            _ => random(n)[..12].to_uppercase(),
        })
        .collect()
}

/// In the encodings that were promised; what the engine looks for is made by other code.
fn encodings(value: &str) -> Vec<String> {
    let bytes = |one: &dyn Fn(u8) -> String| value.bytes().map(one).collect::<String>();
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-._~".contains(&byte);
    let url = |blank: &'static str| {
        move |byte: u8| match byte {
            b' ' => blank.to_owned(),
            byte if plain(byte) => char::from(byte).to_string(),
            byte => format!("%{byte:02X}"),
        }
    };
    let quoted = Value::from(value).to_string();
    let escaped = &quoted[1..quoted.len() - 1];
    let inside = |before: &str, from: usize| {
        let known = 8 * (before.len() + value.len()) / 6;
        STANDARD.encode(format!("{before}{value}"))[from..known].to_owned()
    };
    let mut all = vec![
        value.to_owned(),
        STANDARD.encode(value),
        inside("a", 2),
        inside("ab", 3),
        URL_SAFE_NO_PAD.encode(value),
        bytes(&|byte| format!("{byte:02x}")),
        bytes(&|byte| format!("{byte:02X}")),
        bytes(&url("%20")),
        bytes(&url("+")),
        escaped.to_owned(),
        escaped.replace('/', "\\/"),
    ];
    all.extend(value.encode_utf16().map(|unit| format!("\\u{unit:04x}")).reduce(|all, one| all + &one));
    all.extend(value.lines().filter(|line| line.len() > 5 && !line.starts_with("-----")).map(str::to_owned));
    all
}

/// What is looked for, and how often it was found where it must be.
struct Search {
    automaton: AhoCorasick,
    forms: Vec<String>,
}

impl Search {
    fn of(canaries: &[String]) -> Self {
        let mut forms: Vec<String> = canaries.iter().flat_map(|canary| encodings(canary)).collect();
        forms.sort();
        forms.dedup();
        Self { automaton: AhoCorasick::new(&forms).expect("an automaton"), forms }
    }

    fn nothing_in(&self, place: &str, bytes: &[u8]) {
        if let Some(found) = self.automaton.find(bytes) {
            let (from, to) = (found.start().saturating_sub(200), (found.end() + 200).min(bytes.len()));
            let form = &self.forms[found.pattern().as_usize()];
            panic!("{place} holds `{form}`: {}", String::from_utf8_lossy(&bytes[from..to]));
        }
    }

    /// Every file below, however deep; returns how many.
    fn nothing_below(&self, folder: &Path) -> usize {
        let entries = std::fs::read_dir(folder).expect("a folder").flatten();
        entries
            .map(|entry| entry.path())
            .map(|path| {
                if path.is_dir() {
                    return self.nothing_below(&path);
                }
                self.nothing_in(&path.to_string_lossy(), path.to_string_lossy().as_bytes());
                if path.is_file() {
                    self.nothing_in(&path.to_string_lossy(), &std::fs::read(&path).unwrap_or_default());
                }
                1
            })
            .sum()
    }

    fn nothing_in_processes(&self) {
        for entry in std::fs::read_dir("/proc").expect("/proc").flatten() {
            let line = std::fs::read(entry.path().join("cmdline")).unwrap_or_default();
            self.nothing_in(&format!("{}", entry.path().display()), &line);
        }
    }
}

/// Puts all of them into the store: the first makes it, the others are imported.
fn keep(engine: &Engine, canaries: &[String]) {
    vault::set(engine, "canary/0", &canaries[0]);
    let index = std::fs::read(engine.data().join("secrets/index.json")).expect("the index");
    let index: Value = serde_json::from_slice(&index).expect("the index");
    let recipient: age::x25519::Recipient =
        index["recipient"].as_str().expect("a recipient").parse().expect("a recipient");
    let one = |(n, value): (usize, &String)| {
        let version = json!({ "version": 1, "created_ms": 1, "by": "test", "value": value });
        json!({ "name": format!("canary/{n}"), "versions": [version] })
    };
    let secrets: Vec<Value> = canaries.iter().enumerate().skip(1).map(one).collect();
    let document = json!({ "format": "runbook-secrets-export/1", "exported_ms": 1, "secrets": secrets });
    let sealed = age::encrypt(&recipient, document.to_string().as_bytes()).expect("an export");
    std::fs::write(engine.path("canaries.age"), sealed).expect("a file");
    engine.must(0, &["secret", "import", "canaries.age"]);
}

/// A server that answers every request with all of it, in its head and its body.
fn babbler(spill: &[String]) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let url = format!("http://{}/", listener.local_addr().expect("its address"));
    let body = spill.join("\n");
    let header: String = spill[0].chars().filter(|c| !c.is_control()).collect();
    std::thread::spawn(move || {
        for mut stream in listener.incoming().map_while(Result::ok) {
            let _ = stream.read(&mut [0; 8 << 10]);
            let length = body.len();
            let head = format!(
                "HTTP/1.1 200 OK\r\nX-Said: {header}\r\nContent-Length: {length}\r\nConnection: close\r\n\r\n"
            );
            let _ = stream.write_all(head.as_bytes()).and_then(|()| stream.write_all(body.as_bytes()));
        }
    });
    url
}

/// A container with all of it in its environment, and what of it is in which variable.
fn spiller(spill: &[String]) -> Service {
    let mut wanted = Service::of(1);
    for (n, text) in spill.iter().enumerate() {
        wanted = wanted.env(&format!("SPILL_{n}={text}"));
    }
    let service = wanted.up();
    let print = "i=0; while [ $i -lt $COUNT ]; do eval \"printf '%s\\n' \\\"\\$SPILL_$i\\\"\"; i=$((i+1)); done > /proc/1/fd/1";
    docker(&["exec", "--env", &format!("COUNT={}", spill.len()), &service.replica(1), "sh", "-c", print]);
    service
}

/// Lets the world speak wherever it can: streams, scripts, failures, logs, answers, notes, outputs, state, artifacts.
fn book(url: &str) -> String {
    format!(
        r#"format: 1
runbook: spill
summary: Spill it.
risk: low
parameters:
  service: {{ type: string }}
  said: {{ type: string }}
grants:
  containers:
    select: {{ service: "${{{{ parameters.service }}}}" }}
    actions: [read, exec, create, start, remove]
    max_unavailable: 1
  http: ["{url}*"]
  secrets: [{{ names: [canary/*], actions: [use] }}]
steps:
  - id: exec
    uses: container.exec
    with: {{ service: "${{{{ parameters.service }}}}", command: [sh, -c, 'printf "%s" "$SPILL_0$SPILL_1"; printf "%s" "$SPILL_2$SPILL_3" >&2'] }}
  - id: script
    uses: container.script
    with: {{ service: "${{{{ parameters.service }}}}", body: 'printf "%s" "$SPILL_4$SPILL_5"; printf "%s" "$SPILL_6$SPILL_7" >&2' }}
  - id: own
    uses: container.exec
    with:
      service: "${{{{ parameters.service }}}}"
      command: [sh, -c, 'echo "$A"; echo "$B" | base64; printf "%s" "$C" | od -An -tx1 | tr -d " \n"; env']
      secret_env: {{ A: canary/1, B: canary/2, C: canary/3 }}
  - id: alone
    uses: container.run
    with:
      service: "${{{{ parameters.service }}}}"
      command: [sh, -c, 'printf "%s" "$A"; cat /run/secrets/b; cat /run/secrets/b >&2']
      secret_env: {{ A: canary/4 }}
      secret_files: {{ /run/secrets/b: canary/7 }}
  - id: ask
    uses: http.request
    with:
      url: "{url}"
      method: POST
      json: {{ said: "${{{{ parameters.said }}}}", key: none }}
      secrets: [{{ name: canary/0, header: x-token, prefix: "Bearer " }}, {{ name: canary/1, json_field: /key }}]
  - id: log
    uses: core.log
    with: {{ message: "${{{{ steps.exec.output.stdout }}}} ${{{{ parameters.said }}}}" }}
  - id: fail
    uses: container.exec
    on_failure: continue
    with: {{ service: "${{{{ parameters.service }}}}", command: [sh, -c, 'printf "%s" "$SPILL_8" | head -c 900 >&2; exit 3'] }}
  - id: refuse
    uses: http.request
    on_failure: continue
    with: {{ url: "{url}", expect: [404] }}
  - id: slow
    uses: container.exec
    on_failure: continue
    with: {{ service: "${{{{ parameters.service }}}}", command: [sh, -c, 'printf "%s" "$SPILL_9"; sleep 3'] }}
outputs:
  exec: ${{{{ steps.exec.output }}}}
  own: ${{{{ steps.own.output.stdout }}}}
  ask: ${{{{ steps.ask.output }}}}
  said: ${{{{ parameters.said }}}}
"#
    )
}

/// Says a canary to every command that takes a text, and looks at everything there is to see.
fn commands(engine: &Engine, search: &Search, canary: &str, service: &str) {
    engine.write("leaky.yaml", &book("http://127.0.0.1:1/").replace("Spill it.", canary));
    let said = format!("said={canary}");
    let object = json!({ canary: [canary] }).to_string();
    let lines: [&[&str]; 29] = [
        &["plan", "spill.yaml", "-p", service, "-p", &said],
        &["plan", "spill.yaml", "-p", service, "-p", &said, "--output", "json", "-vvv"],
        &["run", "leaky.yaml", "-p", service, "-p", &said, "--yes"],
        &["run", "leaky.yaml", "-p", service, "-p", &said, "--yes", "--output", "json"],
        &["run", canary, "--yes"],
        &["run", "spill.yaml", "-p", canary, "--yes"],
        &["run", "spill.yaml", "-p", &format!("service={canary}"), "-p", &said, "--yes", "--reason", canary],
        &["validate", "leaky.yaml", "--output", "json"],
        &["show", "spill.yaml"],
        &["show", canary],
        &["list", "--output", "json"],
        &["state", "set", "canaries", "one", canary],
        &["state", "set", "canaries", "two", &object],
        &["state", "get", "canaries", "two"],
        &["state", "list", "canaries", "--output", "json"],
        &["halt", "on", "--reason", canary],
        &["halt", "off", "--reason", canary],
        &["runs", "list", "--output", "json"],
        &["runs", "show", "last", "--log", "--output", "json"],
        &["runs", "show", "last", "--log"],
        &["runs", "show", canary],
        &["runs", "watch", "last"],
        &["runs", "replay", "last", "-vvv"],
        &["audit", "tail", "-n", "1000", "--output", "json"],
        &["audit", "verify"],
        &["audit", "export", "log.export"],
        &["doctor"],
        &["runs", "list", "--no-such-flag", canary],
        &[canary],
    ];
    for line in lines {
        let ended = engine.run(line);
        search.nothing_in(&format!("{line:?}, which ended with {}", ended.code), ended.said().as_bytes());
    }
    std::fs::remove_file(engine.path("leaky.yaml")).expect("our own file");
}

#[test]
fn canaries_are_nowhere() {
    let canaries = canaries();
    let search = Search::of(&canaries);
    let spill: Vec<String> = canaries
        .chunks(TOGETHER)
        .map(|some| some.iter().flat_map(|canary| encodings(canary)).collect::<Vec<_>>().join("\n"))
        .collect();
    let engine = Engine::new();
    keep(&engine, &canaries);
    let (service, url) = (spiller(&spill), babbler(&spill));
    let logs = docker(&["logs", &service.replica(1)]);
    assert!(search.automaton.find_iter(&logs).count() > 5 * CANARIES, "the world does spill");
    engine.write("spill.yaml", &book(&url));
    let parameter = service.parameter();

    // A crash in the middle, what an engine says at its loudest, and the list of processes meanwhile.
    let arguments = ["run", "spill.yaml", "-p", &parameter, "-p", "said=nothing", "--yes", "-vvv"];
    let run = engine.spawn(&arguments);
    until("the slow step", || {
        search.nothing_in_processes();
        let entries = engine.run(&["audit", "tail", "-n", "20", "--output", "json"]).stdout;
        (entries.contains(r#""path":"slow""#) || !run.runs()).then_some(())
    });
    assert!(run.runs(), "{}\n{}", run.said(), run.told());
    let killed = run.kill();
    search.nothing_in("the killed run", killed.said().as_bytes());
    assert!(killed.said().contains("[secret canary/"), "{}", killed.said());
    search.nothing_below(engine.data());
    let resumed = engine.run(&["runs", "resume", "--yes", "-vvv"]);
    search.nothing_in("the resumed run", resumed.said().as_bytes());
    engine.until_status("failed");
    let last = engine.last();
    for id in ["exec", "script", "own", "alone", "ask", "log"] {
        let step = last["steps"].as_array().and_then(|steps| steps.iter().find(|step| step["path"] == id));
        assert_eq!(step.map(|step| &step["status"]), Some(&json!("succeeded")), "{id}: {last}");
    }
    engine.must(0, &["runs", "replay", "last"]).says(&["identical"]);

    let logs = engine.run(&["run", "service-logs", "-p", &parameter, "--yes", "--output", "json"]);
    search.nothing_in("the logs", logs.said().as_bytes());
    logs.says(&["[secret canary/"]);
    let diagnosis = engine.must(0, &["run", "diagnose-service", "-p", &parameter, "--yes"]);
    search.nothing_in("the diagnosis", diagnosis.said().as_bytes());
    for canary in &canaries[1..4] {
        commands(&engine, &search, canary, &parameter);
    }
    let forms: Vec<String> = canaries[5..10].iter().flat_map(|canary| encodings(canary)).collect();
    let said = engine.run(&[
        "run",
        "spill.yaml",
        "-p",
        &parameter,
        "-p",
        &format!("said={}", forms.join(" ")),
        "--yes",
    ]);
    search.nothing_in("the last run", said.said().as_bytes());
    engine.must(0, &["runs", "replay", "last"]).says(&["identical"]);
    engine.must(0, &["audit", "verify"]);
    assert!(search.nothing_below(engine.data()) > CANARIES, "there are files, one for each value at least");
    search.nothing_in("the export", &std::fs::read(engine.path("log.export")).unwrap_or_default());
    search.nothing_in_processes();
}

#[test]
fn no_core_is_left_and_the_memory_is_closed_to_others() {
    let home = tempfile::tempdir().expect("a folder");
    std::fs::set_permissions(home.path(), std::fs::Permissions::from_mode(0o777)).expect("its mode");
    // As somebody else: what the kernel lets nobody dump belongs to root, whoever runs it.
    let mut child = Command::new("setpriv")
        .args(["--reuid=65534", "--regid=65534", "--clear-groups", BINARY, "secret", "set", "a/b"])
        .current_dir(home.path())
        .env("HOME", home.path())
        .env("RUNBOOK_DATA_DIR", home.path().join("data"))
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("setpriv");
    let file = |name: &str| PathBuf::from(format!("/proc/{}/{name}", child.id()));
    until_true("core files to be switched off", || {
        let limits = std::fs::read_to_string(file("limits")).expect("its limits");
        let core = limits.lines().find(|line| line.starts_with("Max core file size")).expect("a limit");
        core.split_whitespace().skip(4).take(2).eq(["0", "0"])
    });
    until_true("it to be closed", || file("environ").metadata().expect("its environment").uid() == 0);
    signal(child.id(), "ABRT");
    let status = child.wait().expect("its end");
    assert_eq!((status.signal(), status.core_dumped()), (Some(6), false));
}
