//! YAML as a tree that remembers where everything stands.
//!
//! Responsible for the syntax, for the types of plain scalars (YAML 1.2 core schema), for duplicate keys and for limits, so
//! that no text can make it use much memory or stack. Knows nothing of runbooks.

mod build;
mod scalar;
mod syntax;

use serde_json::{Map, Value};

use super::trouble::Trouble;

/// The largest text, in bytes.
pub(super) const MAX_TEXT_BYTES: usize = 256 * 1024;
/// The deepest nesting of lists and maps.
pub(super) const MAX_DEPTH: usize = 32;
/// The most values in one text, those that aliases repeat counted each time.
pub(super) const MAX_NODES: usize = 20_000;

/// Where something stands in the text.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Place {
    /// From 1.
    pub(crate) line: u32,
    /// From 1, in characters.
    pub(crate) column: u32,
}

/// A value and its place.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Node {
    pub(crate) place: Place,
    pub(crate) content: Content,
}

/// What a value is.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Content {
    Scalar(Scalar),
    List(Vec<Node>),
    Map(Vec<Entry>),
}

/// A text, number, boolean or null.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Scalar {
    /// By the rules of YAML 1.2: `012` is a number, `"012"`, `yes` and `12:30` are texts.
    pub(crate) value: Value,
    /// As written, without quotes.
    pub(crate) text: String,
    /// How it is written.
    pub(crate) style: Style,
}

/// How a scalar is written, as far as it tells where its characters stand.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Style {
    /// Without quotes, on one line.
    Plain,
    /// With quotes, on one line.
    Quoted,
    /// After `|`.
    Literal,
    /// After `>`, or over several lines.
    Folded,
}

/// A key and its value.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Entry {
    pub(crate) key: String,
    pub(crate) key_place: Place,
    pub(crate) value: Node,
}

impl Node {
    /// As JSON; a repeated key counts once, the first time.
    pub(crate) fn to_json(&self) -> Value {
        match &self.content {
            Content::Scalar(scalar) => scalar.value.clone(),
            Content::List(items) => Value::Array(items.iter().map(Self::to_json).collect()),
            Content::Map(entries) => {
                let mut map = Map::new();
                for entry in entries {
                    map.entry(entry.key.clone()).or_insert_with(|| entry.value.to_json());
                }
                Value::Object(map)
            }
        }
    }

    /// The value of a key, if this is a map that has it.
    pub(crate) fn get(&self, key: &str) -> Option<&Self> {
        match &self.content {
            Content::Map(entries) => entries.iter().find(|entry| entry.key == key).map(|entry| &entry.value),
            Content::Scalar(_) | Content::List(_) => None,
        }
    }

    /// The item of a list, or the value of a key.
    pub(crate) fn member(&self, name: &str) -> Option<&Self> {
        match &self.content {
            Content::List(items) => items.get(name.parse::<usize>().ok()?),
            Content::Map(_) | Content::Scalar(_) => self.get(name),
        }
    }

    /// Where a key of this map stands.
    pub(crate) fn key_place(&self, key: &str) -> Option<Place> {
        match &self.content {
            Content::Map(entries) => {
                entries.iter().find(|entry| entry.key == key).map(|entry| entry.key_place)
            }
            Content::Scalar(_) | Content::List(_) => None,
        }
    }

    /// The text, if this is one.
    pub(crate) fn as_text(&self) -> Option<&str> {
        match &self.content {
            Content::Scalar(scalar) => scalar.value.as_str(),
            Content::List(_) | Content::Map(_) => None,
        }
    }

    /// What kind of value this is, with its article, for sentences.
    pub(crate) fn kind(&self) -> &'static str {
        match &self.content {
            Content::Scalar(scalar) => match &scalar.value {
                Value::Null => "nothing",
                Value::Bool(_) => "a boolean",
                Value::Number(number) if number.is_f64() => "a number",
                Value::Number(_) => "an integer",
                _ => "a text",
            },
            Content::List(_) => "a list",
            Content::Map(_) => "a map",
        }
    }

    /// Where the character at `offset` of a scalar's text stands, as exactly as its style allows.
    pub(crate) fn place_of(&self, offset: u32) -> Place {
        let Content::Scalar(scalar) = &self.content else { return self.place };
        match scalar.style {
            Style::Plain => Place { column: self.place.column + offset, ..self.place },
            Style::Quoted => Place { column: self.place.column + 1 + offset, ..self.place },
            Style::Folded => self.place,
            Style::Literal => {
                let before: String = scalar.text.chars().take(offset as usize).collect();
                let line = u32::try_from(before.matches('\n').count()).unwrap_or(0);
                let column = before.chars().rev().take_while(|c| *c != '\n').count();
                let column = u32::try_from(column).unwrap_or(0);
                Place { line: self.place.line + line, column: self.place.column + column }
            }
        }
    }
}

/// A document as JSON, or the first thing that is wrong with it; nothing is null.
pub fn value(text: &str) -> Result<Value, Trouble> {
    let (node, troubles) = read(text);
    match troubles.into_iter().next() {
        Some(trouble) => Err(trouble),
        None => Ok(node.map_or(Value::Null, |node| node.to_json())),
    }
}

/// Reads a text. What is wrong is reported; what could be read is given back even then, so that more can be checked.
pub(crate) fn read(text: &str) -> (Option<Node>, Vec<Trouble>) {
    build::read(text)
}

#[cfg(test)]
mod tests;
