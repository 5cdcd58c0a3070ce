//! What a plan cannot know before the run: a text that stands in for it wherever it would go, through plugins too. Only a
//! plan reads it so; in a run it is a text like any other.

use serde_json::Value;

/// What stands in for it.
pub const UNKNOWN: &str = "(unknown before it runs)";

/// As a value.
pub fn unknown() -> Value {
    Value::String(UNKNOWN.to_owned())
}

/// Whether something in it cannot be known.
pub fn holds_unknown(value: &Value) -> bool {
    match value {
        Value::String(text) => text.contains(UNKNOWN),
        Value::Array(items) => items.iter().any(holds_unknown),
        Value::Object(members) => members.values().any(holds_unknown),
        Value::Null | Value::Bool(_) | Value::Number(_) => false,
    }
}

/// Whether what these members lead to cannot be known, or not wholly.
pub(super) fn leads_to_unknown(value: &Value, members: &[String]) -> bool {
    match (value, members.split_first()) {
        (Value::Object(map), Some((first, rest))) => {
            map.get(first).is_some_and(|value| leads_to_unknown(value, rest))
        }
        _ => holds_unknown(value),
    }
}

/// Takes away what these members lead to, or the last that is there on the way.
pub(super) fn prune(value: &mut Value, members: &[String]) {
    let Value::Object(map) = value else { return };
    let Some((first, rest)) = members.split_first() else { return };
    match map.get_mut(first) {
        Some(inner @ Value::Object(_)) if !rest.is_empty() => prune(inner, rest),
        _ => drop(map.remove(first)),
    }
}
