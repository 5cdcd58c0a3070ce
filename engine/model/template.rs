//! From text with `${{ }}` to a [`Template`].

use std::collections::BTreeMap;

use serde_json::Value;

use super::expression::{Expression, InvalidExpression};
use super::runbook::{Part, Template};

/// Begins an expression inside a text.
pub const OPEN: &str = "${{";
/// Ends it.
pub const CLOSE: &str = "}}";

/// A text whose expressions cannot be read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{}", reason.message)]
pub struct InvalidTemplate {
    /// Why.
    pub reason: InvalidExpression,
    /// Where in the text, in characters from 0.
    pub offset: u32,
}

impl Template {
    /// Reads a text; one without `${{ }}` is the text itself. `line` is where the text begins in the runbook.
    pub fn parse(text: &str, line: u32) -> Result<Self, InvalidTemplate> {
        let mut parts: Vec<Part> = Vec::new();
        let mut rest = text;
        while let Some(start) = rest.find(OPEN) {
            let place = text.len() - rest.len() + start;
            let at = |byte: usize| u32::try_from(text[..byte].chars().count()).unwrap_or(u32::MAX);
            let inner = &rest[start + OPEN.len()..];
            let Some(end) = end_of(inner) else {
                let reason = InvalidExpression {
                    message: "a `${{` is not closed".to_owned(),
                    hint: Some("end the expression with `}}`".to_owned()),
                    offset: 0,
                };
                return Err(InvalidTemplate { reason, offset: at(place) });
            };
            let leading = inner.len() - inner.trim_start().len();
            let expression =
                Expression::parse(&inner[..end], line + newlines(&text[..place])).map_err(|reason| {
                    let offset = at(place + OPEN.len() + leading.min(end)) + reason.offset;
                    InvalidTemplate { reason, offset }
                })?;
            if start > 0 {
                parts.push(Part::Literal(rest[..start].to_owned()));
            }
            parts.push(Part::Expression(expression));
            rest = &inner[end + CLOSE.len()..];
        }
        if parts.is_empty() {
            return Ok(Self::Value(Value::String(text.to_owned())));
        }
        if !rest.is_empty() {
            parts.push(Part::Literal(rest.to_owned()));
        }
        Ok(match <[Part; 1]>::try_from(parts) {
            Ok([Part::Expression(only)]) => Self::Whole(only),
            Ok([literal @ Part::Literal(_)]) => Self::Text(vec![literal]),
            Err(parts) => Self::Text(parts),
        })
    }

    /// The value, if there is no expression inside.
    pub fn literal(&self) -> Option<Value> {
        match self {
            Self::Value(value) => Some(value.clone()),
            Self::Whole(_) | Self::Text(_) => None,
            Self::List(items) => items.iter().map(Self::literal).collect::<Option<_>>().map(Value::Array),
            Self::Map(entries) => entries
                .iter()
                .map(|(name, value)| Some((name.clone(), value.literal()?)))
                .collect::<Option<BTreeMap<_, _>>>()
                .map(|entries| Value::Object(entries.into_iter().collect())),
        }
    }
}

fn newlines(text: &str) -> u32 {
    u32::try_from(text.matches('\n').count()).unwrap_or(u32::MAX)
}

/// Where the `}}` stands that ends the expression: not one inside quotes or of maps in maps.
fn end_of(inner: &str) -> Option<usize> {
    let bytes = inner.as_bytes();
    let mut depth = 0_usize;
    let mut at = 0;
    while at < bytes.len() {
        match bytes[at] {
            quote @ (b'\'' | b'"') => at = after_quote(bytes, at, quote)?,
            b'{' => depth += 1,
            b'}' if depth > 0 => depth -= 1,
            b'}' if bytes.get(at + 1) == Some(&b'}') => return Some(at),
            _ => {}
        }
        at += 1;
    }
    None
}

/// The place of the quote that ends the text begun at `start`.
fn after_quote(bytes: &[u8], start: usize, quote: u8) -> Option<usize> {
    let raw = start > 0 && matches!(bytes[start - 1], b'r' | b'R');
    let mut at = start + 1;
    while at < bytes.len() {
        match bytes[at] {
            b'\\' if !raw => at += 1,
            byte if byte == quote => return Some(at),
            _ => {}
        }
        at += 1;
    }
    None
}

#[cfg(test)]
mod tests {
    use proptest::prelude::{any, proptest};
    use serde_json::{Value, json};

    use super::super::expression::Scope;
    use super::Template;

    fn eval(text: &str) -> Value {
        let Value::Object(map) = json!({ "parameters": { "n": 2, "s": "x", "l": [1] } }) else {
            unreachable!()
        };
        Template::parse(text, 1).unwrap().evaluate(&Scope::of(map)).unwrap()
    }

    #[test]
    fn one_whole_expression_keeps_its_type() {
        for (text, expected) in [
            ("plain", json!("plain")),
            ("${{ parameters.n }}", json!(2)),
            ("${{parameters.l}}", json!([1])),
            ("${{ parameters.n }} of ${{ parameters.l }}", json!("2 of [1]")),
            (" ${{ parameters.s }}", json!(" x")),
            ("${{ {'a': {'b': 1}} }}", json!({ "a": { "b": 1 } })),
            ("${{ '}}' + \"}}\" + '\\'}}' }}", json!("}}}}'}}")),
            ("${{ '${{ parameters.n }}' }}", json!("${{ parameters.n }}")),
            ("$ { {", json!("$ { {")),
        ] {
            assert_eq!(eval(text), expected, "{text}");
        }
    }

    #[test]
    fn errors_know_their_place() {
        let error = Template::parse("ä ${{ parameters.n", 1).unwrap_err();
        assert_eq!((error.to_string().as_str(), error.offset), ("a `${{` is not closed", 2));
        let error = Template::parse("ab ${{  1 = 2 }}", 1).unwrap_err();
        assert_eq!((error.to_string().as_str(), error.offset), ("`=` is not expected here", 10));
        assert_eq!(Template::parse("${{ }}", 1).unwrap_err().to_string(), "the expression is empty");
    }

    proptest! {
        #[test]
        fn no_text_panics(text in any::<String>(), cut in "[$}{ 'a\\\\]{0,30}") {
            let _ = (Template::parse(&text, 1), Template::parse(&cut, 1));
        }
    }
}
