//! The limits on JSON from outside: how deeply it may be nested, and how many values it may hold.
//!
//! The audit log's reader takes 128 levels, and an entry wraps what it holds in a few of its own. So what servers,
//! plugins, files and people give is refused far below that, where it comes in. Nothing here recurses into the document.

use serde::de::DeserializeOwned;
use serde_json::Value;

/// The most lists and maps inside each other. A plain text or number has depth 0, `[[1]]` has depth 2.
pub const MAX_DEPTH: usize = 64;
/// The most values of one document: each text, number, list, map and so on counts as one, and so does each key.
pub const MAX_VALUES: usize = 100_000;

/// The limit that a document is over.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Excess {
    /// [`MAX_DEPTH`], or what an envelope adds to it.
    #[error("it is nested deeper than {0} levels")]
    Depth(usize),
    /// [`MAX_VALUES`].
    #[error("it holds more than {0} values and keys")]
    Values(usize),
}

/// A document that cannot be taken.
#[derive(Debug, thiserror::Error)]
pub enum Unreadable {
    /// It is over a limit.
    #[error(transparent)]
    Excess(#[from] Excess),
    /// It is not JSON, or not of the wanted shape.
    #[error(transparent)]
    Syntax(#[from] serde_json::Error),
}

/// Reads a document within the limits.
pub fn read<T: DeserializeOwned>(text: impl AsRef<[u8]>) -> Result<T, Unreadable> {
    read_enveloped(text, 0)
}

/// Reads a document whose parts are held to the limits later, one by one: an envelope of `levels` around them is allowed.
pub fn read_enveloped<T: DeserializeOwned>(text: impl AsRef<[u8]>, levels: usize) -> Result<T, Unreadable> {
    let bytes = text.as_ref();
    scan(bytes, MAX_DEPTH + levels)?;
    Ok(serde_json::from_slice(bytes)?)
}

/// Whether a value is within the limits.
pub fn check(value: &Value) -> Result<(), Excess> {
    let mut count = Count::new(MAX_DEPTH);
    let mut open = vec![(value, 0)];
    while let Some((value, depth)) = open.pop() {
        count.value()?;
        match value {
            Value::Array(items) => {
                count.depth(depth + 1)?;
                open.extend(items.iter().map(|item| (item, depth + 1)));
            }
            Value::Object(members) => {
                count.depth(depth + 1)?;
                for member in members.values() {
                    count.value()?;
                    open.push((member, depth + 1));
                }
            }
            Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
        }
    }
    Ok(())
}

/// Counts in the bytes, before anything is made of them. What is no JSON may be counted wrongly; it is refused afterwards.
fn scan(bytes: &[u8], max_depth: usize) -> Result<(), Excess> {
    let mut count = Count::new(max_depth);
    let mut depth: usize = 0;
    let mut word = false;
    let mut at = 0;
    while at < bytes.len() {
        let in_word = std::mem::take(&mut word);
        match bytes[at] {
            b'"' => {
                count.value()?;
                at = end_of_text(bytes, at);
            }
            b'[' | b'{' => {
                count.value()?;
                depth += 1;
                count.depth(depth)?;
            }
            b']' | b'}' => depth = depth.saturating_sub(1),
            b',' | b':' | b' ' | b'\t' | b'\r' | b'\n' => {}
            // A number, `true`, `false` or `null`.
            _ => {
                if !in_word {
                    count.value()?;
                }
                word = true;
            }
        }
        at += 1;
    }
    Ok(())
}

/// Where the quote stands that ends the text begun at `start`.
fn end_of_text(bytes: &[u8], start: usize) -> usize {
    let mut at = start + 1;
    while at < bytes.len() && bytes[at] != b'"' {
        at += if bytes[at] == b'\\' { 2 } else { 1 };
    }
    at
}

struct Count {
    max_depth: usize,
    values: usize,
}

impl Count {
    fn new(max_depth: usize) -> Self {
        Self { max_depth, values: 0 }
    }

    fn value(&mut self) -> Result<(), Excess> {
        self.values += 1;
        if self.values > MAX_VALUES { Err(Excess::Values(MAX_VALUES)) } else { Ok(()) }
    }

    fn depth(&self, depth: usize) -> Result<(), Excess> {
        if depth > self.max_depth { Err(Excess::Depth(self.max_depth)) } else { Ok(()) }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;

    fn nested(depth: usize) -> String {
        format!("{}1{}", "[".repeat(depth), "]".repeat(depth))
    }

    fn excess(text: &str) -> Option<Excess> {
        match read::<Value>(text) {
            Err(Unreadable::Excess(excess)) => Some(excess),
            _ => None,
        }
    }

    #[test]
    fn the_deepest_document_is_read_and_one_level_more_is_refused() {
        let deepest: Value = read(nested(MAX_DEPTH)).unwrap();
        assert_eq!(check(&deepest), Ok(()));
        assert_eq!(excess(&nested(MAX_DEPTH + 1)), Some(Excess::Depth(MAX_DEPTH)));
        assert_eq!(check(&json!([deepest])), Err(Excess::Depth(MAX_DEPTH)));
        let maps = format!("{}1{}", r#"{"a":"#.repeat(MAX_DEPTH + 1), "}".repeat(MAX_DEPTH + 1));
        assert_eq!(excess(&maps), Some(Excess::Depth(MAX_DEPTH)));
        assert!(read_enveloped::<Value>(nested(MAX_DEPTH + 2), 2).is_ok());
        assert!(read_enveloped::<Value>(nested(MAX_DEPTH + 3), 2).is_err());
    }

    #[test]
    fn the_longest_document_is_read_and_one_value_more_is_refused() {
        let list = |items: usize| format!("[{}1]", "1, ".repeat(items - 1));
        let longest: Value = read(list(MAX_VALUES - 1)).unwrap();
        assert_eq!(check(&longest), Ok(()));
        assert_eq!(excess(&list(MAX_VALUES)), Some(Excess::Values(MAX_VALUES)));
        let Value::Array(mut items) = longest else { unreachable!() };
        items.push(json!(1));
        assert_eq!(check(&Value::Array(items)), Err(Excess::Values(MAX_VALUES)));
    }

    #[test]
    fn brackets_in_texts_are_no_depth() {
        let text = json!({ "a\"[": format!("\\\"{}", "[{".repeat(200)) }).to_string();
        assert!(read::<Value>(text).is_ok());
    }

    #[test]
    fn megabytes_of_brackets_cost_no_stack() {
        assert_eq!(excess(&"[".repeat(8 << 20)), Some(Excess::Depth(MAX_DEPTH)));
        assert!(matches!(read::<Value>("\"".repeat(3)), Err(Unreadable::Syntax(_))));
    }

    fn documents() -> impl Strategy<Value = Value> {
        let leaf = prop_oneof![
            Just(Value::Null),
            any::<bool>().prop_map(Value::from),
            any::<i64>().prop_map(Value::from),
            any::<f64>().prop_filter("finite", |f| f.is_finite()).prop_map(Value::from),
            ".*".prop_map(Value::from),
        ];
        leaf.prop_recursive(80, 400, 3, |inner| {
            prop_oneof![
                prop::collection::vec(inner.clone(), 0..3).prop_map(Value::Array),
                prop::collection::hash_map(".*", inner, 0..3)
                    .prop_map(|members| Value::Object(members.into_iter().collect())),
            ]
        })
    }

    proptest! {
        #[test]
        fn a_text_and_its_value_are_judged_alike(value in documents()) {
            let judged = check(&value);
            prop_assert_eq!(excess(&value.to_string()), judged.err());
            prop_assert_eq!(excess(&serde_json::to_string_pretty(&value).unwrap()), judged.err());
        }

        #[test]
        fn no_bytes_panic(bytes in any::<Vec<u8>>(), text in r#"[\[\]{}",:0-9\\ ]{0,200}"#) {
            let _ = (read::<Value>(bytes), read::<Value>(text));
        }
    }
}
