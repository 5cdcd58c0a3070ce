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

/// A text that is not a duration or a size.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{text}` is not a {what}{because}")]
pub struct InvalidQuantity {
    text: String,
    what: &'static str,
    because: &'static str,
    hint: Option<String>,
}

impl InvalidQuantity {
    fn new(text: &str, what: &'static str, because: &'static str) -> Self {
        let text = text.escape_debug().to_string();
        Self { text, what, because, hint: None }
    }

    /// What to write instead.
    pub fn hint(&self) -> String {
        self.hint.clone().unwrap_or_else(|| {
            if self.what == "size" {
                "write a size like `64MiB` or `8GB`".to_owned()
            } else {
                "write a duration like `30s`, `10m`, `1h30m` or `7d`".to_owned()
            }
        })
    }

    fn meaning(mut self, hint: String) -> Self {
        self.hint = Some(hint);
        self
    }
}

/// Reads `1h30m`: whole numbers with the units `d h m s ms`, each at most once, the largest first.
pub fn parse_duration(text: &str) -> Result<Duration, InvalidQuantity> {
    let invalid = |because| InvalidQuantity::new(text, "duration", because);
    let mut rest = text;
    let mut total_ms: u64 = 0;
    let mut smallest = u64::MAX;
    if rest.is_empty() {
        return Err(invalid(": it is empty"));
    }
    while !rest.is_empty() {
        let digits = rest.find(|c: char| !c.is_ascii_digit()).unwrap_or(rest.len());
        let (number, tail) = rest.split_at(digits);
        let letters = tail.find(|c: char| !c.is_ascii_alphabetic()).unwrap_or(tail.len());
        let (unit, tail) = tail.split_at(letters);
        if number.is_empty() {
            return Err(invalid(if text.starts_with('P') { ": ISO 8601 is not used here" } else { "" }));
        }
        if unit.is_empty() && tail.is_empty() && number == text {
            return Err(invalid(": it has no unit").meaning(format!("write `{text}s` for seconds")));
        }
        let Some((_, milliseconds)) = TIME_UNITS.iter().find(|(name, _)| *name == unit) else {
            return Err(invalid(if tail.starts_with('.') || unit.is_empty() {
                ""
            } else {
                ": its unit is unknown"
            }));
        };
        if *milliseconds >= smallest {
            return Err(invalid(": its units must go from large to small"));
        }
        smallest = *milliseconds;
        let part = number.parse::<u64>().ok().and_then(|n| n.checked_mul(*milliseconds));
        total_ms =
            part.and_then(|part| total_ms.checked_add(part)).ok_or_else(|| invalid(": it is too long"))?;
        rest = tail;
    }
    let duration = Duration::from_millis(total_ms);
    if duration > MAX_DURATION { Err(invalid(": it is longer than ten years")) } else { Ok(duration) }
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

/// Reads `64MiB` into bytes: a whole number and one unit of `B kB MB GB TB KiB MiB GiB TiB`.
pub fn parse_size(text: &str) -> Result<u64, InvalidQuantity> {
    let invalid = |because| InvalidQuantity::new(text, "size", because);
    let digits = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    let (number, unit) = text.split_at(digits);
    if number.is_empty() {
        return Err(invalid(""));
    }
    if unit.is_empty() {
        return Err(invalid(": it has no unit")
            .meaning(format!("write `{text}B` for bytes, `{text}MiB` for mebibytes")));
    }
    let Some((_, bytes)) = SIZE_UNITS.iter().find(|(name, _)| *name == unit) else {
        let near = SIZE_UNITS.iter().find(|(name, _)| name.eq_ignore_ascii_case(unit)).map(|(name, _)| *name);
        let near = near.or(match unit {
            "k" | "K" => Some("KiB"),
            "m" | "M" => Some("MiB"),
            "g" | "G" => Some("GiB"),
            "t" | "T" => Some("TiB"),
            _ => None,
        });
        let error = invalid(": its unit is unknown");
        return Err(match near {
            Some(near) => error.meaning(format!("did you mean `{number}{near}`?")),
            None => error,
        });
    };
    number.parse::<u64>().ok().and_then(|n| n.checked_mul(*bytes)).ok_or_else(|| invalid(": it is too large"))
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
            ("1.5h", "`1.5h` is not a duration", "write a duration like `30s`, `10m`, `1h30m` or `7d`"),
            ("5 m", "`5 m` is not a duration", "write a duration like `30s`, `10m`, `1h30m` or `7d`"),
            (
                "5min",
                "`5min` is not a duration: its unit is unknown",
                "write a duration like `30s`, `10m`, `1h30m` or `7d`",
            ),
            (
                "30m1h",
                "`30m1h` is not a duration: its units must go from large to small",
                "write a duration like `30s`, `10m`, `1h30m` or `7d`",
            ),
            ("1h30", "`1h30` is not a duration", "write a duration like `30s`, `10m`, `1h30m` or `7d`"),
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
        ] {
            assert_eq!(parse_size(text), Ok(bytes), "{text}");
        }
        for (text, message, hint) in [
            ("64", "`64` is not a size: it has no unit", "write `64B` for bytes, `64MiB` for mebibytes"),
            ("64m", "`64m` is not a size: its unit is unknown", "did you mean `64MiB`?"),
            ("64mib", "`64mib` is not a size: its unit is unknown", "did you mean `64MiB`?"),
            ("1.5GiB", "`1.5GiB` is not a size: its unit is unknown", "write a size like `64MiB` or `8GB`"),
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
        fn what_is_written_is_read_back(ms in 0u64..300_000_000_000, bytes in any::<u64>(), text in any::<String>()) {
            let duration = Duration::from_millis(ms);
            assert_eq!(parse_duration(&format_duration(duration)), Ok(duration));
            assert_eq!(parse_size(&format_size(bytes)), Ok(bytes));
            let _ = (parse_duration(&text), parse_size(&text));
        }
    }
}
