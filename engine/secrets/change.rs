//! A change of the store: everything is written before it begins, then one rename makes it so.
//!
//! Whoever makes one writes [`Change::facts`] into the audit log between preparing and [`Change::commit`].

use std::path::PathBuf;

use serde_json::{Value, json};

use super::error::{Error, ErrorKind};
use super::identity::Origin;
use super::index::{self, Entry, Index, Kept};
use super::rekey::Finish;
use super::store::{Lock, Store, absent, kept};
use super::write;
use words::clock;
use words::secret::SecretName;
use words::secret::SecretValue;

/// Names in one entry of the audit log: it has at most 64 KiB, a name 128 bytes.
pub(super) const NAMES_PER_FACT: usize = 200;

/// What the audit log is to hold of a change before it takes effect.
#[derive(Debug, Clone, PartialEq)]
pub struct Fact {
    /// For example `secret.set`.
    pub kind: &'static str,
    /// Names and versions, nothing that comes from a value.
    pub data: Value,
}

/// A change that is prepared. Dropped without [`Change::commit`] it never was.
pub struct Change {
    draft: Draft,
    /// The index, written beside its place.
    half: Option<PathBuf>,
    facts: Vec<Fact>,
}

/// A change under way.
pub(super) struct Draft {
    store: Store,
    /// The state that will be.
    pub(super) index: Index,
    /// Files that only the new state names.
    pub(super) written: Vec<PathBuf>,
    /// Where a new key was put, if the store was made by this change.
    made: Option<Origin>,
    /// What is left to be done to a file of keys.
    pub(super) finish: Option<Finish>,
    _lock: Lock,
}

impl Draft {
    pub(super) fn new(store: &Store, lock: Lock, index: Index, made: Option<Origin>) -> Self {
        // What an earlier change left may be what fills the disk.
        store.sweep(&index);
        Self { store: store.clone(), index, written: Vec::new(), made, finish: None, _lock: lock }
    }

    /// Writes the index beside its place: after this one rename is all that is missing.
    pub(super) fn prepared(self, facts: Vec<Fact>) -> Result<Change, Error> {
        let half = write::half(&self.store.dir().join(index::FILE), &self.index.bytes()?)?;
        Ok(Change { draft: self, half: Some(half), facts })
    }
}

impl Drop for Draft {
    fn drop(&mut self) {
        for path in &self.written {
            write::remove(path);
        }
    }
}

impl Change {
    /// What the audit log is to hold before this takes effect.
    pub fn facts(&self) -> &[Fact] {
        &self.facts
    }

    /// Where the key of a store that this change makes was put.
    pub fn made(&self) -> Option<&Origin> {
        self.draft.made.as_ref()
    }

    /// Makes it so.
    ///
    /// # Errors
    /// `Io`: nothing was changed; or, where the message says "make safe", it was, but a power cut may undo it.
    pub fn commit(mut self) -> Result<(), Error> {
        let Some(half) = self.half.take() else { return Ok(()) };
        let path = self.draft.store.dir().join(index::FILE);
        let safe = match write::put(&half, &path) {
            Ok(safe) => safe,
            Err(error) => {
                self.half = Some(half);
                return Err(error);
            }
        };
        // From here on the new files are named.
        self.draft.written.clear();
        safe?;
        if let Some(finish) = self.draft.finish.take() {
            finish.run();
        }
        self.draft.store.sweep(&self.draft.index);
        Ok(())
    }
}

impl Drop for Change {
    fn drop(&mut self) {
        self.half.iter().for_each(|half| write::remove(half));
    }
}

impl Store {
    /// Sets a new version. Makes the store, and a key, where there is none.
    pub fn set(&self, name: &SecretName, value: &SecretValue, by: &str) -> Result<(u64, Change), Error> {
        self.may_set(name)?;
        let lock = self.lock()?;
        let (index, keys, made) = self.open_or_make()?;
        let recipient = recipient(&index, &keys.keys)?;
        let mut draft = Draft::new(self, lock, index, made);
        let version = draft.add(&recipient, name, value, (by, clock::now_ms()))?;
        let fact = Fact { kind: "secret.set", data: json!({ "name": name, "version": version }) };
        Ok((version, draft.prepared(vec![fact])?))
    }

    /// Removes one version, or all of them with the name.
    pub fn remove(&self, name: &SecretName, version: Option<u64>) -> Result<Change, Error> {
        let found = self.index()?.ok_or_else(|| absent(name, None))?;
        kept(&found, name, version)?;
        let lock = self.lock()?;
        let index = self.index()?.ok_or_else(|| absent(name, None))?;
        kept(&index, name, version)?;
        let all = index.entry(name).into_iter().flat_map(|entry| &entry.versions).map(|kept| kept.version);
        let gone: Vec<u64> = all.filter(|one| version.is_none_or(|version| version == *one)).collect();
        let mut draft = Draft::new(self, lock, index, None);
        if let Some(entry) = draft.index.secrets.get_mut(name) {
            entry.versions.retain(|kept| !gone.contains(&kept.version));
            entry.updated_ms = clock::now_ms();
        }
        let fact = Fact { kind: "secret.removed", data: json!({ "name": name, "versions": gone }) };
        draft.prepared(vec![fact])
    }

    /// That a name is not one of an outside store, to be known before a person is asked for the value.
    pub fn may_set(&self, name: &SecretName) -> Result<(), Error> {
        match self.settings().directory_of(name) {
            None => Ok(()),
            Some(other) => {
                let what = format!("`{name}` would belong to the directory `{}`", other.name);
                Err(Error::new(ErrorKind::Invalid, what)
                    .hint(format!("choose another name, or put an age file into `{}`", other.path.display())))
            }
        }
    }
}

impl Draft {
    /// Writes a value and names it; its version.
    pub(super) fn add(
        &mut self,
        recipient: &super::crypt::Recipient,
        name: &SecretName,
        value: &SecretValue,
        (by, created_ms): (&str, u64),
    ) -> Result<u64, Error> {
        let version = self.index.secrets.get(name).map_or(0, |entry: &Entry| entry.last) + 1;
        let file = self.store.save(recipient, name, version, value)?;
        self.written.push(self.store.value_path(&file));
        self.index.add(name, Kept { version, created_ms, by: by.to_owned(), file })
    }
}

/// The key that values are encrypted to.
pub(super) fn recipient(index: &Index, keys: &[super::crypt::Key]) -> Result<super::crypt::Recipient, Error> {
    let key = keys.iter().find(|key| key.public() == index.recipient);
    key.map(super::crypt::Key::recipient)
        .ok_or_else(|| Error::new(ErrorKind::Locked, "the key is not the store's"))
}
