//! What a person, an alert or a parent run gives to a runbook: checked against its parameters, defaults filled in.

mod pattern;

use regex::RegexBuilder;
use serde_json::{Map, Value};

use super::runbook::{Parameter, ParameterType, Runbook};
use words::duration::{parse_duration, parse_size};
use words::json::{self, Unreadable};
use words::suggestion;

/// The longest text of one parameter, in bytes.
pub const MAX_TEXT_BYTES: usize = 64 * 1024;
/// The most elements of a list or map.
pub const MAX_ELEMENTS: usize = 10_000;
/// The most memory a compiled pattern may take, in bytes.
pub const MAX_PATTERN_BYTES: usize = 256 * 1024;

/// A parameter that cannot be accepted.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct InvalidParameter {
    /// Its name as given.
    pub name: String,
    /// One sentence.
    pub message: String,
    /// What to do about it.
    pub hint: Option<String>,
}

impl InvalidParameter {
    fn new(name: &str, message: impl Into<String>, hint: Option<String>) -> Self {
        Self { name: name.escape_debug().to_string(), message: message.into(), hint }
    }
}

/// All parameters of a run, complete, as an object; or everything that is wrong with them.
pub fn resolve(runbook: &Runbook, given: &Map<String, Value>) -> Result<Value, Vec<InvalidParameter>> {
    complete(&runbook.parameters, given)
}

/// See [`resolve`].
pub fn complete(
    parameters: &[Parameter],
    given: &Map<String, Value>,
) -> Result<Value, Vec<InvalidParameter>> {
    let mut troubles: Vec<InvalidParameter> = unknown(parameters, given.keys().map(String::as_str));
    let mut complete = Map::new();
    for parameter in parameters {
        let name = parameter.name.as_str();
        match given.get(name).or(parameter.default.as_ref()) {
            Some(value) => match check(parameter, value) {
                Ok(()) => {
                    complete.insert(name.to_owned(), value.clone());
                }
                Err(trouble) => troubles.push(trouble),
            },
            None => troubles.push(missing(parameter)),
        }
    }
    if troubles.is_empty() { Ok(Value::Object(complete)) } else { Err(troubles) }
}

/// The names that no parameter has.
pub fn unknown<'n>(
    parameters: &[Parameter],
    names: impl IntoIterator<Item = &'n str>,
) -> Vec<InvalidParameter> {
    let known = || parameters.iter().map(|parameter| parameter.name.as_str());
    names
        .into_iter()
        .filter(|name| !known().any(|k| k == *name))
        .map(|name| {
            let hint = suggestion::hint(name, known())
                .unwrap_or_else(|| "this runbook has no parameters".to_owned());
            InvalidParameter::new(
                name,
                format!("there is no parameter `{}`", name.escape_debug()),
                Some(hint),
            )
        })
        .collect()
}

/// A parameter that has no default and was not given.
pub fn missing(parameter: &Parameter) -> InvalidParameter {
    let name = parameter.name.as_str();
    let about = if parameter.about.is_empty() { String::new() } else { format!(": {}", parameter.about) };
    let hint = format!("give it, for example `-p {name}={}`{about}", example(parameter));
    InvalidParameter::new(name, format!("the parameter `{name}` is missing"), Some(hint))
}

/// The value that the text of `-p name=value` means for this parameter; it is checked as well.
pub fn from_flag(parameter: &Parameter, text: &str) -> Result<Value, InvalidParameter> {
    let wrong = || {
        let message = wrong_type(parameter, &format!("`{}`", shown(&Value::from(text))));
        InvalidParameter::new(parameter.name.as_str(), message, Some(wanted(parameter, None)))
    };
    let document = || {
        json::read::<Value>(text).map_err(|error| match error {
            Unreadable::Excess(excess) => {
                let message = format!("the parameter `{}` is too large: {excess}", parameter.name);
                InvalidParameter::new(parameter.name.as_str(), message, None)
            }
            Unreadable::Syntax(_) => wrong(),
        })
    };
    let value = match parameter.kind {
        ParameterType::String | ParameterType::Duration | ParameterType::Size => {
            Value::String(text.to_owned())
        }
        ParameterType::Integer => text.parse::<i64>().map(Value::from).map_err(|_| wrong())?,
        ParameterType::Number => {
            let number = text.parse::<i64>().map(Value::from).ok();
            number
                .or_else(|| text.parse::<f64>().ok().filter(|f| f.is_finite()).map(Value::from))
                .ok_or_else(wrong)?
        }
        ParameterType::Boolean => text.parse::<bool>().map(Value::Bool).map_err(|_| wrong())?,
        ParameterType::List if text.starts_with('[') => document()?,
        ParameterType::List if text.is_empty() => Value::Array(Vec::new()),
        ParameterType::List => Value::Array(text.split(',').map(Value::from).collect()),
        ParameterType::Map if text.starts_with('{') => document()?,
        ParameterType::Map if text.is_empty() => Value::Object(Map::new()),
        ParameterType::Map => {
            let pairs = text.split(',').map(|pair| pair.split_once('='));
            let pairs = pairs.map(|pair| pair.map(|(name, value)| (name.to_owned(), Value::from(value))));
            Value::Object(pairs.collect::<Option<Map<_, _>>>().ok_or_else(wrong)?)
        }
    };
    check(parameter, &value).map(|()| value)
}

/// Whether this parameter can have this value.
pub fn check(parameter: &Parameter, value: &Value) -> Result<(), InvalidParameter> {
    let fail = |message, hint| Err(InvalidParameter::new(parameter.name.as_str(), message, hint));
    if let Err(excess) = json::check(value) {
        return fail(format!("the parameter `{}` is too large: {excess}", parameter.name), None);
    }
    if let Err(reason) = has_type(parameter.kind, value) {
        let (message, hint) = match reason {
            Some((because, hint)) => (format!("the parameter `{}`: {because}", parameter.name), Some(hint)),
            None => (wrong_type(parameter, &quoted(value)), Some(wanted(parameter, Some(value)))),
        };
        return fail(message, hint);
    }
    if let Some(pattern) = &parameter.pattern {
        pattern::check(parameter, pattern, value)?;
    }
    for (limit, wrong, word) in [
        (&parameter.minimum, std::cmp::Ordering::Less, "at least"),
        (&parameter.maximum, std::cmp::Ordering::Greater, "at most"),
    ] {
        if let Some(limit) = limit
            && compare(parameter.kind, value, limit) == Some(wrong)
        {
            let message = format!("the parameter `{}` must be {word} {}", parameter.name, shown(limit));
            return fail(message, Some(format!("it is {}", shown(value))));
        }
    }
    if !parameter.choices.is_empty() && !parameter.choices.contains(value) {
        let choices: Vec<String> = parameter.choices.iter().map(shown).collect();
        let message = format!("the parameter `{}` cannot be `{}`", parameter.name, shown(value));
        return fail(message, suggestion::hint(&shown(value), choices.iter().map(String::as_str)));
    }
    Ok(())
}

/// Compiles a pattern so that it must match the whole text.
pub fn anchored(pattern: &str) -> Result<regex::Regex, regex::Error> {
    // Compiled alone first: `a)(b` must not become a legal pattern by being put into brackets.
    RegexBuilder::new(pattern).size_limit(MAX_PATTERN_BYTES).build()?;
    RegexBuilder::new(&format!("^(?:{pattern})$")).size_limit(MAX_PATTERN_BYTES).build()
}

/// The order of two values of a type that has one; `None` if one of them is not of that type.
pub fn compare(kind: ParameterType, a: &Value, b: &Value) -> Option<std::cmp::Ordering> {
    match kind {
        ParameterType::Integer | ParameterType::Number => match (a.as_i64(), b.as_i64()) {
            (Some(a), Some(b)) => Some(a.cmp(&b)),
            _ => a.as_f64()?.partial_cmp(&b.as_f64()?),
        },
        ParameterType::Duration => {
            Some(parse_duration(a.as_str()?).ok()?.cmp(&parse_duration(b.as_str()?).ok()?))
        }
        ParameterType::Size => Some(parse_size(a.as_str()?).ok()?.cmp(&parse_size(b.as_str()?).ok()?)),
        ParameterType::String | ParameterType::Boolean | ParameterType::List | ParameterType::Map => None,
    }
}

/// `Err(None)` if it is of another type; `Err(Some((because, hint)))` if it is of the type and yet no good.
fn has_type(kind: ParameterType, value: &Value) -> Result<(), Option<(String, String)>> {
    let short = |text: &str| text.len() <= MAX_TEXT_BYTES;
    let long =
        || Some(("the text is too long".to_owned(), format!("at most {MAX_TEXT_BYTES} bytes are allowed")));
    match (kind, value) {
        (ParameterType::String, Value::String(text)) => {
            if short(text) {
                Ok(())
            } else {
                Err(long())
            }
        }
        (ParameterType::Integer, Value::Number(number)) if number.is_i64() => Ok(()),
        (ParameterType::Number, Value::Number(_)) | (ParameterType::Boolean, Value::Bool(_)) => Ok(()),
        (ParameterType::Duration, Value::String(text)) => {
            parse_duration(text).map(drop).map_err(|e| Some((e.to_string(), e.hint())))
        }
        (ParameterType::Size, Value::String(text)) => {
            parse_size(text).map(drop).map_err(|e| Some((e.to_string(), e.hint())))
        }
        (ParameterType::List, Value::Array(items)) if items.len() <= MAX_ELEMENTS => {
            if items.iter().all(|item| item.as_str().is_some_and(short)) { Ok(()) } else { Err(None) }
        }
        (ParameterType::Map, Value::Object(members)) if members.len() <= MAX_ELEMENTS => {
            if members.values().all(|item| item.as_str().is_some_and(short)) { Ok(()) } else { Err(None) }
        }
        _ => Err(None),
    }
}

fn texts(value: &Value) -> Box<dyn Iterator<Item = &str> + '_> {
    match value {
        Value::String(text) => Box::new(std::iter::once(text.as_str())),
        Value::Array(items) => Box::new(items.iter().filter_map(Value::as_str)),
        _ => Box::new(std::iter::empty()),
    }
}

/// The value for people: texts without quotes.
pub(super) fn shown(value: &Value) -> String {
    const MAX_SHOWN: usize = 80;
    let text = match value {
        Value::String(text) => text.escape_debug().to_string(),
        other => other.to_string(),
    };
    if text.chars().count() > MAX_SHOWN {
        text.chars().take(MAX_SHOWN).chain(['…']).collect()
    } else {
        text
    }
}

impl ParameterType {
    /// Every type, in the order of the documentation.
    pub const ALL: [Self; 8] = [
        Self::String,
        Self::Integer,
        Self::Number,
        Self::Boolean,
        Self::Duration,
        Self::Size,
        Self::List,
        Self::Map,
    ];

    /// The word in YAML.
    pub fn word(self) -> &'static str {
        match self {
            Self::String => "string",
            Self::Integer => "integer",
            Self::Number => "number",
            Self::Boolean => "boolean",
            Self::Duration => "duration",
            Self::Size => "size",
            Self::List => "list",
            Self::Map => "map",
        }
    }

    /// For sentences.
    pub(super) fn phrase(self) -> &'static str {
        match self {
            Self::String => "a text",
            Self::Integer => "an integer",
            Self::Number => "a number",
            Self::Boolean => "`true` or `false`",
            Self::Duration => "a duration like `30s`",
            Self::Size => "a size like `64MiB`",
            Self::List => "a list of texts",
            Self::Map => "a map of texts",
        }
    }
}

fn wrong_type(parameter: &Parameter, shown: &str) -> String {
    format!("the parameter `{}` must be {}, not {shown}", parameter.name, parameter.kind.phrase())
}

/// For sentences about a wrong type: a text is said to be one, since `"1"` and `1` look alike otherwise.
pub(super) fn quoted(value: &Value) -> String {
    let text = if value.is_string() { "the text " } else { "" };
    format!("{text}`{}`", shown(value))
}

/// What to write instead; a value that is given was written in a file, else it came from the command line.
fn wanted(parameter: &Parameter, value: Option<&Value>) -> String {
    let text = value.and_then(Value::as_str);
    match parameter.kind {
        ParameterType::Integer | ParameterType::Number | ParameterType::Boolean if text.is_some() => {
            format!("write {}, without quotes", parameter.kind.phrase())
        }
        ParameterType::String if value.is_some_and(|value| !value.is_array() && !value.is_object()) => {
            format!("put it in quotes: `\"{}\"`", value.map(shown).unwrap_or_default())
        }
        ParameterType::List if value.is_some() => "write a list of texts: `[\"a\", \"b\"]`".to_owned(),
        ParameterType::Map if value.is_some() => "write a map of texts: `{\"a\": \"1\"}`".to_owned(),
        ParameterType::List => format!("write `-p {}=a,b` or a JSON list of texts", parameter.name),
        ParameterType::Map => {
            format!("write `-p {}=a=1,b=2` or a JSON object of texts", parameter.name)
        }
        ParameterType::Duration => {
            let text = value.map(shown).unwrap_or_default();
            parse_duration(&text).map_or_else(|error| error.hint(), |_| "put it in quotes".to_owned())
        }
        ParameterType::Size => {
            let text = value.map(shown).unwrap_or_default();
            parse_size(&text).map_or_else(|error| error.hint(), |_| "put it in quotes".to_owned())
        }
        ParameterType::Integer => "write a whole number like `2`".to_owned(),
        ParameterType::Number => "write a number like `0.5`".to_owned(),
        ParameterType::Boolean => "write `true` or `false`".to_owned(),
        ParameterType::String => "write a text".to_owned(),
    }
}

fn example(parameter: &Parameter) -> String {
    if let Some(first) = parameter.choices.first() {
        return shown(first);
    }
    match parameter.kind {
        ParameterType::String if parameter.name.as_str() == "service" => "shop/web",
        ParameterType::String => "…",
        ParameterType::Integer => "1",
        ParameterType::Number => "0.5",
        ParameterType::Boolean => "true",
        ParameterType::Duration => "30s",
        ParameterType::Size => "64MiB",
        ParameterType::List => "a,b",
        ParameterType::Map => "a=1,b=2",
    }
    .to_owned()
}

#[cfg(test)]
mod tests {
    use serde_json::{Map, Value, json};

    use super::super::runbook::{Parameter, ParameterType};
    use super::{check, complete, from_flag};
    use words::ids::ParameterName;

    fn parameter(name: &str, kind: ParameterType) -> Parameter {
        Parameter {
            name: ParameterName::new(name).unwrap(),
            kind,
            about: String::new(),
            default: None,
            pattern: None,
            minimum: None,
            maximum: None,
            choices: Vec::new(),
        }
    }

    #[test]
    fn flags_become_typed_values() {
        for (kind, text, expected) in [
            (ParameterType::String, "007", json!("007")),
            (ParameterType::Integer, "-7", json!(-7)),
            (ParameterType::Number, "2", json!(2)),
            (ParameterType::Number, "0.25", json!(0.25)),
            (ParameterType::Boolean, "true", json!(true)),
            (ParameterType::Duration, "1h30m", json!("1h30m")),
            (ParameterType::Size, "64MiB", json!("64MiB")),
            (ParameterType::List, "a,b", json!(["a", "b"])),
            (ParameterType::List, "[\"a,b\"]", json!(["a,b"])),
            (ParameterType::List, "", json!([])),
            (ParameterType::Map, "a=1,b=x=y", json!({ "a": "1", "b": "x=y" })),
            (ParameterType::Map, "{\"a\": \"1\"}", json!({ "a": "1" })),
        ] {
            assert_eq!(from_flag(&parameter("p", kind), text).unwrap(), expected, "{text}");
        }
        for (kind, text, message) in [
            (ParameterType::Integer, "many", "the parameter `p` must be an integer, not `many`"),
            (ParameterType::Number, "inf", "the parameter `p` must be a number, not `inf`"),
            (ParameterType::Boolean, "yes", "the parameter `p` must be `true` or `false`, not `yes`"),
            (ParameterType::Duration, "30", "the parameter `p`: `30` is not a duration: it has no unit"),
            (ParameterType::Map, "a", "the parameter `p` must be a map of texts, not `a`"),
            (ParameterType::List, "[1]", "the parameter `p` must be a list of texts, not `[1]`"),
        ] {
            assert_eq!(from_flag(&parameter("p", kind), text).unwrap_err().message, message);
        }
    }

    #[test]
    fn constraints_hold() {
        let batch = Parameter {
            minimum: Some(json!(1)),
            maximum: Some(json!(20)),
            ..parameter("batch", ParameterType::Integer)
        };
        assert!(check(&batch, &json!(20)).is_ok());
        assert_eq!(check(&batch, &json!(0)).unwrap_err().message, "the parameter `batch` must be at least 1");
        let grace = Parameter { maximum: Some(json!("2m")), ..parameter("grace", ParameterType::Duration) };
        assert!(check(&grace, &json!("120s")).is_ok());
        assert_eq!(
            check(&grace, &json!("121s")).unwrap_err().message,
            "the parameter `grace` must be at most 2m"
        );
        let service =
            Parameter { pattern: Some("[a-z]+|x".to_owned()), ..parameter("service", ParameterType::String) };
        assert!(check(&service, &json!("web")).is_ok());
        let error = check(&service, &json!("web\n; rm")).unwrap_err();
        assert_eq!(error.message, "the parameter `service` does not allow `web\\n; rm`");
        assert_eq!(error.hint.unwrap(), "write a text that matches `[a-z]+|x`");
        let error = check(&service, &json!("w eb")).unwrap_err();
        assert_eq!(error.message, "the parameter `service` contains a space: `w eb`");
        assert_eq!(error.hint.unwrap(), "did you mean `web`?");
        let memory = Parameter {
            pattern: Some("([0-9]+(MiB|GiB))?".to_owned()),
            ..parameter("memory", ParameterType::String)
        };
        for (text, meant) in [("512m", "512MiB"), ("1.5GiB", "1536MiB"), ("2 gib", "2GiB")] {
            assert_eq!(
                check(&memory, &json!(text)).unwrap_err().hint,
                Some(format!("did you mean `{meant}`?"))
            );
        }
        let level = Parameter {
            choices: vec![json!("soft"), json!("hard")],
            ..parameter("level", ParameterType::String)
        };
        assert_eq!(check(&level, &json!("sotf")).unwrap_err().hint.unwrap(), "did you mean `soft`?");
    }

    #[test]
    fn a_value_of_a_file_gets_a_hint_for_files() {
        for (kind, value, message, hint) in [
            (
                ParameterType::Integer,
                json!("1"),
                "an integer, not the text `1`",
                "write an integer, without quotes",
            ),
            (ParameterType::String, json!(5), "a text, not `5`", "put it in quotes: `\"5\"`"),
            (ParameterType::String, json!([1]), "a text, not `[1]`", "write a text"),
            (
                ParameterType::List,
                json!("a"),
                "a list of texts, not the text `a`",
                "write a list of texts: `[\"a\", \"b\"]`",
            ),
        ] {
            let error = check(&parameter("p", kind), &value).unwrap_err();
            assert_eq!(error.message, format!("the parameter `p` must be {message}"));
            assert_eq!(error.hint.as_deref(), Some(hint));
        }
    }

    #[test]
    fn all_troubles_come_at_once_and_defaults_are_filled_in() {
        let parameters = [
            parameter("service", ParameterType::String),
            Parameter { default: Some(json!("30s")), ..parameter("grace", ParameterType::Duration) },
        ];
        let given = |value: Value| if let Value::Object(map) = value { map } else { Map::new() };
        assert_eq!(
            complete(&parameters, &given(json!({ "service": "web" }))).unwrap(),
            json!({ "service": "web", "grace": "30s" })
        );
        let troubles = complete(&parameters, &given(json!({ "servise": "web", "grace": 30 }))).unwrap_err();
        let messages: Vec<&str> = troubles.iter().map(|t| t.message.as_str()).collect();
        assert_eq!(
            messages,
            [
                "there is no parameter `servise`",
                "the parameter `service` is missing",
                "the parameter `grace` must be a duration like `30s`, not `30`",
            ]
        );
        assert_eq!(troubles[0].hint.as_deref(), Some("did you mean `service`?"));
    }
}
