//! Rotation of the store's own key: a new key, every value encrypted to it, and never a moment at which nothing opens.
//!
//! The new key is durable before the index names it, and the old one stays readable until after: in a file of keys both
//! stand for that time, behind a passphrase the index names the file.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustix::fs::{FlockOperation, flock};
use serde_json::json;

use super::change::{Change, Draft, Fact};
use super::crypt::Key;
use super::error::{Error, ErrorKind};
use super::identity::{self, Block, Document, Keyring, Origin};
use super::index::Index;
use super::store::{Store, make_identity, opens};
use super::write;
use words::clock;
use words::secret::SecretValue;

/// What a key's comment begins with until the index names it.
const PENDING: &str = "# begun to re-key";

/// Where the new key goes.
pub enum NewKey {
    /// To where the old one is.
    SamePlace,
    /// To this file, which is made, or holds it already.
    File(PathBuf),
    /// Into the store, behind this passphrase.
    Passphrase(Arc<SecretValue>),
}

/// What is left to be done once the index names the new key.
pub(super) struct Finish {
    path: PathBuf,
    data_dir: PathBuf,
    new: String,
    old: String,
    forget_old: bool,
    /// Nobody else rewrites the file meanwhile.
    _lock: File,
}

impl Store {
    /// Encrypts everything to a new key. The old one stays in the file of keys, below the new one, unless `forget_old`: it
    /// opens copies of the data directory made before, and what others have encrypted to it. Gives where the new key is.
    pub fn rekey(&self, how: NewKey, forget_old: bool) -> Result<(Origin, Change), Error> {
        let lock = self.lock()?;
        let (index, keys, made) = self.open_or_make()?;
        let old = index.recipient.clone();
        let mut draft = Draft::new(self, lock, index, made);
        let new = self.new_key(&mut draft, &keys, how, forget_old)?;
        let (key, place) = new;
        let recipient = key.recipient();
        let before = draft.index.clone();
        for (name, kept) in before.kept() {
            let value = self.load(&keys.keys, name, kept)?;
            let file = self.save(&recipient, name, kept.version, &value)?;
            draft.written.push(self.value_path(&file));
            let entry = draft.index.secrets.get_mut(name);
            let renamed = entry
                .and_then(|entry| entry.versions.iter_mut().find(|version| version.version == kept.version));
            if let Some(renamed) = renamed {
                renamed.file = file;
            }
        }
        draft.index.recipient = key.public();
        let data = json!({
            "from": old,
            "to": key.public(),
            "secrets": before.living().count(),
            "versions": before.kept().count(),
        });
        let change = draft.prepared(vec![Fact { kind: "secret.rekeyed", data }])?;
        Ok((place, change))
    }

    /// Makes the new key durable.
    fn new_key(
        &self,
        draft: &mut Draft,
        keys: &Keyring,
        how: NewKey,
        forget_old: bool,
    ) -> Result<(Key, Origin), Error> {
        let passphrase = match (how, &keys.origin) {
            (NewKey::Passphrase(passphrase), _) => passphrase,
            (NewKey::SamePlace, Origin::Passphrase(_)) => {
                identity::passphrase(self.settings())?.ok_or_else(|| identity::keyless(self.settings()))?
            }
            (NewKey::SamePlace, Origin::File(path)) => {
                return self.in_file(draft, path, forget_old);
            }
            (NewKey::SamePlace, origin) => {
                let what = format!("the key comes from {origin}, which this program cannot change");
                return Err(Error::new(ErrorKind::Invalid, what).hint(
                    "`runbook secret rekey --identity-file NEW` puts the new key into a file, to be given there afterwards",
                ));
            }
            (NewKey::File(path), origin) if *origin == Origin::File(path.clone()) => {
                return self.in_file(draft, &path, forget_old);
            }
            (NewKey::File(path), _) => {
                let key = self.key_of(&path, &draft.index)?;
                draft.index.passphrase = None;
                return Ok((key, Origin::File(path)));
            }
        };
        let block = self.new_block();
        let key = block.key.clone();
        let mut blocks = vec![block];
        if !forget_old {
            blocks.extend(keys.keys.iter().map(|key| Block::new(key.clone(), replaced())));
        }
        let file = self.hide(&Document { blocks }, &passphrase)?;
        let path = self.dir().join(&file);
        draft.written.push(path.clone());
        draft.index.passphrase = Some(file);
        Ok((key, Origin::Passphrase(path)))
    }

    /// The first key of a file that is not the store's own; makes the file if there is none.
    fn key_of(&self, path: &Path, index: &Index) -> Result<Key, Error> {
        if let Some(document) = Document::read(path)? {
            let other = document.keys().into_iter().find(|key| key.public() != index.recipient);
            return other.ok_or_else(|| {
                let what = format!("`{}` holds the key that the store has already", path.display());
                Error::new(ErrorKind::Conflict, what).hint("name a file that does not exist: it is made")
            });
        }
        let block = self.new_block();
        let key = block.key.clone();
        make_identity(path, self.data_dir(), &Document { blocks: vec![block] })?;
        Ok(key)
    }

    /// Both keys in one file.
    fn in_file(&self, draft: &mut Draft, path: &Path, forget_old: bool) -> Result<(Key, Origin), Error> {
        let origin = Origin::File(path.to_owned());
        // The file itself: a link to it stays one.
        let path = std::fs::canonicalize(path).map_err(|error| Error::io("find", path, &error))?;
        let lock = folder_lock(&path)?;
        let mut document = Document::read(&path)?.ok_or_else(|| identity::keyless(self.settings()))?;
        let pending = format!("{PENDING} {}", self.data_dir().display());
        // What earlier attempts left, that were cut short: keys the index never named, one that it names and is not marked so.
        document.blocks.retain(|block| {
            block.key.public() == draft.index.recipient || !block.comments.contains(&pending)
        });
        for block in document.blocks.iter_mut().filter(|block| block.comments.contains(&pending)) {
            *block = self.block(block.key.clone());
        }
        let key = Key::generate();
        document.blocks.insert(0, Block::new(key.clone(), pending));
        write::replace(&path, document.text().as_bytes())?;
        draft.finish = Some(Finish {
            path,
            data_dir: self.data_dir().to_owned(),
            new: key.public(),
            old: draft.index.recipient.clone(),
            forget_old,
            _lock: lock,
        });
        Ok((key, origin))
    }
}

impl Finish {
    /// Says in the file which key is which. Both are there already, so that a failure costs nothing but the words, and the
    /// old key's removal, which is told.
    pub(super) fn run(self) {
        let rewritten = || -> Result<(), Error> {
            let Some(mut document) = Document::read(&self.path)? else { return Ok(()) };
            let ours = opens(&self.data_dir);
            if self.forget_old {
                // Also those that an earlier re-key was to forget, and was cut short.
                document.blocks.retain(|block| {
                    let public = block.key.public();
                    let marked = block.comments.iter().any(|comment| comment.starts_with(&ours));
                    public == self.new || (public != self.old && !marked)
                });
            }
            let now = clock::rfc3339(clock::now_ms());
            for block in &mut document.blocks {
                let public = block.key.public();
                if public == self.new {
                    *block = Block::new(block.key.clone(), format!("{ours}made {now}"));
                } else if public == self.old {
                    block.comments.insert(0, replaced());
                }
            }
            write::replace(&self.path, document.text().as_bytes())
        };
        if let Err(error) = rewritten() {
            tracing::warn!(path = %self.path.display(), %error, "the old key is still in the file of keys");
        }
    }
}

fn replaced() -> String {
    let now = clock::rfc3339(clock::now_ms());
    format!(
        "# replaced {now}: opens only what was encrypted before, such as older copies of the data directory"
    )
}

/// Two data directories may share a file of keys: one rewrites it at a time.
fn folder_lock(path: &Path) -> Result<File, Error> {
    let folder = path.parent().unwrap_or(Path::new("/"));
    let lock = || -> std::io::Result<File> {
        let folder = File::open(folder)?;
        flock(&folder, FlockOperation::LockExclusive)?;
        Ok(folder)
    };
    lock().map_err(|error| Error::io("lock", folder, &error))
}
