//! Reads typed values out of the YAML tree and notes everything that is wrong on the way.
//!
//! A reader never stops at a trouble: it gives back what could be read, so that the rest is checked too.

use std::time::Duration;

use serde_json::Value;

use super::habit;
use super::kinds::{of_name, parameter_of};
use super::names::{Sees, Sighting};
use crate::expression::{Expression, Kind};
use crate::runbook::{Parameter, ParameterType, Template};
use crate::template::OPEN;
use crate::trouble::Trouble;
use crate::yaml::{Content, Entry, Node, Place};
use words::duration::parse_duration;
use words::suggestion;

/// The longest text for people, in bytes.
const MAX_PROSE_BYTES: usize = 16 * 1024;

/// Stands for a text whose trouble is noted; nothing more is said about it.
pub(super) const UNREADABLE: Template = Template::Text(Vec::new());

/// Collects troubles, and the expressions whose names are checked once all steps are known.
#[derive(Debug, Default)]
pub(super) struct Reader {
    pub(super) troubles: Vec<Trouble>,
    pub(super) sightings: Vec<Sighting>,
    /// Known once the parameters are read, which is before anything that uses them.
    pub(super) parameters: Vec<Parameter>,
    /// How many of the troubles kept something from being read; the others are about what was read.
    pub(super) unreadable: usize,
}

/// What a bare expression must come to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Wants {
    /// True or false.
    Truth,
    /// A list.
    List,
}

/// A map with known keys.
#[derive(Debug, Clone, Copy)]
pub(super) struct Fields<'n> {
    path: &'n str,
    entries: &'n [Entry],
    place: Place,
    /// Whether there is a map at all; if not, that is trouble enough.
    given: bool,
}

/// A value somewhere in the runbook, and how people call the place: `steps[2].with`.
#[derive(Debug, Clone)]
pub(super) struct Field<'n> {
    pub(super) path: String,
    pub(super) key: Place,
    pub(super) node: &'n Node,
}

impl Reader {
    /// Notes a trouble at a place.
    pub(super) fn note(&mut self, place: Place, message: String, hint: Option<String>) {
        self.troubles.push(Trouble { line: place.line, column: place.column, message, hint });
    }

    /// Notes a trouble with a value.
    pub(super) fn wrong(&mut self, field: &Field<'_>, message: impl AsRef<str>, hint: Option<String>) {
        let path = if field.path.is_empty() { "the runbook" } else { &field.path };
        self.note(field.node.place, format!("{path}: {}", message.as_ref()), hint);
    }

    fn wrong_type(&mut self, field: &Field<'_>, wanted: &str, hint: Option<&str>) {
        if is_null(field.node) {
            let hint = hint.map_or_else(|| "give it one or leave the key out".to_owned(), str::to_owned);
            self.note(field.key, format!("{}: there is no value", field.path), Some(hint));
        } else {
            let message = format!("this must be {wanted}, not {}", field.node.kind());
            let hint = hint.map_or_else(|| format!("write {wanted} here"), str::to_owned);
            self.wrong(field, message, Some(hint));
        }
    }

    /// The map at a field, its unknown keys noted; an empty map if it is none.
    pub(super) fn fields<'n>(&mut self, field: &'n Field<'n>, known: &[&str]) -> Fields<'n> {
        let entries: &[Entry] = match &field.node.content {
            Content::Map(entries) => entries,
            Content::Scalar(_) | Content::List(_) => {
                self.wrong_type(
                    field,
                    "a map",
                    Some(&format!("its keys are {}", suggestion::list(known.iter().copied()))),
                );
                &[]
            }
        };
        for entry in entries.iter().filter(|entry| !known.contains(&entry.key.as_str())) {
            let at = if field.path.is_empty() { String::new() } else { format!("{}: ", field.path) };
            let message = format!("{at}unknown key `{}`", entry.key.escape_debug());
            self.note(entry.key_place, message, habit::hint(&entry.key, known));
        }
        let given = matches!(field.node.content, Content::Map(_));
        Fields { path: &field.path, entries, place: field.node.place, given }
    }

    /// The entries of a map with free keys.
    pub(super) fn entries<'n>(&mut self, field: &Field<'n>) -> Vec<(&'n str, Field<'n>)> {
        let Content::Map(entries) = &field.node.content else {
            self.wrong_type(field, "a map", None);
            return Vec::new();
        };
        let entry = |entry: &'n Entry| {
            let path = format!("{}.{}", field.path, entry.key.escape_debug());
            (entry.key.as_str(), Field { path, key: entry.key_place, node: &entry.value })
        };
        entries.iter().map(entry).collect()
    }

    /// The items of a list.
    pub(super) fn items<'n>(&mut self, field: &Field<'n>, most: usize) -> Vec<Field<'n>> {
        let Content::List(items) = &field.node.content else {
            self.wrong_type(field, "a list", Some("its items begin with `- `"));
            return Vec::new();
        };
        if items.len() > most {
            let hint = "split it over several runbooks".to_owned();
            self.wrong(field, format!("there are more than {most} items"), Some(hint));
        }
        let item = |(index, node): (usize, &'n Node)| Field {
            path: format!("{}[{index}]", field.path),
            key: node.place,
            node,
        };
        items.iter().take(most).enumerate().map(item).collect()
    }

    /// A text; numbers and booleans are refused, since YAML has already changed how they look.
    pub(super) fn text<'n>(&mut self, field: &Field<'n>) -> Option<&'n str> {
        match &field.node.content {
            Content::Scalar(scalar) if scalar.value.is_string() => {
                if scalar.text.len() > MAX_PROSE_BYTES {
                    let hint = "say it shorter and link to the rest".to_owned();
                    self.wrong(field, format!("the text is longer than {MAX_PROSE_BYTES} bytes"), Some(hint));
                }
                Some(&scalar.text)
            }
            Content::Scalar(scalar) if !scalar.value.is_null() => {
                self.wrong_type(field, "a text", Some(&format!("put it in quotes: `\"{}\"`", scalar.text)));
                None
            }
            _ => {
                self.wrong_type(field, "a text", None);
                None
            }
        }
    }

    /// A text that says something.
    pub(super) fn prose(&mut self, field: &Field<'_>) -> Option<String> {
        let text = self.text(field)?;
        if text.trim().is_empty() {
            self.wrong(field, "the text is empty", Some("leave the key out or say something".to_owned()));
        } else if let Some(start) = text.find(OPEN) {
            let offset = u32::try_from(text[..start].chars().count()).unwrap_or(0);
            let message = format!("{}: expressions have no effect here", field.path);
            self.note(
                field.node.place_of(offset),
                message,
                Some("`${{ }}` works in `with`, grants and outputs".to_owned()),
            );
        }
        Some(text.trim_end().to_owned())
    }

    /// A duration.
    pub(super) fn duration(&mut self, field: &Field<'_>) -> Option<Duration> {
        let text = self.quantity(field)?;
        match parse_duration(text) {
            Ok(duration) => Some(duration),
            Err(error) => {
                self.wrong(field, error.to_string(), Some(error.hint()));
                None
            }
        }
    }

    /// A duration whose troubles are noted elsewhere.
    pub(super) fn peek_duration(field: &Field<'_>) -> Option<Duration> {
        parse_duration(field.node.as_text()?).ok()
    }

    /// A duration longer than none.
    pub(super) fn some_duration(&mut self, field: &Field<'_>) -> Option<Duration> {
        let duration = self.duration(field)?;
        if duration.is_zero() {
            self.wrong(field, "this must be longer than `0s`", Some("write for example `30s`".to_owned()));
            return None;
        }
        Some(duration)
    }

    fn quantity<'n>(&mut self, field: &Field<'n>) -> Option<&'n str> {
        let wanted = "a duration like `30s`";
        match &field.node.content {
            Content::Scalar(scalar) if scalar.value.is_string() => Some(&scalar.text),
            Content::Scalar(scalar) if scalar.value.is_number() => {
                let hint = parse_duration(&scalar.text).err().map(|error| error.hint());
                self.wrong_type(field, wanted, hint.as_deref());
                None
            }
            _ => {
                self.wrong_type(field, wanted, None);
                None
            }
        }
    }

    /// An integer within bounds.
    pub(super) fn integer(&mut self, field: &Field<'_>, least: u32, most: u32) -> Option<u32> {
        let value = match &field.node.content {
            Content::Scalar(scalar) => &scalar.value,
            _ => &Value::Null,
        };
        match value.as_i64() {
            Some(integer) if (i64::from(least)..=i64::from(most)).contains(&integer) => {
                u32::try_from(integer).ok()
            }
            Some(integer) => {
                let hint = format!("write {}", if integer < i64::from(least) { least } else { most });
                self.wrong(field, format!("this must be from {least} to {most}, not {integer}"), Some(hint));
                None
            }
            None => {
                self.wrong_type(field, "an integer", None);
                None
            }
        }
    }

    /// A number within bounds.
    pub(super) fn number(&mut self, field: &Field<'_>, least: f64, most: f64) -> Option<f64> {
        match &field.node.content {
            Content::Scalar(scalar) if scalar.value.is_number() => {
                let number = scalar.value.as_f64().filter(|number| (least..=most).contains(number));
                if number.is_none() {
                    self.wrong(
                        field,
                        format!("this must be from {least} to {most}, not {}", scalar.text),
                        Some(format!("write for example `{}`", f64::midpoint(least, least + 1.0))),
                    );
                }
                number
            }
            _ => {
                self.wrong_type(field, "a number", None);
                None
            }
        }
    }

    /// One of several words.
    pub(super) fn word<T: Copy>(&mut self, field: &Field<'_>, words: &[(&str, T)]) -> Option<T> {
        let text = match &field.node.content {
            Content::Scalar(scalar) if !scalar.value.is_null() => scalar.text.as_str(),
            _ => {
                let wanted = format!("one of {}", suggestion::list(words.iter().map(|(word, _)| *word)));
                self.wrong_type(field, &wanted, None);
                return None;
            }
        };
        let found = words.iter().find(|(word, _)| *word == text).map(|(_, value)| *value);
        if found.is_none() {
            let hint = suggestion::hint(text, words.iter().map(|(word, _)| *word));
            self.wrong(field, format!("`{}` is not known here", text.escape_debug()), hint);
        }
        found
    }

    /// A bare expression.
    pub(super) fn expression(&mut self, field: &Field<'_>, sees: &Sees, wants: Wants) -> Option<Expression> {
        let text = match &field.node.content {
            Content::Scalar(scalar) if !scalar.value.is_null() => scalar.text.as_str(),
            Content::Scalar(_) => {
                self.wrong_type(field, "an expression", None);
                return None;
            }
            Content::List(_) | Content::Map(_) => {
                self.wrong_type(
                    field,
                    "an expression",
                    Some("put it in quotes if it begins with `{` or `[`"),
                );
                return None;
            }
        };
        if text.trim_start().starts_with(OPEN) {
            let inner = text.trim().trim_start_matches(OPEN).trim_end_matches("}}").trim();
            self.wrong(
                field,
                "this is an expression already",
                Some(format!("write `{inner}`, without `${{{{ }}}}`")),
            );
            return None;
        }
        let leading = text.chars().take_while(|c| c.is_whitespace()).count();
        let leading = u32::try_from(leading).unwrap_or(0);
        match Expression::parse(text, field.node.place.line) {
            Ok(expression) => {
                let kind = self.see(field, &expression, leading, sees);
                self.wants(field, &expression, kind, wants);
                Some(expression)
            }
            Err(error) => {
                let place = field.node.place_of(leading + error.offset);
                self.note(place, format!("{}: {}", field.path, error.message), error.hint);
                None
            }
        }
    }

    fn wants(&mut self, field: &Field<'_>, expression: &Expression, found: Option<Kind>, wants: Wants) {
        let (kind, wanted) = match wants {
            Wants::Truth => (ParameterType::Boolean, Kind::Truth),
            Wants::List => (ParameterType::List, Kind::List),
        };
        let wanted_phrase = wanted.phrase();
        let Some(parameter) = parameter_of(expression, &self.parameters) else {
            if let Some(found) = found.filter(|found| *found != wanted) {
                let hint = match wants {
                    Wants::Truth => "compare it, for example `… > 0` or `… == 'web'`",
                    Wants::List => "write `[a, b]`, or let a parameter or a step hold the list",
                };
                let message = format!("this comes to {}, and it must be {wanted_phrase}", found.phrase());
                self.wrong(field, message, Some(hint.to_owned()));
            }
            return;
        };
        if parameter.kind != kind {
            let name = &parameter.name;
            let message = format!(
                "`parameters.{name}` is of type `{}`, and this must be {wanted_phrase}",
                parameter.kind.word()
            );
            let hint = match wants {
                Wants::Truth => format!("compare it: `parameters.{name} == …`, or make it `type: boolean`"),
                Wants::List => format!("write `[parameters.{name}]`, or make it `type: list`"),
            };
            self.wrong(field, message, Some(hint));
        }
    }

    /// A value with `${{ }}` anywhere in its texts.
    pub(super) fn template(&mut self, field: &Field<'_>, sees: &Sees) -> Option<Template> {
        match &field.node.content {
            Content::Scalar(scalar) if scalar.value.is_string() => {
                match Template::parse(&scalar.text, field.node.place.line) {
                    Ok(template) => {
                        self.see_all(field, &template, &scalar.text, sees);
                        Some(template)
                    }
                    Err(error) => {
                        let place = field.node.place_of(error.offset);
                        self.note(
                            place,
                            format!("{}: {}", field.path, error.reason.message),
                            error.reason.hint,
                        );
                        None
                    }
                }
            }
            Content::Scalar(scalar) => Some(Template::Value(scalar.value.clone())),
            Content::List(items) => {
                let read = items.iter().enumerate().map(|(index, node)| {
                    let path = format!("{}[{index}]", field.path);
                    self.template(&Field { path, key: node.place, node }, sees).unwrap_or(UNREADABLE)
                });
                Some(Template::List(read.collect()))
            }
            Content::Map(entries) => {
                let read = entries.iter().map(|entry| {
                    let path = format!("{}.{}", field.path, entry.key.escape_debug());
                    let field = Field { path, key: entry.key_place, node: &entry.value };
                    (entry.key.clone(), self.template(&field, sees).unwrap_or(UNREADABLE))
                });
                Some(Template::Map(read.collect()))
            }
        }
    }

    fn see_all(&mut self, field: &Field<'_>, template: &Template, text: &str, sees: &Sees) {
        let mut from = 0;
        for expression in template.expressions() {
            // Each expression stands in the text after the one before it, so the search finds its own place.
            let found = text[from..].find(OPEN).map_or(from, |open| from + open + OPEN.len());
            let start = text[found..].find(expression.text()).map_or(found, |at| found + at);
            from = (start + expression.text().len()).min(text.len());
            let offset = u32::try_from(text[..start].chars().count()).unwrap_or(0);
            self.see(field, expression, offset, sees);
        }
    }

    /// Notes the names it uses and what cannot work; gives its kind as far as that is known.
    fn see(&mut self, field: &Field<'_>, expression: &Expression, offset: u32, sees: &Sees) -> Option<Kind> {
        for reference in expression.references() {
            self.sightings.push(Sighting {
                place: field.node.place_of(offset + reference.offset),
                path: field.path.clone(),
                reference: reference.clone(),
                sees: sees.clone(),
            });
        }
        let kind = expression.kind(&|path| of_name(path, &self.parameters));
        kind.unwrap_or_else(|message| {
            let hint = "`string(x)` makes a text, `int(x)` a number, `size(x)` counts".to_owned();
            self.note(field.node.place_of(offset), format!("{}: {message}", field.path), Some(hint));
            None
        })
    }
}

impl<'n> Fields<'n> {
    /// The value of a key.
    pub(super) fn get(&self, key: &str) -> Option<Field<'n>> {
        let entry = self.entries.iter().find(|entry| entry.key == key)?;
        Some(Field { path: self.path_of(key), key: entry.key_place, node: &entry.value })
    }

    /// The value of a key that must be there.
    pub(super) fn require(&self, reader: &mut Reader, key: &str, hint: &str) -> Option<Field<'n>> {
        let field = self.get(key);
        if field.is_none() && self.given {
            let at = if self.path.is_empty() { "the runbook" } else { self.path };
            reader.note(self.place, format!("{at}: the key `{key}` is missing"), Some(hint.to_owned()));
        }
        field
    }

    fn path_of(&self, key: &str) -> String {
        if self.path.is_empty() { key.to_owned() } else { format!("{}.{key}", self.path) }
    }
}

impl Field<'_> {
    /// The line of the key.
    pub(super) fn line(&self) -> u32 {
        self.key.line
    }

    /// The text as written, of whatever type it is.
    pub(super) fn raw(&self) -> Option<&str> {
        match &self.node.content {
            Content::Scalar(scalar) => Some(&scalar.text),
            Content::List(_) | Content::Map(_) => None,
        }
    }
}

/// Whether nothing is written.
pub(super) fn is_null(node: &Node) -> bool {
    matches!(&node.content, Content::Scalar(scalar) if scalar.value.is_null())
}
