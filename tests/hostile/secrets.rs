//! A plugin that holds a handle and wants the text: it has the secret sent to an echo server, put into containers it then
//! looks at, and reads every answer and error. What it learns it hands on in letters no scrubber knows.

use super::arena::{Arena, Case, Told};
use super::component::{ANSWER, Arg, Guest};
use crate::support::echo::Echo;
use crate::support::service::Service;
use crate::support::vault;

/// What it is after.
const CANARY: &str = "Kanarie-7f3a9c51e0";
/// Where the host leaves a handle.
const HANDLE: &str = "(i32.load (i32.const 72))";
/// Room for what is handed on, bytes.
const LOOT_BYTES: usize = 24 << 10;

/// `$loot`: keeps a text in the state as letters, two for each byte.
fn thief(guest: &mut Guest, bucket: &str) -> String {
    let at = guest.place(&vec![b'"'; LOOT_BYTES]);
    let bucket = guest.text(bucket);
    let key = guest.place(b"loot-aaaa");
    let set = guest.raw(
        "state.set",
        &format!("{bucket} (i32.const {key}) (i32.const 9) (i32.const {at}) (local.get $out)"),
    );
    let most = LOOT_BYTES / 2 - 8;
    guest.module.push_str(&format!(
        "(global $count (mut i32) (i32.const 0))
         (func $loot (param $from i32) (param $len i32) (local $n i32) (local $out i32) (local $byte i32)
           (if (i32.gt_u (local.get $len) (i32.const {most})) (then (local.set $len (i32.const {most}))))
           (local.set $out (i32.const 1))
           (block $done (loop $next
             (br_if $done (i32.ge_u (local.get $n) (local.get $len)))
             (local.set $byte (i32.load8_u (i32.add (local.get $from) (local.get $n))))
             (i32.store8 (i32.add (i32.const {at}) (local.get $out))
               (i32.add (i32.const 103) (i32.shr_u (local.get $byte) (i32.const 4))))
             (i32.store8 (i32.add (i32.const {at}) (i32.add (local.get $out) (i32.const 1)))
               (i32.add (i32.const 103) (i32.and (local.get $byte) (i32.const 15))))
             (local.set $out (i32.add (local.get $out) (i32.const 2)))
             (local.set $n (i32.add (local.get $n) (i32.const 1)))
             (br $next)))
           (i32.store8 (i32.add (i32.const {at}) (local.get $out)) (i32.const 34))
           (local.set $out (i32.add (local.get $out) (i32.const 1)))
           (i32.store8 (i32.const {}) (i32.add (i32.const 97) (i32.rem_u (global.get $count) (i32.const 26))))
           (i32.store8 (i32.const {}) (i32.add (i32.const 97) (i32.div_u (global.get $count) (i32.const 26))))
           (global.set $count (i32.add (global.get $count) (i32.const 1)))
           {set})",
        key + 8,
        key + 7,
    ));
    loot(88)
}

/// Hands on the text whose address is there.
fn loot(at: usize) -> String {
    format!("(call $loot (i32.load (i32.const {})) (i32.load (i32.const {})))", at - 4, at)
}

/// Every text in the answer of a call: an error's or an output's, or one that is the answer itself.
fn all_loot() -> String {
    let message = format!("(if (i32.load8_u {ANSWER}) (then {}) (else {} {}))", loot(88), loot(80), loot(88));
    format!("{message}\n")
}

fn text_loot() -> String {
    format!("(if (i32.load8_u {ANSWER}) (then {}) (else {}))", loot(88), loot(76))
}

/// Asks an echo server with the secret in each place.
fn echoes(url: &str) -> Case {
    let mut guest = Guest::new();
    let hand_on = thief(&mut guest, "loot");
    let get = guest.call("secrets.get", &[Arg::Text("canary/one")]);
    let keep = guest.place(&[0; 8]);
    let mut body = format!("{get} (i32.store (i32.const {keep}) {HANDLE})\n");
    let places: [(u32, &str, &str, &str); 5] = [
        (0, "x-token", "Bearer ", "{}"),
        (0, "x-token", "\r\n", "{}"),
        (1, "/a", "", "{}"),
        (2, "a", "", "b=c"),
        (3, "me", "", "{}"),
    ];
    for (kind, place, prefix, payload) in places {
        let part = guest.place(&[0; 24]);
        let (place, prefix) = (guest.text(place), guest.text(prefix));
        let store = |at: usize, value: &str| format!("(i32.store (i32.const {}) {value})\n", part + at);
        let pair = |text: &str| {
            let (at, len) = text.split_once(") ").expect("an address and a length");
            (format!("{at})"), len.to_owned())
        };
        body.push_str(&store(0, &format!("(i32.load (i32.const {keep}))")));
        body.push_str(&store(4, &format!("(i32.const {kind})")));
        for (at, text) in [(8, pair(&place)), (16, pair(&prefix))] {
            body.push_str(&store(at, &text.0));
            body.push_str(&store(at + 4, &text.1));
        }
        let request = [
            Arg::Text("POST"),
            Arg::Text(url),
            Arg::Pairs(&[]),
            Arg::Maybe(Some(payload)),
            Arg::Long(5_000),
            Arg::Number(1),
            Arg::Number(u32::try_from(part).expect("small")),
            Arg::Number(1),
        ];
        body.push_str(&guest.call("http.send-with-secrets", &request));
        body.push_str(&hand_on);
    }
    Case::new("echoes", guest.does(&body))
}

/// Puts it into a command and a container, and looks at both.
fn looks(service: &Service) -> Case {
    let mut guest = Guest::new();
    thief(&mut guest, "loot");
    let get = guest.call("secrets.get", &[Arg::Text("canary/one")]);
    let named = guest.place(&[0; 16]);
    let variable = guest.place(b"CANARY");
    let file = guest.place(b"/run/secrets/canary");
    let in_file = guest.place(&[0; 16]);
    let mut body = format!(
        "{get}
         (i32.store (i32.const {named}) (i32.const {variable})) (i32.store (i32.const {}) (i32.const 6))
         (i32.store (i32.const {}) {HANDLE})
         (i32.store (i32.const {in_file}) (i32.const {file})) (i32.store (i32.const {}) (i32.const 19))
         (i32.store (i32.const {}) {HANDLE})\n",
        named + 4,
        named + 8,
        in_file + 4,
        in_file + 8,
    );
    let (replica, made) = (service.replica(1), format!("{}-looks", service.replica(1)));
    let number = |at: usize| Arg::Number(u32::try_from(at).expect("small"));
    for command in [
        vec!["env"],
        vec!["sh", "-c", "echo $CANARY >&2; echo $CANARY | base64"],
        vec!["sh", "-c", "printf %s \"$CANARY\" | od -An -tx1 | tr -d ' \\n'"],
        vec![
            "sh",
            "-c",
            "printf '%s' \"$CANARY\" | head -c 9; sleep 0.2; printf '%s' \"$CANARY\" | tail -c +10",
        ],
        vec!["/no/such/program"],
    ] {
        let run = [
            Arg::Text(&replica),
            Arg::List(&command),
            Arg::Pairs(&[]),
            number(named),
            Arg::Number(1),
            Arg::Maybe(None),
            Arg::Long(10_000),
        ];
        body.push_str(&guest.call("containers.exec-with-secrets", &run));
        body.push_str(&all_loot());
    }
    body.push_str(&create(&mut guest, (&replica, &made), named, in_file));
    body.push_str(&format!("(if (i32.load8_u {ANSWER}) (then {}))", loot(88)));
    body.push_str(&guest.call("containers.document", &[Arg::Text(&made)]));
    body.push_str(&text_loot());
    body.push_str(&guest.call("containers.start", &[Arg::Text(&made)]));
    let exited = [Arg::Text(&made), Arg::Number(2), Arg::Long(0), Arg::Long(20_000)];
    body.push_str(&guest.call("containers.wait-until", &exited));
    body.push_str(&guest.call("containers.logs", &[Arg::Text(&made), Arg::Number(100), Arg::Number(0)]));
    body.push_str(&text_loot());
    body.push_str(&guest.call("containers.document", &[Arg::Text(&made)]));
    body.push_str(&text_loot());
    body.push_str(&guest.call("containers.remove", &[Arg::Text(&made), Arg::Number(1)]));
    Case::new("looks", guest.does(&body)).within("60s")
}

/// A one-shot container that prints its environment and its file; its many parameters lie in memory.
fn create(guest: &mut Guest, (from, name): (&str, &str), env: usize, files: usize) -> String {
    let mut words: Vec<usize> = Vec::new();
    for text in [from, name] {
        words.extend([guest.place(text.as_bytes()), text.len()]);
    }
    words.extend([0, 0, 0, 0, 0, 0, 0]);
    let command = ["sh", "-c", "env; cat /run/secrets/canary; base64 /run/secrets/canary"];
    let list: Vec<u8> = command
        .iter()
        .flat_map(|text| [guest.place(text.as_bytes()), text.len()])
        .flat_map(|word| u32::try_from(word).expect("small").to_le_bytes())
        .collect();
    let list = guest.place(&list);
    words.extend([1, list, command.len(), 1, 0, env, 1, files, 1]);
    let bytes: Vec<u8> =
        words.iter().flat_map(|word| u32::try_from(*word).expect("small").to_le_bytes()).collect();
    let parameters = guest.place(&bytes);
    guest.raw("containers.create-with-secrets", &format!("(i32.const {parameters})"))
}

/// Wants the text itself, and another secret.
fn asks() -> Case {
    let mut guest = Guest::new();
    thief(&mut guest, "loot");
    let mut body = String::new();
    for name in ["other/two", "canary/one\0", "canary/../other/two", "*", "canary/*", "", "CANARY/ONE"] {
        body.push_str(&guest.call("secrets.get", &[Arg::Text(name)]));
        body.push_str(&all_loot());
    }
    body.push_str(&guest.call("secrets.get", &[Arg::Text("canary/one")]));
    body.push_str(&guest.raw("plain-text.reveal", HANDLE));
    body.push_str(&text_loot());
    Case::new("asks", guest.does(&body))
}

/// Makes up a handle.
fn forges() -> Case {
    let mut guest = Guest::new();
    let get = guest.call("secrets.get", &[Arg::Text("canary/one")]);
    let reveal = guest.raw("plain-text.reveal", "(i32.const 77)");
    Case::new("forges", guest.does(&format!("{get} {reveal}")))
}

fn grants(service: &Service, echo: &Echo) -> String {
    format!(
        "grants:
  http: [\"{}\"]
  state: [{{ bucket: loot, actions: [read, write] }}]
  secrets: [{{ names: [canary/*], actions: [use] }}]
  containers:
    select: {{ service: {} }}
    actions: [read, exec, create, start, remove]
    max_unavailable: 1",
        echo.url("/*"),
        service.name()
    )
}

/// Everything it handed on, read back.
fn stolen(told: &Told) -> Vec<String> {
    let finished = told.of_kind("call.finished").into_iter().map(|entry| &entry["data"]);
    let kept = finished.filter(|data| data["function"] == "state.set");
    kept.filter_map(|data| data["arguments"]["value"].as_str())
        .map(|letters| {
            let letters: Vec<u8> = letters.trim_matches('"').bytes().map(|byte| byte - b'g').collect();
            let bytes: Vec<u8> = letters.chunks(2).map(|pair| pair[0] << 4 | pair[1]).collect();
            String::from_utf8_lossy(&bytes).into_owned()
        })
        .collect()
}

#[test]
fn a_handle_is_not_the_text() {
    let (service, echo) = (Service::of(1).up(), Echo::start());
    let cases = [echoes(&echo.url("/x")), looks(&service), asks(), forges()];
    let arena = Arena::prepared(&cases, |engine| {
        vault::set(engine, "canary/one", CANARY);
        vault::set(engine, "other/two", "another-secret-text");
    });

    let told = arena.run(&grants(&service, &echo), &cases);

    let seen = echo.seen();
    for put in [format!("Bearer {CANARY}"), format!(r#"{{"a":"{CANARY}"}}"#), format!("b=c&a={CANARY}")] {
        assert!(seen.contains(&put), "the server itself was given it: {put}\n{seen}");
    }
    let loot = stolen(&told);
    assert!(loot.len() >= 18, "it handed on what it was answered: {loot:?}");
    assert!(loot.iter().any(|text| text.contains("[secret canary/one]")), "{loot:?}");
    let forms = vault::forms(CANARY);
    for text in &loot {
        let found = forms.iter().find(|form| text.contains(form.as_str()));
        assert!(found.is_none(), "it got hold of the secret as `{found:?}`: {text}");
        assert!(!text.contains("another-secret"), "{text}");
    }
    let calls = told.calls("asks");
    assert!(calls.contains(&("secrets.reveal".to_owned(), "grant.secrets".to_owned())), "{calls:?}");
    assert_eq!(calls.iter().filter(|(function, code)| function == "secrets.get" && code == "ok").count(), 1);
    assert_eq!(told.end_of("forges"), "plugin.trapped");
    vault::clean(&arena.engine, &[CANARY]);
    arena.end(&told);
}
