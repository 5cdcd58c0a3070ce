//! Names and ids as types of their own, valid by construction.

use std::fmt;
use std::sync::Arc;

use serde::{Deserialize, Serialize, Serializer};
use sha2::{Digest as _, Sha256};

/// A text that is not a legal name or id; says what is legal.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{text}` is not a {what}: {rule}")]
pub struct InvalidName {
    /// The offending text, control characters escaped.
    pub text: String,
    /// What it should have been, for example `step id`.
    pub what: &'static str,
    /// The rule it breaks.
    pub rule: &'static str,
}

/// The longest name of anything, in bytes.
pub const MAX_NAME_BYTES: usize = 63;

fn kebab(text: &str) -> bool {
    let bytes = text.as_bytes();
    !bytes.is_empty()
        && bytes.len() <= MAX_NAME_BYTES
        && bytes[0].is_ascii_lowercase()
        && bytes.iter().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || *b == b'-')
        && !text.ends_with('-')
}

fn snake(text: &str) -> bool {
    let bytes = text.as_bytes();
    !bytes.is_empty()
        && bytes.len() <= MAX_NAME_BYTES
        && bytes[0].is_ascii_lowercase()
        && bytes.iter().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || *b == b'_')
}

fn hex64(text: &str) -> bool {
    text.len() == 64 && text.bytes().all(|b| b.is_ascii_digit() || (b'a'..=b'f').contains(&b))
}

fn run_id(text: &str) -> bool {
    text.len() == 14 && text.bytes().all(|b| b.is_ascii_digit() || b.is_ascii_lowercase())
}

macro_rules! name {
    ($(#[$doc:meta])* $name:ident, $what:literal, $rule:literal, $check:expr) => {
        $(#[$doc])*
        #[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Deserialize)]
        #[serde(try_from = "String")]
        pub struct $name(Arc<str>);

        impl $name {
            /// Checks the text.
            pub fn new(text: impl Into<String>) -> Result<Self, InvalidName> {
                let text = text.into();
                if $check(&text) {
                    Ok(Self(text.into()))
                } else {
                    Err(InvalidName { text: text.escape_debug().to_string(), what: $what, rule: $rule })
                }
            }

            /// The text.
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl Serialize for $name {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.serialize_str(&self.0)
            }
        }

        impl TryFrom<String> for $name {
            type Error = InvalidName;
            fn try_from(text: String) -> Result<Self, InvalidName> {
                Self::new(text)
            }
        }

        impl From<$name> for String {
            fn from(name: $name) -> String {
                name.0.as_ref().to_owned()
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }

        impl std::str::FromStr for $name {
            type Err = InvalidName;
            fn from_str(text: &str) -> Result<Self, InvalidName> {
                Self::new(text)
            }
        }
    };
}

name!(
    /// The name of a runbook, for example `service-restart`.
    RunbookName, "runbook name", "lower-case letters, digits and dashes, starting with a letter, at most 63", kebab
);
name!(
    /// The id of a step inside its runbook.
    StepId, "step id", "lower-case letters, digits and underscores, starting with a letter, at most 63", snake
);
name!(
    /// The name of a parameter.
    ParameterName, "parameter name", "lower-case letters, digits and underscores, starting with a letter, at most 63", snake
);
name!(
    /// The name of a plugin, the part of `uses` before the dot.
    PluginName, "plugin name", "lower-case letters, digits and dashes, starting with a letter, at most 63", kebab
);
name!(
    /// The name of a container daemon in `runbook.toml`, for example `local`.
    TargetName, "target name", "lower-case letters, digits and dashes, starting with a letter, at most 63", kebab
);
name!(
    /// SHA-256 of some bytes, 64 lower-case hex digits.
    Digest, "digest", "64 lower-case hex digits", hex64
);
name!(
    /// A run: ten digits and letters of time, four of chance (base 36), so that ids sort by time of acceptance.
    RunId, "run id", "14 lower-case letters and digits", run_id
);

impl Digest {
    /// The digest of these bytes.
    pub fn of(bytes: impl AsRef<[u8]>) -> Self {
        const DIGITS: &[u8; 16] = b"0123456789abcdef";
        let digits = Sha256::digest(bytes.as_ref());
        let digits = digits.iter().flat_map(|byte| [byte >> 4, byte & 15]);
        Self(digits.map(|digit| char::from(DIGITS[usize::from(digit)])).collect::<String>().into())
    }

    /// The first twelve digits, for people.
    pub fn short(&self) -> &str {
        &self.0[..12]
    }
}

impl RunId {
    /// An id that sorts by `now_ms`; `chance` tells apart those of one millisecond.
    pub fn from_parts(now_ms: u64, chance: u32) -> Self {
        let mut text = base36(now_ms, 10);
        text.push_str(&base36(u64::from(chance), 4));
        Self(text.into())
    }
}

fn base36(mut number: u64, width: usize) -> String {
    const DIGITS: &[u8; 36] = b"0123456789abcdefghijklmnopqrstuvwxyz";
    let mut digits = vec![b'0'; width];
    for digit in digits.iter_mut().rev() {
        *digit = DIGITS[(number % 36) as usize];
        number /= 36;
    }
    digits.into_iter().map(char::from).collect()
}

/// In which part of its runbook a step stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Section {
    /// `steps`
    Steps,
    /// the `undo` of a step
    Undo,
    /// `finally`
    Finally,
}

/// Where in a run a unit of work stands: `restart`, `restart[2]` (an item of `for_each`), `undo:restart`, `finally:after`.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct StepPath {
    /// The part of the runbook.
    pub section: Section,
    /// The step.
    pub id: StepId,
    /// The index of the item, if the step has `for_each`.
    pub item: Option<u32>,
}

impl StepPath {
    /// The path of a plain step under `steps`.
    pub fn step(id: StepId) -> Self {
        Self { section: Section::Steps, id, item: None }
    }

    /// The same path in another section.
    #[must_use]
    pub fn in_section(&self, section: Section) -> Self {
        Self { section, ..self.clone() }
    }

    /// The path of one item.
    #[must_use]
    pub fn at(&self, item: u32) -> Self {
        Self { item: Some(item), ..self.clone() }
    }
}

impl fmt::Display for StepPath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self.section {
            Section::Steps => "",
            Section::Undo => "undo:",
            Section::Finally => "finally:",
        })?;
        f.write_str(self.id.as_str())?;
        match self.item {
            Some(item) => write!(f, "[{item}]"),
            None => Ok(()),
        }
    }
}

impl From<StepPath> for String {
    fn from(path: StepPath) -> String {
        path.to_string()
    }
}

impl TryFrom<String> for StepPath {
    type Error = InvalidName;

    fn try_from(text: String) -> Result<Self, InvalidName> {
        let invalid = |text: &str| InvalidName {
            text: text.escape_debug().to_string(),
            what: "step path",
            rule: "`id`, `id[item]`, each possibly behind `undo:` or `finally:`",
        };
        let (section, rest) = match text.split_once(':') {
            None => (Section::Steps, text.as_str()),
            Some(("undo", rest)) => (Section::Undo, rest),
            Some(("finally", rest)) => (Section::Finally, rest),
            Some(_) => return Err(invalid(&text)),
        };
        let (id, item) = match rest.split_once('[') {
            None => (rest, None),
            Some((id, index)) => {
                let index =
                    index.strip_suffix(']').and_then(|i| i.parse().ok()).ok_or_else(|| invalid(&text))?;
                (id, Some(index))
            }
        };
        Ok(Self { section, id: StepId::new(id)?, item })
    }
}

impl std::str::FromStr for StepPath {
    type Err = InvalidName;
    fn from_str(text: &str) -> Result<Self, InvalidName> {
        Self::try_from(text.to_owned())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn run_ids_sort_by_time() {
        let early = RunId::from_parts(1_700_000_000_000, 9);
        let late = RunId::from_parts(1_700_000_000_001, 0);
        assert!(early < late);
        assert_eq!(RunId::new(early.as_str()).unwrap(), early);
    }

    #[test]
    fn step_paths_survive_a_round_trip() {
        for text in ["restart", "restart[2]", "undo:restart", "undo:restart[0]", "finally:after"] {
            assert_eq!(text.parse::<StepPath>().unwrap().to_string(), text);
        }
        for text in ["", "Restart", "restart[", "restart[x]", "other:restart", "a b"] {
            assert!(text.parse::<StepPath>().is_err(), "{text}");
        }
    }
}
