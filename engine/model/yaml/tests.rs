use proptest::prelude::{ProptestConfig, any, prop_oneof, proptest};
use proptest::strategy::Strategy;
use serde_json::{Value, json};

use super::{MAX_TEXT_BYTES, read};

fn value(text: &str) -> Value {
    let (node, troubles) = read(text);
    assert_eq!(troubles, [], "{text}");
    node.unwrap().to_json()
}

fn troubles(text: &str) -> Vec<String> {
    read(text).1.iter().map(|t| format!("{}:{} {}", t.line, t.column, t.message)).collect()
}

#[test]
fn plain_scalars_follow_the_core_schema() {
    for (text, expected) in [
        ("~", json!(null)),
        ("Null", json!(null)),
        ("true", json!(true)),
        ("FALSE", json!(false)),
        ("yes", json!("yes")),
        ("on", json!("on")),
        ("12", json!(12)),
        ("-12", json!(-12)),
        ("+12", json!(12)),
        ("012", json!(12)),
        ("0o14", json!(12)),
        ("0xC", json!(12)),
        ("1_000", json!("1_000")),
        ("12:30", json!("12:30")),
        ("1.5", json!(1.5)),
        ("1e3", json!(1000.0)),
        (".5", json!(0.5)),
        ("1.2.3", json!("1.2.3")),
        (".inf", json!(".inf")),
        ("30s", json!("30s")),
        ("'12'", json!("12")),
        ("\"true\"", json!("true")),
        ("18446744073709551615", json!(u64::MAX)),
        ("nullable", json!("nullable")),
        ("e5", json!("e5")),
    ] {
        assert_eq!(value(&format!("a: {text}\n"))["a"], expected, "{text}");
    }
}

#[test]
fn syntax_errors_are_sentences() {
    for (text, expected) in [
        ("a:\n\t- b\n", "2:2 a tab cannot indent"),
        ("a: b: c\n", "1:5 a second `:` on this line"),
        ("a: 1\n b: 2\n", "2:3 this key is indented deeper than the line above allows"),
        ("a: 'x\n", "1:4 the quotes that begin here are not closed"),
        ("- a\nb: 1\n", "2:1 this line is not an item of the list above, nor does it end it"),
        ("c: *y\n", "1:4 there is no anchor of this name"),
        ("a: @x\n", "1:4 a value cannot begin with this character"),
        ("a: \"\\q\"\n", "1:4 an unknown escape after `\\` in double quotes"),
        ("a: - b\n", "1:4 a list with `- ` begins on a line of its own"),
        ("a: \"x\" y\n", "1:8 there is something after the closing quote"),
        ("a: {b: [1}\n", "1:10 expected `,` or `]` here"),
        ("a: 'it''s'\nb: { c: [1, 2], # {\n  d: 'x]'\n", "2:4 the `{` that begins here is not closed"),
        ("a: [b, {c: d\n\n", "1:8 the `{` that begins here is not closed"),
        ("a:\tb\n", "1:3 a tab cannot stand here"),
        ("b: 1\na: \tb\nc:\td\n", "3:3 a tab cannot stand here"),
        ("a: 1\n---\nb: 2\n", "2:1 a second document begins here"),
        ("a: !x 1\n", "1:4 tags (`!…`) are not used in runbooks"),
        ("a: 1\nb: 2\na: 3\n", "3:1 the key `a` is written twice"),
        ("? [a]\n: b\n", "1:3 a key must be a text"),
        ("a: &a [*a]\n", "1:8 this alias stands inside what it repeats"),
    ] {
        assert_eq!(troubles(text), [expected], "{text}");
    }
}

#[test]
fn every_unquoted_expression_in_braces_is_found_and_the_rest_is_read() {
    let text = "a: { b: ${{ x.y[0] == 'q' }}, c: \"${{ z }}\" }\nd: [ ${{ {'k': 1}.k }} ]\ne: ${{ fine }}\nf: 1\nf: 2\n";
    let (node, troubles) = read(text);
    let shown: Vec<String> =
        troubles.iter().map(|t| format!("{}:{} {}", t.line, t.column, t.hint.as_deref().unwrap())).collect();
    assert_eq!(
        shown,
        [
            "1:9 write `\"${{ x.y[0] == 'q' }}\"`",
            "2:6 write `\"${{ {'k': 1}.k }}\"`",
            "5:1 the first one is on line 4",
        ]
    );
    assert_eq!(
        node.unwrap().to_json(),
        json!({ "a": { "b": "${{ x.y[0] == 'q' }}", "c": "${{ z }}" }, "d": ["${{ {'k': 1}.k }}"], "e": "${{ fine }}", "f": 1 })
    );
}

#[test]
fn anchors_are_repeated_within_limits() {
    assert_eq!(value("a: &x [1, 2]\nb: *x\n"), json!({ "a": [1, 2], "b": [1, 2] }));
    let row = |i: u32| format!("a{i}: &a{i} [{}]\n", vec![format!("*a{}", i - 1); 10].join(", "));
    let rows: String = (1..20).map(row).collect();
    let bomb = format!("a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n{rows}");
    assert_eq!(troubles(&bomb), ["5:10 there are more than 20000 values"]);
    assert_eq!(troubles(&format!("a: {}", "[".repeat(5000))), ["1:259 this is nested deeper than 32 levels"]);
    assert_eq!(troubles(&"a: 1\n".repeat(MAX_TEXT_BYTES)), ["1:1 the text is larger than 256 KiB"]);
}

#[test]
fn places_count_characters() {
    let (node, _) = read("ä: { ö: [\"ü\", x] }\n");
    let super::Content::Map(entries) = node.unwrap().content else { panic!() };
    let super::Content::Map(inner) = &entries[0].value.content else { panic!() };
    let super::Content::List(items) = &inner[0].value.content else { panic!() };
    assert_eq!((inner[0].key_place.column, items[1].place.column), (6, 15));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]
    #[test]
    fn no_text_panics(text in prop_oneof![
        any::<String>(),
        any::<Vec<u8>>().prop_map(|bytes| String::from_utf8_lossy(&bytes).into_owned()),
        proptest::collection::vec(proptest::sample::select(vec![
            "a", ":", " ", "\n", "\n  ", "- ", "{", "}", "[", "]", ",", "'", "\"", "|", ">", "&a ", "*a", "!t ", "#", "---\n", "\t",
            "${{", "}}", "? ", "x: ", "%", "\\", "1",
        ]), 0..40).prop_map(|words| words.concat()),
    ]) {
        let _ = read(&text);
    }
}
