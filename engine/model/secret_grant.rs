//! What a run's plugins may do with secrets: by name, never with everything.

use serde::{Deserialize, Serialize};

use super::expression::Scope;
use super::grant::{InvalidGrant, text};
use super::runbook::Template;

/// The longest name, in bytes.
const MAX_NAME_BYTES: usize = 128;

/// What may be done with a secret.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum SecretAction {
    /// Hold a handle and have the host put the value somewhere.
    Use,
    /// See the plain text.
    Reveal,
}

impl SecretAction {
    /// Every action, in the order of the documentation.
    pub const ALL: [Self; 2] = [Self::Use, Self::Reveal];

    /// The word in YAML.
    pub fn word(self) -> &'static str {
        match self {
            Self::Use => "use",
            Self::Reveal => "reveal",
        }
    }

    /// Whether a grant of `self` covers a need of `need`: who may see it may use it.
    pub fn covers(self, need: Self) -> bool {
        self == need || self == Self::Reveal
    }
}

/// A grant on secrets.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct SecretGrant<T> {
    /// Names; `*` at the end stands for any text.
    pub names: Vec<T>,
    /// What may be done.
    pub actions: Vec<SecretAction>,
    /// The line in the runbook, from 1.
    pub line: u32,
}

impl<T> SecretGrant<T> {
    /// Whether it gives this action.
    pub fn gives(&self, need: SecretAction) -> bool {
        self.actions.iter().any(|action| action.covers(need))
    }
}

impl SecretGrant<String> {
    /// Whether it is for this secret.
    pub fn names(&self, name: &str) -> bool {
        self.names.iter().any(|pattern| matches(pattern, name))
    }
}

impl SecretGrant<Template> {
    pub(super) fn evaluate(&self, scope: &Scope) -> Result<SecretGrant<String>, InvalidGrant> {
        let line = self.line;
        let names = self.names.iter().map(|name| {
            let name = text(name, scope, line, "a name under `grants.secrets`")?;
            check_secret_pattern(&name).map_err(|message| InvalidGrant { line, message })?;
            Ok(name)
        });
        Ok(SecretGrant { names: names.collect::<Result<_, _>>()?, actions: self.actions.clone(), line })
    }
}

/// Whether a pattern means this name.
pub fn matches(pattern: &str, name: &str) -> bool {
    match pattern.strip_suffix('*') {
        Some(beginning) => name.starts_with(beginning),
        None => pattern == name,
    }
}

/// Whether secrets may be granted like this: a name, or its beginning and a `*`.
pub fn check_secret_pattern(text: &str) -> Result<(), String> {
    let beginning = text.strip_suffix('*').unwrap_or(text);
    let shown = || text.chars().take(MAX_NAME_BYTES).collect::<String>().escape_debug().to_string();
    if beginning.is_empty() {
        return Err(format!("`{}` would grant every secret; name the ones it is for", shown()));
    }
    if beginning.contains('*') {
        return Err(format!("`{}` is no name of a secret: `*` stands at the end only", shown()));
    }
    let legal = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b"._/-".contains(&b);
    let fine = beginning.len() <= MAX_NAME_BYTES
        && beginning.bytes().all(legal)
        && !b"._/-".contains(&beginning.as_bytes()[0])
        && !beginning.contains("//")
        && !beginning.split('/').any(|part| matches!(part, "." | ".."))
        && (text.ends_with('*') || !beginning.ends_with('/'));
    if fine {
        return Ok(());
    }
    Err(format!(
        "`{}` is no name of a secret: lower-case letters, digits and `._/-`, beginning with a letter or digit, at most \
         {MAX_NAME_BYTES}",
        shown()
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_and_beginnings() {
        for (pattern, name, means) in [
            ("api/token", "api/token", true),
            ("api/token", "api/token2", false),
            ("db/*", "db/password", true),
            ("db/*", "db/a/b", true),
            ("db/*", "dba/password", false),
            ("db*", "dba/password", true),
        ] {
            assert_eq!(matches(pattern, name), means, "{pattern} {name}");
            check_secret_pattern(pattern).unwrap();
        }
    }

    #[test]
    fn what_is_no_name() {
        for pattern in
            ["", "*", "**", "db/*/x", "*db", "DB", "/db", "db/", "a//b", "a/../b", "../b", "a b", "\u{e9}"]
        {
            assert!(check_secret_pattern(pattern).is_err(), "{pattern}");
        }
        assert!(check_secret_pattern(&"x".repeat(129)).is_err());
        assert!(check_secret_pattern("*").unwrap_err().contains("every secret"));
    }

    #[test]
    fn who_may_see_may_use() {
        let grant = |actions: &[SecretAction]| SecretGrant {
            names: vec!["db".to_owned()],
            actions: actions.to_vec(),
            line: 1,
        };
        assert!(grant(&[SecretAction::Reveal]).gives(SecretAction::Use));
        assert!(!grant(&[SecretAction::Use]).gives(SecretAction::Reveal));
    }
}
