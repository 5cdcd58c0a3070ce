//! How the store is: for those who look after the machine. Changes nothing.

use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

use super::error::Error;
use super::identity::Origin;
use super::index;
use super::store::{Store, VALUES};

/// Files that are named when their modes are loose.
const MAX_NAMED: usize = 5;

/// Values that are decrypted to see whether they can be: some tenths of a second.
const MAX_TRIED: usize = 1_000;

/// How it is.
#[derive(Debug)]
pub struct Health {
    /// Names.
    pub secrets: usize,
    /// Files and directories that others can read, the first few.
    pub loose: Vec<PathBuf>,
    /// The first value that does not open, of the newest versions of the first 1,000 secrets.
    pub broken: Option<Error>,
    /// Where the key came from, or why there is none.
    pub key: Result<Origin, Error>,
    /// The key lies in the data directory: a copy opens itself.
    pub key_inside: bool,
}

impl Store {
    /// How it is; none if there is no store. With a passphrase that nobody gave, `key` is the error.
    pub fn health(&self) -> Result<Option<Health>, Error> {
        let Some(index) = self.index()? else { return Ok(None) };
        let keys = self.keys(&index);
        let broken = keys.as_ref().ok().and_then(|keys| {
            let names = index.living().map(|(name, _)| name).take(MAX_TRIED);
            names.into_iter().find_map(|name| self.decrypt(&index, &keys.keys, name, None).err())
        });
        let key = keys.map(|keys| keys.origin);
        let key_inside = matches!(&key, Ok(Origin::File(path)) if path.starts_with(self.data_dir()));
        let values = self.dir().join(VALUES);
        let mut looked_at = vec![self.dir().to_owned(), values.clone(), self.dir().join(index::FILE)];
        looked_at.extend(files(&values));
        looked_at.extend(index.passphrase.as_ref().map(|file| self.dir().join(file)));
        let loose = looked_at.into_iter().filter(|path| is_loose(path)).take(MAX_NAMED).collect();
        Ok(Some(Health { secrets: index.living().count(), loose, broken, key, key_inside }))
    }
}

fn files(dir: &Path) -> Vec<PathBuf> {
    std::fs::read_dir(dir).into_iter().flatten().flatten().map(|entry| entry.path()).collect()
}

fn is_loose(path: &Path) -> bool {
    std::fs::symlink_metadata(path).is_ok_and(|found| found.permissions().mode() & 0o077 != 0)
}
