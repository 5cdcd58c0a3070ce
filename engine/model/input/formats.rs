//! What JSON Schema cannot say of an input and a run would refuse: texts of a known form, limits of durations and sizes,
//! inputs that must fit each other. A plugin writes these words into its schemas; validators that do not know them pass
//! them over. `docs/plugins.md` lists them.

use jsonschema::{Keyword, ValidationError, ValidationOptions};
use serde_json::{Map, Value};

use super::HOLE;
use crate::grant::check_state_name;
use crate::http_request::{
    Place, check_body, check_header, check_header_value, check_place, check_together, check_url,
};
use words::container_text::{
    check_container, check_file, check_image, check_label_name, check_project, check_service, check_signal,
    check_user, check_variable, check_workdir,
};
use words::duration::{parse_duration, parse_size};
use words::unfit::Unfit;

/// The `format` of texts that are durations; `duration` itself means ISO 8601 in JSON Schema.
pub const DURATION_FORMAT: &str = "duration-text";
/// The `format` of texts that are sizes.
pub const SIZE_FORMAT: &str = "size-text";
/// The `format` of texts that are names of secrets; whether they are is said where grants are checked.
pub const SECRET_FORMAT: &str = "secret-name";

type Check = fn(&str) -> Result<(), Unfit>;

/// What a `format` of a text means.
const FORMATS: [(&str, Check); 17] = [
    (DURATION_FORMAT, |text| parse_duration(text).map(drop).map_err(|e| Unfit::new(e.to_string(), e.hint()))),
    (SIZE_FORMAT, |text| parse_size(text).map(drop).map_err(|e| Unfit::new(e.to_string(), e.hint()))),
    ("service-name", check_service),
    ("project-name", check_project),
    ("container-name", check_container),
    ("image-name", check_image),
    ("signal-name", check_signal),
    ("variable-name", check_variable),
    ("label-name", check_label_name),
    ("file-path", check_file),
    ("user-name", check_user),
    ("workdir-path", check_workdir),
    ("http-url", check_url),
    ("url-path", check_url_path),
    ("header-name", check_header),
    ("header-value", check_header_value),
    ("state-name", check_state_name),
];

fn check_url_path(text: &str) -> Result<(), Unfit> {
    const BEFORE: &str = "http://host";
    check_url(&format!("{BEFORE}{text}"))
        .map_err(|unfit| Unfit { message: unfit.message.replacen(BEFORE, "", 1), ..unfit })
}

/// What is wrong with a text of this format; none if the format is unknown.
pub(super) fn wrong(format: &str, text: &str) -> Option<Unfit> {
    let (_, check) = FORMATS.iter().find(|(name, _)| *name == format)?;
    check(text).err()
}

/// Teaches a validator the formats and the keywords.
pub(super) fn taught(options: ValidationOptions<'_>) -> ValidationOptions<'_> {
    let options = FORMATS.iter().fold(options, |options, (name, check)| {
        options.with_format(*name, move |text: &str| check(text).is_ok())
    });
    options
        .should_validate_formats(true)
        .with_keyword("atLeast", |_, limit, _| Ok(rule(limit.clone(), at_least)))
        .with_keyword("atMost", |_, limit, _| Ok(rule(limit.clone(), at_most)))
        .with_keyword("maxBytes", |_, limit, _| Ok(rule(limit.clone(), max_bytes)))
        .with_keyword("maxJsonBytes", |_, limit, _| Ok(rule(limit.clone(), max_json_bytes)))
        .with_keyword("apart", |_, names, _| Ok(rule(names.clone(), apart)))
        .with_keyword("ordered", |schema, names, _| Ok(rule(with_defaults(schema, names), ordered)))
        .with_keyword("secretPlaces", |_, _, _| Ok(rule(Value::Null, secret_places)))
}

/// A keyword: what it is given in the schema, and what it says of a value.
struct Rule {
    given: Value,
    check: fn(&Value, &Value) -> Result<(), Unfit>,
}

fn rule(given: Value, check: fn(&Value, &Value) -> Result<(), Unfit>) -> Box<dyn for<'i> Keyword<'i>> {
    Box::new(Rule { given, check })
}

impl<'i> Keyword<'i> for Rule {
    fn validate(&self, value: &'i Value) -> Result<(), ValidationError<'i>> {
        (self.check)(&self.given, value).map_err(|unfit| ValidationError::custom(written(unfit)))
    }

    fn is_valid(&self, value: &'i Value) -> bool {
        (self.check)(&self.given, value).is_ok()
    }
}

/// A validator's error carries one text: the sentence, and the hint on the next line.
fn written(unfit: Unfit) -> String {
    unfit.message + "\n" + &unfit.hint.unwrap_or_default()
}

/// The sentence and the hint of a keyword's error.
pub(super) fn read(text: &str) -> (String, Option<String>) {
    let (message, hint) = text.split_once('\n').unwrap_or((text, ""));
    (message.to_owned(), (!hint.is_empty()).then(|| hint.to_owned()))
}

/// A number, or the milliseconds or bytes of a text; none for anything else, a hole included.
fn quantity(value: &Value) -> Option<f64> {
    #[expect(clippy::cast_precision_loss, reason = "only compared")]
    match value {
        Value::Number(number) => number.as_f64(),
        Value::String(text) => match parse_duration(text) {
            Ok(duration) => Some(duration.as_millis() as f64),
            Err(_) => match parse_size(text) {
                Ok(bytes) => Some(bytes as f64),
                // A number in quotes; `inf` and its like are none.
                Err(_) => text.parse().ok().filter(|_| text.bytes().all(|b| b.is_ascii_digit() || b == b'.')),
            },
        },
        _ => None,
    }
}

fn shown(value: &Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), str::to_owned)
}

fn at_least(limit: &Value, value: &Value) -> Result<(), Unfit> {
    match (quantity(value), quantity(limit)) {
        (Some(given), Some(least)) if given < least => {
            let least = shown(limit);
            Err(Unfit::new(
                format!("this must be at least {least}, not {}", shown(value)),
                format!("write `{least}` or more"),
            ))
        }
        _ => Ok(()),
    }
}

fn at_most(limit: &Value, value: &Value) -> Result<(), Unfit> {
    match (quantity(value), quantity(limit)) {
        (Some(given), Some(most)) if given > most => {
            let most = shown(limit);
            Err(Unfit::new(
                format!("this must be at most {most}, not {}", shown(value)),
                format!("write `{most}` or less"),
            ))
        }
        _ => Ok(()),
    }
}

/// Bytes of a text.
fn max_bytes(limit: &Value, value: &Value) -> Result<(), Unfit> {
    value.as_str().map_or(Ok(()), |text| within(text.len(), limit))
}

/// Bytes of a value as JSON.
fn max_json_bytes(limit: &Value, value: &Value) -> Result<(), Unfit> {
    within(value.to_string().len(), limit)
}

fn within(bytes: usize, limit: &Value) -> Result<(), Unfit> {
    match limit.as_u64().and_then(|most| usize::try_from(most).ok()) {
        Some(most) if bytes > most => {
            Err(Unfit::new(format!("this has {bytes} bytes, more than {most}"), "shorten it"))
        }
        _ => Ok(()),
    }
}

fn names(given: &Value) -> impl Iterator<Item = &str> {
    given.as_array().into_iter().flatten().filter_map(Value::as_str)
}

/// No name stands in two of these maps.
fn apart(given: &Value, value: &Value) -> Result<(), Unfit> {
    let maps: Vec<(&str, &Map<String, Value>)> =
        names(given).filter_map(|name| Some((name, value.get(name)?.as_object()?))).collect();
    for (index, (one, members)) in maps.iter().enumerate() {
        for (other, others) in &maps[index + 1..] {
            if let Some(twice) = members.keys().find(|name| others.contains_key(*name)) {
                let message =
                    format!("`{}` is given under `{one}` and under `{other}`", twice.escape_debug());
                return Err(Unfit::new(message, format!("remove it from `{one}` or from `{other}`")));
            }
        }
    }
    Ok(())
}

/// The lists of `ordered`, one or several, each name with the default of its input.
fn with_defaults(schema: &Map<String, Value>, given: &Value) -> Value {
    let default = |name: &str| schema.get("properties")?.get(name)?.get("default").cloned();
    let pairs = |list: &Value| -> Value {
        names(list)
            .map(|name| Value::from(vec![Value::from(name), default(name).unwrap_or_default()]))
            .collect()
    };
    match given.as_array() {
        Some(lists) if lists.first().is_some_and(Value::is_array) => lists.iter().map(pairs).collect(),
        _ => Value::from(vec![pairs(given)]),
    }
}

/// Of these inputs none is more than a later one.
fn ordered(given: &Value, value: &Value) -> Result<(), Unfit> {
    given.as_array().into_iter().flatten().try_for_each(|list| rising(list, value))
}

fn rising(list: &Value, value: &Value) -> Result<(), Unfit> {
    let inputs = list.as_array().into_iter().flatten().filter_map(|pair| {
        let name = pair.get(0)?.as_str()?;
        let input = value.get(name).filter(|input| !input.is_null()).or_else(|| pair.get(1))?;
        Some((name, input, quantity(input)?))
    });
    let inputs: Vec<(&str, &Value, f64)> = inputs.collect();
    for (index, (low, less, least)) in inputs.iter().enumerate() {
        if let Some((high, more, _)) = inputs[index + 1..].iter().find(|(_, _, most)| least > most) {
            let message = format!("`{low}` is {}, more than `{high}`, which is {}", shown(less), shown(more));
            return Err(Unfit::new(message, format!("lower `{low}` or raise `{high}`")));
        }
    }
    Ok(())
}

/// `headers`, `body`, `json` and `secrets` of a request fit each other.
fn secret_places(_: &Value, request: &Value) -> Result<(), Unfit> {
    let known = |text: &&str| *text != HOLE;
    let mut places = Vec::new();
    let mut all_known = true;
    for part in request.get("secrets").and_then(Value::as_array).into_iter().flatten() {
        let text = |name: &str| part.get(name).and_then(Value::as_str);
        let place = [
            ("header", Place::Header as fn(String) -> Place),
            ("json_field", Place::JsonField),
            ("form_field", Place::FormField),
            ("basic_auth", Place::BasicAuth),
        ];
        let place = place.iter().find_map(|(name, make)| Some((make, text(name)?)));
        match place.filter(|(_, text)| known(text)) {
            Some((make, text)) => places.push((make(text.to_owned()), part)),
            None => all_known = false,
        }
    }
    for (place, part) in &places {
        let prefix = part.get("prefix").and_then(Value::as_str).filter(known).unwrap_or_default();
        // The name of a header is told where it stands.
        if place.header().is_none_or(|name| check_header(name).is_ok()) {
            check_place(place, prefix)?;
        }
    }
    let places: Vec<&Place> = places.iter().map(|(place, _)| place).collect();
    let headers = request.get("headers").and_then(Value::as_object);
    let headers: Vec<&str> = headers.into_iter().flat_map(Map::keys).map(String::as_str).collect();
    check_together(&places, &headers)?;
    let json = request.get("json").filter(|json| !json.is_null());
    let body = match request.get("body").and_then(Value::as_str) {
        Some(HOLE) => return Ok(()),
        Some(body) => Some(body.to_owned()),
        None if json.is_some_and(|json| json == HOLE) => return Ok(()),
        // Without a body the plugin begins one of the kind that its secrets need.
        None => json.map(Value::to_string).or_else(|| {
            let form = places.iter().any(|place| matches!(place, Place::FormField(_)));
            Some(if form { String::new() } else { "{}".to_owned() })
        }),
    };
    if all_known { check_body(&places, body.as_deref()) } else { Ok(()) }
}
