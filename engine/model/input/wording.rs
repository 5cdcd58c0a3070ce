//! What a validator finds, in words a person can use.

use jsonschema::ValidationError;
use jsonschema::error::{TypeKind, ValidationErrorKind};
use serde_json::Value;

use super::{DURATION_FORMAT, Problem, SIZE_FORMAT, choices, formats, known_names, resolved};
use crate::parameters::{quoted, shown};
use words::duration::{InvalidQuantity, parse_duration, parse_size};
use words::suggestion;

/// What an error of the validator means: one problem, or one for each name that is unknown.
pub(super) fn problems(schema: &Value, error: &ValidationError<'_>) -> Vec<Problem> {
    match error.kind() {
        ValidationErrorKind::AdditionalProperties { unexpected }
        | ValidationErrorKind::UnevaluatedProperties { unexpected } => {
            let path = path(error);
            let names = unknown(schema, &path, unexpected);
            names.into_iter().map(|name| unknown_input(schema, name, path.clone())).collect()
        }
        _ => vec![problem(schema, error)],
    }
}

/// The problem that an error of the validator means.
fn problem(schema: &Value, error: &ValidationError<'_>) -> Problem {
    let mut path = path(error);
    let value = shown(error.instance());
    if let Some((message, hint)) = rule(schema, error) {
        return Problem::new(path, message, hint);
    }
    if let Some(options) = words(error) {
        let (message, hint) = not_one_of(&value, &options);
        let hint = hint.or_else(|| Some(about(schema, &path)));
        return Problem::new(path, message, hint);
    }
    if let Some(names) = one_required(error) {
        return none_given(&names, path);
    }
    if let Some(meant) = meant(error) {
        return problem(schema, meant);
    }
    let (message, hint) = match error.kind() {
        ValidationErrorKind::Type { kind } => wrong_type(schema, &path, kind, error.instance()),
        ValidationErrorKind::Required { property } => {
            let holder = at(schema, &path).unwrap_or(&Value::Null);
            return missing(holder, property.as_str().unwrap_or_default(), path);
        }
        ValidationErrorKind::AdditionalProperties { unexpected }
        | ValidationErrorKind::UnevaluatedProperties { unexpected } => {
            let unknown = unknown(schema, &path, unexpected);
            return unknown_input(schema, unknown.into_iter().next().unwrap_or_default(), path);
        }
        ValidationErrorKind::PropertyNames { error } => {
            let Problem { message, hint, .. } = problem(schema, error);
            path.push(shown(error.instance()));
            return Problem { path, by_name: true, message, hint };
        }
        ValidationErrorKind::Custom { message, .. } => formats::read(message),
        ValidationErrorKind::Enum { options } => {
            let options: Vec<String> = options.as_array().into_iter().flatten().map(shown).collect();
            not_one_of(&value, &options)
        }
        ValidationErrorKind::Format { format } => {
            let wrong = formats::wrong(format, error.instance().as_str().unwrap_or_default());
            let other = || (format!("`{value}` is not of the format `{format}`"), None);
            wrong.map_or_else(other, |unfit| (unfit.message, unfit.hint))
        }
        kind => (limited(kind, &value).unwrap_or_else(|| error.to_string()), None),
    };
    let hint = hint.or_else(|| Some(about(schema, &path)));
    Problem::new(path, message, hint)
}

/// Where the wrong value stands: names and indexes from the root.
pub(super) fn path(error: &ValidationError<'_>) -> Vec<String> {
    let unescape = |part: &str| part.replace("~1", "/").replace("~0", "~");
    error.instance_path().as_str().split('/').skip(1).map(unescape).collect()
}

/// What a rule of `allOf` that describes itself says: the sentence, and the hint on the next line.
fn rule(schema: &Value, error: &ValidationError<'_>) -> Option<(String, Option<String>)> {
    let (holder, _) = error.schema_path().as_str().rsplit_once('/')?;
    let (list, _) = holder.rsplit_once('/')?;
    let described = || schema.pointer(holder)?.get("description")?.as_str();
    if list.ends_with("/allOf") { described().map(formats::read) } else { None }
}

/// The names among these that no alternative of the schema knows; all of them if each is known to one.
fn unknown<'n>(schema: &Value, path: &[String], unexpected: &'n [String]) -> Vec<&'n str> {
    let known = at(schema, path).and_then(|part| known_names(schema, part)).unwrap_or_default();
    let all = || unexpected.iter().map(String::as_str);
    let unknown: Vec<&str> = all().filter(|name| !known.contains(name)).collect();
    if unknown.is_empty() { all().collect() } else { unknown }
}

fn unknown_input(schema: &Value, name: &str, mut path: Vec<String>) -> Problem {
    let known = at(schema, &path).and_then(|part| known_names(schema, part)).unwrap_or_default();
    let hint = suggestion::hint(name, known).or_else(|| Some("it takes no input".to_owned()));
    let message = format!("there is no input `{}`", name.escape_debug());
    path.push(name.to_owned());
    Problem { path, by_name: true, message, hint }
}

/// The most words that are told in one sentence.
const MAX_TOLD: usize = 12;

/// What a value that is none of these should have been.
fn not_one_of(value: &str, options: &[String]) -> (String, Option<String>) {
    let near = suggestion::nearest(value, options.iter().map(String::as_str));
    let hint = near.map(|near| format!("did you mean `{near}`?"));
    let message = match options {
        [only] => format!("this must be `{only}`, not `{value}`"),
        some if some.len() <= MAX_TOLD => {
            format!(
                "this must be one of {}, not `{value}`",
                suggestion::list(some.iter().map(String::as_str))
            )
        }
        _ => format!("`{value}` is not allowed"),
    };
    (message, hint)
}

/// The words of a choice between words, each of which may carry a description of its own.
fn words(error: &ValidationError<'_>) -> Option<Vec<String>> {
    let (ValidationErrorKind::AnyOf { context } | ValidationErrorKind::OneOfNotValid { context }) =
        error.kind()
    else {
        return None;
    };
    let mut words = Vec::new();
    for branch in context {
        match branch.iter().find(|error| !is_type(error)).unwrap_or(branch.first()?).kind() {
            ValidationErrorKind::Constant { expected_value } => words.push(shown(expected_value)),
            ValidationErrorKind::Enum { options } => {
                words.extend(options.as_array().into_iter().flatten().map(shown));
            }
            _ => return None,
        }
    }
    Some(words)
}

/// The inputs of which one must be given, where that is all that is wrong.
fn one_required<'e>(error: &'e ValidationError<'_>) -> Option<Vec<&'e str>> {
    let ValidationErrorKind::AnyOf { context } = error.kind() else { return None };
    let required = |branch: &'e Vec<ValidationError<'static>>| match branch.as_slice() {
        [only] => match only.kind() {
            ValidationErrorKind::Required { property } => property.as_str(),
            _ => None,
        },
        _ => None,
    };
    context.iter().map(required).collect()
}

fn is_type(error: &ValidationError<'_>) -> bool {
    matches!(error.kind(), ValidationErrorKind::Type { .. })
}

/// An input that is required and not there.
fn missing(schema: &Value, name: &str, path: Vec<String>) -> Problem {
    let about = schema["properties"][name].get("description").and_then(Value::as_str);
    let about = about.and_then(|about| about.lines().next()).map(str::trim).filter(|about| !about.is_empty());
    let hint = about
        .map_or_else(|| "give it under `with`".to_owned(), |about| format!("give it under `with`: {about}"));
    Problem::new(path, format!("the input `{name}` is missing"), Some(hint))
}

/// Inputs of which one is required, and none is there.
fn none_given(names: &[&str], path: Vec<String>) -> Problem {
    let message = format!("one of the inputs {} is needed", suggestion::list(names.iter().copied()));
    Problem::new(path, message, Some("give one of them under `with`".to_owned()))
}

/// Of a choice, the branch that fails for more than its type is the one that was meant.
fn meant<'e>(error: &'e ValidationError<'_>) -> Option<&'e ValidationError<'static>> {
    let (ValidationErrorKind::AnyOf { context } | ValidationErrorKind::OneOfNotValid { context }) =
        error.kind()
    else {
        return None;
    };
    let format = |error: &&ValidationError<'_>| matches!(error.kind(), ValidationErrorKind::Format { .. });
    let first =
        |branch: &'e Vec<ValidationError<'static>>| branch.iter().find(format).or_else(|| branch.first());
    let firsts = || context.iter().filter_map(first);
    firsts().find(|error| !is_type(error)).or_else(|| firsts().next())
}

fn wrong_type(
    schema: &Value,
    path: &[String],
    kind: &TypeKind,
    instance: &Value,
) -> (String, Option<String>) {
    let value = shown(instance);
    let format = at(schema, path).and_then(|part| part.get("format")).and_then(Value::as_str);
    let meant =
        |parsed: Result<(), InvalidQuantity>| parsed.err().map(|error| error.hint()).unwrap_or_default();
    let (wanted, way) = match format {
        Some(DURATION_FORMAT) => {
            ("a duration like `30s`".to_owned(), meant(parse_duration(&value).map(drop)))
        }
        Some(SIZE_FORMAT) => ("a size like `64MiB`".to_owned(), meant(parse_size(&value).map(drop))),
        _ => (types(kind), format!("put it in quotes: `\"{value}\"`")),
    };
    let text = matches!(kind, TypeKind::Single(jsonschema::JsonType::String));
    let hint = if instance.is_number() && text {
        way
    } else if instance.is_string() {
        format!("write {wanted} here, without quotes")
    } else {
        format!("write {wanted} here")
    };
    (format!("this must be {wanted}, not {}", quoted(instance)), Some(hint))
}

fn limited(kind: &ValidationErrorKind, value: &str) -> Option<String> {
    Some(match kind {
        ValidationErrorKind::Constant { expected_value } => {
            format!("this must be `{}`", shown(expected_value))
        }
        ValidationErrorKind::Minimum { limit } => format!("this must be at least {limit}, not {value}"),
        ValidationErrorKind::Maximum { limit } => format!("this must be at most {limit}, not {value}"),
        ValidationErrorKind::ExclusiveMinimum { limit } => {
            format!("this must be more than {limit}, not {value}")
        }
        ValidationErrorKind::ExclusiveMaximum { limit } => {
            format!("this must be less than {limit}, not {value}")
        }
        ValidationErrorKind::MinLength { limit: 1 } => "this must not be empty".to_owned(),
        ValidationErrorKind::MinItems { limit: 1 } => "this list must not be empty".to_owned(),
        ValidationErrorKind::MinLength { limit } => format!("this must have at least {limit} characters"),
        ValidationErrorKind::MaxLength { limit } => format!("this must have at most {limit} characters"),
        ValidationErrorKind::MinItems { limit } => format!("this must have at least {limit} items"),
        ValidationErrorKind::MaxItems { limit } => format!("this must have at most {limit} items"),
        ValidationErrorKind::UniqueItems => "this list has an item twice".to_owned(),
        ValidationErrorKind::Pattern { pattern } => format!("`{value}` does not match `{pattern}`"),
        _ => return None,
    })
}

/// What the schema says of a member, for where nothing better is known.
fn about(schema: &Value, path: &[String]) -> String {
    let said = at(schema, path).and_then(|part| part.get("description")).and_then(Value::as_str);
    said.and_then(|said| said.lines().next()).map_or_else(
        || "`runbook plugin show` tells what it takes".to_owned(),
        |said| format!("it is: {said}"),
    )
}

/// The schema of the member at a path of a value.
pub(super) fn at<'s>(root: &'s Value, path: &[String]) -> Option<&'s Value> {
    path.iter().try_fold(resolved(root, root)?, |part, name| resolved(root, member(root, part, name, 0)?))
}

/// The schema of one member, that of an alternative if the schema itself does not name it.
pub(super) fn member<'s>(root: &'s Value, part: &'s Value, name: &str, depth: usize) -> Option<&'s Value> {
    let part = resolved(root, part).filter(|_| depth < super::MAX_CHOICES)?;
    let named = part.get("properties").and_then(|known| known.get(name)).or_else(|| part.get("items"));
    let of_choices = || choices(part).find_map(|choice| member(root, choice, name, depth + 1));
    named.or_else(of_choices).or_else(|| part.get("additionalProperties").filter(|any| any.is_object()))
}

fn types(kind: &TypeKind) -> String {
    let phrase = |kind: jsonschema::JsonType| match kind {
        jsonschema::JsonType::Array => "a list",
        jsonschema::JsonType::Boolean => "`true` or `false`",
        jsonschema::JsonType::Integer => "an integer",
        jsonschema::JsonType::Null => "nothing",
        jsonschema::JsonType::Number => "a number",
        jsonschema::JsonType::Object => "a map",
        jsonschema::JsonType::String => "a text",
    };
    match kind {
        TypeKind::Single(kind) => phrase(*kind).to_owned(),
        TypeKind::Multiple(kinds) => {
            let some = kinds.iter().filter(|kind| *kind != jsonschema::JsonType::Null).map(phrase);
            some.collect::<Vec<_>>().join(" or ")
        }
    }
}
