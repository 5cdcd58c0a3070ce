//! What the store knows without a key: names, versions, times, and which file holds what.

use std::collections::BTreeMap;
use std::path::Path;

use serde::{Deserialize, Serialize};

use super::crypt::Recipient;
use super::error::{Error, ErrorKind};
use super::write;
use words::secret::SecretName;

/// Of the file in the store's directory.
pub(super) const FILE: &str = "index.json";

/// What it says it is.
const FORMAT: &str = "runbook-secrets/1";

/// The most secrets, those that were removed counted too: their version numbers are never given again.
pub const MAX_SECRETS: usize = 10_000;

/// The most versions that are kept of one secret.
pub const MAX_VERSIONS: usize = 10;

/// A larger index is none, in bytes.
const MAX_BYTES: u64 = 64 * 1024 * 1024;

/// All of it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Index {
    format: String,
    /// The public key that every value is encrypted to.
    pub(super) recipient: String,
    /// The file beside this one that holds the identity behind a passphrase.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) passphrase: Option<String>,
    pub(super) secrets: BTreeMap<SecretName, Entry>,
}

/// One secret.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Entry {
    pub(super) created_ms: u64,
    pub(super) updated_ms: u64,
    /// The highest number ever given.
    pub(super) last: u64,
    /// Oldest first; none if the secret was removed.
    pub(super) versions: Vec<Kept>,
}

/// One version.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Kept {
    pub(super) version: u64,
    pub(super) created_ms: u64,
    pub(super) by: String,
    /// 32 hex digits: `values/ID.age`.
    pub(super) file: String,
}

/// The one key that tells which reader is wanted.
#[derive(Deserialize)]
struct Formatted {
    format: String,
}

impl Index {
    pub(super) fn new(recipient: String) -> Self {
        Self { format: FORMAT.to_owned(), recipient, passphrase: None, secrets: BTreeMap::new() }
    }

    /// The one of a store; none if there is no store.
    pub(super) fn read(dir: &Path) -> Result<Option<Self>, Error> {
        let path = dir.join(FILE);
        let Some(bytes) = write::read(&path, MAX_BYTES)? else { return Ok(None) };
        let damaged = |why: String| damaged(&path, &why);
        let formatted: Formatted =
            serde_json::from_slice(&bytes).map_err(|error| damaged(error.to_string()))?;
        if formatted.format != FORMAT {
            let what = format!("`{}` has the format `{}`", path.display(), formatted.format);
            return Err(Error::new(ErrorKind::Damaged, what)
                .hint(format!("this program reads `{FORMAT}`: is it older than the store?")));
        }
        let index: Self = serde_json::from_slice(&bytes).map_err(|error| damaged(error.to_string()))?;
        match index.flaw() {
            None => Ok(Some(index)),
            Some(why) => Err(damaged(why)),
        }
    }

    pub(super) fn bytes(&self) -> Result<Vec<u8>, Error> {
        let mut bytes = serde_json::to_vec_pretty(self).map_err(|error| {
            Error::new(ErrorKind::Invalid, format!("the index of the secrets cannot be written: {error}"))
        })?;
        bytes.push(b'\n');
        Ok(bytes)
    }

    /// What cannot be, if anything: a name of a file that leads elsewhere, versions out of order.
    fn flaw(&self) -> Option<String> {
        if Recipient::parse(&self.recipient).is_none() {
            return Some("its recipient is no public key".to_owned());
        }
        if self.passphrase.as_deref().is_some_and(|file| !passphrase_file(file)) {
            return Some("the name of its passphrase's file cannot be".to_owned());
        }
        self.secrets.iter().find_map(|(name, entry)| {
            let in_order = entry.versions.windows(2).all(|pair| pair[0].version < pair[1].version);
            let within = entry.versions.last().is_none_or(|newest| newest.version <= entry.last);
            let files = entry.versions.iter().all(|kept| id(&kept.file));
            (!(in_order && within && files)).then(|| format!("what it says of `{name}` cannot be"))
        })
    }

    /// A secret that has versions.
    pub(super) fn entry(&self, name: &SecretName) -> Option<&Entry> {
        self.secrets.get(name).filter(|entry| !entry.versions.is_empty())
    }

    /// Those that have versions.
    pub(super) fn living(&self) -> impl Iterator<Item = (&SecretName, &Entry)> {
        self.secrets.iter().filter(|(_, entry)| !entry.versions.is_empty())
    }

    /// Every version of every secret.
    pub(super) fn kept(&self) -> impl Iterator<Item = (&SecretName, &Kept)> {
        self.secrets.iter().flat_map(|(name, entry)| entry.versions.iter().map(move |kept| (name, kept)))
    }

    /// Adds a version that is kept in this file and lets go of the oldest; its number.
    pub(super) fn add(&mut self, name: &SecretName, kept: Kept) -> Result<u64, Error> {
        if !self.secrets.contains_key(name) && self.secrets.len() >= MAX_SECRETS {
            let what = format!("the store has had {MAX_SECRETS} secrets, which is all it can");
            return Err(Error::new(ErrorKind::Invalid, what).hint("keep others in another data directory"));
        }
        let at_ms = kept.created_ms;
        let entry = self.secrets.entry(name.clone()).or_insert_with(|| Entry {
            created_ms: at_ms,
            updated_ms: at_ms,
            last: 0,
            versions: Vec::new(),
        });
        entry.last += 1;
        entry.updated_ms = at_ms;
        entry.versions.push(Kept { version: entry.last, ..kept });
        let surplus = entry.versions.len().saturating_sub(MAX_VERSIONS);
        entry.versions.drain(..surplus);
        Ok(entry.last)
    }
}

/// That a file of the store is not what it was.
pub(super) fn damaged(path: &Path, why: &str) -> Error {
    Error::new(ErrorKind::Damaged, format!("`{}` is damaged: {why}", path.display()))
        .hint("put it back from a copy of the data directory, or move the directory `secrets` away and `runbook secret import` an export")
}

fn id(text: &str) -> bool {
    text.len() == 32 && text.bytes().all(|byte| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte))
}

/// `identity-ID.age`
pub(super) fn passphrase_file(name: &str) -> bool {
    name.strip_prefix("identity-").and_then(|rest| rest.strip_suffix(".age")).is_some_and(id)
}

#[cfg(test)]
mod tests {
    use super::super::crypt::Key;
    use super::*;

    fn kept() -> Kept {
        Kept { version: 0, created_ms: 5, by: "alice".to_owned(), file: "0".repeat(32) }
    }

    #[test]
    fn old_versions_go_and_numbers_are_never_given_twice() {
        let mut index = Index::new(Key::generate().public());
        let name = SecretName::new("a").unwrap();
        for number in 1..=12 {
            assert_eq!(index.add(&name, kept()).unwrap(), number);
        }
        let versions: Vec<u64> = index.secrets[&name].versions.iter().map(|kept| kept.version).collect();
        assert_eq!(versions, (3..=12).collect::<Vec<u64>>());
        index.secrets.get_mut(&name).unwrap().versions.clear();
        assert!(index.entry(&name).is_none());
        assert_eq!(index.add(&name, kept()).unwrap(), 13);
    }

    #[test]
    fn an_index_that_cannot_be_is_told() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join(FILE);
        assert!(Index::read(dir.path()).unwrap().is_none());
        let mut index = Index::new(Key::generate().public());
        index.add(&SecretName::new("a").unwrap(), kept()).unwrap();
        let good = String::from_utf8(index.bytes().unwrap()).unwrap();
        std::fs::write(&path, &good).unwrap();
        assert_eq!(Index::read(dir.path()).unwrap().unwrap(), index);
        for bad in [
            String::new(),
            good[..good.len() / 2].to_owned(),
            good.replace("runbook-secrets/1", "runbook-secrets/2"),
            good.replace(&"0".repeat(32), "../../../../etc/passwd"),
            good.replace("\"last\": 1", "\"last\": 0"),
            good.replace("\"a\"", "\"../a\""),
            good.replace("age1", "age2"),
            good.replace("\"by\"", "\"bye\""),
        ] {
            std::fs::write(&path, &bad).unwrap();
            assert_eq!(Index::read(dir.path()).unwrap_err().kind(), ErrorKind::Damaged, "{bad}");
        }
    }

    #[test]
    fn there_is_an_end_to_names() {
        let mut index = Index::new(Key::generate().public());
        for number in 0..MAX_SECRETS {
            index.add(&SecretName::new(format!("n{number}")).unwrap(), kept()).unwrap();
        }
        assert!(index.add(&SecretName::new("one-more").unwrap(), kept()).is_err());
        assert!(index.add(&SecretName::new("n1").unwrap(), kept()).is_ok());
    }
}
