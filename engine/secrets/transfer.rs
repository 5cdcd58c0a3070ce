//! Exports: one document with names, versions and values, encrypted with `age` as a whole, and the way back.

use std::path::Path;
use std::sync::Arc;

use serde::{Deserialize, Serialize};
use serde_json::json;
use zeroize::Zeroizing;

use super::change::{Change, Draft, Fact, NAMES_PER_FACT, recipient};
use super::crypt::{self, Closed, Plain, Recipient};
use super::error::{Error, ErrorKind};
use super::identity::{self, Document};
use super::store::Store;
use super::write;
use words::clock;
use words::secret::SecretName;
use words::secret::SecretValue;

/// What an export says it is.
const FORMAT: &str = "runbook-secrets-export/1";

/// No export is larger, in bytes.
const MAX_BYTES: u64 = 256 * 1024 * 1024;

/// Whom an export is for.
pub enum For {
    /// Whoever has the store's own key.
    Ourselves,
    /// Whoever has one of these: `age1...`.
    Recipients(Vec<String>),
    /// Whoever knows this.
    Passphrase(Arc<SecretValue>),
}

/// What opens an export.
pub enum With {
    /// The store's own key.
    OwnKey,
    /// A file of keys.
    File(std::path::PathBuf),
    /// A passphrase.
    Passphrase(Arc<SecretValue>),
}

/// What an import does with a name that is there already.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Existing {
    /// Nothing is imported at all.
    Refuse,
    /// Its own versions stay as they are.
    Keep,
    /// The newest value of the export becomes its newest version.
    Replace,
}

/// An export, encrypted.
pub struct Export {
    sealed: Vec<u8>,
    facts: Vec<Fact>,
    /// Secrets in it.
    pub secrets: usize,
    /// Versions in it.
    pub versions: usize,
}

/// What an import will do.
pub struct Import {
    /// The change, if there is anything to do.
    pub change: Option<Change>,
    /// Names that get versions.
    pub taken: Vec<SecretName>,
    /// Names that stay as they are.
    pub kept: Vec<SecretName>,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Whole {
    format: String,
    exported_ms: u64,
    secrets: Vec<One>,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct One {
    name: SecretName,
    versions: Vec<Version>,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Version {
    #[serde(rename = "version")]
    number: u64,
    created_ms: u64,
    by: String,
    value: Hidden,
}

/// A text that is zeroed when dropped.
struct Hidden(Zeroizing<String>);

impl Serialize for Hidden {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.0)
    }
}

impl<'de> Deserialize<'de> for Hidden {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer).map(|text| Self(Zeroizing::new(text)))
    }
}

impl Export {
    /// What the audit log is to hold before the file is written.
    pub fn facts(&self) -> &[Fact] {
        &self.facts
    }

    /// Writes it, for its owner alone; nothing that exists is overwritten.
    pub fn write(&self, to: &Path) -> Result<(), Error> {
        write::create(to, &self.sealed)
    }
}

impl Store {
    /// Everything, encrypted for somebody.
    pub fn export(&self, whom: &For) -> Result<Export, Error> {
        let nothing = || {
            Error::new(ErrorKind::NotFound, "there are no secrets to export")
                .hint("`runbook secret set NAME` makes the first")
        };
        // No change may delete a file meanwhile.
        let index = self.index()?.ok_or_else(nothing)?;
        let _lock = self.lock()?;
        let index = self.index()?.unwrap_or(index);
        if index.living().next().is_none() {
            return Err(nothing());
        }
        let keys = self.keys(&index)?;
        let mut room = 4096;
        let mut secrets = Vec::new();
        for (name, entry) in index.living() {
            let mut versions = Vec::new();
            for kept in &entry.versions {
                let value = self.load(&keys.keys, name, kept)?;
                room += 6 * value.expose().len() + 1024;
                versions.push(Version {
                    number: kept.version,
                    created_ms: kept.created_ms,
                    by: kept.by.clone(),
                    value: Hidden(Zeroizing::new(value.expose().to_owned())),
                });
            }
            secrets.push(One { name: name.clone(), versions });
        }
        let (recipients, shown) = match whom {
            For::Ourselves => (vec![recipient(&index, &keys.keys)?], vec![index.recipient.clone()]),
            For::Recipients(all) => {
                (all.iter().map(|one| public(one)).collect::<Result<_, _>>()?, all.clone())
            }
            For::Passphrase(_) => (Vec::new(), vec!["passphrase".to_owned()]),
        };
        let names: Vec<_> = secrets.iter().map(|one| &one.name).collect();
        let facts = facts("secret.exported", &names, |names| json!({ "names": names, "to": shown }));
        let versions = secrets.iter().map(|one| one.versions.len()).sum();
        let count = secrets.len();
        let whole = Whole { format: FORMAT.to_owned(), exported_ms: clock::now_ms(), secrets };
        // Room for all of it: a vector that grows leaves copies behind.
        let mut plain = Plain::new(Vec::with_capacity(room));
        serde_json::to_writer_pretty(&mut *plain, &whole).map_err(|error| {
            Error::new(ErrorKind::Invalid, format!("the export cannot be written: {error}"))
        })?;
        let sealed = match whom {
            For::Passphrase(passphrase) => crypt::seal_with(passphrase, &plain)?,
            _ => crypt::seal(&recipients, &plain)?,
        };
        Ok(Export { sealed, facts, secrets: count, versions })
    }

    /// Takes an export in, all of it or nothing.
    pub fn import(&self, path: &Path, with: &With, existing: Existing, by: &str) -> Result<Import, Error> {
        let sealed = write::read(path, MAX_BYTES)?.ok_or_else(|| {
            Error::new(ErrorKind::NotFound, format!("there is no file `{}`", path.display()))
        })?;
        let whole = self.opened(path, &sealed, with)?;
        for one in &whole.secrets {
            self.may_set(&one.name)?;
        }
        let lock = self.lock()?;
        let (index, keys, made) = self.open_or_make()?;
        let to = recipient(&index, &keys.keys)?;
        let (there, new): (Vec<One>, Vec<One>) =
            whole.secrets.into_iter().partition(|one| index.entry(&one.name).is_some());
        if existing == Existing::Refuse && !there.is_empty() {
            return Err(taken(&there));
        }
        let mut draft = Draft::new(self, lock, index, made);
        let mut import = Import { change: None, taken: Vec::new(), kept: Vec::new() };
        for one in new {
            for version in &one.versions {
                let value = SecretValue::new(version.value.0.to_string())?;
                draft.add(&to, &one.name, &value, (&version.by, version.created_ms))?;
            }
            import.taken.push(one.name);
        }
        for one in there {
            match one.versions.last().filter(|_| existing == Existing::Replace) {
                Some(newest) => {
                    let value = SecretValue::new(newest.value.0.to_string())?;
                    draft.add(&to, &one.name, &value, (by, clock::now_ms()))?;
                    import.taken.push(one.name);
                }
                None => import.kept.push(one.name),
            }
        }
        if !import.taken.is_empty() {
            let names: Vec<_> = import.taken.iter().collect();
            let entry =
                |name: &SecretName| json!({ "name": name, "version": draft.index.secrets[name].last });
            let facts = facts(
                "secret.imported",
                &names,
                |names| json!({ "secrets": names.iter().map(|name| entry(name)).collect::<Vec<_>>() }),
            );
            import.change = Some(draft.prepared(facts)?);
        }
        Ok(import)
    }

    fn opened(&self, path: &Path, sealed: &[u8], with: &With) -> Result<Whole, Error> {
        let shown = path.display();
        let plain = match with {
            With::Passphrase(passphrase) => crypt::open_with(passphrase, sealed),
            With::File(file) => {
                let absent =
                    || Error::new(ErrorKind::NotFound, format!("there is no file `{}`", file.display()));
                crypt::open(&Document::read(file)?.ok_or_else(absent)?.keys(), sealed)
            }
            With::OwnKey => {
                let index = self.index()?;
                let keys = self.keyring(index.as_ref())?.ok_or_else(|| identity::keyless(self.settings()))?;
                crypt::open(&keys.keys, sealed)
            }
        };
        let plain = plain.map_err(|closed| match closed {
            Closed::OtherKey if matches!(with, With::Passphrase(_)) => {
                Error::new(ErrorKind::Locked, format!("the passphrase does not open `{shown}`"))
                    .hint("nothing was changed; try again")
            }
            Closed::OtherKey => Error::new(ErrorKind::Locked, format!("our key does not open `{shown}`"))
                .hint("`--identity FILE` names the file with the key it was encrypted to"),
            _ => Error::new(ErrorKind::Damaged, format!("`{shown}` is no whole age file"))
                .hint("only what `runbook secret export` wrote can be imported"),
        })?;
        let strange = |why: &str| {
            Error::new(ErrorKind::Invalid, format!("`{shown}` is no export of secrets: {why}"))
                .hint("only what `runbook secret export` wrote can be imported")
        };
        // What serde says of a wrong document could hold a part of it.
        let whole: Whole = serde_json::from_slice(&plain)
            .map_err(|error| strange(&format!("line {} is not as it should be", error.line())))?;
        if whole.format != FORMAT {
            return Err(strange("its format is another"));
        }
        if whole.secrets.iter().any(|one| one.versions.is_empty()) {
            return Err(strange("a secret has no version"));
        }
        Ok(whole)
    }
}

/// That an export was sealed with a passphrase.
pub fn wants_passphrase(path: &Path) -> Result<bool, Error> {
    Ok(write::read(path, MAX_BYTES)?.is_some_and(|sealed| crypt::wants_passphrase(&sealed)))
}

fn public(text: &str) -> Result<Recipient, Error> {
    Recipient::parse(text).ok_or_else(|| {
        Error::new(ErrorKind::Invalid, format!("`{text}` is not a recipient"))
            .hint("a recipient is a public key as `age-keygen -y` prints it: `age1...`")
    })
}

fn taken(there: &[One]) -> Error {
    let names = there.iter().map(|one| one.name.as_str()).take(5);
    let what = format!(
        "{} of these secrets exist already: {}{}",
        there.len(),
        words::suggestion::list(names),
        if there.len() > 5 { ", …" } else { "" }
    );
    Error::new(ErrorKind::Conflict, what).hint(
        "nothing was changed; `--existing keep` leaves them as they are, `--existing replace` gives each a new version",
    )
}

/// One entry for so many names that it stays within the audit log's limit.
fn facts(
    kind: &'static str,
    names: &[&SecretName],
    data: impl Fn(&[&SecretName]) -> serde_json::Value,
) -> Vec<Fact> {
    names.chunks(NAMES_PER_FACT).map(|names| Fact { kind, data: data(names) }).collect()
}
