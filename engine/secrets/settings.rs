//! What the secrets are told from outside: where the key comes from, and which outside stores there are.

use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use words::secret::SecretName;
use words::secret::SecretValue;

/// What the environment handed over. Its `Debug` tells only whether there is something.
#[derive(Clone, Default)]
pub struct Given {
    /// `RUNBOOK_SECRETS_KEY`: one or more age identities, each on a line.
    pub key: Option<Arc<SecretValue>>,
    /// `RUNBOOK_SECRETS_PASSPHRASE`, or what a person typed.
    pub passphrase: Option<Arc<SecretValue>>,
    /// `CREDENTIALS_DIRECTORY`, where systemd puts what a unit may read.
    pub credentials: Option<PathBuf>,
}

impl fmt::Debug for Given {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Given")
            .field("key", &self.key.is_some())
            .field("passphrase", &self.passphrase.is_some())
            .field("credentials", &self.credentials)
            .finish()
    }
}

/// A directory of `NAME.age` files that someone else keeps.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Directory {
    /// Its secrets are called `NAME/...`.
    pub name: String,
    /// Where it is.
    pub path: PathBuf,
}

impl Directory {
    /// What a secret is called inside; none if it is not one of these.
    pub fn within<'n>(&self, name: &'n SecretName) -> Option<&'n str> {
        name.as_str().strip_prefix(self.name.as_str())?.strip_prefix('/')
    }
}

/// Where the key comes from and which outside stores there are.
#[derive(Debug, Clone, Default)]
pub struct SecretsSettings {
    /// What the environment handed over.
    pub given: Given,
    /// The file that holds the identity; need not exist.
    pub identity: Option<PathBuf>,
    /// Outside stores.
    pub directories: Vec<Directory>,
}

impl SecretsSettings {
    /// The outside store that a name belongs to.
    pub fn directory_of(&self, name: &SecretName) -> Option<&Directory> {
        self.directories.iter().find(|directory| directory.within(name).is_some())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn settings_can_be_printed_without_the_key() {
        let value = |text: &str| Some(Arc::new(SecretValue::new(text.to_owned()).ok().unwrap()));
        let given = Given { key: value("AGE-SECRET-KEY-1X"), passphrase: value("horse"), credentials: None };
        let shown = format!("{:?}", SecretsSettings { given, ..SecretsSettings::default() });
        assert!(!shown.contains("SECRET-KEY") && !shown.contains("horse"), "{shown}");
    }
}
