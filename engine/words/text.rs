//! Characters that change how other text is shown, or are not shown at all: nobody who reads a terminal can see that they
//! are there. Every text reaches people through here.
//!
//! Letters of every script stay as they are, Arabic and Hebrew as well: the terminal orders them by itself. What only steers
//! that order is written out, and so are the joiners of scripts and emoji, of which the parts stay readable.

use std::borrow::Cow;

/// Whether people could not see this character, or not where it stands.
pub fn is_hidden(c: char) -> bool {
    c.is_control()
        || matches!(c,
            // Soft hyphen, joiners, fillers and marks without a shape.
            '\u{ad}' | '\u{34f}' | '\u{115f}'..='\u{1160}' | '\u{17b4}'..='\u{17b5}' | '\u{180b}'..='\u{180f}'
            | '\u{200b}'..='\u{200d}' | '\u{2060}'..='\u{2065}' | '\u{3164}' | '\u{feff}' | '\u{ffa0}'
            // What steers the direction of writing.
            | '\u{61c}' | '\u{200e}'..='\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{206f}'
            // Ends of lines and paragraphs that are no line feed.
            | '\u{2028}'..='\u{2029}'
            // Variants, but for the two that emoji have; annotations; shorthand and music without a shape.
            | '\u{fe00}'..='\u{fe0d}' | '\u{fff0}'..='\u{fffb}' | '\u{1bca0}'..='\u{1bca3}'
            | '\u{1d173}'..='\u{1d17a}'
            // Tags and further variants.
            | '\u{e0000}'..='\u{e0fff}')
}

/// With every hidden character written out, for example `\u{202e}`.
pub fn visible(text: &str) -> Cow<'_, str> {
    escaped(text, is_hidden)
}

/// The same on one line: ends of lines and tabs become spaces.
pub fn one_line(text: &str) -> Cow<'_, str> {
    if text.contains(['\n', '\t']) {
        Cow::Owned(visible(&text.replace(['\n', '\t'], " ")).into_owned())
    } else {
        visible(text)
    }
}

/// For a terminal: lines, tabs and colours (`ESC [ … m`) stay, every other hidden character is written out.
pub fn for_terminal(text: &str) -> Cow<'_, str> {
    if !text.chars().any(|c| is_hidden(c) && c != '\n' && c != '\t') {
        return Cow::Borrowed(text);
    }
    let mut shown = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(c) = rest.chars().next() {
        if let Some(length) = colour(rest) {
            shown.push_str(&rest[..length]);
            rest = &rest[length..];
            continue;
        }
        match c {
            '\n' | '\t' => shown.push(c),
            c if is_hidden(c) => shown.extend(c.escape_unicode()),
            c => shown.push(c),
        }
        rest = &rest[c.len_utf8()..];
    }
    Cow::Owned(shown)
}

/// Quoted for a shell, if it needs to be. Hidden characters are written out, so that a command can be shown without
/// steering the terminal and still be copied.
pub fn for_shell(text: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "-_./:=@%+,".contains(c);
    if !text.is_empty() && text.chars().all(plain) {
        return text.to_owned();
    }
    if text.chars().any(is_hidden) {
        return format!("$'{}'", text.chars().map(in_shell_quotes).collect::<String>());
    }
    format!("'{}'", text.replace('\'', "'\\''"))
}

/// As between `$'` and `'`.
fn in_shell_quotes(c: char) -> String {
    match c {
        '\n' => "\\n".to_owned(),
        '\t' => "\\t".to_owned(),
        '\'' | '\\' => format!("\\{c}"),
        c if u32::from(c) > 0xffff && is_hidden(c) => format!("\\U{:08x}", u32::from(c)),
        c if is_hidden(c) => format!("\\u{:04x}", u32::from(c)),
        c => c.to_string(),
    }
}

/// JSON with every hidden character inside its texts written as `\u202e`: it means the same.
pub fn for_json(document: &str) -> Cow<'_, str> {
    let hidden = |c: char| is_hidden(c) && !c.is_ascii_control() || c == '\u{7f}';
    if !document.chars().any(hidden) {
        return Cow::Borrowed(document);
    }
    let mut written = String::with_capacity(document.len());
    for c in document.chars() {
        if hidden(c) {
            for unit in c.encode_utf16(&mut [0; 2]) {
                written.push_str(&format!("\\u{unit:04x}"));
            }
        } else {
            written.push(c);
        }
    }
    Cow::Owned(written)
}

fn escaped(text: &str, hidden: impl Fn(char) -> bool) -> Cow<'_, str> {
    if !text.chars().any(&hidden) {
        return Cow::Borrowed(text);
    }
    let mut shown = String::with_capacity(text.len());
    for c in text.chars() {
        if hidden(c) {
            shown.extend(c.escape_unicode());
        } else {
            shown.push(c);
        }
    }
    Cow::Owned(shown)
}

/// The length of the colour with which a text begins.
fn colour(text: &str) -> Option<usize> {
    let codes = text.strip_prefix("\u{1b}[")?;
    let length = codes.bytes().take_while(|byte| byte.is_ascii_digit() || *byte == b';').count();
    codes[length..].starts_with('m').then_some(length + 3)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::{any, proptest};

    use super::*;

    /// One of each kind that has been used to deceive.
    const HIDDEN: [char; 20] = [
        '\u{1b}',
        '\r',
        '\u{7f}',
        '\u{85}',
        '\u{9b}',
        '\u{ad}',
        '\u{61c}',
        '\u{200b}',
        '\u{200d}',
        '\u{200f}',
        '\u{2028}',
        '\u{2029}',
        '\u{202e}',
        '\u{2066}',
        '\u{2069}',
        '\u{2060}',
        '\u{3164}',
        '\u{feff}',
        '\u{e0041}',
        '\u{e0100}',
    ];

    #[test]
    fn what_cannot_be_seen_is_written_out() {
        for c in HIDDEN {
            let wanted = format!("a\\u{{{:x}}}b", u32::from(c));
            let text = format!("a{c}b");
            assert_eq!(visible(&text), wanted);
            assert_eq!(one_line(&text), wanted);
            assert_eq!(for_terminal(&text), wanted);
        }
        assert_eq!(one_line("a\nb\tc\u{202e}"), "a b c\\u{202e}");
    }

    #[test]
    fn scripts_of_the_world_stay_readable() {
        for text in ["überprüft", "مرحبا بالعالم", "שלום עולם", "नमस्ते", "日本語", "❤️ 🇩🇪 👍🏽", "a\nb\tc"]
        {
            assert_eq!(for_terminal(text), text);
        }
        assert_eq!(for_terminal("👩\u{200d}🚒"), "👩\\u{200d}🚒");
    }

    #[test]
    fn colours_stay_and_what_else_steers_a_terminal_does_not() {
        assert_eq!(for_terminal("\u{1b}[1;31mred\u{1b}[0m"), "\u{1b}[1;31mred\u{1b}[0m");
        assert_eq!(for_terminal("\u{1b}[2J\u{1b}]0;t\u{7}"), "\\u{1b}[2J\\u{1b}]0;t\\u{7}");
    }

    #[test]
    fn json_means_the_same() {
        let text: String = HIDDEN.iter().collect();
        let written = serde_json::to_string_pretty(&serde_json::json!({ &text: [text] })).unwrap();
        let shown = for_json(&written);
        assert!(!shown.chars().any(|c| is_hidden(c) && c != '\n'), "{shown}");
        assert!(shown.contains("\\udb40\\udc41"), "{shown}");
        let (a, b): (serde_json::Value, serde_json::Value) =
            (serde_json::from_str(&shown).unwrap(), serde_json::from_str(&written).unwrap());
        assert_eq!(a, b);
    }

    proptest! {
        #[test]
        fn nothing_hidden_is_left_and_nothing_panics(text in any::<String>(), codes in "[\u{1b}\\[0-9;mJ]{0,20}") {
            for text in [&text, &codes] {
                assert!(!visible(text).chars().any(is_hidden));
                let shown = for_terminal(text).into_owned();
                assert_eq!(for_terminal(&shown), shown.as_str());
            }
        }
    }
}
