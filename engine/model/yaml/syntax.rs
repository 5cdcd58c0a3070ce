//! What the parser of YAML says, in words a person can use; and the trap of an unquoted `${{` inside `{ }`.

use saphyr_parser::ScanError;

use super::{MAX_DEPTH, Place};
use crate::trouble::Trouble;

pub(super) const FLATTEN: &str = "nobody reads this deep; flatten it";

/// The message for the trap; both readings of the text use it.
const UNQUOTED: &str = "a `${{ }}` inside `{ }` or `[ ]` must be in quotes";

/// What the parser says of a tab after `:` or `-`; it points behind the tab.
const AFTER_COLON: &str = "followed by a valid YAML whitespace";

const CLOSE: &str = "end the text with the quote it begins with";

/// One trouble from one error.
pub(super) fn explain(text: &str, error: &ScanError) -> Trouble {
    let (line, column) = (error.marker().line(), error.marker().col());
    // At the end of the text there is no line to show; what was left open is what matters.
    if text.lines().skip(line.saturating_sub(1)).all(|rest| rest.trim().is_empty())
        && let Some(trouble) = left_open(text)
    {
        return trouble;
    }
    let written = text.lines().nth(line.saturating_sub(1)).unwrap_or_default();
    let before: String = written.chars().take(column).collect();
    let (mut column, number) = (column + 1, |n: usize| u32::try_from(n).unwrap_or(u32::MAX));
    let (message, hint) =
        if before.ends_with('$') && written.chars().skip(column - 1).collect::<String>().starts_with("{{") {
            column -= 1;
            (UNQUOTED.to_owned(), Some(quoted(&written.chars().skip(column - 1).collect::<String>())))
        } else {
            let (message, hint) = sentence(error.info(), written, &before);
            if let Some(tab) =
                before.chars().rev().position(|c| c == '\t').filter(|_| error.info().contains(AFTER_COLON))
            {
                column -= tab + 1;
            }
            (message, hint.map(str::to_owned))
        };
    Trouble { line: number(line), column: number(column), message, hint }
}

/// The innermost `{` or `[` that is never closed. Only those that begin a value count; quotes and comments are skipped.
fn left_open(text: &str) -> Option<Trouble> {
    let mut open: Vec<(char, u32, u32)> = Vec::new();
    let (mut line, mut column) = (1_u32, 0_u32);
    // The last character that is not a blank, and whether a blank stands before this one.
    let (mut last, mut blank) = ('\n', true);
    let mut characters = text.chars();
    while let Some(c) = characters.next() {
        column += 1;
        let begins = "\n:-,{[".contains(last) && (blank || "{[,".contains(last));
        match c {
            '\n' => (line, column) = (line + 1, 0),
            '#' if blank => {
                let _ = characters.by_ref().take_while(|c| *c != '\n').count();
                (line, column, blank) = (line + 1, 0, true);
                continue;
            }
            '"' | '\'' if begins => {
                for inner in characters.by_ref() {
                    (line, column) = if inner == '\n' { (line + 1, 0) } else { (line, column + 1) };
                    if inner == c {
                        break;
                    }
                }
            }
            '{' | '[' if begins => open.push((c, line, column)),
            '}' | ']' if !open.is_empty() => drop(open.pop()),
            _ => {}
        }
        blank = c.is_whitespace();
        if c == '\n' || !blank {
            // In brackets a line's end is a blank like any other.
            last = if c == '\n' && !open.is_empty() { last } else { c };
        }
    }
    let (bracket, line, column) = open.pop()?;
    let close = if bracket == '{' { '}' } else { ']' };
    let message = format!("the `{bracket}` that begins here is not closed");
    Some(Trouble { line, column, message, hint: Some(format!("end it with `{close}`")) })
}

fn quoted(rest: &str) -> String {
    let end = rest.find("}}").map_or(rest.len(), |end| end + 2);
    format!("write `\"{}\"`", &rest[..end])
}

fn sentence(info: &str, line: &str, before: &str) -> (String, Option<&'static str>) {
    let has = |part: &str| info.contains(part);
    let starts_line = before.trim().is_empty();
    let begins_quotes = line.chars().nth(before.chars().count()).is_some_and(|c| c == '"' || c == '\'');
    let (message, hint) = if has("tabs disallowed") || (has("tab") && line.starts_with('\t')) {
        ("a tab cannot indent", Some("use spaces"))
    } else if has(AFTER_COLON) {
        ("a tab cannot stand here", Some("put a space after a `:` or a `-`"))
    } else if begins_quotes && !has("trailing content") && !has("escape") {
        ("the quotes that begin here are not closed", Some(CLOSE))
    } else if has("mapping values are not allowed")
        && before.matches(": ").count() + before.matches(":\t").count() > 0
    {
        ("a second `:` on this line", Some("a value with `: ` in it must be in quotes"))
    } else if has("mapping values are not allowed") {
        ("this key is indented deeper than the line above allows", Some("indent it like its neighbours"))
    } else if has("unexpected end of stream") && has("quoted") {
        ("the quotes that begin here are not closed", Some(CLOSE))
    } else if has("flow mapping") || (has("flow") && has("'}'")) {
        ("expected `,` or `}` here", Some("a value with `{ } [ ] ,` or `: ` in it must be in quotes"))
    } else if has("flow sequence") || has("']'") {
        ("expected `,` or `]` here", Some("a value with `{ } [ ] ,` or `: ` in it must be in quotes"))
    } else if has("illegal placement of ':'") {
        ("this `:` is out of place", Some("is a `}`, a `]` or a quote missing above?"))
    } else if has("unknown anchor") {
        ("there is no anchor of this name", Some("a value that begins with `*` must be in quotes"))
    } else if has("unexpected character") {
        ("a value cannot begin with this character", Some("put the value in quotes"))
    } else if has("escape") {
        ("an unknown escape after `\\` in double quotes", Some("in single quotes a `\\` stands for itself"))
    } else if has("block sequence entries are not allowed") {
        ("a list with `- ` begins on a line of its own", Some("or write it as `[a, b]`"))
    } else if has("trailing content") {
        ("there is something after the closing quote", Some("put the whole value in quotes"))
    } else if has("recursion limit") {
        return (format!("this is nested deeper than {MAX_DEPTH} levels"), Some(FLATTEN));
    } else if has("expected '-' indicator") {
        (
            "this line is not an item of the list above, nor does it end it",
            Some("indent it like its neighbours, or begin it with `- `"),
        )
    } else if has("did not find expected key")
        || has("simple key")
        || has("invalid indentation")
        || has("could not find expected ':'")
    {
        let hint = if starts_line { "indent it like its neighbours" } else { "is a `:` missing?" };
        ("this is not a `key: value` of the map above", Some(hint))
    } else {
        return (format!("this is not YAML: {info}"), Some("put values with special characters in quotes"));
    };
    (message.to_owned(), hint)
}

pub(super) fn is_unquoted_expression(text: &str, trouble: &Trouble) -> bool {
    trouble.message == UNQUOTED && text.contains("${{")
}

/// Characters of the private use area that stand for those with a meaning inside `{ }`; each is one character, so that
/// places stay what they are.
const HIDDEN: [(char, char); 7] = [
    ('{', '\u{e000}'),
    ('}', '\u{e001}'),
    ('[', '\u{e002}'),
    (']', '\u{e003}'),
    (',', '\u{e004}'),
    (':', '\u{e005}'),
    ('#', '\u{e006}'),
];

/// The text with every `${{ … }}` of one line made a harmless word.
pub(super) fn hide_expressions(text: &str) -> String {
    let mut hidden = String::with_capacity(text.len() * 2);
    let mut rest = text;
    while let Some(start) = rest.find("${{") {
        let (plain, from) = rest.split_at(start);
        hidden.push_str(plain);
        let end = from.find("}}").map(|end| end + 2).filter(|end| !from[..*end].contains('\n'));
        let (expression, after) = from.split_at(end.unwrap_or(3));
        let swap = |c: char| HIDDEN.iter().find(|(plain, _)| *plain == c).map_or(c, |(_, hidden)| *hidden);
        hidden.extend(expression.chars().map(|c| if end.is_some() { swap(c) } else { c }));
        rest = after;
    }
    hidden.push_str(rest);
    hidden
}

/// Puts the characters back; tells whether there were any.
pub(super) fn reveal(text: &str) -> Option<String> {
    let plain = |c: char| HIDDEN.iter().find(|(_, hidden)| *hidden == c).map(|(plain, _)| *plain);
    text.contains(|c| plain(c).is_some()).then(|| text.chars().map(|c| plain(c).unwrap_or(c)).collect())
}

/// The trouble for an expression that stands unquoted inside `{ }` or `[ ]`.
pub(super) fn unquoted(place: Place, text: &str) -> Trouble {
    Trouble { line: place.line, column: place.column, message: UNQUOTED.to_owned(), hint: Some(quoted(text)) }
}
