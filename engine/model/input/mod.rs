//! Whether a value is what a JSON Schema wants, in sentences: the inputs and outputs of steps.

mod formats;
mod integers;
mod partial;
mod wording;

use std::collections::BTreeSet;
use std::panic::{AssertUnwindSafe, catch_unwind};

use jsonschema::error::ValidationErrorKind;
use jsonschema::{ValidationError, Validator};
use serde_json::Value;
use wording::problems;

pub use formats::{DURATION_FORMAT, SECRET_FORMAT, SIZE_FORMAT};
pub use partial::template_problems;

/// The most problems told of one value.
const MAX_PROBLEMS: usize = 20;
/// How often `$ref` is followed to get to a schema itself.
const MAX_REFERENCES: usize = 16;
/// How deep choices within choices are followed.
const MAX_CHOICES: usize = 8;
/// Stands for a value that is not known yet. No text can be this: it would be an expression.
const HOLE: &str = "${{ }}";

/// One thing that is wrong with a value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    /// Names and indexes from the value's root.
    pub path: Vec<String>,
    /// Whether the name at the end of the path is what is wrong, and not its value.
    pub by_name: bool,
    /// One sentence.
    pub message: String,
    /// What to do about it.
    pub hint: Option<String>,
}

impl Problem {
    /// One of a value.
    pub fn new(path: Vec<String>, message: String, hint: Option<String>) -> Self {
        Self { path, by_name: false, message, hint }
    }
}

/// A schema ready to check values against; making one costs some fifty times what a check does.
pub struct Checker {
    schema: Value,
    validator: Result<Validator, Problem>,
}

impl Checker {
    /// A schema may come from anybody's plugin; one that cannot be compiled must not take the engine down.
    pub fn new(schema: &Value) -> Self {
        let options = formats::taught(jsonschema::options());
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
        self.told(value, |_| true)
    }

    /// Everything that is wrong with a value and passes `counts`.
    fn told(&self, value: &Value, counts: impl Fn(&ValidationError<'_>) -> bool) -> Vec<Problem> {
        match &self.validator {
            Err(unusable) => vec![unusable.clone()],
            Ok(validator) => catch_unwind(AssertUnwindSafe(|| {
                told_once(&self.schema, validator.iter_errors(value).filter(counts))
            }))
            .unwrap_or_else(|_| vec![unusable("")]),
        }
    }
}

/// Checks a whole value; the error names every problem.
pub fn check(schema: &Value, value: &Value) -> Result<(), String> {
    Checker::new(schema).check(value)
}

fn told_once<'e>(schema: &Value, errors: impl Iterator<Item = ValidationError<'e>>) -> Vec<Problem> {
    let errors: Vec<ValidationError<'_>> = errors.take(MAX_PROBLEMS).collect();
    // A text that is no duration breaks both the format and the pattern of its schema: told once is enough.
    let of_form = |error: &&ValidationError<'_>| matches!(error.kind(), ValidationErrorKind::Format { .. });
    let forms: BTreeSet<&str> =
        errors.iter().filter(of_form).map(|error| error.instance_path().as_str()).collect();
    let again = |error: &ValidationError<'_>| {
        let lesser = matches!(
            error.kind(),
            ValidationErrorKind::Pattern { .. }
                | ValidationErrorKind::MinLength { .. }
                | ValidationErrorKind::MaxLength { .. }
        );
        lesser && forms.contains(error.instance_path().as_str())
    };
    errors.iter().filter(|error| !again(error)).flat_map(|error| problems(schema, error)).collect()
}

fn unusable(why: &str) -> Problem {
    let message = format!("the plugin's schema cannot be used {why}").trim_end().to_owned();
    Problem::new(Vec::new(), message, Some("this is a fault of the plugin".to_owned()))
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

/// The names that an object may have, those of its alternatives included; `None` if it may have any.
fn known_names<'s>(root: &'s Value, part: &'s Value) -> Option<BTreeSet<&'s str>> {
    let mut names = BTreeSet::new();
    collect_names(root, part, 0, &mut names).then_some(names)
}

/// Whether the names are all there are.
fn collect_names<'s>(root: &'s Value, part: &'s Value, depth: usize, names: &mut BTreeSet<&'s str>) -> bool {
    let Some(schema) = resolved(root, part).filter(|_| depth < MAX_CHOICES) else { return false };
    let open = ["additionalProperties", "unevaluatedProperties"]
        .iter()
        .any(|name| schema.get(name).is_some_and(|rest| *rest != Value::Bool(false)));
    if open || schema.get("patternProperties").is_some() {
        return false;
    }
    names.extend(
        schema
            .get("properties")
            .and_then(Value::as_object)
            .into_iter()
            .flatten()
            .map(|(name, _)| name.as_str()),
    );
    choices(schema).all(|choice| collect_names(root, choice, depth + 1, names))
}

/// The parts of a schema that speak of the same value.
fn choices(schema: &Value) -> impl Iterator<Item = &Value> {
    let lists =
        ["allOf", "anyOf", "oneOf"].into_iter().filter_map(|name| schema.get(name)?.as_array()).flatten();
    lists.chain(["if", "then", "else"].into_iter().filter_map(|name| schema.get(name)))
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
    use crate::runbook::Template;

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
        let mut told: Vec<(String, String, String)> = template_problems(&schema(), &template)
            .into_iter()
            .map(|Problem { path, message, hint, .. }| (path.join("."), message, hint.unwrap_or_default()))
            .collect();
        told.sort();
        let row = |a: &str, b: &str, c: &str| (a.to_owned(), b.to_owned(), c.to_owned());
        assert_eq!(
            told,
            [
                row("", "the input `service` is missing", "give it under `with`: Which service."),
                row("checks.0.pth", "there is no input `pth`", "did you mean `path`?"),
                row(
                    "grace",
                    "`soon` is not a duration",
                    "write a duration like `30s`, `10m`, `1h30m` or `7d`"
                ),
                row("mode", "this must be one of `soft` and `hard`, not `sotf`", "did you mean `soft`?"),
                row("servise", "there is no input `servise`", "did you mean `service`?"),
            ]
        );
    }
}
