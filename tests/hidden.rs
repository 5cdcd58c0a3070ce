//! Characters that nobody can see, or that turn other text around, are written out wherever people read, and escaped where
//! programs do.

use crate::support::engine::Engine;

/// One of each kind: C0, DEL, C1, direction, width, line ends, tags.
const HIDDEN: &str =
    "\u{1b}[2J\u{7}\u{7f}\u{85}\u{9b}\u{202e}\u{2066}\u{200b}\u{200d}\u{feff}\u{2028}\u{2029}\u{e0041}\u{ad}";
const READABLE: &str = "مرحبا שלום 日本 ❤️";

const BOOK: &str = "format: 1
runbook: say
summary: \"Say HIDDEN\"
parameters: { words: { type: string } }
steps:
  - id: say
    summary: \"Say it HIDDEN\"
    uses: core.log
    with: { message: \"${{ parameters.words }}\" }
  - id: fail
    uses: core.fail
    with: { message: \"failed: ${{ parameters.words }}\" }
outputs: { words: \"${{ parameters.words }}\" }
";

fn hidden(text: &str) -> Vec<char> {
    let looks_hidden =
        |c: &char| c.is_control() && *c != '\n' && *c != '\t' || HIDDEN.contains(*c) && !c.is_ascii();
    text.chars().filter(looks_hidden).collect()
}

#[test]
fn nothing_hidden_reaches_people_or_programs() {
    let engine = Engine::new();
    let escaped = "\\u202e\\u2066\\u200b\\u200d\\ufeff\\u2028\\u2029\\u00ad";
    let book = engine.write("say.yaml", &BOOK.replace("HIDDEN", escaped));
    let words = format!("{READABLE} {HIDDEN} end");
    let parameter = format!("words={words}");
    let run = engine.must(10, &["run", &book, "--yes", "-p", &parameter, "--reason", &words]);
    run.says(&[READABLE, "\\u{202e}", "\\u{e0041}"]);
    engine
        .must(0, &["state", "set", "mine", "key", &format!("[\"{READABLE}\u{202e}\u{7f}\u{9b}\u{e0041}\"]")]);
    let commands: [&[&str]; 12] = [
        &["run", &book, "--yes", "-p", &parameter],
        &["runs", "show", "last"],
        &["runs", "list"],
        &["runs", "watch", "last"],
        &["audit", "tail", "-n", "100"],
        &["show", &book],
        &["plan", &book, "-p", &parameter],
        &["validate", &book],
        &["state", "list", "mine"],
        &["state", "get", "mine", "key"],
        &["run", &words],
        &["no-such-command", &words],
    ];
    for arguments in commands {
        let text = engine.run(arguments);
        assert!(hidden(&text.said()).is_empty(), "{arguments:?}: {:?}", text.said());
        let mut json = arguments.to_vec();
        json.extend(["--output", "json"]);
        let json = engine.run(&json);
        assert!(hidden(&json.said()).is_empty(), "{arguments:?}: {:?}", json.said());
    }
    let shown = engine.json(&["runs", "show", "last"]);
    assert!(shown.to_string().contains(READABLE), "{shown}");
    assert_eq!(shown["parameters"]["words"], words, "a program reads what was given");
}

#[test]
fn programs_take_values_as_they_are() {
    let engine = Engine::new();
    let value = "a\u{200d}b\u{202e}c";
    engine.must(0, &["state", "set", "mine", "key", value]);
    assert_eq!(engine.must(0, &["state", "get", "mine", "key"]).stdout, format!("{value}\n"));
}
