//! Held against the plain meaning of the words: whatever the secrets, the text around them and the pieces it comes in.

use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use proptest::prelude::*;
use serde_json::{Value, json};

use super::*;

fn scrubber(secrets: &[(&str, &str)]) -> Scrubber {
    let mut scrubber = Scrubber::default();
    for (name, value) in secrets {
        scrubber.learn(name, value);
    }
    scrubber
}

/// How programs write a value; written independently of the forms that are looked for.
fn encodings(value: &str) -> Vec<String> {
    let joined = |parts: Vec<String>| parts.concat();
    let hex = joined(value.bytes().map(|byte| format!("{byte:02x}")).collect());
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-._~".contains(&byte);
    let url = |upper: bool, blank: &str| -> String {
        let one = |byte: u8| match byte {
            b' ' => blank.to_owned(),
            byte if plain(byte) => char::from(byte).to_string(),
            byte if upper => format!("%{byte:02X}"),
            byte => format!("%{byte:02x}"),
        };
        value.bytes().map(one).collect()
    };
    let quoted = Value::from(value).to_string();
    let json = quoted[1..quoted.len() - 1].to_owned();
    let unicode = joined(value.encode_utf16().map(|unit| format!("\\u{unit:04x}")).collect());
    let mut all = vec![value.to_owned(), hex.clone(), hex.to_uppercase(), STANDARD.encode(value)];
    all.extend([URL_SAFE_NO_PAD.encode(value), json.replace('/', "\\/"), json, unicode]);
    all.extend([url(true, "%20"), url(false, "%20"), url(true, "+")]);
    all
}

/// What no neighbour has a part in, at each offset.
fn inside(value: &str) -> Vec<String> {
    let encoded = |before: &str| STANDARD.encode(format!("{before}{value}"));
    let length = value.len();
    vec![encoded("a")[2..8 * (length + 1) / 6].to_owned(), encoded("ab")[3..8 * (length + 2) / 6].to_owned()]
}

#[test]
fn a_value_in_every_form_becomes_its_name() {
    let value = "p4ss w/rd \"ü\"\\ <&>";
    let known = scrubber(&[("db/password", value)]);
    for form in encodings(value) {
        assert_eq!(known.text(&format!("a {form} b")), "a [secret db/password] b", "{form}");
    }
    for before in ["", "u", "us", "user:"] {
        for after in ["", "\n", "xy", "xyz"] {
            let text = STANDARD.encode(format!("{before}{value}{after}"));
            let scrubbed = known.text(&text);
            assert!(scrubbed.contains("[secret db/password]"), "{scrubbed}");
            assert!(scrubbed.len() < 20 + 8 + 2 * (before.len() + after.len()), "{scrubbed}");
        }
    }
}

#[test]
fn the_longest_of_those_that_begin_first_is_taken() {
    let known = scrubber(&[("a", "abcdef"), ("b", "abcdefgh"), ("c", "cdefghijkl"), ("d", "abcdefghijklm")]);
    assert_eq!(known.text("xabcdefx abcdefghx"), "x[secret a]x [secret b]x");
    assert_eq!(known.text("abcdefghijkl"), "[secret b]ijkl");
    assert_eq!(known.text("abcdefghijklmn"), "[secret d]n");
    assert_eq!(known.text("zcdefghijkl"), "z[secret c]");
    let mut stream = Arc::new(known).stream();
    assert_eq!(&*stream.push(b"xx abcdefgh"), b"xx ");
    assert_eq!(&*stream.push(b"ijkl"), b"", "it may still become the longest");
    assert_eq!(&*stream.push(b"!"), b"[secret b]ijkl!");
    assert_eq!(stream.finish(), b"");
}

#[test]
fn a_part_of_a_value_where_a_text_was_cut() {
    let known = scrubber(&[("a", "hunter2-and-more")]);
    assert_eq!(known.cut("x hunter2-and-more hunter2-an"), "x [secret a] [secret]");
    assert_eq!(known.cut("x hunter2-and-more hunte"), "x [secret a] hunte", "too short to tell");
    assert_eq!(known.cut("hunter2-an is not at the end"), "hunter2-an is not at the end");
}

#[test]
fn lines_of_a_value_and_no_short_ones() {
    let known =
        scrubber(&[("key", "-----BEGIN KEY-----\r\nAAAAfirst\r\nBBBBsecond\nend\n-----END KEY-----\n")]);
    let text = "-----BEGIN KEY-----\n  AAAAfirst\n  BBBBsecond\n  end\n";
    assert_eq!(known.text(text), "-----BEGIN KEY-----\n  [secret key]\n  [secret key]\n  end\n");
    assert!(scrubber(&[("pin", "12345")]).is_empty(), "too short");
}

#[test]
fn text_scrubbed_twice_is_the_same_and_the_first_name_wins() {
    let known = scrubber(&[("hunter2", "hunter2"), ("b", "same value"), ("a", "same value")]);
    let once = known.text("hunter2 and same value").into_owned();
    assert_eq!(once, "[secret hunter2] and [secret b]");
    assert_eq!(known.text(&once), once);
    assert_eq!(known.first(&once), None);
    assert_eq!(known.first("x same value"), Some((2, "[secret b]")));
}

#[test]
fn documents_keep_their_shape() {
    let known = scrubber(&[("a", "hunter2!"), ("doc", r#"{"user":"x","port":1}"#), ("pin", "123456")]);
    let digest = format!("{}123456", "ab".repeat(29));
    let mut document = json!({
        "hunter2!": ["x hunter2!", 123_456, null], "[secret a]": 1, "id": digest, "image": format!("sha256:{digest}"),
        "deep": { "login": { "port": 1, "user": "x" } }, "text": "{\"user\":\"x\",\"port\":1}",
        "pin": "123456", "used": { "secret": "doc", "version": "1" }, "echo": { "secret": "hunter2!", "version": "1" },
    });
    known.json(&mut document);
    let wanted = json!({
        "[secret a]": 1, "[secret a] (2)": ["x [secret a]", 123_456, null],
        "id": digest, "image": format!("sha256:{digest}"),
        "deep": { "login": { "port": 1, "user": "x" } }, "text": "[secret doc]", "pin": "[secret pin]",
        "used": { "secret": "doc", "version": "1" }, "echo": { "secret": "[secret a]", "version": "1" },
    });
    assert_eq!(document, wanted);
    let known = scrubber(&[("doc", r#"{"port":1,"user":"x"}"#), ("pin", "123456")]);
    let mut document = json!({ "deep": [{ "port": 1, "user": "x" }, 123_456], "id": digest });
    known.json(&mut document);
    assert_eq!(document, json!({ "deep": ["[secret doc]", 123_456], "id": digest }));
    let mut whole = json!("ab".repeat(32));
    scrubber(&[("key", &"ab".repeat(32))]).json(&mut whole);
    assert_eq!(whole, "[secret key]", "a secret may look like a digest");
}

#[test]
fn what_is_written_in_pieces_comes_out_whole() {
    let value = SecretValue::new("written-in-pieces".to_owned()).unwrap();
    learn(&SecretName::new("test/pieces").unwrap(), &value);
    let mut out = Vec::new();
    {
        let mut writer = writer(&mut out);
        for piece in ["a writ", "ten-in", "-pieces b", " written-in"] {
            writer.write_all(piece.as_bytes()).unwrap();
        }
    }
    assert_eq!(String::from_utf8(out).unwrap(), "a [secret test/pieces] b written-in");
}

#[test]
fn learning_one_by_one_is_not_quadratic() {
    let mut known = Scrubber::default();
    for n in 0..1_000 {
        let value = format!("value-{n}-of-many");
        known.learn(&format!("n/{n}"), &value);
        assert_eq!(known.text(&value), format!("[secret n/{n}]"));
    }
    known.learn("n/0", "value-0-of-many");
    assert_eq!(known.text("value-999-of-many"), "[secret n/999]");
}

/// Texts with many near misses: few letters, so that secrets overlap each other and their surroundings.
fn secret() -> impl Strategy<Value = String> {
    prop_oneof![
        "[ab]{6,12}",
        "[a-zA-Z0-9]{8,40}",
        "[ -Z^-~äß€😀\\\\]{6,40}",
        "[a-d]{6,9}\n[a-d ]{3,20}\r\n?[x-z]{0,9}"
    ]
}

fn surroundings() -> impl Strategy<Value = String> {
    prop_oneof![
        "[ab]{0,20}",
        "[ -~]{0,40}",
        "\\PC{0,20}",
        "[A-Za-z0-9+/=]{0,60}",
        "(%[0-9a-f]{2}|\\\\u00[0-9a-f]{2}){0,9}"
    ]
}

/// A text with secrets in some of their forms, and the pieces it comes in.
fn text_of(secrets: &[String], around: &[String], picks: &[(usize, usize)]) -> String {
    let mut text = around.first().cloned().unwrap_or_default();
    for (n, (secret, form)) in picks.iter().enumerate() {
        let secret = &secrets[secret % secrets.len()];
        let forms = encodings(secret);
        text.push_str(&forms[form % forms.len()]);
        text.push_str(&around[(n + 1) % around.len()]);
    }
    text
}

fn in_pieces(known: Scrubber, text: &[u8], sizes: &[usize]) -> Vec<u8> {
    let mut stream = Arc::new(known).stream();
    let (mut out, mut rest, mut n) = (Vec::new(), text, 0);
    while !rest.is_empty() {
        let (piece, more) = rest.split_at(sizes[n % sizes.len()].min(rest.len()));
        out.extend_from_slice(&stream.push(piece));
        (rest, n) = (more, n + 1);
    }
    out.extend(stream.finish());
    out
}

/// The plain meaning: at each place the longest pattern that begins there.
fn plainly(secrets: &[String], text: &[u8]) -> Vec<u8> {
    let mut patterns: Vec<(Vec<u8>, usize)> = Vec::new();
    for (n, secret) in secrets.iter().enumerate() {
        patterns.push((format!("[secret s/{n}]").into_bytes(), n));
        forms::forms(secret, &mut |form| patterns.push((form.to_vec(), n)));
    }
    patterns.sort_by_key(|(bytes, n)| (std::cmp::Reverse(bytes.len()), *n));
    let (mut out, mut at) = (Vec::new(), 0);
    while at < text.len() {
        if let Some((bytes, n)) = patterns.iter().find(|(bytes, _)| text[at..].starts_with(bytes)) {
            out.extend(format!("[secret s/{n}]").into_bytes());
            at += bytes.len();
        } else {
            out.push(text[at]);
            at += 1;
        }
    }
    out
}

fn knowing(secrets: &[String]) -> Scrubber {
    let mut known = Scrubber::default();
    for (n, secret) in secrets.iter().enumerate() {
        known.learn(&format!("s/{n}"), secret);
    }
    known
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, ..ProptestConfig::default() })]

    #[test]
    fn no_form_of_a_secret_survives(
        secrets in prop::collection::vec(secret(), 1..6),
        around in prop::collection::vec(surroundings(), 1..5),
        picks in prop::collection::vec((any::<usize>(), any::<usize>()), 0..8),
        sizes in prop::collection::vec(1_usize..40, 1..6),
    ) {
        let text = text_of(&secrets, &around, &picks);
        let known = knowing(&secrets);
        let scrubbed = known.text(&text).into_owned();
        for secret in &secrets {
            for form in encodings(secret).into_iter().chain(inside(secret)) {
                prop_assert!(!scrubbed.contains(&form), "{form:?} in {scrubbed:?}");
            }
        }
        prop_assert_eq!(&known.text(&scrubbed), &scrubbed);
        prop_assert_eq!(plainly(&secrets, text.as_bytes()), scrubbed.as_bytes());
        prop_assert_eq!(in_pieces(known, text.as_bytes(), &sizes), scrubbed.as_bytes());
    }

    #[test]
    fn text_without_secrets_stays_as_it_is(
        secrets in prop::collection::vec("[q-z]{6,30}", 1..6),
        text in prop::collection::vec(any::<u8>(), 0..400),
        sizes in prop::collection::vec(1_usize..40, 1..6),
    ) {
        // Letters, digits and signs of other forms occur, the secrets do not.
        let text: Vec<u8> = text.into_iter().map(|byte| if byte.is_ascii_alphabetic() { byte & 0x4f } else { byte }).collect();
        let known = knowing(&secrets);
        if known.bytes(&text) == text {
            prop_assert_eq!(in_pieces(known, &text, &sizes), text);
        } else {
            prop_assert_eq!(known.bytes(&text).into_owned(), plainly(&secrets, &text));
        }
    }
}

#[test]
fn lines_do_not_hide_a_value() {
    let value = "a token of some length: 0123456789-abcdefghij-0123456789-ABCDEFGHIJ-0123456789";
    let known = scrubber(&[("api/token", value)]);
    let folded = |text: &str, width: usize, between: &str| -> String {
        let pieces: Vec<String> =
            text.as_bytes().chunks(width).map(|piece| String::from_utf8_lossy(piece).into_owned()).collect();
        pieces.join(between)
    };
    for before in ["", "u", "us", "user:", "somebody:"] {
        let whole = format!("{before}{value}\n");
        let hex = encodings(&whole)[1].clone();
        for written in [STANDARD.encode(&whole), hex, whole.trim_end().to_owned()] {
            for (width, between) in [(76, "\n"), (64, "\r\n"), (60, "\n  "), (20, "\n")] {
                let text = format!("first\n{}\nlast", folded(&written, width, between));
                let scrubbed = known.text(&text);
                assert!(scrubbed.contains("[secret api/token]"), "{before} {width}: {scrubbed}");
                assert!(scrubbed.starts_with("first\n") && scrubbed.ends_with("\nlast"), "{scrubbed}");
                let again = scrubbed.replace([' ', '\n', '\r'], "");
                for form in encodings(value).into_iter().chain(inside(value)) {
                    assert!(!again.contains(&form.replace(' ', "")), "{before} {width}: {scrubbed}");
                }
                assert_eq!(known.text(&scrubbed), scrubbed, "twice is once");
            }
        }
    }
    for text in ["", "\n", "a token of\nsome other", "one\r\n  two\n\nthree\n"] {
        assert!(matches!(known.text(text), Cow::Borrowed(_)), "{text:?}");
    }
}
