//! Plugins that do not give what they promised, and promises that are hard to check.

use super::arena::{Arena, Case};
use super::component::Guest;
use super::excess::all;

fn promising(name: &'static str, output: &str, answer: &str) -> Case {
    let mut guest = Guest::new();
    output.clone_into(&mut guest.output);
    answer.clone_into(&mut guest.answer);
    Case::new(name, guest.does(""))
}

#[test]
fn outputs_that_were_not_promised() {
    let backtracking = r#"{"type":"string","pattern":"^(?=(a+)+$)b(a*)*$"}"#;
    let repetition = r#"{"type":"string","pattern":"((a{1000}){1000}){1000}"}"#;
    let deep = format!("{}{}", "[".repeat(64), "]".repeat(64));
    let many = format!("[{}0]", "0,".repeat(50_000));
    let parts: Vec<String> = (0..450).map(|n| format!(r#"{{"maximum":{n}}}"#)).collect();
    let all_of = format!(r#"{{"items":{{"anyOf":[{}]}}}}"#, parts.join(","));
    all(vec![
        (promising("missing", r#"{"type":"object","required":["a"]}"#, "{}"), "plugin.output"),
        (promising("another-type", r#"{"type":"object"}"#, "[]"), "plugin.output"),
        (
            promising("more", r#"{"properties":{},"additionalProperties":false}"#, r#"{"a":1}"#),
            "plugin.output",
        ),
        (promising("backtracking", backtracking, &format!("\"{}!\"", "a".repeat(5_000))), "plugin.output"),
        (promising("repetition", repetition, "\"a\""), "plugin.output"),
        (promising("nothing-fits", "false", "{}"), "plugin.output"),
        (promising("deep", r#"{"items":{"items":{"uniqueItems":true}}}"#, &deep), "ok"),
        (promising("many", &all_of, &many), "ok"),
        (promising("unique", r#"{"uniqueItems":true}"#, &many), "plugin.output"),
    ]);
}

/// An error of a plugin's own making: its words are one clean line, and nobody waits as long as it says.
#[test]
fn errors_that_are_made_up() {
    let mut guest = Guest::new();
    let words = guest.text("\u{1b}[2Jsucceeded\n13:00:00 run finished\u{7}");
    let (at, length) = words.split_once(") (").expect("two numbers");
    let store = |place: u32, value: &str| format!("(i32.store (i32.const {place}) {value})");
    let body = [
        "(i32.store8 (i32.const 16) (i32.const 1)) (i32.store8 (i32.const 24) (i32.const 6))".to_owned(),
        store(28, &format!("{at})")),
        store(32, &format!("({length}")),
        store(36, &format!("{at})")),
        store(40, &format!("({length}")),
        "(i32.store8 (i32.const 48) (i32.const 1)) (i64.store (i32.const 56) (i64.const -1)) (i32.const 16)"
            .to_owned(),
    ];
    let cases = [Case::new("liar", guest.ends(&body.join("\n")))];
    let arena = Arena::of(&cases);

    let told = arena.run("", &cases);

    let finished = told.of_kind("attempt.finished");
    let error = &finished[0]["data"]["outcome"]["error"];
    assert_eq!(error["retry_after_ms"], 3_600_000, "{error}");
    for words in [&error["code"], &error["message"]] {
        let words = words.as_str().expect("words");
        assert!(words.contains("succeeded") && !words.contains(char::is_control), "{words:?}");
    }
    arena.end(&told);
}
