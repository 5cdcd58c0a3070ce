//! What is known of a value before it is evaluated: an expression that is a parameter and nothing else has that parameter's
//! type, and a text with an expression inside is a text.

use serde_json::Value;

use crate::expression::{Expression, Kind};
use crate::input::{Problem, resolved};
use crate::runbook::{Parameter, ParameterType, Template};

/// The parameter that an expression is, if it is nothing else.
pub(super) fn parameter_of<'p>(
    expression: &Expression,
    parameters: &'p [Parameter],
) -> Option<&'p Parameter> {
    match expression.as_reference()?.path.as_slice() {
        [word, name] if word == "parameters" => {
            parameters.iter().find(|parameter| parameter.name.as_str() == name)
        }
        _ => None,
    }
}

/// The kind of a name in an expression, where it is sure.
pub(super) fn of_name(path: &[&str], parameters: &[Parameter]) -> Option<Kind> {
    match path {
        ["parameters", name] => {
            let parameter = parameters.iter().find(|parameter| parameter.name.as_str() == *name)?;
            Some(match parameter.kind {
                ParameterType::String | ParameterType::Duration | ParameterType::Size => Kind::Text,
                ParameterType::Integer | ParameterType::Number => Kind::Number,
                ParameterType::Boolean => Kind::Truth,
                ParameterType::List => Kind::List,
                ParameterType::Map => Kind::Map,
            })
        }
        ["steps", _, "status"] | ["run", "id" | "name" | "status"] => Some(Kind::Text),
        _ => None,
    }
}

/// The parts of an input whose type is known and is not what the schema wants.
pub(super) fn mismatches(root: &Value, template: &Template, parameters: &[Parameter]) -> Vec<Problem> {
    let mut problems = Vec::new();
    walk(root, root, template, &mut Walk { parameters, path: Vec::new(), problems: &mut problems });
    problems
}

struct Walk<'w> {
    parameters: &'w [Parameter],
    path: Vec<String>,
    problems: &'w mut Vec<Problem>,
}

fn walk(root: &Value, part: &Value, template: &Template, at: &mut Walk<'_>) {
    let Some(schema) = resolved(root, part) else { return };
    match template {
        Template::Whole(expression) => {
            if let Some(parameter) = parameter_of(expression, at.parameters) {
                whole(schema, parameter, at);
            }
        }
        Template::Text(parts) if !parts.is_empty() && !allows(schema, &["string"]) => {
            let message = format!("this becomes a text, and it must be {}", wanted(schema));
            let hint = "a value that is one whole `${{ }}`, without quotes inside or words around it, keeps its type".to_owned();
            at.problems.push(Problem::new(at.path.clone(), message, Some(hint)));
        }
        Template::Map(entries) => {
            for (name, value) in entries {
                let inner = schema.get("properties").and_then(|known| known.get(name));
                if let Some(inner) = inner.or_else(|| schema.get("additionalProperties")) {
                    at.path.push(name.clone());
                    walk(root, inner, value, at);
                    at.path.pop();
                }
            }
        }
        Template::List(items) => {
            for (index, item) in items.iter().enumerate() {
                if let Some(inner) = schema.get("items") {
                    at.path.push(index.to_string());
                    walk(root, inner, item, at);
                    at.path.pop();
                }
            }
        }
        Template::Value(_) | Template::Text(_) => {}
    }
}

fn whole(schema: &Value, parameter: &Parameter, at: &mut Walk<'_>) {
    let types: &[&str] = match parameter.kind {
        ParameterType::String | ParameterType::Duration | ParameterType::Size => &["string"],
        // An integer is a number, and a number may turn out to be an integer.
        ParameterType::Integer | ParameterType::Number => &["integer", "number"],
        ParameterType::Boolean => &["boolean"],
        ParameterType::List => &["array"],
        ParameterType::Map => &["object"],
    };
    if allows(schema, types) {
        return;
    }
    let name = &parameter.name;
    let message = format!(
        "`parameters.{name}` is of type `{}`, and this must be {}",
        parameter.kind.word(),
        wanted(schema)
    );
    let scalar = !matches!(parameter.kind, ParameterType::List | ParameterType::Map);
    let hint = if allows(schema, &["string"]) && scalar {
        format!("write `${{{{ string(parameters.{name}) }}}}`, or give the parameter another type")
    } else {
        "give the parameter another type".to_owned()
    };
    at.problems.push(Problem::new(at.path.clone(), message, Some(hint)));
}

/// Whether a schema may allow a value of one of these types; only what it says of types counts.
fn allows(schema: &Value, types: &[&str]) -> bool {
    match schema.get("type") {
        Some(Value::String(only)) => types.contains(&only.as_str()),
        Some(Value::Array(several)) => {
            several.iter().filter_map(Value::as_str).any(|one| types.contains(&one))
        }
        _ => {
            let branches = ["anyOf", "oneOf"].iter().filter_map(|name| schema.get(name)?.as_array());
            // Each of these must hold, and one branch of each is enough.
            branches.into_iter().all(|branches| branches.iter().any(|branch| allows(branch, types)))
        }
    }
}

fn wanted(schema: &Value) -> String {
    let phrase = |name: &str| match name {
        "array" => "a list",
        "boolean" => "`true` or `false`",
        "integer" => "an integer",
        "number" => "a number",
        "object" => "a map",
        "string" => "a text",
        _ => "nothing",
    };
    match schema.get("type") {
        Some(Value::String(only)) => phrase(only).to_owned(),
        Some(Value::Array(several)) => {
            let several = several.iter().filter_map(Value::as_str).filter(|name| *name != "null");
            several.map(phrase).collect::<Vec<_>>().join(" or ")
        }
        _ => {
            let branches = ["anyOf", "oneOf"].iter().find_map(|name| schema.get(name)?.as_array());
            let typed = branches.into_iter().flatten().filter(|branch| branch.get("type").is_some());
            let several: Vec<String> = typed.map(wanted).filter(|kind| kind != "nothing").collect();
            if several.is_empty() { "something else".to_owned() } else { several.join(" or ") }
        }
    }
}
