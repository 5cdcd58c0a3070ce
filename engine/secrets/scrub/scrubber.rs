//! Values and what takes their place.

use std::borrow::Cow;
use std::collections::{BTreeMap, HashSet};

use serde_json::{Map, Value};

use super::forms::forms;
use super::patterns::{Found, Label, Patterns};
use super::stream::Stream;
use words::ids::Digest;

/// Shorter finds, in bytes, inside a text that is a digest from end to end are taken for chance: an id must stay an id.
const CHANCE_BYTES: usize = 16;

/// The longest version of a secret, in bytes.
const MAX_VERSION_BYTES: usize = 12;

/// Takes known values out of text, in every form that [`super`] tells of.
#[derive(Default)]
pub struct Scrubber {
    patterns: Patterns,
    /// What takes the place of a value, by label.
    words: Vec<String>,
    labels: BTreeMap<String, Label>,
    /// Name and value of what is known, hashed.
    known: HashSet<Digest>,
    /// Whether a value looks as if it could span more than one text of a document.
    spans: bool,
}

impl Scrubber {
    /// From now on this value is taken out. A second time changes nothing.
    pub fn learn(&mut self, name: &str, value: &str) {
        if value.len() < super::MIN_BYTES || !self.known.insert(Digest::of(format!("{name}\0{value}"))) {
            return;
        }
        let label = self.label(name);
        self.spans |= value.contains(['"', ',', ':', '{', '[', '\\']);
        let patterns = &mut self.patterns;
        forms(value, &mut |form| patterns.insert(form, label));
    }

    /// The label of a name. What takes its place is itself known, so that text scrubbed twice is the same as once.
    fn label(&mut self, name: &str) -> Label {
        if let Some(label) = self.labels.get(name) {
            return *label;
        }
        let words = format!("[secret {name}]");
        let label = Label(u32::try_from(self.words.len()).unwrap_or(u32::MAX));
        self.patterns.insert(words.as_bytes().to_vec().into(), label);
        self.words.push(words);
        self.labels.insert(name.to_owned(), label);
        label
    }

    /// Whether it knows nothing.
    pub fn is_empty(&self) -> bool {
        self.known.is_empty()
    }

    /// The text without known values.
    pub fn text<'t>(&self, text: &'t str) -> Cow<'t, str> {
        match self.bytes(text.as_bytes()) {
            Cow::Borrowed(_) => Cow::Borrowed(text),
            // Whole characters are replaced by whole characters.
            Cow::Owned(bytes) => Cow::Owned(match String::from_utf8(bytes) {
                Ok(text) => text,
                Err(error) => String::from_utf8_lossy(error.as_bytes()).into_owned(),
            }),
        }
    }

    /// The same for bytes that need not be text.
    pub fn bytes<'t>(&self, bytes: &'t [u8]) -> Cow<'t, [u8]> {
        if matches!(self.patterns.find(bytes, 0, true), Found::None(_)) {
            return self.across_lines(bytes).map_or(Cow::Borrowed(bytes), Cow::Owned);
        }
        let mut out = Vec::with_capacity(bytes.len());
        self.pass(bytes, true, &mut out);
        Cow::Owned(self.across_lines(&out).unwrap_or(out))
    }

    /// The same for what line breaks cut in pieces, as they are and indented: programs break what they write wherever their
    /// line is full. None if there is none.
    fn across_lines(&self, bytes: &[u8]) -> Option<Vec<u8>> {
        if self.is_empty() || !bytes.contains(&b'\n') {
            return None;
        }
        let broken = self.joined(bytes, &Joined::of(bytes, &[]));
        let indented = bytes.windows(2).any(|pair| pair[0] == b'\n' && INDENT.contains(&pair[1]));
        if !indented {
            return broken;
        }
        let bytes = broken.as_deref().unwrap_or(bytes);
        self.joined(bytes, &Joined::of(bytes, INDENT)).or(broken)
    }

    fn joined(&self, bytes: &[u8], joined: &Joined) -> Option<Vec<u8>> {
        let (mut out, mut done, mut from) = (Vec::new(), 0, 0);
        while let Found::Match(at, label) = self.patterns.find(&joined.bytes, from, true) {
            from = at.end;
            let (start, end) = (joined.origin(at.start), joined.origin(at.end - 1) + 1);
            if end - start > at.len() {
                out.extend_from_slice(&bytes[done..start]);
                out.extend_from_slice(self.words_of(label).as_bytes());
                done = end;
            }
        }
        if done == 0 {
            return None;
        }
        out.extend_from_slice(&bytes[done..]);
        Some(out)
    }

    /// The same for a text whose end was cut off: what may be the beginning of a value, and is no shorter than
    /// [`super::MIN_BYTES`], is taken out as well.
    pub fn cut<'t>(&self, text: &'t str) -> Cow<'t, str> {
        let mut out = Vec::with_capacity(text.len());
        let rest = &text.as_bytes()[self.pass(text.as_bytes(), false, &mut out)..];
        if rest.len() < super::MIN_BYTES {
            return self.text(text);
        }
        out.extend_from_slice(b"[secret]");
        Cow::Owned(String::from_utf8_lossy(&out).into_owned())
    }

    /// Writes what is settled to `out` and returns how many bytes that were; the rest may be the beginning of a value.
    pub(super) fn pass(&self, bytes: &[u8], last: bool, out: &mut Vec<u8>) -> usize {
        let mut from = 0;
        loop {
            match self.patterns.find(bytes, from, last) {
                Found::Match(at, label) => {
                    out.extend_from_slice(&bytes[from..at.start]);
                    out.extend_from_slice(self.words_of(label).as_bytes());
                    from = at.end;
                }
                Found::None(end) => {
                    out.extend_from_slice(&bytes[from..end]);
                    return end;
                }
            }
        }
    }

    fn words_of(&self, label: Label) -> &str {
        self.words.get(label.0 as usize).map_or("[secret]", String::as_str)
    }

    /// Where the first known value stands in a text, and what would take its place; not what has taken one already.
    pub fn first(&self, text: &str) -> Option<(usize, &str)> {
        self.finds(text).next().map(|(at, words)| (at.start, words))
    }

    fn finds(&self, text: &str) -> impl Iterator<Item = (std::ops::Range<usize>, &str)> {
        let mut from = 0;
        std::iter::from_fn(move || {
            loop {
                let Found::Match(at, label) = self.patterns.find(text.as_bytes(), from, true) else {
                    return None;
                };
                from = at.end;
                let words = self.words_of(label);
                if text.as_bytes()[at.clone()] != *words.as_bytes() {
                    return Some((at, words));
                }
            }
        })
    }

    /// Takes known values out of the texts and keys of a document. Numbers stay.
    pub fn json(&self, value: &mut Value) {
        self.texts(value);
        if self.spans && self.spanned(value) {
            self.parts(value);
        }
    }

    fn texts(&self, value: &mut Value) {
        match value {
            Value::String(text) => {
                if let Some(scrubbed) = self.leaf(text) {
                    *text = scrubbed;
                }
            }
            Value::Array(items) => items.iter_mut().for_each(|item| self.texts(item)),
            Value::Object(fields) if self.is_reference(fields) => {}
            Value::Object(fields) => {
                fields.values_mut().for_each(|field| self.texts(field));
                if fields.keys().any(|key| self.leaf(key).is_some()) {
                    self.keys(fields);
                }
            }
            Value::Null | Value::Bool(_) | Value::Number(_) => {}
        }
    }

    /// `{"secret": NAME, "version": ...}` with a known name, as uses of secrets are recorded: a value that happens to be
    /// part of a name must not make it unreadable.
    fn is_reference(&self, fields: &Map<String, Value>) -> bool {
        let text = |field: &str| fields.get(field).and_then(Value::as_str);
        let short = |version: &str| version.len() <= MAX_VERSION_BYTES;
        fields.len() == 2
            && text("secret").is_some_and(|name| self.labels.contains_key(name))
            && text("version").is_some_and(short)
    }

    /// None if it stays as it is.
    fn leaf(&self, text: &str) -> Option<String> {
        if is_digest(text) && self.finds(text).all(|(at, _)| at.len() < CHANCE_BYTES) {
            return None;
        }
        match self.text(text) {
            Cow::Borrowed(_) => None,
            Cow::Owned(scrubbed) => (scrubbed != text).then_some(scrubbed),
        }
    }

    /// Keys that become the same are numbered, so that no field is lost.
    fn keys(&self, fields: &mut Map<String, Value>) {
        let (mut kept, mut changed) = (Map::new(), Vec::new());
        for (key, field) in std::mem::take(fields) {
            match self.leaf(&key) {
                None => drop(kept.insert(key, field)),
                Some(scrubbed) => changed.push((scrubbed, field)),
            }
        }
        for (scrubbed, field) in changed {
            let mut key = scrubbed.clone();
            let mut number = 2;
            while kept.contains_key(&key) {
                key = format!("{scrubbed} ({number})");
                number += 1;
            }
            kept.insert(key, field);
        }
        *fields = kept;
    }

    /// Whether the document, written down, holds a value that none of its texts holds.
    fn spanned(&self, value: &Value) -> bool {
        let written = value.to_string();
        let number = |b: u8| b.is_ascii_digit() || b"+-.eE".contains(&b);
        let spans = |at: std::ops::Range<usize>| {
            !is_digest(written.trim_matches('"')) && !written.as_bytes()[at].iter().all(|b| number(*b))
        };
        // Inside of a longer document, an id may hold a short find by chance.
        self.finds(&written).any(|(at, _)| {
            spans(at.clone()) && (at.len() >= CHANCE_BYTES || written[at].contains(['"', ',', ':', '\\']))
        })
    }

    /// Replaces the smallest parts of a document that hold a value.
    fn parts(&self, value: &mut Value) {
        let inside: Vec<&mut Value> = match value {
            Value::Array(items) => items.iter_mut().collect(),
            Value::Object(fields) => fields.values_mut().collect(),
            _ => Vec::new(),
        };
        for part in inside {
            if self.spanned(part) {
                self.parts(part);
            }
        }
        if self.spanned(value) {
            let written = value.to_string();
            let words = self.first(&written).map_or("[secret]", |(_, words)| words);
            *value = Value::String(words.to_owned());
        }
    }

    /// A stream through it.
    pub fn stream(self: &std::sync::Arc<Self>) -> Stream {
        Stream::through(std::sync::Arc::clone(self))
    }
}

/// What lines are indented with.
const INDENT: &[u8] = b" \t";

/// A text without its line breaks, and perhaps what lines are indented with.
struct Joined {
    bytes: Vec<u8>,
    /// Where a line begins here, and where it began.
    lines: Vec<(usize, usize)>,
}

impl Joined {
    fn of(text: &[u8], indent: &[u8]) -> Self {
        let (mut bytes, mut lines) = (Vec::with_capacity(text.len()), Vec::new());
        let mut began = 0;
        for line in text.split(|byte| *byte == b'\n') {
            let blanks = line.iter().take_while(|byte| began > 0 && indent.contains(byte)).count();
            let kept = &line[blanks..];
            let kept = kept.strip_suffix(b"\r").unwrap_or(kept);
            lines.push((bytes.len(), began + blanks));
            bytes.extend_from_slice(kept);
            began += line.len() + 1;
        }
        Self { bytes, lines }
    }

    /// Where a byte stood.
    fn origin(&self, at: usize) -> usize {
        let line = self.lines.partition_point(|(here, _)| *here <= at).saturating_sub(1);
        self.lines.get(line).map_or(at, |(here, there)| there + (at - here))
    }
}

/// 64 hex digits, as of a container or a digest, perhaps after `sha256:`.
fn is_digest(text: &str) -> bool {
    let digits = text.strip_prefix("sha256:").unwrap_or(text);
    digits.len() == 64 && digits.bytes().all(|b| b.is_ascii_hexdigit())
}
