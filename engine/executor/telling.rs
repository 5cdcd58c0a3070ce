//! What people say, as it may stand in an entry: without the values of secrets, and without control characters, which could
//! move the cursor of whoever reads the log on a terminal.

use serde_json::Value;

use secrets::scrub;

/// Lines stay lines; whatever else steers a terminal becomes a space.
pub(super) fn printable(text: &str) -> String {
    scrub::text(text)
        .chars()
        .map(|c| if c.is_control() && c != '\n' && c != '\t' { ' ' } else { c })
        .collect()
}

/// The text, cut after at most so many bytes.
pub(super) fn shortened(text: &str, bytes: usize) -> String {
    if text.len() <= bytes {
        return text.to_owned();
    }
    let mut end = bytes.saturating_sub('…'.len_utf8());
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    format!("{}…", &text[..end])
}

/// [`printable`] for every text in a value.
pub(super) fn printable_in(value: Value) -> Value {
    match value {
        Value::String(text) => Value::String(printable(&text)),
        Value::Array(items) => items.into_iter().map(printable_in).collect(),
        Value::Object(map) => {
            map.into_iter().map(|(name, value)| (printable(&name), printable_in(value))).collect()
        }
        other => other,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn what_is_too_long_is_cut_between_characters() {
        assert_eq!(shortened("short", 5), "short");
        assert_eq!(shortened("äöüäöü", 8), "äö…");
    }

    #[test]
    fn nothing_that_steers_a_terminal_is_left() {
        let said = json!({ "reason": "\u{1b}[31mred\u{9b}0m\u{7}\nnext", "more": ["a\rb", 1] });
        assert_eq!(printable_in(said), json!({ "reason": " [31mred 0m \nnext", "more": ["a b", 1] }));
    }
}
