//! `parameters`: what a run is given.

use serde_json::Value;

use super::reader::{Field, Reader, is_null};
use crate::parameters::{anchored, check, compare, shown};
use crate::runbook::{Parameter, ParameterType};
use words::duration::{parse_duration, parse_size};
use words::ids::ParameterName;

/// The most parameters of a runbook.
const MAX_PARAMETERS: usize = 100;

const KEYS: [&str; 7] = ["type", "about", "default", "pattern", "minimum", "maximum", "choices"];

pub(super) fn all(reader: &mut Reader, field: &Field<'_>) -> Vec<Parameter> {
    let entries = reader.entries(field);
    if entries.len() > MAX_PARAMETERS {
        let hint = "a parameter can be a list or a map".to_owned();
        reader.wrong(field, format!("there are more than {MAX_PARAMETERS} parameters"), Some(hint));
    }
    entries.into_iter().filter_map(|(name, field)| parameter(reader, name, &field)).collect()
}

fn parameter(reader: &mut Reader, name: &str, field: &Field<'_>) -> Option<Parameter> {
    let name = match ParameterName::new(name) {
        Ok(name) => Some(name),
        Err(error) => {
            let snake = name.to_lowercase().replace(['-', ' ', '.'], "_");
            let hint = ParameterName::new(snake)
                .map_or_else(|_| "for example `service`".to_owned(), |name| format!("write `{name}`"));
            reader.note(field.key, format!("parameters: {error}"), Some(hint));
            None
        }
    };
    let fields = reader.fields(field, &KEYS);
    let kind = fields.require(reader, "type", "write for example `type: string`");
    let words = ParameterType::ALL.map(|kind| (kind.word(), kind));
    let kind = kind.and_then(|kind| reader.word(&kind, &words));
    let about = fields.get("about").and_then(|about| reader.prose(&about)).unwrap_or_default();
    // Without a type nothing else can be judged; a placeholder keeps the name known to expressions.
    let mut parameter = Parameter {
        name: name?,
        kind: kind.unwrap_or(ParameterType::String),
        about,
        default: None,
        pattern: None,
        minimum: None,
        maximum: None,
        choices: Vec::new(),
    };
    if kind.is_some() {
        parameter.pattern = fields.get("pattern").and_then(|field| pattern(reader, &field, &parameter));
        parameter.minimum = fields.get("minimum").and_then(|field| limit(reader, &field, &parameter));
        parameter.maximum = fields.get("maximum").and_then(|field| limit(reader, &field, &parameter));
        if let (Some(least), Some(most), Some(at)) =
            (&parameter.minimum, &parameter.maximum, fields.get("minimum"))
            && compare(parameter.kind, least, most) == Some(std::cmp::Ordering::Greater)
        {
            let hint = "then no value would be allowed".to_owned();
            reader.wrong(&at, format!("this is more than the maximum, {}", shown(most)), Some(hint));
        }
        let choices =
            fields.get("choices").map(|field| choices(reader, &field, &parameter)).unwrap_or_default();
        parameter.choices = choices;
        parameter.default = fields.get("default").and_then(|field| default(reader, &field, &parameter));
    }
    Some(parameter)
}

fn pattern(reader: &mut Reader, field: &Field<'_>, parameter: &Parameter) -> Option<String> {
    let text = reader.text(field)?;
    if !matches!(parameter.kind, ParameterType::String | ParameterType::List) {
        let message = format!("a parameter of type `{}` has no pattern", parameter.kind.word());
        reader.wrong(field, message, Some("patterns are for `string` and `list`".to_owned()));
        return None;
    }
    match anchored(text) {
        Ok(_) => Some(text.to_owned()),
        Err(error) => {
            let hint = "a character with a meaning of its own is written with `\\` before it".to_owned();
            reader.wrong(
                field,
                format!("`{text}` is not a regular expression: {}", reason(&error)),
                Some(hint),
            );
            None
        }
    }
}

/// The last line of what the crate says, which is the sentence.
pub(super) fn reason(error: &regex::Error) -> String {
    let said = error.to_string();
    let last = said.lines().last().unwrap_or_default().trim();
    last.strip_prefix("error: ").unwrap_or(last).to_owned()
}

fn limit(reader: &mut Reader, field: &Field<'_>, parameter: &Parameter) -> Option<Value> {
    let value = field.node.to_json();
    let ordered = matches!(
        parameter.kind,
        ParameterType::Integer | ParameterType::Number | ParameterType::Duration | ParameterType::Size
    );
    if !ordered {
        let message = format!("a parameter of type `{}` has no limits", parameter.kind.word());
        reader.wrong(
            field,
            message,
            Some("limits are for `integer`, `number`, `duration` and `size`".to_owned()),
        );
        return None;
    }
    fits(reader, field, parameter, &value).then_some(value)
}

fn choices(reader: &mut Reader, field: &Field<'_>, parameter: &Parameter) -> Vec<Value> {
    let items = reader.items(field, crate::parameters::MAX_ELEMENTS);
    if items.is_empty() && matches!(field.node.content, crate::yaml::Content::List(_)) {
        reader.wrong(field, "without a choice no value is allowed", Some("leave the key out".to_owned()));
    }
    items
        .iter()
        .map(|item| (item, item.node.to_json()))
        .filter(|(item, value)| fits(reader, item, parameter, value))
        .map(|(_, value)| value)
        .collect()
}

fn default(reader: &mut Reader, field: &Field<'_>, parameter: &Parameter) -> Option<Value> {
    let value = field.node.to_json();
    if is_null(field.node) {
        let hint = "leave the key out: then the parameter must be given".to_owned();
        reader.note(field.key, format!("{}: there is no value", field.path), Some(hint));
        return None;
    }
    if value.as_str().is_some_and(|text| text.contains(crate::template::OPEN)) {
        let hint = "write the value itself; expressions stand in steps".to_owned();
        reader.wrong(field, "a default is a value, not an expression", Some(hint));
        return None;
    }
    fits(reader, field, parameter, &value).then_some(value)
}

fn fits(reader: &mut Reader, field: &Field<'_>, parameter: &Parameter, value: &Value) -> bool {
    let Err(error) = check(parameter, value) else { return true };
    // The place is known here, so the sentence need not name the parameter.
    let message = error.message.replace(&format!("the parameter `{}`", parameter.name), "this");
    let message = message.replacen("this: ", "", 1);
    let unit = match parameter.kind {
        ParameterType::Duration if value.is_number() => {
            parse_duration(&value.to_string()).err().map(|error| error.hint())
        }
        ParameterType::Size if value.is_number() => {
            parse_size(&value.to_string()).err().map(|error| error.hint())
        }
        ParameterType::String if !value.is_string() => {
            Some(format!("put it in quotes: `\"{}\"`", field.raw().unwrap_or("…")))
        }
        ParameterType::Boolean => Some("write `true` or `false`, without quotes".to_owned()),
        ParameterType::Integer | ParameterType::Number if !value.is_number() => {
            Some(format!("write {}, without quotes", parameter.kind.phrase()))
        }
        ParameterType::List => Some("write a list of texts: `[a, b]`".to_owned()),
        ParameterType::Map => Some("write a map of texts: `{a: \"1\"}`".to_owned()),
        _ => error.hint,
    };
    reader.wrong(field, message, unit);
    false
}
