//! Whether a value is what a JSON Schema wants, in sentences: the inputs and outputs of steps.

mod wording;

use std::panic::{AssertUnwindSafe, catch_unwind};

use jsonschema::Validator;
use serde_json::Value;
use wording::{missing, none_given, problem};

use super::duration::{parse_duration, parse_size};
use super::runbook::Template;
use super::suggestion;

/// The most problems told of one value.
const MAX_PROBLEMS: usize = 20;
/// How often `$ref` is followed to get to a schema itself.
const MAX_REFERENCES: usize = 16;
/// The `format` of texts that are durations; `duration` itself means ISO 8601 in JSON Schema.
pub const DURATION_FORMAT: &str = "duration-text";
/// The `format` of texts that are names of secrets; whether they are is said where grants are checked.
pub const SECRET_FORMAT: &str = "secret-name";
/// The `format` of texts that are sizes.
pub const SIZE_FORMAT: &str = "size-text";

/// One thing that is wrong with a value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    /// Names and indexes from the value's root.
    pub path: Vec<String>,
    /// One sentence.
    pub message: String,
    /// What to do about it.
    pub hint: Option<String>,
}

/// A schema ready to check values against; making one costs some fifty times what a check does.
pub struct Checker {
    schema: Value,
    validator: Result<Validator, Problem>,
}

impl Checker {
    /// A schema may come from anybody's plugin; one that cannot be compiled must not take the engine down.
    pub fn new(schema: &Value) -> Self {
        let options = jsonschema::options()
            .with_format(DURATION_FORMAT, |text| parse_duration(text).is_ok())
            .with_format(SIZE_FORMAT, |text| parse_size(text).is_ok())
            .should_validate_formats(true);
        let validator = catch_unwind(AssertUnwindSafe(|| options.build(schema)))
            .map_err(|_| unusable(""))
            .and_then(|built| built.map_err(|error| unusable(&error.to_string())));
        Self { schema: schema.clone(), validator }
    }

    /// Checks a whole value; the error names every problem.
    pub fn check(&self, value: &Value) -> Result<(), String> {
        let problems = self.problems(value);
        if problems.is_empty() {
            return Ok(());
        }
        let told = problems.iter().map(|problem| match problem.path.as_slice() {
            [] => problem.message.clone(),
            path => format!("`{}`: {}", path.join("."), problem.message),
        });
        Err(told.collect::<Vec<_>>().join("; "))
    }

    /// Everything that is wrong with a value.
    pub fn problems(&self, value: &Value) -> Vec<Problem> {
        match &self.validator {
            Err(unusable) => vec![unusable.clone()],
            Ok(validator) => catch_unwind(AssertUnwindSafe(|| told_once(&self.schema, validator, value)))
                .unwrap_or_else(|_| vec![unusable("")]),
        }
    }
}

/// Checks a whole value; the error names every problem.
pub fn check(schema: &Value, value: &Value) -> Result<(), String> {
    Checker::new(schema).check(value)
}

/// Everything that is wrong with a value.
pub fn problems(schema: &Value, value: &Value) -> Vec<Problem> {
    Checker::new(schema).problems(value)
}

fn told_once(schema: &Value, validator: &Validator, value: &Value) -> Vec<Problem> {
    let mut problems: Vec<Problem> =
        validator.iter_errors(value).take(MAX_PROBLEMS).map(|error| problem(schema, &error)).collect();
    // A text that is no duration breaks both the format and the pattern of its schema: told once is enough.
    let mut told: Vec<Vec<String>> = Vec::new();
    problems.sort_by_key(|problem| !problem.message.contains(" is not a "));
    problems.retain(|problem| {
        let quantity = problem.message.contains(" is not a ") || problem.message.contains("does not match");
        let again = quantity && told.contains(&problem.path);
        told.push(problem.path.clone());
        !again
    });
    problems
}

fn unusable(why: &str) -> Problem {
    let message = format!("the plugin's schema cannot be used {why}").trim_end().to_owned();
    Problem { path: Vec::new(), message, hint: Some("this is a fault of the plugin".to_owned()) }
}

/// What is wrong with an input whose expressions are not known yet: its literal parts are checked as they are, the names of
/// its members everywhere.
pub fn template_problems(schema: &Value, template: &Template) -> Vec<Problem> {
    let mut problems = Vec::new();
    partial(schema, schema, template, &mut Vec::new(), &mut problems);
    problems.truncate(MAX_PROBLEMS);
    problems
}

fn partial(
    root: &Value,
    part: &Value,
    template: &Template,
    path: &mut Vec<String>,
    problems: &mut Vec<Problem>,
) {
    let Some(schema) = resolved(root, part) else { return };
    match template {
        Template::Whole(_) | Template::Text(_) => {}
        Template::Map(entries) if schema.get("properties").is_some() => {
            members(schema, entries, path, problems);
            for (name, value) in entries {
                let inner = schema["properties"].get(name).or_else(|| schema.get("additionalProperties"));
                if let Some(inner) = inner.filter(|inner| inner.is_object()) {
                    path.push(name.clone());
                    partial(root, inner, value, path, problems);
                    path.pop();
                }
            }
        }
        Template::List(items)
            if schema.get("items").is_some_and(Value::is_object) && template.literal().is_none() =>
        {
            for (index, item) in items.iter().enumerate() {
                path.push(index.to_string());
                partial(root, &schema["items"], item, path, problems);
                path.pop();
            }
        }
        Template::Value(_) | Template::List(_) | Template::Map(_) => {
            let Some(value) = template.literal() else { return };
            for problem in self::problems(&standing_alone(root, part), &value) {
                problems
                    .push(Problem { path: path.iter().cloned().chain(problem.path).collect(), ..problem });
            }
        }
    }
}

/// A part of a schema with the definitions it may refer to.
fn standing_alone(root: &Value, part: &Value) -> Value {
    let mut alone = part.clone();
    if let (Some(alone), Some(root)) = (alone.as_object_mut(), root.as_object()) {
        for name in ["$defs", "definitions", "$schema"] {
            if let Some(definitions) = root.get(name) {
                alone.entry(name).or_insert_with(|| definitions.clone());
            }
        }
    }
    alone
}

fn members(schema: &Value, entries: &[(String, Template)], path: &[String], problems: &mut Vec<Problem>) {
    let names =
        || schema["properties"].as_object().into_iter().flat_map(|known| known.keys().map(String::as_str));
    for (name, _) in entries {
        if !is_open(schema) && !names().any(|known| known == name) {
            let mut path = path.to_vec();
            path.push(name.clone());
            let message = format!("there is no input `{}`", name.escape_debug());
            let hint = suggestion::hint(name, names()).or_else(|| Some("it takes no input".to_owned()));
            problems.push(Problem { path, message, hint });
        }
    }
    let required =
        schema.get("required").and_then(Value::as_array).into_iter().flatten().filter_map(Value::as_str);
    for name in required {
        if !entries.iter().any(|(given, _)| given == name) {
            problems.push(missing(schema, name, path.to_vec()));
        }
    }
    let alternatives = alternatives(schema);
    if !alternatives.is_empty() && !entries.iter().any(|(given, _)| alternatives.contains(&given.as_str())) {
        problems.push(none_given(&alternatives, path.to_vec()));
    }
}

/// The members of which one must be given: each alternative of an `anyOf` requires one.
fn alternatives(schema: &Value) -> Vec<&str> {
    let choices = schema.get("anyOf").and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default();
    let one = |choice: &Value| choice["required"].as_array().is_some_and(|required| required.len() == 1);
    if !choices.iter().all(one) {
        return Vec::new();
    }
    choices.iter().filter_map(|choice| choice["required"][0].as_str()).collect()
}

/// The schema itself, where `part` only refers to it within `root`; `None` if it cannot be found.
pub fn resolved<'s>(root: &'s Value, part: &'s Value) -> Option<&'s Value> {
    let mut part = part;
    for _ in 0..MAX_REFERENCES {
        // An optional value is often a choice between a schema and null.
        let choice =
            part.get("anyOf").and_then(Value::as_array).and_then(|choices| match choices.as_slice() {
                [one, null] | [null, one] if null["type"] == "null" => Some(one),
                _ => None,
            });
        part = match (part.get("$ref").and_then(Value::as_str), choice) {
            (Some(reference), _) => root.pointer(reference.strip_prefix('#')?)?,
            (None, Some(choice)) => choice,
            (None, None) => return Some(part),
        };
    }
    None
}

/// Whether an object may have members that its schema does not name.
pub fn is_open(schema: &Value) -> bool {
    let open = |name| schema.get(name).is_some_and(|rest| *rest != Value::Bool(false));
    open("additionalProperties")
        || open("patternProperties")
        || ["allOf", "anyOf", "oneOf", "if"].iter().any(|name| schema.get(name).is_some())
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::{Problem, check, template_problems};
    use crate::model::runbook::Template;

    fn schema() -> Value {
        json!({
            "$schema": "https://json-schema.org/draft/2020-12/schema",
            "type": "object",
            "additionalProperties": false,
            "required": ["service"],
            "properties": {
                "service": { "type": "string", "minLength": 1, "description": "Which service." },
                "grace": { "anyOf": [{ "$ref": "#/$defs/Duration" }, { "type": "null" }] },
                "port": { "type": "integer", "minimum": 1, "maximum": 65535 },
                "mode": { "enum": ["soft", "hard"] },
                "env": { "type": "object", "additionalProperties": { "type": "string" } },
                "checks": { "type": "array", "items": { "type": "object", "additionalProperties": false, "properties": { "path": { "type": "string" } } } }
            },
            "$defs": { "Duration": { "type": "string", "format": "duration-text", "pattern": "^[0-9]" } }
        })
    }

    #[test]
    fn values_are_checked_in_sentences() {
        assert_eq!(
            check(&schema(), &json!({ "service": "web", "grace": "30s", "env": { "a": "b" } })),
            Ok(())
        );
        for (value, expected) in [
            (json!({}), "the input `service` is missing"),
            (json!({ "service": 5 }), "`service`: this must be a text, not `5`"),
            (json!({ "service": "" }), "`service`: this must not be empty"),
            (json!({ "service": "w", "port": 0 }), "`port`: this must be at least 1, not 0"),
            (json!({ "service": "w", "prot": 1 }), "`prot`: there is no input `prot`"),
            (
                json!({ "service": "w", "mode": "sotf" }),
                "`mode`: this must be one of `soft` and `hard`, not `sotf`",
            ),
            (json!({ "service": "w", "env": { "a": 1 } }), "`env.a`: this must be a text, not `1`"),
            (
                json!({ "service": "w", "checks": [{ "pth": "/" }] }),
                "`checks.0.pth`: there is no input `pth`",
            ),
            (json!([]), "this must be a map, not `[]`"),
        ] {
            assert_eq!(check(&schema(), &value), Err(expected.to_owned()));
        }
        assert!(
            check(&json!({ "type": 7 }), &json!(1))
                .unwrap_err()
                .starts_with("the plugin's schema cannot be used")
        );
    }

    #[test]
    fn a_choice_between_described_words_tells_all_of_them() {
        let word = |word: &str| json!({ "const": word, "description": "What it means." });
        let choice = json!({ "oneOf": [word("running"), word("stopped"), { "enum": ["paused"] }] });
        let told = "`state`: this must be one of `running`, `stopped` and `paused`, not `runing`";
        for schema in [choice.clone(), json!({ "anyOf": [choice, { "type": "null" }] })] {
            let schema = json!({ "type": "object", "properties": { "state": schema } });
            assert_eq!(check(&schema, &json!({ "state": "runing" })), Err(told.to_owned()));
            assert_eq!(check(&schema, &json!({ "state": "paused" })), Ok(()));
        }
    }

    #[test]
    fn templates_are_checked_as_far_as_they_are_known() {
        let text = |text| Template::parse(text, 1).unwrap();
        let template = Template::Map(vec![
            ("servise".to_owned(), text("${{ parameters.service }}")),
            ("port".to_owned(), text("${{ parameters.port }}")),
            ("grace".to_owned(), text("soon")),
            ("mode".to_owned(), text("sotf")),
            (
                "checks".to_owned(),
                Template::List(vec![Template::Map(vec![("pth".to_owned(), text("${{ 1 }}"))])]),
            ),
        ]);
        let told: Vec<(String, String, String)> = template_problems(&schema(), &template)
            .into_iter()
            .map(|Problem { path, message, hint }| (path.join("."), message, hint.unwrap_or_default()))
            .collect();
        let row = |a: &str, b: &str, c: &str| (a.to_owned(), b.to_owned(), c.to_owned());
        assert_eq!(
            told,
            [
                row("servise", "there is no input `servise`", "did you mean `service`?"),
                row("", "the input `service` is missing", "give it under `with`: Which service."),
                row(
                    "grace",
                    "`soon` is not a duration",
                    "write a duration like `30s`, `10m`, `1h30m` or `7d`"
                ),
                row("mode", "this must be one of `soft` and `hard`, not `sotf`", "did you mean `soft`?"),
                row("checks.0.pth", "there is no input `pth`", "did you mean `path`?"),
            ]
        );
    }
}
