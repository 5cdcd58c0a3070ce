//! A length of time as runbooks write it: `30s`, `1h30m`, `500ms`.

use std::borrow::Cow;
use std::fmt;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Serialize};

/// A length of time; text in JSON, largest unit first: `7d`, `1h30m`, `500ms`.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Duration(u64);

/// Units from the largest, in milliseconds. `ms` stands before `m` and `s` when a text is read.
const UNITS: [(&str, u64); 5] = [("d", 86_400_000), ("h", 3_600_000), ("m", 60_000), ("s", 1_000), ("ms", 1)];

/// What a duration looks like.
const PATTERN: &str = "^([0-9]+d)?([0-9]+h)?([0-9]+m)?([0-9]+s)?([0-9]+ms)?$";

impl Duration {
    /// So many milliseconds.
    pub const fn from_ms(ms: u64) -> Self {
        Self(ms)
    }

    /// So many seconds.
    pub const fn from_secs(seconds: u64) -> Self {
        Self(seconds.saturating_mul(1_000))
    }

    /// In milliseconds.
    pub const fn as_ms(self) -> u64 {
        self.0
    }
}

impl TryFrom<String> for Duration {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        parse(&text)
            .map(Self)
            .ok_or_else(|| format!("`{text}` is not a duration: write for example `30s` or `1h30m`"))
    }
}

/// Each unit at most once, from the largest to the smallest.
fn parse(text: &str) -> Option<u64> {
    let mut rest = text;
    let mut total: u64 = 0;
    let mut allowed = &UNITS[..];
    while !rest.is_empty() {
        let digits = rest.find(|c: char| !c.is_ascii_digit())?;
        let number: u64 = rest[..digits].parse().ok()?;
        let word_end =
            rest[digits..].find(|c: char| !c.is_ascii_alphabetic()).map_or(rest.len(), |i| digits + i);
        let index = allowed.iter().position(|(word, _)| *word == &rest[digits..word_end])?;
        total = total.checked_add(number.checked_mul(allowed[index].1)?)?;
        allowed = &allowed[index + 1..];
        rest = &rest[word_end..];
    }
    (!text.is_empty()).then_some(total)
}

impl fmt::Display for Duration {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.0 == 0 {
            return f.write_str("0s");
        }
        let mut rest = self.0;
        for (word, ms) in UNITS {
            if rest >= ms {
                write!(f, "{}{word}", rest / ms)?;
                rest %= ms;
            }
        }
        Ok(())
    }
}

impl From<Duration> for String {
    fn from(duration: Duration) -> Self {
        duration.to_string()
    }
}

impl JsonSchema for Duration {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> Cow<'static, str> {
        "Duration".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({ "type": "string", "format": "duration-text", "pattern": PATTERN, "minLength": 2 })
    }
}

#[cfg(test)]
mod tests {
    use super::Duration;

    fn read(text: &str) -> Option<u64> {
        Duration::try_from(text.to_owned()).ok().map(Duration::as_ms)
    }

    #[test]
    fn text_and_back() {
        for (text, ms) in
            [("0s", 0), ("30s", 30_000), ("1h30m", 5_400_000), ("7d", 604_800_000), ("1s500ms", 1_500)]
        {
            assert_eq!(read(text), Some(ms), "{text}");
            assert_eq!(Duration::from_ms(ms).to_string(), text);
        }
    }

    #[test]
    fn what_is_not_a_duration() {
        for text in ["", "30", "s", "1.5h", "30s1m", "1s1s", "PT30S", "-1s", "99999999999999999999s", "1 s"] {
            assert_eq!(read(text), None, "{text}");
        }
    }
}
