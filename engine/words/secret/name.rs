//! What a secret is called.

use std::fmt;

use serde::{Deserialize, Deserializer, Serialize};

/// The longest name, in bytes.
pub const MAX_NAME_BYTES: usize = 128;

/// A name such as `mail/password`: lower-case letters, digits, `.`, `_`, `-`, in parts that `/` separates.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(transparent)]
pub struct SecretName(String);

/// A text that is not a name, and why.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{shown}` is not the name of a secret: {why}")]
pub struct InvalidName {
    shown: String,
    why: &'static str,
}

impl SecretName {
    /// Checks the text.
    pub fn new(text: impl Into<String>) -> Result<Self, InvalidName> {
        let text = text.into();
        match flaw(&text) {
            None => Ok(Self(text)),
            Some(why) => Err(InvalidName { shown: shown(&text), why }),
        }
    }

    /// As written.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// Why a text is no name; none if it is one.
fn flaw(text: &str) -> Option<&'static str> {
    let letter = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit();
    if text.is_empty() {
        return Some("it is empty");
    }
    if text.len() > MAX_NAME_BYTES {
        return Some("it is longer than 128 characters");
    }
    if !text.starts_with(letter) {
        return Some("it must begin with a lower-case letter or a digit");
    }
    if !text.chars().all(|c| letter(c) || "._/-".contains(c)) {
        return Some("only lower-case letters, digits, `.`, `_`, `-` and `/` may be in it");
    }
    if text.split('/').any(|part| matches!(part, "" | "." | "..")) {
        return Some("no part between `/` may be empty, `.` or `..`");
    }
    None
}

/// Enough of a wrong name to be found again; someone may have typed a value in its place or behind a `=`.
fn shown(text: &str) -> String {
    const SHOWN_CHARACTERS: usize = 24;
    let text = text.split_inclusive('=').next().unwrap_or_default();
    let clean: String = text.chars().filter(|c| !c.is_control()).take(SHOWN_CHARACTERS).collect();
    if text.chars().count() > SHOWN_CHARACTERS { format!("{clean}…") } else { clean }
}

impl fmt::Display for SecretName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl<'de> Deserialize<'de> for SecretName {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Self::new(String::deserialize(deserializer)?).map_err(serde::de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_plain_parts() {
        for good in ["a", "api/token", "db/main_2.user-x", "0", "a/b/c", &"a".repeat(128)] {
            assert_eq!(SecretName::new(good).unwrap().as_str(), good);
        }
        for bad in
            ["", "A", "/a", "a/", "a//b", "a/../b", "a/.", "a b", "ä", "a\n", ".a", "-a", &"a".repeat(129)]
        {
            assert!(SecretName::new(bad).is_err(), "{bad}");
            assert!(serde_json::from_value::<SecretName>(serde_json::json!(bad)).is_err(), "{bad}");
        }
    }

    #[test]
    fn a_value_typed_in_place_of_a_name_is_not_repeated_in_full() {
        let error = SecretName::new("Correct-Horse-Battery-Staple-2026!").unwrap_err().to_string();
        assert!(!error.contains("Staple-2026"), "{error}");
        let error = SecretName::new("api/token=hunter2").unwrap_err().to_string();
        assert!(!error.contains("hunter2"), "{error}");
    }
}
