//! The seam to stores that others keep, and the first of them: a directory of age files.

use std::collections::HashMap;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use sha2::{Digest as _, Sha256};

use super::crypt::{self, Closed};
use super::error::{Error, ErrorKind};
use super::identity::Keyring;
use super::keeper::Version;
use super::settings::Directory;
use super::write;
use words::secret::SecretName;
use words::secret::SecretValue;
use words::suggestion;

/// Where secrets come from.
pub trait Source: Send + Sync {
    /// What there is.
    fn names(&self) -> Result<Vec<SecretName>, Error>;
    /// The version that is used now. Decrypts nothing.
    fn current(&self, name: &SecretName) -> Result<Version, Error>;
    /// That and the ones before it, as far as they are kept and the scrubber is to know them.
    fn newest(&self, name: &SecretName) -> Result<Vec<Version>, Error> {
        Ok(vec![self.current(name)?])
    }
    /// The value of a version.
    fn load(&self, name: &SecretName, version: &Version) -> Result<Arc<SecretValue>, Error>;
}

/// A larger file holds no value, in bytes: many recipients make a long head.
const MAX_FILE_BYTES: u64 = 128 * 1024;

/// Directories within directories.
const MAX_DEPTH: usize = 8;

/// The most names that one directory gives.
const MAX_NAMES: usize = 10_000;

/// Hex digits of a version.
const VERSION_DIGITS: usize = 12;

/// The keys that are there now; `true` asks for a fresh look.
pub(super) type Keys = dyn Fn(bool) -> Result<Arc<Keyring>, Error> + Send + Sync;

/// A directory of `NAME.age` files: names in clear, each value encrypted to our recipient.
pub struct AgeDirectory {
    directory: Directory,
    keys: Box<Keys>,
    /// What files hashed to when they were last seen.
    seen: Mutex<HashMap<SecretName, (Stamp, Version)>>,
}

/// What changes when a file does.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) struct Stamp {
    device: u64,
    inode: u64,
    size: u64,
    modified: (i64, i64),
}

impl Stamp {
    /// Of a file; none if there is none.
    pub(super) fn of(path: &Path) -> Result<Option<Self>, Error> {
        match std::fs::metadata(path) {
            Ok(found) => Ok(Some(Self {
                device: found.dev(),
                inode: found.ino(),
                size: found.size(),
                modified: (found.mtime(), found.mtime_nsec()),
            })),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(Error::io("look at", path, &error)),
        }
    }
}

impl AgeDirectory {
    pub(super) fn new(directory: &Directory, keys: Box<Keys>) -> Self {
        Self { directory: directory.clone(), keys, seen: Mutex::default() }
    }

    pub(super) fn name(&self) -> &str {
        &self.directory.name
    }

    /// Whether a name is one of its own.
    pub(super) fn has(&self, name: &SecretName) -> bool {
        self.directory.within(name).is_some()
    }

    fn file(&self, name: &SecretName) -> PathBuf {
        self.directory.path.join(format!("{}.age", self.directory.within(name).unwrap_or_default()))
    }

    fn absent(&self, name: &SecretName) -> Error {
        let known = self.names().unwrap_or_default();
        let known = known.iter().map(SecretName::as_str);
        Error::new(
            ErrorKind::NotFound,
            format!("there is no secret `{name}`: no file `{}`", self.file(name).display()),
        )
        .hint("`runbook secret list` shows what there is")
        .maybe(suggestion::nearest(name.as_str(), known).map(|near| format!("did you mean `{near}`?")))
    }

    fn sealed(&self, name: &SecretName) -> Result<(crypt::Plain, Version), Error> {
        let path = self.file(name);
        let sealed = write::read(&path, MAX_FILE_BYTES)?.ok_or_else(|| self.absent(name))?;
        let mut version = write::hex(&Sha256::digest(&*sealed));
        version.truncate(VERSION_DIGITS);
        Ok((sealed, version.into()))
    }
}

impl Source for AgeDirectory {
    fn names(&self) -> Result<Vec<SecretName>, Error> {
        let mut names = Vec::new();
        collect(&self.directory.path, &self.directory.name, 0, &mut names)?;
        names.sort();
        Ok(names)
    }

    fn current(&self, name: &SecretName) -> Result<Version, Error> {
        let stamp = Stamp::of(&self.file(name))?.ok_or_else(|| self.absent(name))?;
        let mut seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((then, version)) = seen.get(name)
            && *then == stamp
        {
            return Ok(version.clone());
        }
        let (_, version) = self.sealed(name)?;
        seen.insert(name.clone(), (stamp, version.clone()));
        Ok(version)
    }

    fn load(&self, name: &SecretName, version: &Version) -> Result<Arc<SecretValue>, Error> {
        let (sealed, found) = self.sealed(name)?;
        if found != *version {
            let what = format!("version {version} of the secret `{name}` is no more: its file has changed");
            return Err(Error::new(ErrorKind::NotFound, what)
                .hint("a directory keeps only the newest; begin the run again, so that it uses that one"));
        }
        let mut opened = crypt::open(&(self.keys)(false)?.keys, &sealed);
        if matches!(opened, Err(Closed::OtherKey)) {
            opened = crypt::open(&(self.keys)(true)?.keys, &sealed);
        }
        let shown = self.file(name).display().to_string();
        let plain = opened.map_err(|closed| match closed {
            Closed::OtherKey => {
                Error::new(ErrorKind::Locked, format!("`{shown}` is not encrypted to our key"))
                    .hint("encrypt it to the recipient that `runbook secret list --output json` shows")
            }
            _ => Error::new(ErrorKind::Damaged, format!("`{shown}` is no whole age file"))
                .hint("put it there again, as `age -r RECIPIENT` writes it"),
        })?;
        let text = plain.strip_suffix(b"\n").unwrap_or(&plain);
        Ok(Arc::new(SecretValue::from_bytes(text.to_vec())?))
    }
}

/// Names of the files below a folder.
fn collect(folder: &Path, inside: &str, depth: usize, into: &mut Vec<SecretName>) -> Result<(), Error> {
    let entries = std::fs::read_dir(folder).map_err(|error| Error::io("read", folder, &error))?;
    for entry in entries.flatten() {
        let Ok(name) = entry.file_name().into_string() else { continue };
        if name.starts_with('.') || into.len() >= MAX_NAMES {
            continue;
        }
        let is_directory = entry.file_type().is_ok_and(|kind| kind.is_dir());
        if is_directory && depth < MAX_DEPTH {
            collect(&entry.path(), &format!("{inside}/{name}"), depth + 1, into)?;
        } else if let Some(stem) = name.strip_suffix(".age").filter(|_| !is_directory)
            && let Ok(name) = SecretName::new(format!("{inside}/{stem}"))
        {
            into.push(name);
        }
    }
    Ok(())
}
