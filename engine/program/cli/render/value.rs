//! Values on one line, the way a person would type them.

use serde_json::{Map, Value};

use words::text::for_shell;

/// The longest value shown in a line.
const MAX_CHARACTERS: usize = 80;

/// One value: texts without quotes, lists and maps as JSON, long ones cut.
pub(crate) fn short(value: &Value) -> String {
    let text = match value {
        Value::String(text) => crate::error::printable(text),
        other => crate::error::printable(&other.to_string()),
    };
    crate::cli::output::table::cut(&text, MAX_CHARACTERS)
}

/// `name = value, other = value`
pub(crate) fn pairs(map: &Map<String, Value>) -> String {
    let pairs: Vec<_> = map.iter().map(|(name, value)| format!("{name} = {}", short(value))).collect();
    pairs.join(", ")
}

/// The pairs of an object, or the value itself.
pub(crate) fn inline(value: &Value) -> String {
    match value {
        Value::Object(map) => pairs(map),
        Value::Null => String::new(),
        other => short(other),
    }
}

/// A parameter as it is given on the command line.
pub(crate) fn flag(name: &str, value: &Value) -> String {
    let text = match value {
        Value::String(text) => text.clone(),
        other => other.to_string(),
    };
    format!("-p {}", for_shell(&format!("{name}={text}")))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn values_are_short_and_harmless() {
        assert_eq!(inline(&json!({"service": "shop/web", "batch": 2})), "batch = 2, service = shop/web");
        assert_eq!(short(&json!("a\u{1b}[2J\nb")), "a\\u{1b}[2J b");
        assert_eq!(short(&json!("x".repeat(200))).chars().count(), MAX_CHARACTERS);
    }

    #[test]
    fn flags_survive_a_shell() {
        assert_eq!(flag("service", &json!("shop/web")), "-p service=shop/web");
        assert_eq!(flag("why", &json!("it's; down")), r"-p 'why=it'\''s; down'");
        assert_eq!(flag("why", &json!("a\u{1b}[2J\nit's \\")), r"-p $'why=a\u001b[2J\nit\'s \\'");
        assert_eq!(flag("why", &json!("a\u{202e}\u{e0041}")), r"-p $'why=a\u202e\U000e0041'");
        assert_eq!(flag("list", &json!(["a", "b"])), r#"-p 'list=["a","b"]'"#);
    }
}
