use proptest::prelude::{ProptestConfig, any, prop_oneof, proptest};
use proptest::strategy::Strategy;
use serde_json::{Value, json};

use super::{Expression, Kind, MAX_EXPRESSION_BYTES, Scope};
use crate::unknown::unknown;

fn scope() -> Scope {
    let Value::Object(map) = json!({
        "parameters": { "service": "shop/web", "batch": 2, "ratio": 0.5, "names": ["b", "a"], "labels": { "z": 1, "a": 2, "m": 3 } },
        "steps": { "before": { "status": "succeeded", "output": { "running": 3, "big": u64::MAX } }, "skipped": { "status": "skipped", "output": null } },
        "item": null,
    }) else {
        unreachable!("an object")
    };
    Scope::of(map)
}

fn eval(text: &str) -> Result<Value, String> {
    Expression::parse(text, 1)
        .map_err(|e| format!("parse: {}", e.message))?
        .evaluate(&scope())
        .map_err(|e| e.message)
}

#[test]
fn in_a_plan_what_rests_on_the_unknown_is_unknown() {
    let mut supposing = scope();
    supposing.supposing = true;
    supposing.names["steps"]["exec"] = json!({ "status": "succeeded", "output": unknown() });
    supposing.names["steps"]["each"] = json!({ "status": "succeeded", "output": [{ "n": 1 }, unknown()] });
    let eval = |text: &str, scope: &Scope| Expression::parse(text, 1).unwrap().evaluate(scope);
    for text in [
        "steps.exec.output.exit_code == 0",
        "int(steps.exec.output.stdout)",
        "steps.exec.output == null",
        "has(steps.exec.output.stdout)",
        "size(steps.each.output)",
        "steps.each.output[0].n",
        "parameters.names.map(n, n + steps.exec.output.stdout)",
        "'stdout' in steps.exec.output",
        "parameters.batch == 1 || steps.exec.output.exit_code == 0",
    ] {
        let expression = Expression::parse(text, 1).unwrap();
        assert_eq!(expression.evaluate(&supposing), Ok(unknown()), "{text}");
        assert!(expression.is_unknown(&supposing) && expression.holds(&supposing).unwrap(), "{text}");
        assert_eq!(expression.items(&supposing), Ok(Vec::new()), "{text}");
    }
    for (text, known) in [
        ("steps.exec.status", json!("succeeded")),
        ("steps.before.output.running", json!(3)),
        ("parameters.batch == 2 ? 1 : steps.exec.output.exit_code", json!(1)),
        ("parameters.names.filter(n, n == 'c' && n == steps.exec.output.stdout)", json!([])),
    ] {
        assert_eq!(eval(text, &supposing), Ok(known), "{text}");
    }
    let running = Scope { supposing: false, ..supposing };
    assert!(eval("steps.exec.output.exit_code == 0", &running).is_err(), "in a run it is a text");
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
        ("has(item.x)", json!(false)),
        ("has(steps.skipped.output)", json!(false)),
        ("has(steps.skipped.output.x)", json!(false)),
        ("has(steps.skipped.output.x.y)", json!(false)),
        ("has(steps.before.output.running)", json!(true)),
        ("has(steps.before.output.x)", json!(false)),
        ("has(steps['before'].output.running)", json!(true)),
        ("has(steps.skipped.output.x) || steps.skipped.output == null", json!(true)),
        ("[{'a': null}, {'a': 1}].map(x, has(x.a))", json!([false, true])),
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
        ("has(steps.before.outptu.x)", "`steps.before` has no `outptu`; did you mean `output`?"),
        ("has(parameters.service.x)", "`parameters.service` is a text, which has no `x`"),
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
        ("a \u{1b}[2J", "`\\u{1b}` is not expected here", Some(super::syntax::USUAL)),
        ("a and b", "`and` is not expected here", Some("write `&&`")),
        ("sizee(a)", "there is no function `sizee`", Some("did you mean `size`?")),
        ("a.len()", "there is no function `len`", Some("`size(x)` tells how many there are")),
        (
            "upper(a)",
            "there is no function `upper`",
            Some(
                "the functions are `all`, `bool`, `bytes`, `contains`, `double`, `dyn`, `endsWith`, `exists`, `exists_one`, `filter`, `has`, `int`, `map`, `matches`, `size`, `startsWith`, `string`, `type` and `uint`",
            ),
        ),
        ("size() > 1", "`size` takes 1 argument, not 0", Some("write `size(x)`")),
        ("a.contains()", "`contains` takes 1 argument, not 0", Some("write `text.contains('other')`")),
        (
            "a.exists(b == 1)",
            "`exists` takes a name and a condition",
            Some("write `list.exists(x, x != '')`"),
        ),
        (
            "a.matches('[')",
            "`[` is not a regular expression: unclosed character class",
            Some("a character with a meaning of its own is written with `\\\\` before it"),
        ),
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
fn kinds_are_known_where_they_are_sure() {
    let known = |path: &[&str]| match path {
        ["n"] => Some(Kind::Number),
        ["t"] => Some(Kind::Text),
        ["l"] => Some(Kind::List),
        _ => None,
    };
    let kind = |text: &str| Expression::parse(text, 1).unwrap().kind(&known);
    for (text, expected) in [
        ("n > 1 && t != 'x'", Some(Kind::Truth)),
        ("n + 1", Some(Kind::Number)),
        ("'true'", Some(Kind::Text)),
        ("t + string(n)", Some(Kind::Text)),
        ("l.map(x, x + 1)", Some(Kind::List)),
        ("l.exists(x, x > 1)", Some(Kind::Truth)),
        ("l.filter(n, n > 'a')", Some(Kind::List)),
        ("has(a.b.c)", Some(Kind::Truth)),
        ("'x' in l", Some(Kind::Truth)),
        ("n > 1 ? 1 : 'x'", None),
        ("a.b > 1 ? t : 'x'", Some(Kind::Text)),
        ("a.b", None),
        ("dyn(n) > 'a'", Some(Kind::Truth)),
        ("a.b + 1.5", Some(Kind::Number)),
        ("l[0] == null", Some(Kind::Truth)),
    ] {
        assert_eq!(kind(text), Ok(expected), "{text}");
    }
    for (text, expected) in [
        ("n > 'a'", "`>` cannot compare a number with a text"),
        ("n + t", "`+` cannot join a number and a text"),
        ("a.b > 1 && n", "each side of `&&` must be true or false, and this is a number"),
        ("!t", "what follows `!` must be true or false, and this is a text"),
        ("n.contains('1')", "`contains` is for texts, and this is a number"),
        ("size(n)", "`size` is for texts, lists and maps, and this is a number"),
        ("l.exists(x, n)", "each side of `||` must be true or false, and this is a number"),
        ("n.exists(x, x > 1)", "only a list or a map has items, and this is a number"),
        ("'x' in t", "`in` looks into a list or a map, and this is a text"),
        ("t * 2", "`*` is for numbers, and this is a text"),
    ] {
        assert_eq!(kind(text), Err(expected.to_owned()), "{text}");
    }
}

#[test]
fn a_literal_is_itself_however_long() {
    let items: Vec<Value> = (0..1000).map(|n| json!(format!("shop/web-{n}"))).collect();
    let literal = Expression::literal(Value::Array(items.clone()), 7);
    assert_eq!(literal.items(&scope()).unwrap(), items);
    assert_eq!((literal.kind(&|_| None), literal.references().len()), (Ok(Some(Kind::List)), 0));
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
