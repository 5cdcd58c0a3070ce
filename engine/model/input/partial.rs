//! Inputs whose expressions are not known yet: what is wrong with them whatever the expressions come to.

use jsonschema::ValidationError;
use jsonschema::error::ValidationErrorKind;
use serde_json::{Map, Value, json};

use super::{Checker, HOLE, MAX_PROBLEMS, Problem, known_names, resolved};
use crate::runbook::Template;

/// How deep a schema is closed; deeper parts may hold names that it does not know.
const MAX_DEPTH: usize = 16;

/// What is wrong with an input, whatever its expressions come to.
pub fn template_problems(schema: &Value, template: &Template) -> Vec<Problem> {
    let value = with_holes(template);
    if value == HOLE {
        return Vec::new();
    }
    let root_has_holes = has_hole(&value);
    let mut problems = Checker::new(&closed(schema, schema, 0))
        .told(&value, |error| certain(schema, error) && !(root_has_holes && is_conditional(error)));
    for problem in super::integers::problems(schema, &value) {
        if !problems.iter().any(|known| known.path == problem.path) {
            problems.push(problem);
        }
    }
    problems.truncate(MAX_PROBLEMS);
    problems
}

/// The value, with a hole for each text that has an expression inside.
fn with_holes(template: &Template) -> Value {
    match template {
        Template::Value(value) => value.clone(),
        Template::Whole(_) | Template::Text(_) => Value::from(HOLE),
        Template::List(items) => items.iter().map(with_holes).collect(),
        Template::Map(entries) => entries
            .iter()
            .map(|(name, value)| (name.clone(), with_holes(value)))
            .collect::<Map<_, _>>()
            .into(),
    }
}

fn has_hole(value: &Value) -> bool {
    match value {
        Value::String(text) => text == HOLE,
        Value::Array(items) => items.iter().any(has_hole),
        Value::Object(members) => members.values().any(has_hole),
        _ => false,
    }
}

/// Whether an error stands whatever becomes of the holes.
fn certain(schema: &Value, error: &ValidationError<'_>) -> bool {
    let value = error.instance().as_ref();
    match error.kind() {
        ValidationErrorKind::AnyOf { context } | ValidationErrorKind::OneOfNotValid { context } => {
            context.iter().all(|branch| branch.iter().any(|error| certain(schema, error)))
        }
        ValidationErrorKind::PropertyNames { error } => certain(schema, error),
        // These count members, or look around holes by themselves.
        ValidationErrorKind::AdditionalProperties { .. }
        | ValidationErrorKind::Required { .. }
        | ValidationErrorKind::MinItems { .. }
        | ValidationErrorKind::MaxItems { .. }
        | ValidationErrorKind::MinProperties { .. }
        | ValidationErrorKind::MaxProperties { .. }
        | ValidationErrorKind::FalseSchema
        | ValidationErrorKind::Type { .. }
        | ValidationErrorKind::Custom { .. } => value != HOLE,
        // Which alternative names a member may depend on a hole; a name that none of them knows is unknown for sure.
        ValidationErrorKind::UnevaluatedProperties { unexpected } => {
            let path: Vec<String> = super::wording::path(error);
            let known = super::wording::at(schema, &path).and_then(|part| known_names(schema, part));
            known.is_some_and(|known| unexpected.iter().any(|name| !known.contains(name.as_str())))
        }
        _ => !has_hole(value),
    }
}

/// Whether an error comes from one side of an `if`, which a hole may have decided.
fn is_conditional(error: &ValidationError<'_>) -> bool {
    error.evaluation_path().as_str().split('/').any(|part| part == "then" || part == "else")
}

/// The schema, closed to names that it does not know wherever it names members and says nothing of others: whoever misspells
/// an input wants to be told.
fn closed(root: &Value, part: &Value, depth: usize) -> Value {
    let Some(object) = part.as_object().filter(|_| depth < MAX_DEPTH) else { return part.clone() };
    let mut schema = object.clone();
    if let Some(Value::Object(properties)) = schema.get_mut("properties") {
        for inner in properties.values_mut() {
            *inner = closed(root, inner, depth + 1);
        }
    }
    for name in ["items", "additionalProperties"] {
        if let Some(inner) = schema.get_mut(name).filter(|inner| inner.is_object()) {
            *inner = closed(root, inner, depth + 1);
        }
    }
    let silent = ["additionalProperties", "unevaluatedProperties", "patternProperties"]
        .iter()
        .all(|name| !schema.contains_key(*name));
    let names = known_names(root, part).is_some_and(|names| !names.is_empty());
    if silent && names && resolved(root, part).is_some_and(|own| own.get("additionalProperties").is_none()) {
        // Beside alternatives only this word sees what they name.
        let plain = schema.contains_key("properties") && super::choices(part).next().is_none();
        let word = if plain { "additionalProperties" } else { "unevaluatedProperties" };
        schema.insert(word.to_owned(), json!(false));
    }
    Value::Object(schema)
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::template_problems;
    use crate::runbook::Template;

    fn template(value: &Value) -> Template {
        match value {
            Value::String(text) => Template::parse(text, 1).unwrap(),
            Value::Array(items) => Template::List(items.iter().map(template).collect()),
            Value::Object(members) => {
                Template::Map(members.iter().map(|(name, value)| (name.clone(), template(value))).collect())
            }
            other => Template::Value(other.clone()),
        }
    }

    fn told(schema: &Value, value: &Value) -> Vec<String> {
        let problems = template_problems(schema, &template(value)).into_iter();
        problems.map(|problem| format!("{}: {}", problem.path.join("."), problem.message)).collect()
    }

    fn alternatives() -> Value {
        json!({
            "type": "object",
            "additionalProperties": false,
            "properties": {
                "service": { "type": ["string", "null"], "format": "service-name" },
                "container": { "type": ["string", "null"] },
                "command": { "type": "array", "minItems": 1, "items": { "type": "string" } },
                "timeout": { "type": "string", "format": "duration-text", "default": "1m", "atMost": "1h" },
                "env": { "type": "object", "additionalProperties": { "type": "string" }, "propertyNames": { "format": "variable-name" } },
                "secret_env": { "type": "object" },
                "least": { "type": "integer", "default": 1 },
                "most": { "type": "integer", "default": 20 },
            },
            "required": ["command"],
            "apart": ["env", "secret_env"],
            "ordered": ["least", "most"],
            "anyOf": [{ "required": ["service"] }, { "required": ["container"] }],
            "allOf": [{
                "description": "give either `service` or `container`, not both",
                "anyOf": [
                    { "properties": { "service": { "type": "null" } } },
                    { "properties": { "container": { "type": "null" } } },
                ],
            }],
        })
    }

    #[test]
    fn what_is_wrong_beside_alternatives_and_expressions_is_told() {
        let hole = "${{ parameters.x }}";
        for (value, expected) in [
            (json!({ "service": "a/b", "command": ["x"] }), ""),
            (json!({ "service": hole, "command": [hole] }), ""),
            (json!({ "service": hole, "command": hole, "timeout": hole, "env": hole, "least": hole }), ""),
            (json!({ "service": hole, "container": hole, "command": [hole] }), ""),
            (
                json!({ "service": "a", "timout": "2h", "command": ["x"] }),
                "timout: there is no input `timout`",
            ),
            (
                json!({ "service": hole, "timout": hole, "user": 1, "command": hole }),
                "timout: there is no input `timout`; user: there is no input `user`",
            ),
            (json!({ "service": "a" }), ": the input `command` is missing"),
            (json!({ "command": [hole] }), ": one of the inputs `service` and `container` is needed"),
            (
                json!({ "service": "a", "container": "b", "command": [hole] }),
                ": give either `service` or `container`, not both",
            ),
            (json!({ "service": "a", "command": [] }), "command: this list must not be empty"),
            (json!({ "service": "a", "command": [hole, 1] }), "command.1: this must be a text, not `1`"),
            (
                json!({ "service": "a b", "command": [hole] }),
                "service: the name of a service contains a space: `a b`",
            ),
            (
                json!({ "service": "a", "command": [hole], "timeout": "2h" }),
                "timeout: this must be at most 1h, not 2h",
            ),
            (
                json!({ "service": "a", "command": [hole], "env": { "A=B": hole } }),
                "env.A=B: `A=B` is not the name of an environment variable",
            ),
            (
                json!({ "service": "a", "command": [hole], "env": { "A": hole }, "secret_env": { "A": hole } }),
                ": `A` is given under `env` and under `secret_env`",
            ),
            (
                json!({ "service": "a", "command": [hole], "least": 30 }),
                ": `least` is 30, more than `most`, which is 20",
            ),
            (json!({ "service": "a", "command": [hole], "least": 30, "most": hole }), ""),
        ] {
            assert_eq!(told(&alternatives(), &value).join("; "), expected, "{value}");
        }
    }

    #[test]
    fn a_choice_is_wrong_only_if_every_branch_surely_is() {
        let schema = json!({
            "properties": { "cpus": { "anyOf": [{ "type": "number", "minimum": 1 }, { "type": "string", "pattern": "^[0-9]+$" }] } },
        });
        assert_eq!(told(&schema, &json!({ "cpus": "${{ parameters.x }}" })), [""; 0]);
        assert_eq!(told(&schema, &json!({ "cpus": true })).len(), 1);
        assert_eq!(told(&schema, &json!({ "cpu": 1 })), ["cpu: there is no input `cpu`"], "closed");
    }

    #[test]
    fn names_of_alternatives_are_known() {
        let schema = json!({
            "oneOf": [
                { "properties": { "kind": { "const": "a" }, "one": { "type": "string" } }, "required": ["kind"] },
                { "properties": { "kind": { "const": "b" }, "two": { "type": "string" } }, "required": ["kind"] },
            ],
        });
        assert_eq!(told(&schema, &json!({ "kind": "a", "one": "x" })), [""; 0]);
        assert_eq!(told(&schema, &json!({ "kind": "${{ parameters.x }}", "two": "x" })), [""; 0]);
        let wrong = told(&schema, &json!({ "kind": "${{ parameters.x }}", "tow": "x" }));
        assert_eq!(wrong, ["tow: there is no input `tow`"]);
        let conditional = json!({
            "properties": { "on": { "type": "boolean" }, "at": { "type": "string" } },
            "if": { "properties": { "on": { "const": true } } },
            "then": { "required": ["at"] },
        });
        assert_eq!(told(&conditional, &json!({ "on": true })).len(), 1);
        assert_eq!(told(&conditional, &json!({ "on": "${{ parameters.x }}" })), [""; 0]);
    }
}
