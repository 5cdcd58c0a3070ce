//! The own store: reads without a lock, and prepares changes under one.

use std::fs::File;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use rustix::fs::{FlockOperation, flock};
use serde::Serialize;

use super::crypt::{self, Closed, Key, Plain, Recipient};
use super::error::{Error, ErrorKind};
use super::identity::{self, Block, Document, Keyring, Origin};
use super::index::{self, Entry, Index, Kept};
use super::settings::SecretsSettings;
use super::write;
use words::clock;
use words::secret::SecretName;
use words::secret::SecretValue;
use words::suggestion;

/// The store in the data directory.
pub const DIRECTORY: &str = "secrets";

/// Of the values, in the store.
pub(super) const VALUES: &str = "values";

/// Held by whoever changes something.
const LOCK: &str = "lock";

/// How long one change waits for another.
const PATIENCE: Duration = Duration::from_secs(30);

/// Between two looks at the lock.
const PAUSE: Duration = Duration::from_millis(10);

/// What the encrypted text of a value begins with: a file that was put in another's place is seen.
const HEAD: &str = "runbook-secret/1";

/// A larger file holds no value, in bytes.
const MAX_FILE_BYTES: u64 = 80 * 1024;

/// The store of a data directory.
#[derive(Debug, Clone)]
pub struct Store {
    data_dir: PathBuf,
    dir: PathBuf,
    settings: SecretsSettings,
}

/// What is known of a secret without a key.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Summary {
    /// Its name.
    pub name: SecretName,
    /// When its first version was set, in milliseconds since 1970.
    pub created_ms: u64,
    /// When it was last changed.
    pub updated_ms: u64,
    /// Oldest first.
    pub versions: Vec<VersionSummary>,
}

/// What is known of a version without a key.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct VersionSummary {
    /// From 1.
    pub version: u64,
    /// When it was set, in milliseconds since 1970.
    pub created_ms: u64,
    /// Who set it.
    pub by: String,
}

/// Held for as long as something is changed.
pub(super) struct Lock(#[expect(dead_code, reason = "held, not read")] File);

impl Store {
    /// Over a data directory. Opens nothing yet.
    pub fn new(data_dir: &Path, settings: SecretsSettings) -> Self {
        Self { data_dir: data_dir.to_owned(), dir: data_dir.join(DIRECTORY), settings }
    }

    /// Whether there is one.
    pub fn exists(&self) -> bool {
        self.dir.join(index::FILE).exists()
    }

    /// Whether it opens with a passphrase that nobody has given yet, so that a person has to be asked.
    pub fn wants_passphrase(&self) -> Result<bool, Error> {
        let Some(index) = self.index()? else { return Ok(false) };
        Ok(Keyring::is_behind_passphrase(&self.settings, &index)?
            && identity::passphrase(&self.settings)?.is_none())
    }

    /// The public key that everything is encrypted to; none if there is no store.
    pub fn recipient(&self) -> Result<Option<String>, Error> {
        Ok(self.index()?.map(|index| index.recipient))
    }

    /// What there is.
    pub fn list(&self) -> Result<Vec<Summary>, Error> {
        let Some(index) = self.index()? else { return Ok(Vec::new()) };
        Ok(index.living().map(|(name, entry)| summary(name, entry)).collect())
    }

    /// One of them.
    pub fn find(&self, name: &SecretName) -> Result<Summary, Error> {
        let index = self.index()?.ok_or_else(|| absent(name, None))?;
        let entry = index.entry(name).ok_or_else(|| absent(name, Some(&index)))?;
        Ok(summary(name, entry))
    }

    /// The text of a version, the newest if none is named.
    pub fn value(&self, name: &SecretName, version: Option<u64>) -> Result<(u64, SecretValue), Error> {
        let index = self.index()?.ok_or_else(|| absent(name, None))?;
        let keys = self.keys(&index)?;
        self.decrypt(&index, &keys.keys, name, version)
    }

    pub(super) fn decrypt(
        &self,
        index: &Index,
        keys: &[Key],
        name: &SecretName,
        version: Option<u64>,
    ) -> Result<(u64, SecretValue), Error> {
        let kept = kept(index, name, version)?;
        Ok((kept.version, self.load(keys, name, kept)?))
    }

    /// Decrypts one file.
    pub(super) fn load(&self, keys: &[Key], name: &SecretName, kept: &Kept) -> Result<SecretValue, Error> {
        let path = self.value_path(&kept.file);
        let sealed =
            write::read(&path, MAX_FILE_BYTES)?.ok_or_else(|| index::damaged(&path, "it is missing"))?;
        let plain = crypt::open(keys, &sealed).map_err(|closed| match closed {
            Closed::OtherKey => index::damaged(&path, "it is encrypted to another key than the store's"),
            _ => index::damaged(&path, "it is no whole age file"),
        })?;
        let text = plain.strip_prefix(head(name, kept.version).as_bytes());
        let text = text.ok_or_else(|| index::damaged(&path, "it holds another secret or version"))?;
        Ok(SecretValue::from_bytes(text.to_vec())?)
    }

    /// Encrypts one value to a new file of the store; its id.
    pub(super) fn save(
        &self,
        recipient: &Recipient,
        name: &SecretName,
        version: u64,
        value: &SecretValue,
    ) -> Result<String, Error> {
        let head = head(name, version);
        let mut plain = Plain::new(Vec::with_capacity(head.len() + value.expose().len()));
        plain.extend_from_slice(head.as_bytes());
        plain.extend_from_slice(value.expose().as_bytes());
        let sealed = crypt::seal(std::slice::from_ref(recipient), &plain)?;
        let id = write::random_id()?;
        write::replace(&self.value_path(&id), &sealed)?;
        Ok(id)
    }

    pub(super) fn index(&self) -> Result<Option<Index>, Error> {
        let index = Index::read(&self.dir)?;
        if index.is_none() && self.has_values() {
            return Err(index::damaged(&self.dir.join(index::FILE), "it is missing, and there are values"));
        }
        Ok(index)
    }

    /// Whether there is any value, half-written ones apart.
    fn has_values(&self) -> bool {
        let whole = |entry: std::fs::DirEntry| !write::is_half(&entry.file_name().to_string_lossy());
        std::fs::read_dir(self.dir.join(VALUES)).is_ok_and(|entries| entries.flatten().any(whole))
    }

    /// The keys that open it.
    pub(super) fn keys(&self, index: &Index) -> Result<Keyring, Error> {
        let keys = self.keyring(Some(index))?.ok_or_else(|| identity::keyless(&self.settings))?;
        keys.check(index)?;
        Ok(keys)
    }

    /// Whatever keys there are.
    pub(super) fn keyring(&self, index: Option<&Index>) -> Result<Option<Keyring>, Error> {
        Keyring::find(&self.settings, &self.dir, index)
    }

    pub(super) fn dir(&self) -> &Path {
        &self.dir
    }

    pub(super) fn settings(&self) -> &SecretsSettings {
        &self.settings
    }

    /// Its place as it is told in the file of keys.
    pub(super) fn data_dir(&self) -> &Path {
        &self.data_dir
    }

    pub(super) fn value_path(&self, id: &str) -> PathBuf {
        self.dir.join(VALUES).join(format!("{id}.age"))
    }

    /// Waits for other changes to end, and lets nobody begin one.
    pub(super) fn lock(&self) -> Result<Lock, Error> {
        write::private_directory(&self.dir)?;
        write::private_directory(&self.dir.join(VALUES))?;
        let path = self.dir.join(LOCK);
        let file = std::fs::OpenOptions::new()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .mode(write::FILE_MODE)
            .open(&path)
            .map_err(|error| Error::io("open", &path, &error))?;
        let until = Instant::now() + PATIENCE;
        loop {
            match flock(&file, FlockOperation::NonBlockingLockExclusive) {
                Ok(()) => return Ok(Lock(file)),
                Err(rustix::io::Errno::WOULDBLOCK) if Instant::now() < until => std::thread::sleep(PAUSE),
                Err(rustix::io::Errno::WOULDBLOCK) => {
                    return Err(Error::new(
                        ErrorKind::Conflict,
                        "another process has been changing the secrets for half a minute",
                    )
                    .hint(format!("`fuser {}` tells which", path.display())));
                }
                Err(error) => return Err(Error::io("lock", &path, &error.into())),
            }
        }
    }

    /// The index and the keys that open it; makes both where there are none. Where a new key was put is told, too.
    pub(super) fn open_or_make(&self) -> Result<(Index, Keyring, Option<Origin>), Error> {
        if let Some(index) = self.index()? {
            let keys = self.keys(&index)?;
            return Ok((index, keys, None));
        }
        let (keys, passphrase, made) = self.first_keys()?;
        let mut index = Index::new(keys.keys[0].public());
        index.passphrase = passphrase;
        write::replace(&self.dir.join(index::FILE), &index.bytes()?)?;
        Ok((index, keys, made))
    }

    /// The key that is given; else a new one behind the passphrase that is given; else a new one in its file.
    fn first_keys(&self) -> Result<(Keyring, Option<String>, Option<Origin>), Error> {
        if let Some(keys) = self.keyring(None)? {
            return Ok((keys, None, None));
        }
        let block = self.new_block();
        let document = Document { blocks: vec![block] };
        if let Some(passphrase) = identity::passphrase(&self.settings)? {
            let file = self.hide(&document, &passphrase)?;
            let origin = Origin::Passphrase(self.dir.join(&file));
            return Ok((Keyring { keys: document.keys(), origin: origin.clone() }, Some(file), Some(origin)));
        }
        let path = self.settings.identity.clone().ok_or_else(|| identity::keyless(&self.settings))?;
        make_identity(&path, &self.data_dir, &document)?;
        let origin = Origin::File(path);
        Ok((Keyring { keys: document.keys(), origin: origin.clone() }, None, Some(origin)))
    }

    /// A new key with what is said of it.
    pub(super) fn new_block(&self) -> Block {
        self.block(Key::generate())
    }

    /// A key with what is said of it.
    pub(super) fn block(&self, key: Key) -> Block {
        Block::new(key, format!("{}made {}", opens(&self.data_dir), clock::rfc3339(clock::now_ms())))
    }

    /// Keeps keys in the store behind a passphrase; the name of the file.
    pub(super) fn hide(&self, document: &Document, passphrase: &SecretValue) -> Result<String, Error> {
        let file = format!("identity-{}.age", write::random_id()?);
        let sealed = crypt::seal_with(passphrase, document.text().as_bytes())?;
        write::replace(&self.dir.join(&file), &sealed)?;
        Ok(file)
    }

    /// Removes what a change that was cut short has left, and what the index names no more. Only under the lock.
    pub(super) fn sweep(&self, index: &Index) {
        let named: std::collections::HashSet<&str> =
            index.kept().map(|(_, kept)| kept.file.as_str()).collect();
        let within = |dir: &Path| {
            let entries = std::fs::read_dir(dir).into_iter().flatten().flatten();
            entries.filter_map(|entry| entry.file_name().into_string().ok()).collect::<Vec<_>>()
        };
        let values = self.dir.join(VALUES);
        for name in within(&values) {
            let orphan = name.strip_suffix(".age").is_some_and(|id| !named.contains(id));
            if orphan || write::is_half(&name) {
                write::remove(&values.join(name));
            }
        }
        for name in within(&self.dir) {
            let replaced = index::passphrase_file(&name) && index.passphrase.as_deref() != Some(&name);
            if replaced || write::is_half(&name) {
                write::remove(&self.dir.join(name));
            }
        }
    }
}

/// Writes a new file of keys, which must not lie where a copy of the data directory would take it along.
pub(super) fn make_identity(path: &Path, data_dir: &Path, document: &Document) -> Result<(), Error> {
    let absolute = |path: &Path| std::path::absolute(path).unwrap_or_else(|_| path.to_owned());
    if absolute(path).starts_with(absolute(data_dir)) {
        let what = format!("the key must not be kept in the data directory: `{}`", path.display());
        return Err(Error::new(ErrorKind::Invalid, what)
            .hint("a copy of the directory would open itself: name another place as [secrets] identity in runbook.toml"));
    }
    if let Some(folder) = path.parent().filter(|folder| !folder.as_os_str().is_empty() && !folder.is_dir()) {
        write::private_directory(folder)?;
    }
    write::create(path, document.text().as_bytes())
}

/// What the comment of a key begins with.
pub(super) fn opens(data_dir: &Path) -> String {
    format!("# opens the secrets of {}, ", data_dir.display())
}

fn head(name: &SecretName, version: u64) -> String {
    format!("{HEAD}\n{name}\n{version}\n")
}

fn summary(name: &SecretName, entry: &Entry) -> Summary {
    let versions = entry.versions.iter().map(|kept| VersionSummary {
        version: kept.version,
        created_ms: kept.created_ms,
        by: kept.by.clone(),
    });
    Summary {
        name: name.clone(),
        created_ms: entry.created_ms,
        updated_ms: entry.updated_ms,
        versions: versions.collect(),
    }
}

/// A version of a secret, the newest if none is named.
pub(super) fn kept<'i>(index: &'i Index, name: &SecretName, version: Option<u64>) -> Result<&'i Kept, Error> {
    let entry = index.entry(name).ok_or_else(|| absent(name, Some(index)))?;
    let found = match version {
        None => entry.versions.last(),
        Some(version) => entry.versions.iter().find(|kept| kept.version == version),
    };
    found.ok_or_else(|| {
        let wanted = version.map(|version| version.to_string()).unwrap_or_default();
        Error::new(ErrorKind::NotFound, format!("the secret `{name}` has no version {wanted}")).hint(format!(
            "`runbook secret versions {name}` shows those it has; the newest {} are kept",
            index::MAX_VERSIONS
        ))
    })
}

pub(super) fn absent(name: &SecretName, index: Option<&Index>) -> Error {
    let known = index.into_iter().flat_map(Index::living).map(|(name, _)| name.as_str());
    Error::new(ErrorKind::NotFound, format!("there is no secret `{name}`"))
        .hint(format!("`runbook secret set {name}` makes it, `runbook secret list` shows what there is"))
        .maybe(suggestion::nearest(name.as_str(), known).map(|near| format!("did you mean `{near}`?")))
}
