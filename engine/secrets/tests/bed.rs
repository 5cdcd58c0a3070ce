//! A data directory and a key of its own.

use std::path::PathBuf;
use std::sync::Arc;

use tempfile::TempDir;

use crate::{Keeper, NewKey, SecretsSettings, Store};
use words::secret::{SecretName, SecretValue};

pub(super) struct Bed {
    home: TempDir,
    pub(super) settings: SecretsSettings,
}

pub(super) fn name(text: &str) -> SecretName {
    SecretName::new(text).unwrap()
}

pub(super) fn value(text: &str) -> SecretValue {
    SecretValue::new(text.to_owned()).ok().unwrap()
}

impl Bed {
    pub(super) fn new() -> Self {
        let home = tempfile::tempdir().unwrap();
        let identity = home.path().join("conf/secrets-identity");
        let settings = SecretsSettings { identity: Some(identity), ..SecretsSettings::default() };
        Self { home, settings }
    }

    pub(super) fn path(&self, name: &str) -> PathBuf {
        self.home.path().join(name)
    }

    pub(super) fn identity(&self) -> PathBuf {
        self.settings.identity.clone().unwrap()
    }

    pub(super) fn data(&self) -> PathBuf {
        self.path("data")
    }

    pub(super) fn store(&self) -> Store {
        Store::new(&self.data(), self.settings.clone())
    }

    pub(super) fn keeper(&self) -> Keeper {
        Keeper::new(&self.data(), self.settings.clone())
    }

    pub(super) fn passphrase(&mut self, text: &str) {
        self.settings.given.passphrase = Some(Arc::new(value(text)));
    }

    pub(super) fn set(&self, secret: &str, text: &str) -> u64 {
        let (version, change) = self.store().set(&name(secret), &value(text), "alice").unwrap();
        change.commit().unwrap();
        version
    }

    pub(super) fn remove(&self, secret: &str, version: Option<u64>) {
        self.store().remove(&name(secret), version).unwrap().commit().unwrap();
    }

    pub(super) fn rekey(&self, how: NewKey, forget_old: bool) {
        self.store().rekey(how, forget_old).unwrap().1.commit().unwrap();
    }

    /// The newest text; the error's words where there is none.
    pub(super) fn get(&self, secret: &str) -> Result<String, String> {
        let found = self.store().value(&name(secret), None);
        found.map(|(_, value)| value.expose().to_owned()).map_err(|error| error.to_string())
    }

    /// Every file below the data directory.
    pub(super) fn files(&self) -> Vec<PathBuf> {
        fn walk(dir: PathBuf, into: &mut Vec<PathBuf>) {
            for entry in std::fs::read_dir(dir).unwrap().flatten() {
                if entry.path().is_dir() {
                    walk(entry.path(), into);
                }
                into.push(entry.path());
            }
        }
        let mut found = vec![self.data().join("secrets")];
        walk(self.data().join("secrets"), &mut found);
        found
    }
}
