//! Patterns of parameters: a text that one refuses was often meant to be another, which is told rather than the pattern.

use serde_json::Value;

use super::{InvalidParameter, anchored, texts};
use crate::runbook::Parameter;
use words::duration::{parse_duration, parse_size};

/// Whether the texts of a value match the pattern of their parameter; if not, what was probably meant.
pub(super) fn check(parameter: &Parameter, pattern: &str, value: &Value) -> Result<(), InvalidParameter> {
    let name = parameter.name.as_str();
    let fail = |message, hint| Err(InvalidParameter::new(name, message, hint));
    let Ok(regex) = anchored(pattern) else {
        return fail(format!("the pattern of `{name}` is not a regular expression"), None);
    };
    let Some(text) = texts(value).find(|text| !regex.is_match(text)) else { return Ok(()) };
    let shown = text.escape_debug();
    let without_space: String = text.split_whitespace().collect();
    // A space is hard to see.
    let message = if text.contains(' ') && regex.is_match(&without_space) {
        format!("the parameter `{name}` contains a space: `{shown}`")
    } else {
        format!("the parameter `{name}` does not allow `{shown}`")
    };
    let hint = meant(text).find(|meant| regex.is_match(meant));
    let hint = hint.map_or_else(|| rule(parameter, pattern), |meant| format!("did you mean `{meant}`?"));
    fail(message, Some(hint))
}

/// What a text that a pattern refuses was probably meant to be.
fn meant(text: &str) -> impl Iterator<Item = String> {
    let without_space: String = text.split_whitespace().collect();
    let size = parse_size(text).err().and_then(|error| error.meant().map(str::to_owned));
    let duration = parse_duration(text).err().and_then(|error| error.meant().map(str::to_owned));
    [Some(without_space), size, duration, Some(text.to_lowercase())].into_iter().flatten()
}

/// What a parameter may be, in the words of its runbook; a pattern is the last resort.
fn rule(parameter: &Parameter, pattern: &str) -> String {
    match parameter.about.trim().trim_end_matches('.') {
        "" => format!("write a text that matches `{pattern}`"),
        about => format!("write: {about} (it must match `{pattern}`)"),
    }
}
