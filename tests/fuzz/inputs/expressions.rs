//! An expression on the first line, and below it the names it can see.

use model::expression::{Expression, MAX_RESULT_BYTES, Scope};
use model::runbook::Template;

/// What an expression sees if nothing else is said.
const SCOPE: &str = r#"{
    "parameters": { "service": "shop/web", "count": 3, "ratio": 0.5, "names": ["a", "b"], "env": { "A": "1" }, "none": null },
    "steps": { "before": { "status": "succeeded", "output": { "replicas": [{ "name": "web-1", "healthy": true }] } } },
    "item": "x", "output": { "healthy": 2 }, "run": { "id": "r" }
}"#;

pub(super) fn feed(bytes: &[u8]) {
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    let (source, scope) = text.split_once('\n').unwrap_or((text, SCOPE));
    let scope =
        Scope::of(serde_json::from_str(scope).unwrap_or_else(|_| serde_json::from_str(SCOPE).expect("JSON")));
    if let Err(error) = Template::parse(source, 1).map(|template| template.evaluate(&scope)) {
        assert!(super::is_tame(&error.to_string()), "{error}");
    }
    let expression = match Expression::parse(source, 1) {
        Ok(expression) => expression,
        Err(error) => {
            assert!(super::is_tame(&error.message), "{error:?}");
            return;
        }
    };
    let again = Expression::parse(expression.text(), 1).expect("its own text is an expression");
    assert_eq!(again.references(), expression.references());
    let _ = expression.kind(&|_| None);
    match expression.evaluate(&scope) {
        Ok(value) => {
            // The limit is reckoned roughly: quotes, escapes and digits come on top.
            assert!(value.to_string().len() <= 8 * MAX_RESULT_BYTES);
            assert_eq!(expression.evaluate(&scope), Ok(value), "the same question, the same answer");
        }
        Err(error) => assert!(super::is_tame(&error.message), "{error:?}"),
    }
}
