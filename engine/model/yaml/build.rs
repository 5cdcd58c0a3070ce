//! From the parser's events to the tree.

use std::collections::HashMap;
use std::panic::{AssertUnwindSafe, catch_unwind};

use saphyr_parser::{Event, Parser, ScalarStyle, ScanError, Span, StrInput};
use serde_json::Value;

use super::{
    Content, Entry, MAX_DEPTH, MAX_NODES, MAX_TEXT_BYTES, Node, Place, Scalar, Style, scalar, syntax,
};
use crate::trouble::Trouble;

pub(super) fn read(text: &str) -> (Option<Node>, Vec<Trouble>) {
    if text.len() > MAX_TEXT_BYTES {
        let message = format!("the text is larger than {} KiB", MAX_TEXT_BYTES / 1024);
        let hint = Some("split it over several runbooks".to_owned());
        return (None, vec![Trouble { line: 1, column: 1, message, hint }]);
    }
    let first = attempt(text, false);
    if !first.1.iter().any(|trouble| syntax::is_unquoted_expression(text, trouble)) {
        return first;
    }
    // An unquoted `${{` inside `{ }` or `[ ]` breaks the syntax from there on. Read again with its braces hidden, so that
    // every such place and everything else that is wrong is found at once.
    let second = attempt(&syntax::hide_expressions(text), true);
    if second.1.is_empty() { first } else { second }
}

fn attempt(text: &str, hidden: bool) -> (Option<Node>, Vec<Trouble>) {
    // The scanner is meant never to panic; if it does, the text is at fault and not the engine.
    catch_unwind(AssertUnwindSafe(|| Builder::new(text, hidden).document())).unwrap_or_else(|_| {
        let message = "this is not YAML".to_owned();
        let hint = Some("a runbook begins with `format: 1`".to_owned());
        (None, vec![Trouble { line: 1, column: 1, message, hint }])
    })
}

/// Why reading cannot go on; the trouble itself is already noted.
struct Stop;

struct Builder<'t> {
    text: &'t str,
    parser: Parser<'t, StrInput<'t>>,
    anchors: HashMap<usize, (Node, usize)>,
    nodes: usize,
    /// Whether the expressions of the text are hidden.
    hidden: bool,
    /// How many `{` and `[` are open.
    open: usize,
    troubles: Vec<Trouble>,
}

impl<'t> Builder<'t> {
    fn new(text: &'t str, hidden: bool) -> Self {
        let parser = Parser::new_from_str(text);
        Self { text, parser, anchors: HashMap::new(), nodes: 0, hidden, open: 0, troubles: Vec::new() }
    }

    fn document(mut self) -> (Option<Node>, Vec<Trouble>) {
        let node = self.root().unwrap_or(None);
        (node, self.troubles)
    }

    fn root(&mut self) -> Result<Option<Node>, Stop> {
        let mut root = None;
        loop {
            let (event, span) = self.next()?;
            match event {
                Event::StreamStart | Event::DocumentEnd | Event::Nothing => {}
                Event::DocumentStart(_) if root.is_some() => {
                    self.trouble(
                        place(span),
                        "a second document begins here",
                        Some("a file holds one runbook; remove the `---` or make it another file"),
                    );
                    return Ok(root);
                }
                Event::DocumentStart(_) => {
                    let (event, span) = self.next()?;
                    match self.node(event, span, 0) {
                        Ok(node) => root = Some(node),
                        // What was read before the error is lost with its parents.
                        Err(Stop) => return Ok(None),
                    }
                }
                _ => return Ok(root),
            }
        }
    }

    fn next(&mut self) -> Result<(Event<'t>, Span), Stop> {
        match self.parser.next_event() {
            Some(Ok(next)) => Ok(next),
            Some(Err(error)) => Err(self.broken(&error)),
            None => Ok((Event::StreamEnd, Span::default())),
        }
    }

    fn broken(&mut self, error: &ScanError) -> Stop {
        let trouble = syntax::explain(self.text, error);
        self.troubles.push(trouble);
        Stop
    }

    fn trouble(&mut self, place: Place, message: impl Into<String>, hint: Option<&str>) {
        self.troubles.push(Trouble {
            line: place.line,
            column: place.column,
            message: message.into(),
            hint: hint.map(str::to_owned),
        });
    }

    fn node(&mut self, event: Event<'t>, span: Span, depth: usize) -> Result<Node, Stop> {
        let place = place(span);
        self.counted(1, place)?;
        if depth > MAX_DEPTH {
            let message = format!("this is nested deeper than {MAX_DEPTH} levels");
            self.trouble(place, message, Some(syntax::FLATTEN));
            return Err(Stop);
        }
        let before = self.nodes;
        // The parser gives `{` and `[` a width, and the start of a block none.
        let braces = usize::from(!span.is_empty());
        let (anchor, tagged, content) = match event {
            Event::Scalar(text, style, anchor, tag) => {
                (anchor, tag.is_some(), Content::Scalar(self.scalar(&text, style, span)))
            }
            Event::SequenceStart(anchor, tag) => {
                self.open += braces;
                let items = self.list(depth)?;
                self.open -= braces;
                (anchor, tag.is_some(), Content::List(items))
            }
            Event::MappingStart(anchor, tag) => {
                self.open += braces;
                let entries = self.map(depth)?;
                self.open -= braces;
                (anchor, tag.is_some(), Content::Map(entries))
            }
            Event::Alias(anchor) => return self.alias(anchor, place),
            _ => {
                self.trouble(place, "a value is missing here", Some("write one, or leave the key out"));
                return Err(Stop);
            }
        };
        if tagged {
            self.trouble(place, "tags (`!…`) are not used in runbooks", Some("quotes make a text: `\"1\"`"));
        }
        let node = Node { place, content };
        if anchor > 0 {
            self.anchors.insert(anchor, (node.clone(), self.nodes - before + 1));
        }
        Ok(node)
    }

    fn scalar(&mut self, text: &str, style: ScalarStyle, span: Span) -> Scalar {
        match syntax::reveal(text).filter(|_| self.hidden) {
            Some(revealed) => {
                if style == ScalarStyle::Plain && self.open > 0 {
                    self.troubles.push(syntax::unquoted(place(span), &revealed));
                }
                written(&revealed, style, span)
            }
            None => written(text, style, span),
        }
    }

    fn counted(&mut self, nodes: usize, place: Place) -> Result<(), Stop> {
        self.nodes += nodes;
        if self.nodes > MAX_NODES {
            let message = format!("there are more than {MAX_NODES} values");
            self.trouble(place, message, Some("repeat less with aliases (`*name`)"));
            return Err(Stop);
        }
        Ok(())
    }

    fn alias(&mut self, anchor: usize, place: Place) -> Result<Node, Stop> {
        let Some((_, size)) = self.anchors.get(&anchor) else {
            self.trouble(place, "this alias stands inside what it repeats", Some("write the value out"));
            return Err(Stop);
        };
        self.counted(*size, place)?;
        Ok(self.anchors[&anchor].0.clone())
    }

    fn list(&mut self, depth: usize) -> Result<Vec<Node>, Stop> {
        let mut items = Vec::new();
        loop {
            let (event, span) = self.next()?;
            if event == Event::SequenceEnd {
                return Ok(items);
            }
            items.push(self.node(event, span, depth + 1)?);
        }
    }

    fn map(&mut self, depth: usize) -> Result<Vec<Entry>, Stop> {
        let mut entries: Vec<Entry> = Vec::new();
        loop {
            let (event, span) = self.next()?;
            if event == Event::MappingEnd {
                return Ok(entries);
            }
            let key = self.node(event, span, depth + 1)?;
            let (event, span) = self.next()?;
            let value = self.node(event, span, depth + 1)?;
            let key_place = key.place;
            let Content::Scalar(Scalar { text: key, .. }) = key.content else {
                self.trouble(
                    key_place,
                    "a key must be a text",
                    Some("put it in quotes if it begins with `{` or `[`"),
                );
                continue;
            };
            match entries.iter().find(|entry| entry.key == key) {
                Some(first) => {
                    let hint = format!("the first one is on line {}", first.key_place.line);
                    self.trouble(
                        key_place,
                        format!("the key `{}` is written twice", key.escape_debug()),
                        Some(&hint),
                    );
                }
                None => entries.push(Entry { key, key_place, value }),
            }
        }
    }
}

fn place(span: Span) -> Place {
    let number = |n: usize| u32::try_from(n).unwrap_or(u32::MAX);
    Place { line: number(span.start.line()), column: number(span.start.col() + 1) }
}

fn written(text: &str, style: ScalarStyle, span: Span) -> Scalar {
    let one_line = span.start.line() == span.end.line();
    let plain = style == ScalarStyle::Plain;
    let value = if plain { scalar::resolve(text) } else { Value::from(text) };
    let style = match style {
        ScalarStyle::Literal => Style::Literal,
        ScalarStyle::Plain if one_line => Style::Plain,
        ScalarStyle::SingleQuoted | ScalarStyle::DoubleQuoted if one_line => Style::Quoted,
        ScalarStyle::Plain | ScalarStyle::SingleQuoted | ScalarStyle::DoubleQuoted | ScalarStyle::Folded => {
            Style::Folded
        }
    };
    Scalar { value, text: text.to_owned(), style }
}
