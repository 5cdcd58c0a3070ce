use proptest::prelude::{ProptestConfig, any, prop_oneof, proptest};
use proptest::strategy::Strategy;
use serde_json::{Value, json};

use super::{Expression, MAX_EXPRESSION_BYTES, Scope};

fn scope() -> Scope {
    let Value::Object(map) = json!({
        "parameters": { "service": "shop/web", "batch": 2, "ratio": 0.5, "names": ["b", "a"], "labels": { "z": 1, "a": 2, "m": 3 } },
        "steps": { "before": { "status": "succeeded", "output": { "running": 3, "big": u64::MAX } } },
        "item": null,
    }) else {
        unreachable!("an object")
    };
    Scope(map)
}

fn eval(text: &str) -> Result<Value, String> {
    Expression::parse(text, 1)
        .map_err(|e| format!("parse: {}", e.message))?
        .evaluate(&scope())
        .map_err(|e| e.message)
}

#[test]
fn values_keep_their_types() {
    for (text, expected) in [
        ("steps.before.output.running > 0", json!(true)),
        ("steps.before.output.running", json!(3)),
        ("steps['before'].output.running + 1", json!(4)),
        ("steps.before.output.big", json!(u64::MAX)),
        ("parameters.ratio * 2.0", json!(1.0)),
        ("parameters.service + ':' + string(parameters.batch)", json!("shop/web:2")),
        ("parameters.names.map(n, n + '!')", json!(["b!", "a!"])),
        ("parameters.names.filter(n, n != 'a')", json!(["b"])),
        ("parameters.names.exists(n, n == 'a') && parameters.names.all(n, size(n) == 1)", json!(true)),
        ("parameters.names.exists_one(n, n == 'a')", json!(true)),
        ("parameters.labels.map(k, k)", json!(["a", "m", "z"])),
        ("{'b': 1, 'a': [null, true]}", json!({ "a": [null, true], "b": 1 })),
        ("has(parameters.missing)", json!(false)),
        ("has(parameters.service) ? 1 : 2", json!(1)),
        ("item == null", json!(true)),
        ("'a' in parameters.names", json!(true)),
        ("7 / 2 + 7 % 4", json!(6)),
        ("parameters.service.matches('^shop/')", json!(true)),
        ("parameters.labels == {'z': 1, 'a': 2, 'm': 3}", json!(true)),
        ("'${{ not parsed again }}'", json!("${{ not parsed again }}")),
    ] {
        assert_eq!(eval(text), Ok(expected), "{text}");
    }
}

#[test]
fn failures_name_what_is_missing() {
    for (text, expected) in [
        ("steps.before.output.runing", "`steps.before.output` has no `runing`; did you mean `running`?"),
        ("output.healthy", "there is no `output` here"),
        ("parameters.service.name", "`parameters.service` is a text, which has no `name`"),
        ("parameters.service + 1", "`+` does not apply to string and int"),
        ("1 / (parameters.batch - 2)", "it divides by zero"),
        ("parameters.names[7]", "the list has no item Int(7)"),
        ("type(1)", "its result is of type `type`, which no parameter or input can hold"),
        ("9223372036854775807 + 1", "an integer becomes too large"),
    ] {
        assert_eq!(eval(text), Err(expected.to_owned()), "{text}");
    }
}

#[test]
fn syntax_errors_are_sentences() {
    for (text, message, hint) in [
        ("", "the expression is empty", Some("write for example `parameters.service` between the braces")),
        ("a =", "`=` is not expected here", Some("to compare, write `==`")),
        ("a = b", "`=` is not expected here", Some("to compare, write `==`")),
        ("(a", "the expression ends too early", Some("a `(` is not closed")),
        ("a and b", "`and` is not expected here", Some("write `&&`")),
        ("sizee(a)", "there is no function `sizee`", Some("did you mean `size`?")),
        (
            "${{ a }}",
            "`$` is not expected here",
            Some("inside an expression names stand bare, without `${{ }}`"),
        ),
        (
            "A{b: 1}",
            "an expression cannot make a typed message",
            Some("a map is written `{'name': value}`, with quotes around its names"),
        ),
    ] {
        let error = Expression::parse(text, 1).unwrap_err();
        assert_eq!((error.message.as_str(), error.hint.as_deref()), (message, hint), "{text}");
    }
}

#[test]
fn references_are_found_with_their_places() {
    let expression = Expression::parse(
        "steps.a.output['x y'] > 0 && parameters.l.all(i, i.z == item.q) && has(run.id)",
        1,
    )
    .unwrap();
    let found: Vec<String> = expression
        .references()
        .iter()
        .map(|r| format!("{}@{}{}", r.path.join("."), r.offset, if r.tested { "?" } else { "" }))
        .collect();
    assert_eq!(found, ["steps.a.output.x y@0", "parameters.l@29", "item.q@56", "run.id@71?"]);
}

#[test]
fn work_is_bounded() {
    let ten = "[1,2,3,4,5,6,7,8,9,0]";
    let swallowed = (0..7).fold("x0 == 99".to_owned(), |inner, i| format!("{ten}.exists(x{i}, {inner})"));
    let doubled = format!("['x']{}", ".map(x, x + x)".repeat(40));
    let nested = format!("[1]{}", ".map(x, [x, x])".repeat(40));
    let filtered = (0..7).fold("false".to_owned(), |inner, i| format!("{ten}.filter(x{i}, {inner}) == []"));
    for text in [swallowed, doubled, nested, filtered] {
        let error = eval(&text).unwrap_err();
        assert!(error.contains("too much work") || error.contains("larger than"), "{text}: {error}");
    }
}

#[test]
fn deep_and_long_texts_are_refused_on_a_small_stack() {
    let texts = [
        "(".repeat(2000),
        format!("{}1{}", "(".repeat(200), ")".repeat(200)),
        format!("{}1{}", "[".repeat(120), "]".repeat(120)),
        format!("a{}", ".b".repeat(249)),
        format!("a{}", "[0]".repeat(249)),
        format!("1{}", "+1".repeat(249)),
        format!("{}a", "!".repeat(249)),
        format!("{}a", "-".repeat(249)),
        format!("a{}", "?a:a".repeat(249)),
        format!("a{}", "&&a".repeat(120)),
        format!("a{}", ".map(x,x)".repeat(120)),
        "a".repeat(MAX_EXPRESSION_BYTES + 1),
    ];
    std::thread::Builder::new()
        .stack_size(2 * 1024 * 1024)
        .spawn(move || {
            for text in texts {
                if let Ok(expression) = Expression::parse(&text, 1) {
                    let _ = expression.evaluate(&scope());
                }
            }
        })
        .unwrap()
        .join()
        .unwrap();
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]
    #[test]
    fn no_text_panics(text in prop_oneof![
        any::<String>(),
        "[a-z0-9.()\\[\\]{}'\" ?:!&|<>=+*/%,-]{0,60}",
        proptest::collection::vec(proptest::sample::select(vec![
            "steps", ".", "a", "(", ")", "[", "]", "{", "}", "'x'", "1", "1u", "2.5", "+", "-", "!", "==", "<", "in", "&&", "?", ":", ",",
            "map", "has", "size", "null", "true", "matches", "\"", "'", "r'", "b'", "\\", "`", "@", "//",
        ]), 0..25).prop_map(|words| words.concat()),
    ]) {
        if let Ok(expression) = Expression::parse(&text, 1) {
            let _ = expression.evaluate(&scope());
        }
    }
}
