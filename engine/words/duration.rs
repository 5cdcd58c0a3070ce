//! Durations `6s 2m 1h30m 7d` and sizes `64MiB 8GB` as people write them: always with a unit, never with a fraction.

use std::fmt::Write as _;
use std::time::Duration;

/// The longest duration, ten years: more than any retention and still far from overflow.
pub const MAX_DURATION: Duration = Duration::from_hours(10 * 366 * 24);

/// Units of time in milliseconds, from the largest.
const TIME_UNITS: [(&str, u64); 5] =
    [("d", 24 * 60 * 60 * 1000), ("h", 60 * 60 * 1000), ("m", 60 * 1000), ("s", 1000), ("ms", 1)];

/// Units of size in bytes, from the largest.
const SIZE_UNITS: [(&str, u64); 9] = [
    ("TiB", 1 << 40),
    ("TB", 1_000_000_000_000),
    ("GiB", 1 << 30),
    ("GB", 1_000_000_000),
    ("MiB", 1 << 20),
    ("MB", 1_000_000),
    ("KiB", 1 << 10),
    ("kB", 1000),
    ("B", 1),
];

/// What people also call the units of time.
const TIME_WORDS: [(&str, &[&str]); 6] = [
    ("ms", &["msec", "millis", "milliseconds"]),
    ("s", &["sec", "secs", "second", "seconds"]),
    ("m", &["min", "mins", "minute", "minutes"]),
    ("h", &["hr", "hrs", "hour", "hours"]),
    ("d", &["day", "days"]),
    ("w", &["week", "weeks"]),
];
/// Days of a week, which has no unit.
const DAYS_OF_A_WEEK: u64 = 7;
/// What other programs write for units of size.
const SIZE_WORDS: [(&str, &[&str]); 5] = [
    ("B", &["", "byte", "bytes"]),
    ("KiB", &["k", "ki"]),
    ("MiB", &["m", "mi"]),
    ("GiB", &["g", "gi"]),
    ("TiB", &["t", "ti"]),
];

/// A text that is not a duration or a size.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{text}` is not a {what}{because}")]
pub struct InvalidQuantity {
    text: String,
    what: &'static str,
    because: &'static str,
    /// What was meant; it can be read.
    meant: Vec<String>,
}

impl InvalidQuantity {
    fn new(text: &str, what: &'static str, because: &'static str, meant: Vec<String>) -> Self {
        let text = text.escape_debug().to_string();
        Self { text, what, because, meant }
    }

    /// What was probably meant. It is a duration or a size.
    pub fn meant(&self) -> Option<&str> {
        self.meant.first().map(String::as_str)
    }

    /// What to write instead.
    pub fn hint(&self) -> String {
        match (self.meant.as_slice(), self.what) {
            ([one, two], _) => format!("write `{one}` for bytes, `{two}` for mebibytes"),
            ([one, ..], "duration") if self.text.bytes().all(|b| b.is_ascii_digit()) => {
                format!("write `{one}` for seconds")
            }
            ([one, ..], _) => format!("did you mean `{one}`?"),
            ([], "size") => "write a size like `64MiB` or `8GB`".to_owned(),
            ([], _) => "write a duration like `30s`, `10m`, `1h30m` or `7d`".to_owned(),
        }
    }
}

/// Why a bare number is neither.
const NO_UNIT: &str = ": it has no unit";
/// Why `1.5h` is neither.
const NO_FRACTION: &str = ": whole numbers only";

/// Reads `1h30m`: whole numbers with the units `d h m s ms`, each at most once, the largest first.
pub fn parse_duration(text: &str) -> Result<Duration, InvalidQuantity> {
    read_duration(text).map_err(|because| {
        let bare = !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
        let meant = if bare { Some(format!("{text}s")) } else { meant_duration(text).map(format_duration) };
        let meant = meant.filter(|meant| read_duration(meant).is_ok());
        InvalidQuantity::new(text, "duration", because, meant.into_iter().collect())
    })
}

fn read_duration(text: &str) -> Result<Duration, &'static str> {
    let mut rest = text;
    let mut total_ms: u64 = 0;
    let mut smallest = u64::MAX;
    if rest.is_empty() {
        return Err(": it is empty");
    }
    while !rest.is_empty() {
        let digits = rest.find(|c: char| !c.is_ascii_digit()).unwrap_or(rest.len());
        let (number, tail) = rest.split_at(digits);
        let letters = tail.find(|c: char| !c.is_ascii_alphabetic()).unwrap_or(tail.len());
        let (unit, tail) = tail.split_at(letters);
        if number.is_empty() {
            return Err(if text.starts_with('P') { ": ISO 8601 is not used here" } else { "" });
        }
        if unit.is_empty() {
            return Err(match tail.chars().next() {
                None => NO_UNIT,
                Some('.' | ',') => NO_FRACTION,
                Some(c) if c.is_whitespace() => ": a number and its unit are one word",
                Some(_) => "",
            });
        }
        let Some((_, milliseconds)) = TIME_UNITS.iter().find(|(name, _)| *name == unit) else {
            return Err(": its unit is unknown");
        };
        if *milliseconds >= smallest {
            return Err(": its units must go from large to small");
        }
        smallest = *milliseconds;
        let part = number.parse::<u64>().ok().and_then(|n| n.checked_mul(*milliseconds));
        total_ms = part.and_then(|part| total_ms.checked_add(part)).ok_or(": it is too long")?;
        rest = tail;
    }
    let duration = Duration::from_millis(total_ms);
    if duration > MAX_DURATION { Err(": it is longer than ten years") } else { Ok(duration) }
}

/// What a text that is no duration was meant to be: `5 min`, `1.5h`, `90`, `1h30`.
fn meant_duration(text: &str) -> Option<Duration> {
    let plain: String = text.to_lowercase().split_whitespace().collect();
    let mut rest = plain.as_str();
    let mut total_ms: u64 = 0;
    let mut before = None;
    while !rest.is_empty() {
        let (whole, fraction, tail) = decimal(rest)?;
        let letters = tail.find(|c: char| !c.is_ascii_alphabetic()).unwrap_or(tail.len());
        let (unit, tail) = tail.split_at(letters);
        let unit_ms = match (unit, before) {
            // `1h30` goes on with the next smaller unit, and a number alone is of seconds.
            ("", None | Some(60_000)) if tail.is_empty() => 1000,
            ("", Some(3_600_000)) if tail.is_empty() => 60_000,
            (unit, _) => time_unit(unit)?,
        };
        before = Some(unit_ms);
        total_ms = total_ms.checked_add(scaled(whole, fraction, unit_ms)?)?;
        rest = tail;
    }
    (!plain.is_empty()).then_some(Duration::from_millis(total_ms))
}

fn time_unit(word: &str) -> Option<u64> {
    let short = TIME_WORDS.iter().find(|(short, words)| *short == word || words.contains(&word))?.0;
    let days = if short == "w" { DAYS_OF_A_WEEK } else { 1 };
    let short = if short == "w" { "d" } else { short };
    TIME_UNITS.iter().find(|(name, _)| *name == short).map(|(_, ms)| ms * days)
}

/// Digits before and after the point, and the rest of the text.
fn decimal(text: &str) -> Option<(&str, &str, &str)> {
    let digits = |text: &str| text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    let (whole, tail) = text.split_at(digits(text));
    let (fraction, tail) = match tail.strip_prefix(['.', ',']) {
        Some(after) => after.split_at(digits(after)),
        None => ("", tail),
    };
    (!whole.is_empty()).then_some((whole, fraction, tail))
}

/// `whole.fraction` times a unit, if that is a whole number.
fn scaled(whole: &str, fraction: &str, unit: u64) -> Option<u64> {
    const MAX_DIGITS: usize = 6;
    let part = if fraction.is_empty() {
        0
    } else {
        let digits = u32::try_from(fraction.len()).ok().filter(|_| fraction.len() <= MAX_DIGITS)?;
        let scale = 10_u64.pow(digits);
        let part = fraction.parse::<u64>().ok()?.checked_mul(unit)?;
        if !part.is_multiple_of(scale) {
            return None;
        }
        part / scale
    };
    whole.parse::<u64>().ok()?.checked_mul(unit)?.checked_add(part)
}

/// Writes the shortest text that [`parse_duration`] reads back to the same milliseconds.
pub fn format_duration(duration: Duration) -> String {
    let mut left = u64::try_from(duration.as_millis()).unwrap_or(u64::MAX);
    let mut text = String::new();
    for (unit, milliseconds) in TIME_UNITS {
        if left >= milliseconds {
            let _ = write!(text, "{}{unit}", left / milliseconds);
            left %= milliseconds;
        }
    }
    if text.is_empty() { "0s".to_owned() } else { text }
}

/// Reads `64MiB` into bytes: a whole number and one unit of `B kB MB GB TB KiB MiB GiB TiB`. `KB` is read as `kB`.
pub fn parse_size(text: &str) -> Result<u64, InvalidQuantity> {
    read_size(text).map_err(|because| {
        let mut meant: Vec<String> = meant_size(text).into_iter().collect();
        if because == NO_UNIT {
            meant = vec![format!("{text}B"), format!("{text}MiB")];
        }
        meant.retain(|meant| read_size(meant).is_ok());
        InvalidQuantity::new(text, "size", because, meant)
    })
}

fn read_size(text: &str) -> Result<u64, &'static str> {
    let digits = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    let (number, unit) = text.split_at(digits);
    if number.is_empty() {
        return Err("");
    }
    let unit = if unit == "KB" { "kB" } else { unit };
    let Some((_, bytes)) = SIZE_UNITS.iter().find(|(name, _)| *name == unit) else {
        return Err(match unit.chars().next() {
            None => NO_UNIT,
            Some('.' | ',') => NO_FRACTION,
            Some(c) if c.is_whitespace() => ": a number and its unit are one word",
            Some(_) => ": its unit is unknown",
        });
    };
    number.parse::<u64>().ok().and_then(|n| n.checked_mul(*bytes)).ok_or(": it is too large")
}

/// What a text that is no size was meant to be: `512m`, `64 mib`, `1.5GiB`.
fn meant_size(text: &str) -> Option<String> {
    let plain: String = text.split_whitespace().collect();
    let (whole, fraction, unit) = decimal(&plain)?;
    let lower = unit.to_lowercase();
    let same = SIZE_UNITS.iter().find(|(name, _)| name.eq_ignore_ascii_case(unit)).map(|(name, _)| *name);
    let word = same.or_else(|| {
        SIZE_WORDS.iter().find(|(_, words)| words.contains(&lower.as_str())).map(|(name, _)| *name)
    })?;
    if fraction.is_empty() {
        return Some(format!("{whole}{word}"));
    }
    let (_, bytes) = SIZE_UNITS.iter().find(|(name, _)| *name == word)?;
    scaled(whole, fraction, *bytes).map(format_size)
}

/// Writes the shortest text that [`parse_size`] reads back to the same bytes.
pub fn format_size(bytes: u64) -> String {
    let whole = SIZE_UNITS.iter().filter(|(_, unit)| bytes > 0 && bytes.is_multiple_of(*unit));
    // Binary units are what memory comes in; of two that fit, the one with the shorter number.
    let (unit, size) =
        whole.min_by_key(|(_, size)| (bytes / size).to_string().len()).copied().unwrap_or(("B", 1));
    format!("{}{unit}", bytes / size)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use proptest::prelude::{any, proptest};

    use super::{format_duration, format_size, parse_duration, parse_size};

    #[test]
    fn durations() {
        for (text, ms) in [
            ("6s", 6_000),
            ("2m", 120_000),
            ("1h30m", 5_400_000),
            ("7d", 604_800_000),
            ("500ms", 500),
            ("1s500ms", 1_500),
            ("0s", 0),
            ("90m", 5_400_000),
        ] {
            assert_eq!(parse_duration(text), Ok(Duration::from_millis(ms)), "{text}");
        }
        for (text, message, hint) in [
            ("", "`` is not a duration: it is empty", "write a duration like `30s`, `10m`, `1h30m` or `7d`"),
            ("30", "`30` is not a duration: it has no unit", "write `30s` for seconds"),
            (
                "PT30S",
                "`PT30S` is not a duration: ISO 8601 is not used here",
                "write a duration like `30s`, `10m`, `1h30m` or `7d`",
            ),
            ("1.5h", "`1.5h` is not a duration: whole numbers only", "did you mean `1h30m`?"),
            ("5 m", "`5 m` is not a duration: a number and its unit are one word", "did you mean `5m`?"),
            (
                "2 weeks",
                "`2 weeks` is not a duration: a number and its unit are one word",
                "did you mean `14d`?",
            ),
            ("5min", "`5min` is not a duration: its unit is unknown", "did you mean `5m`?"),
            (
                "30m1h",
                "`30m1h` is not a duration: its units must go from large to small",
                "did you mean `1h30m`?",
            ),
            ("1h30", "`1h30` is not a duration: it has no unit", "did you mean `1h30m`?"),
            ("-5s", "`-5s` is not a duration", "write a duration like `30s`, `10m`, `1h30m` or `7d`"),
            (
                "99999999999999999999d",
                "`99999999999999999999d` is not a duration: it is too long",
                "write a duration like `30s`, `10m`, `1h30m` or `7d`",
            ),
            (
                "4000d",
                "`4000d` is not a duration: it is longer than ten years",
                "write a duration like `30s`, `10m`, `1h30m` or `7d`",
            ),
        ] {
            let error = parse_duration(text).unwrap_err();
            assert_eq!((error.to_string().as_str(), error.hint().as_str()), (message, hint));
        }
    }

    #[test]
    fn sizes() {
        for (text, bytes) in [
            ("64MiB", 64 << 20),
            ("8GB", 8_000_000_000),
            ("1B", 1),
            ("0B", 0),
            ("10kB", 10_000),
            ("3TiB", 3 << 40),
            ("5KB", 5_000),
        ] {
            assert_eq!(parse_size(text), Ok(bytes), "{text}");
        }
        for (text, message, hint) in [
            ("64", "`64` is not a size: it has no unit", "write `64B` for bytes, `64MiB` for mebibytes"),
            ("64m", "`64m` is not a size: its unit is unknown", "did you mean `64MiB`?"),
            ("64mib", "`64mib` is not a size: its unit is unknown", "did you mean `64MiB`?"),
            ("1.5GiB", "`1.5GiB` is not a size: whole numbers only", "did you mean `1536MiB`?"),
            ("64 MiB", "`64 MiB` is not a size: a number and its unit are one word", "did you mean `64MiB`?"),
            ("MiB", "`MiB` is not a size", "write a size like `64MiB` or `8GB`"),
            (
                "99999999TiB",
                "`99999999TiB` is not a size: it is too large",
                "write a size like `64MiB` or `8GB`",
            ),
        ] {
            let error = parse_size(text).unwrap_err();
            assert_eq!((error.to_string().as_str(), error.hint().as_str()), (message, hint));
        }
    }

    proptest! {
        #[test]
        fn what_a_hint_says_can_be_read(text in "[0-9]{1,4}([.,][0-9]{1,3})? ?[a-zA-Z]{0,8}([0-9]{1,2} ?[a-z]{0,3})?") {
            if let Err(error) = parse_duration(&text) {
                assert!(error.meant().is_none_or(|meant| parse_duration(meant).is_ok()), "{text}: {}", error.hint());
            }
            if let Err(error) = parse_size(&text) {
                assert!(error.meant.iter().all(|meant| parse_size(meant).is_ok()), "{text}: {}", error.hint());
            }
        }

        #[test]
        fn what_is_written_is_read_back(ms in 0u64..300_000_000_000, bytes in any::<u64>(), text in any::<String>()) {
            let duration = Duration::from_millis(ms);
            assert_eq!(parse_duration(&format_duration(duration)), Ok(duration));
            assert_eq!(parse_size(&format_size(bytes)), Ok(bytes));
            let _ = (parse_duration(&text), parse_size(&text));
        }
    }
}
