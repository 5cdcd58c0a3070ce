//! Plugins that reach for what other runs have remembered, and remember more than they may.

use super::arena::{Arena, Case};
use super::component::{Arg, Guest};

const HONEST: &str = "format: 1
runbook: honest
summary: Remember something.
grants: { state: [{ bucket: other, actions: [read, write] }] }
steps:
  - { id: remember, uses: state.set, with: { bucket: other, key: secret, value: kept } }
";

/// Buckets that are not `mine`, and names that are none.
const BUCKETS: [&str; 18] = [
    "other",
    "Mine",
    "MINE",
    "mine/",
    "mine/../other",
    "../other",
    "mine/other",
    "./mine",
    "/other",
    "mine\0other",
    "mine\n",
    " mine",
    "mine%2f..%2fother",
    "%",
    "*",
    "",
    "m\u{456}ne",
    "mine' OR '1'='1",
];

const KEYS: [&str; 10] = [
    "../other/secret",
    "a/../../other/secret",
    "..",
    "a..b",
    "K",
    "k\0",
    "k\n",
    "",
    "%",
    "k'; DROP TABLE entry; --",
];

fn each(name: &'static str, words: &[&str], call: impl Fn(&mut Guest, &str) -> String) -> Case {
    let mut guest = Guest::new();
    let calls: Vec<String> = words.iter().map(|word| call(&mut guest, word)).collect();
    Case::new(name, guest.does(&calls.join("\n")))
}

fn attacks() -> Vec<Case> {
    use Arg::Text;
    let long = "x".repeat(129);
    let keys: Vec<&str> = KEYS.into_iter().chain([long.as_str()]).collect();
    let secret = [Text("secret"), Text(r#""stolen""#)];
    vec![
        each("get-bucket", &BUCKETS, |g, word| g.call("state.get", &[Text(word), secret[0]])),
        each("set-bucket", &BUCKETS, |g, word| g.call("state.set", &[Text(word), secret[0], secret[1]])),
        each("delete-bucket", &BUCKETS, |g, word| g.call("state.delete", &[Text(word), secret[0]])),
        each("list-bucket", &BUCKETS, |g, word| g.call("state.list-keys", &[Text(word), Text("")])),
        each("get-key", &keys, |g, word| g.call("state.get", &[Text("mine"), Text(word)])),
        each("set-key", &keys, |g, word| g.call("state.set", &[Text("mine"), Text(word), secret[1]])),
        each("set-value", &["", "{", "not JSON", "1 2", "\"\u{1b}[2J"], |g, word| {
            g.call("state.set", &[Text("mine"), Text("k"), Text(word)])
        }),
        each("artifact-name", &["", "\n", "\u{1b}[2J", &long], |g, word| {
            g.call("artifacts.keep", &[Text(word), Text("x")])
        }),
    ]
}

/// Lists with prefixes that mean more than they say; what is found is its answer.
fn lister() -> Case {
    each("prefix", &["", "%", "../", "_", "*", "'"], |guest, word| {
        guest.call("state.list-keys", &[Arg::Text("mine"), Arg::Text(word)])
    })
}

#[test]
fn what_others_remember_stays_theirs() {
    let mut cases = attacks();
    cases.push(lister());
    let arena = Arena::of(&cases);
    let honest = arena.engine.write("honest.yaml", HONEST);
    arena.engine.must(0, &["run", &honest]);

    let told = arena.run("grants: { state: [{ bucket: mine, actions: [read, write] }] }", &cases);

    for case in &cases {
        let calls = told.calls(case.name);
        assert_eq!(told.end_of(case.name), "ok", "{}", case.name);
        let passed = calls.iter().filter(|(_, code)| code == "ok").count();
        let expected = if case.name == "prefix" { calls.len() } else { 0 };
        assert!(!calls.is_empty() && passed == expected, "{}: {calls:?}", case.name);
        if case.name.ends_with("-bucket") {
            assert_eq!(calls[0].1, "grant.state", "{}", case.name);
        }
    }
    let found = told.answers("prefix");
    assert!(found.iter().all(|keys| keys.as_array().is_some_and(Vec::is_empty)), "{found:?}");
    let kept = arena.engine.json(&["state", "get", "other", "secret"]);
    assert!(kept.to_string().contains("kept"), "{kept}");
    arena.end(&told);
}
