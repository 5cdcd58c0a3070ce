//! What is wrong with a runbook's text, and where: a list of troubles, shown with the line and a hint.

use std::fmt::Write as _;

use serde::Serialize;

use words::text::{is_hidden, visible};

/// One thing that is wrong.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Trouble {
    /// From 1; 0 where no place can be given.
    pub line: u32,
    /// From 1, in characters.
    pub column: u32,
    /// One sentence, lower case, names in backticks.
    pub message: String,
    /// What to do about it.
    pub hint: Option<String>,
}

/// All that is wrong with one text, in order of place.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, thiserror::Error)]
#[error("{} in `{file}`", if troubles.len() == 1 { "1 trouble".to_owned() } else { format!("{} troubles", troubles.len()) })]
pub struct Troubles {
    /// The file's name as the person wrote it, or `library/NAME`.
    pub file: String,
    /// The text.
    #[serde(skip)]
    pub text: String,
    /// What is wrong.
    pub troubles: Vec<Trouble>,
}

/// The widest piece of a line that is shown.
const MAX_SHOWN_CHARS: usize = 160;
/// How much of it stands before the caret at least, where the line is cut on the left.
const SHOWN_BEFORE_CARET: usize = 60;

impl Troubles {
    /// The text for people: for each trouble `file:line:column: message`, the line with a caret, and the hint.
    pub fn render(&self) -> String {
        let lines: Vec<&str> = self.text.lines().collect();
        let mut text = String::new();
        for trouble in &self.troubles {
            let shown =
                usize::try_from(trouble.line).ok().and_then(|n| n.checked_sub(1)).and_then(|n| lines.get(n));
            let _ = match trouble.line {
                0 => writeln!(text, "{}: {}", self.file, visible(&trouble.message)),
                line => {
                    writeln!(text, "{}:{line}:{}: {}", self.file, trouble.column, visible(&trouble.message))
                }
            };
            if let Some(line) = shown.filter(|line| !line.trim().is_empty()) {
                excerpt(&mut text, line, trouble);
            }
            if let Some(hint) = &trouble.hint {
                let _ = writeln!(text, "  hint: {}", visible(hint));
            }
        }
        text
    }
}

/// The line and a caret below it; a long line is cut around the place.
fn excerpt(text: &mut String, line: &str, trouble: &Trouble) {
    let column = usize::try_from(trouble.column).unwrap_or(1).max(1);
    let first = if column > MAX_SHOWN_CHARS { column - 1 - SHOWN_BEFORE_CARET } else { 0 };
    // Tabs and other control characters would move the caret or the terminal; a tab is often what is wrong.
    let shown: String = line
        .chars()
        .skip(first)
        .take(MAX_SHOWN_CHARS)
        .map(|c| match c {
            '\t' => '→',
            c if c.is_control() => ' ',
            // As wide as one, so that the caret stands right; the message says which it is.
            c if is_hidden(c) => char::REPLACEMENT_CHARACTER,
            c => c,
        })
        .collect();
    let number = trouble.line.to_string();
    let _ = writeln!(text, "  {number} | {}", shown.trim_end());
    let _ = writeln!(text, "  {} | {}^", " ".repeat(number.len()), " ".repeat(column - 1 - first));
}

#[cfg(test)]
mod tests {
    use super::{Trouble, Troubles};

    #[test]
    fn a_trouble_shows_its_place_its_line_and_the_way_out() {
        let troubles = Troubles {
            file: "a.yaml".to_owned(),
            text: "format: 1\n\tsteeps: []\n".to_owned(),
            troubles: vec![
                Trouble { line: 0, column: 0, message: "no name".to_owned(), hint: None },
                Trouble {
                    line: 2,
                    column: 2,
                    message: "unknown key `steeps`".to_owned(),
                    hint: Some("did you mean `steps`?".to_owned()),
                },
            ],
        };
        let expected = "a.yaml: no name\n\
            a.yaml:2:2: unknown key `steeps`\n  2 | →steeps: []\n    |  ^\n  hint: did you mean `steps`?\n";
        assert_eq!(troubles.render(), expected);
        let quoted = |text: &str| Troubles {
            troubles: vec![Trouble {
                line: 0,
                column: 0,
                message: text.to_owned(),
                hint: Some(text.to_owned()),
            }],
            ..troubles.clone()
        };
        let expected = "a.yaml: \\u{1b}[2J\n  hint: \\u{1b}[2J\n";
        assert_eq!(quoted("\u{1b}[2J").render(), expected);
        assert_eq!(troubles.to_string(), "2 troubles in `a.yaml`");
    }
}
