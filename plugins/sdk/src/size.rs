//! An amount of memory as runbooks write it: `512MiB`, `8GB`.

use std::borrow::Cow;
use std::fmt;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Serialize};

/// An amount of memory; text in JSON, a whole number and a unit: `512MiB`, `8GB`.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Size(u64);

/// Units in bytes, from the largest.
const UNITS: [(&str, u64); 9] = [
    ("TiB", 1 << 40),
    ("TB", 1_000_000_000_000),
    ("GiB", 1 << 30),
    ("GB", 1_000_000_000),
    ("MiB", 1 << 20),
    ("MB", 1_000_000),
    ("KiB", 1 << 10),
    ("kB", 1_000),
    ("B", 1),
];

/// What a size looks like.
const PATTERN: &str = "^[0-9]+(B|kB|KB|KiB|MB|MiB|GB|GiB|TB|TiB)$";

impl Size {
    /// So many bytes.
    pub const fn from_bytes(bytes: u64) -> Self {
        Self(bytes)
    }

    /// In bytes.
    pub const fn as_bytes(self) -> u64 {
        self.0
    }
}

impl TryFrom<String> for Size {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        parse(&text)
            .map(Self)
            .ok_or_else(|| format!("`{text}` is not a size: write for example `512MiB` or `8GB`"))
    }
}

fn parse(text: &str) -> Option<u64> {
    let digits = text.find(|c: char| !c.is_ascii_digit())?;
    let number: u64 = text[..digits].parse().ok()?;
    let word = if &text[digits..] == "KB" { "kB" } else { &text[digits..] };
    let (_, bytes) = UNITS.iter().find(|(unit, _)| *unit == word)?;
    number.checked_mul(*bytes)
}

impl fmt::Display for Size {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let exact = UNITS.iter().find(|(_, bytes)| self.0 != 0 && self.0.is_multiple_of(*bytes));
        let (word, bytes) = exact.copied().unwrap_or(("B", 1));
        write!(f, "{}{word}", self.0 / bytes)
    }
}

impl From<Size> for String {
    fn from(size: Size) -> Self {
        size.to_string()
    }
}

impl JsonSchema for Size {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> Cow<'static, str> {
        "Size".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({ "type": "string", "format": "size-text", "pattern": PATTERN })
    }
}

#[cfg(test)]
mod tests {
    use super::Size;

    #[test]
    fn text_and_back() {
        for (text, bytes) in
            [("512MiB", 512 << 20), ("8GB", 8_000_000_000), ("1kB", 1_000), ("7B", 7), ("0B", 0)]
        {
            let size = Size::try_from(text.to_owned()).expect(text);
            assert_eq!((size.as_bytes(), size.to_string()), (bytes, text.to_owned()));
        }
        assert_eq!(Size::try_from("1KB".to_owned()), Ok(Size::from_bytes(1_000)));
    }

    #[test]
    fn what_is_not_a_size() {
        for text in ["", "512", "MiB", "1.5GB", "512 MiB", "512mb", "99999999999TiB"] {
            assert!(Size::try_from(text.to_owned()).is_err(), "{text}");
        }
    }
}
