//! The forms in which a value may turn up: as it is, and as programs encode it on its way into a header, a document, a URL.
//!
//! Of base64 inside a larger text only those characters are known that no neighbour has a part in.

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, STANDARD_NO_PAD, URL_SAFE, URL_SAFE_NO_PAD};
use zeroize::Zeroizing;

use super::MIN_BYTES;

/// Of values up to this length, in bytes, every line is looked for in every form; of longer ones, as it is and in JSON.
const MAX_LINES_ENCODED_BYTES: usize = 8 * 1024;

/// Where programs break long lines of base64 and hex, in characters.
const WIDTHS: [usize; 3] = [76, 64, 60];

/// One form.
pub(super) type Form = Zeroizing<Vec<u8>>;

/// Takes in forms.
type Add<'a> = &'a mut dyn FnMut(Form);

/// Hands over every form of a value and of its lines. The same form may come twice; none is shorter than [`MIN_BYTES`].
pub(super) fn forms(value: &str, add: Add<'_>) {
    let mut long_enough = |form: Form| {
        if form.len() >= MIN_BYTES {
            add(form);
        }
    };
    whole(value, &mut long_enough);
    let trimmed = value.trim();
    if trimmed.len() < value.len() && trimmed.len() >= MIN_BYTES {
        whole(trimmed, &mut long_enough);
    }
    if !value.contains(['\n', '\r']) {
        return;
    }
    for line in value.split(['\n', '\r']).filter(|line| line.len() >= MIN_BYTES && !is_armour(line)) {
        if value.len() <= MAX_LINES_ENCODED_BYTES {
            whole(line, &mut long_enough);
        } else {
            long_enough(form(line));
            json(line, &mut long_enough);
        }
    }
}

/// `-----BEGIN PRIVATE KEY-----` is in every key and gives none away.
fn is_armour(line: &str) -> bool {
    line.starts_with("-----") && line.trim_end().ends_with("-----")
}

fn form(text: &str) -> Form {
    Zeroizing::new(text.as_bytes().to_vec())
}

fn whole(text: &str, add: Add<'_>) {
    add(form(text));
    if text.len() < MIN_BYTES {
        return;
    }
    base64(text, add);
    hex(text, add);
    url(text, add);
    json(text, add);
}

/// Both alphabets; alone with and without padding, inside something else at each of three offsets, and broken into lines.
fn base64(text: &str, add: Add<'_>) {
    for (padded, plain) in [(STANDARD, STANDARD_NO_PAD), (URL_SAFE, URL_SAFE_NO_PAD)] {
        let alone = Zeroizing::new(padded.encode(text));
        lines(&alone, add);
        add(form(&alone));
        add(form(alone.trim_end_matches('=')));
        for offset in 0..3 {
            let mut shifted = Zeroizing::new(vec![0; offset]);
            shifted.extend_from_slice(text.as_bytes());
            let encoded = Zeroizing::new(plain.encode(&*shifted));
            let (from, to) = ((8 * offset).div_ceil(6), 8 * (offset + text.len()) / 6);
            add(form(&encoded[from..to]));
        }
    }
}

fn hex(text: &str, add: Add<'_>) {
    for upper in [false, true] {
        let mut encoded = Zeroizing::new(String::with_capacity(2 * text.len()));
        for byte in text.bytes() {
            push_hex(&mut encoded, byte.into(), 2, upper);
        }
        lines(&encoded, add);
        add(form(&encoded));
    }
}

fn lines(encoded: &str, add: Add<'_>) {
    for width in WIDTHS {
        if encoded.len() > width {
            for line in encoded.as_bytes().chunks(width) {
                add(Zeroizing::new(line.to_vec()));
            }
        }
    }
}

/// What stays as it is beside letters and digits: in RFC 3986, in paths, in `encodeURIComponent`, in forms, in `encodeURI`.
const UNESCAPED: [&str; 6] = ["-._~", "-._~/", "-_.!~*'()", "*-._", ";,/?:@&=+$-_.!~*'()#", ""];

fn url(text: &str, add: Add<'_>) {
    let blanks: &[&str] = if text.contains(' ') { &["%20", "+"] } else { &["%20"] };
    let mut before: Option<Vec<bool>> = None;
    for unescaped in UNESCAPED {
        let plain = |c: char| c.is_ascii_alphanumeric() || c.is_ascii() && unescaped.contains(c);
        let same: Vec<bool> = text.chars().map(plain).collect();
        if before.as_ref() != Some(&same) {
            for (upper, blank) in
                [true, false].into_iter().flat_map(|upper| blanks.iter().map(move |b| (upper, b)))
            {
                add(percent(text, plain, blank, upper));
            }
            before = Some(same);
        }
    }
    for upper in [false, true] {
        add(percent(text, |_| false, "%20", upper));
    }
}

fn percent(text: &str, plain: impl Fn(char) -> bool, blank: &str, upper: bool) -> Form {
    let mut encoded = Zeroizing::new(String::with_capacity(3 * text.len()));
    for byte in text.bytes() {
        let c = char::from(byte);
        if c == ' ' {
            encoded.push_str(blank);
        } else if plain(c) {
            encoded.push(c);
        } else {
            encoded.push('%');
            push_hex(&mut encoded, byte.into(), 2, upper);
        }
    }
    form(&encoded)
}

/// How a program writes text into JSON.
#[derive(Clone, Copy)]
#[expect(clippy::struct_excessive_bools, reason = "programs decide each for itself")]
struct Style {
    /// `\n` rather than `\u000a`.
    short: bool,
    /// `\/`
    slash: bool,
    /// `<`, `>`, `&` and `'` as `\u00XX`, for pages.
    html: bool,
    /// Everything beyond ASCII as `\u` and four hex digits.
    ascii: bool,
    /// Every character as `\u` and four hex digits.
    all: bool,
    /// `\u00E4` rather than `\u00e4`.
    upper: bool,
}

fn json(text: &str, add: Add<'_>) {
    // Most values look the same in most styles.
    let lettered = text.contains(|c: char| letter(c).is_some());
    let coded = lettered || text.contains(|c: char| c.is_control() || is_markup(c) || !c.is_ascii());
    let matters = [lettered, text.contains('/'), text.contains(is_markup), !text.is_ascii(), coded];
    for bits in
        (0..1_u8 << matters.len()).filter(|bits| (0..).zip(matters).all(|(n, on)| on || bits >> n & 1 == 0))
    {
        let is = |bit: u8| bits >> bit & 1 == 1;
        let style =
            Style { short: !is(0), slash: is(1), html: is(2), ascii: is(3), all: false, upper: is(4) };
        let once = escaped(text, style);
        if bits == 0 && once.as_str() != text {
            // A document inside a document, as in a log.
            add(form(&escaped(&once, style)));
        }
        add(form(&once));
    }
    for upper in [false, true] {
        let style = Style { short: false, slash: false, html: false, ascii: true, all: true, upper };
        add(form(&escaped(text, style)));
    }
}

/// What means something in a page.
fn is_markup(c: char) -> bool {
    matches!(c, '<' | '>' | '&' | '\'')
}

/// What stands behind the backslash.
fn letter(c: char) -> Option<char> {
    match c {
        '"' | '\\' => Some(c),
        '\n' => Some('n'),
        '\r' => Some('r'),
        '\t' => Some('t'),
        '\u{8}' => Some('b'),
        '\u{c}' => Some('f'),
        _ => None,
    }
}

fn escaped(text: &str, style: Style) -> Zeroizing<String> {
    let mut out = Zeroizing::new(String::with_capacity(text.len() * 6));
    for c in text.chars() {
        let letter = letter(c);
        let must = letter.is_some() || c < ' ' || c == '\u{7f}' && style.ascii;
        if style.all
            || must && !(style.short && letter.is_some())
            || style.html && is_markup(c)
            || style.ascii && !c.is_ascii()
        {
            for unit in c.encode_utf16(&mut [0; 2]) {
                out.push_str("\\u");
                push_hex(&mut out, u32::from(*unit), 4, style.upper);
            }
        } else if let Some(letter) = letter {
            out.extend(['\\', letter]);
        } else {
            if c == '/' && style.slash {
                out.push('\\');
            }
            out.push(c);
        }
    }
    out
}

fn push_hex(to: &mut String, number: u32, digits: u32, upper: bool) {
    for place in (0..digits).rev() {
        let digit = char::from_digit(number >> (4 * place) & 15, 16).unwrap_or('0');
        to.push(if upper { digit.to_ascii_uppercase() } else { digit });
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    fn all(value: &str) -> BTreeSet<String> {
        let mut all = BTreeSet::new();
        forms(value, &mut |form| {
            all.insert(String::from_utf8(form.to_vec()).unwrap());
        });
        all
    }

    #[test]
    fn every_form_that_was_promised() {
        let value = "pä s/\"1\n";
        let found = all(value);
        for form in [
            "pä s/\"1\n",
            "cMOkIHMvIjEK",
            "70c3a420732f22310a",
            "70C3A420732F22310A",
            "p%C3%A4%20s%2F%221%0A",
            "p%c3%a4+s%2f%221%0a",
            "p%C3%A4%20s/%221%0A",
            "pä s/\\\"1\\n",
            "pä s\\/\\\"1\\n",
            "p\\u00e4 s/\\\"1\\n",
            "p\\u00E4 s\\/\\\"1\\n",
            "pä s/\\u00221\\u000a",
            "\\u0070\\u00e4\\u0020\\u0073\\u002f\\u0022\\u0031\\u000a",
            "pä s/\\\\\\\"1\\\\n",
            "pä s/\"1",
        ] {
            assert!(found.contains(form), "{form} is not in {found:#?}");
        }
        assert!(found.iter().all(|form| form.len() >= MIN_BYTES));
    }

    #[test]
    fn base64_inside_something_else_and_in_lines() {
        let value = "correct horse battery staple, and so on until it is longer than a line of base64";
        let found = all(value);
        for before in ["", "a", "ab", "abc"] {
            for after in ["", "x", "xy"] {
                let encoded = STANDARD.encode(format!("{before}{value}{after}"));
                assert!(found.iter().any(|form| encoded.contains(form.as_str())), "{before:?} {after:?}");
            }
        }
        let encoded = STANDARD.encode(value);
        assert!(found.contains(&encoded[..76]) && found.contains(&encoded[76..]), "{encoded}");
    }

    #[test]
    fn lines_but_no_armour_and_nothing_short() {
        let found = all("-----BEGIN KEY-----\r\nfirst line\r\nb\r\n-----END KEY-----");
        assert!(found.contains("first line") && found.contains("6669727374206c696e65"));
        assert!(!found.contains("-----BEGIN KEY-----") && !found.contains("b"));
        assert!(all("short").is_empty());
        assert!(all("a\nb\nc").iter().all(|form| form.len() > 5), "as a whole it is short as well");
    }
}
