//! What the engine holds: asks the stores for versions and values, and remembers what it has decrypted.
//!
//! Everything here may wait for a disk, and the first use of a store behind a passphrase for some tenths of a second.

use std::collections::{HashMap, HashSet};
use std::fmt;
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use serde::{Deserialize, Serialize};

use super::error::{Error, ErrorKind};
use super::identity::{self, Keyring};
use super::index::{self, Index};
use super::outside::{AgeDirectory, Source, Stamp};
use super::scrub;
use super::settings::SecretsSettings;
use super::store::{Store, absent, kept};
use words::secret::SecretName;
use words::secret::SecretValue;

/// What is remembered at most, in bytes of values; then all of it is forgotten and decrypted again when used.
const MAX_CACHED_BYTES: usize = 64 * 1024 * 1024;

/// How many versions of a secret the scrubber knows, the newest.
pub(super) const LEARNT_VERSIONS: usize = 3;

/// How often a value is looked for again after a change took its file away in the very moment it was read.
const LOOKS: usize = 5;

/// Which of a secret's values: `3` of the own store, 12 hex digits of an outside one.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Version(String);

impl Version {
    /// As the store writes it.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl From<String> for Version {
    fn from(text: String) -> Self {
        Self(text)
    }
}

impl fmt::Display for Version {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Holds the stores. Cheap to clone; opens them when first asked.
#[derive(Clone)]
pub struct Keeper {
    inner: Arc<Inner>,
}

struct Inner {
    own: Arc<Own>,
    outside: Vec<AgeDirectory>,
    learnt: Mutex<Learnt>,
    /// Forgotten when the index of the own store is another and names them no more.
    values: Mutex<Values>,
}

/// What the scrubber knows of the own store.
#[derive(Default, Clone, Copy)]
struct Learnt {
    /// The index whose values were tried last.
    tried: Option<Stamp>,
    /// Whether all of them are known.
    all: bool,
}

/// Where a value was found: a file of the own store is never changed, one of an outside store has another version then.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
enum Place {
    Own(String),
    Outside(SecretName, Version),
}

#[derive(Default)]
struct Values {
    bytes: usize,
    by_place: HashMap<Place, Arc<SecretValue>>,
    /// The index they were seen with.
    index: Option<Stamp>,
}

impl fmt::Debug for Keeper {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Keeper")
    }
}

impl Keeper {
    /// Over the secrets of a data directory. Opens nothing yet.
    pub fn new(data_dir: &Path, settings: SecretsSettings) -> Self {
        let directories = settings.directories.clone();
        let store = Store::new(data_dir, settings);
        let own = Arc::new(Own { store, state: Mutex::default() });
        let outside = directories
            .iter()
            .map(|directory| {
                let own = Arc::clone(&own);
                AgeDirectory::new(directory, Box::new(move |fresh| own.keys(fresh)))
            })
            .collect();
        Self { inner: Arc::new(Inner { own, outside, learnt: Mutex::default(), values: Mutex::default() }) }
    }

    /// The version that is used now. Decrypts nothing.
    ///
    /// # Errors
    /// `NotFound` with the nearest name; `Damaged`, `Io`.
    pub fn current(&self, name: &SecretName) -> Result<Version, Error> {
        self.source(name).current(name)
    }

    /// The value of a version; the scrubber knows it from then on.
    ///
    /// # Errors
    /// `NotFound` where the version is no more, `Locked`, `TooOpen`, `Damaged`, `Io`.
    pub fn value(&self, name: &SecretName, version: &Version) -> Result<Arc<SecretValue>, Error> {
        let place = self.place(name, version)?;
        if let Some(value) = self.values().by_place.get(&place) {
            return Ok(Arc::clone(value));
        }
        let value = self.source(name).load(name, version)?;
        scrub::learn(name, &value);
        let mut values = self.values();
        if values.bytes > MAX_CACHED_BYTES {
            *values = Values { index: values.index, ..Values::default() };
        }
        values.bytes += value.expose().len();
        values.by_place.insert(place, Arc::clone(&value));
        Ok(value)
    }

    /// Every name of every store.
    pub fn names(&self) -> Result<Vec<SecretName>, Error> {
        let mut names = self.inner.own.names()?;
        names.retain(|name| !self.inner.outside.iter().any(|outside| outside.has(name)));
        for outside in &self.inner.outside {
            names.extend(outside.names()?);
        }
        Ok(names)
    }

    /// Those of the outside stores, each with what its store is called.
    pub fn outside_names(&self) -> Result<Vec<(String, SecretName)>, Error> {
        let mut all = Vec::new();
        for outside in &self.inner.outside {
            all.extend(outside.names()?.into_iter().map(|name| (outside.name().to_owned(), name)));
        }
        Ok(all)
    }

    /// Whether its key has to be stretched from a passphrase first, which takes about a second.
    pub fn is_slow(&self) -> bool {
        let settings = self.inner.own.store.settings();
        let behind = |index: &Index| Keyring::is_behind_passphrase(settings, index).unwrap_or(false);
        self.inner.own.index().is_ok_and(|index| index.is_some_and(|(_, index)| behind(&index)))
    }

    /// Whether there is something in the own store that the scrubber was not told of yet; one look at a file.
    pub fn has_news(&self) -> bool {
        let tried = self.learnt().tried;
        self.inner.own.stamp().is_ok_and(|index| index.is_some() && index != tried)
    }

    /// Why the values of the own store cannot be known here, if there are any: whatever prints one is recorded as it is.
    pub fn blind(&self) -> Option<Error> {
        let (_, index) = self.inner.own.index().ok()??;
        index.living().next()?;
        self.inner.own.keys_of(&index).err()
    }

    /// Tells the scrubber the newest values of every secret, three of each at most: what was replaced is often
    /// valid for a while. No error where there is no store or no key.
    ///
    /// # Errors
    /// The first of `TooOpen`, `Damaged`, `Io`, after all others were learnt.
    pub fn learn_all(&self) -> Result<(), Error> {
        let mut first = None;
        let tried = self.inner.own.stamp()?;
        let known = *self.learnt();
        if tried.is_some() && !(known.all && known.tried == tried) {
            let all = self.learn_of(&*self.inner.own, &mut first);
            // What changed meanwhile has another stamp.
            *self.learnt() = Learnt { tried, all };
        }
        for outside in &self.inner.outside {
            self.learn_of(outside, &mut first);
        }
        first.map_or(Ok(()), Err)
    }

    /// Whether every value of a store is known now.
    fn learn_of(&self, source: &dyn Source, first: &mut Option<Error>) -> bool {
        let learnt =
            source.names().and_then(|names| names.iter().try_for_each(|name| self.learn(name, first)));
        let all = learnt.is_ok() && first.is_none();
        note(learnt, first);
        all
    }

    /// One value; an error that concerns all others, too, ends it.
    fn learn(&self, name: &SecretName, first: &mut Option<Error>) -> Result<(), Error> {
        let source = self.source(name);
        let learnt = source
            .newest(name)
            .and_then(|versions| versions.iter().try_for_each(|version| self.value(name, version).map(drop)));
        match learnt {
            Err(error) if matches!(error.kind(), ErrorKind::Locked | ErrorKind::TooOpen) => Err(error),
            other => {
                note(other, first);
                Ok(())
            }
        }
    }

    /// Where a value is; forgets those that are nowhere any more.
    fn place(&self, name: &SecretName, version: &Version) -> Result<Place, Error> {
        if self.inner.outside.iter().any(|outside| outside.has(name)) {
            return Ok(Place::Outside(name.clone(), version.clone()));
        }
        let (stamp, index) = self.inner.own.index()?.ok_or_else(|| absent(name, None))?;
        let mut values = self.values();
        if values.index.replace(stamp) != Some(stamp) {
            let named: HashSet<&str> = index.kept().map(|(_, kept)| kept.file.as_str()).collect();
            values.by_place.retain(|place, _| match place {
                Place::Own(file) => named.contains(file.as_str()),
                Place::Outside(..) => true,
            });
            values.bytes = values.by_place.values().map(|value| value.expose().len()).sum();
        }
        Ok(Place::Own(kept(&index, name, Some(number(name, version)?))?.file.clone()))
    }

    fn source(&self, name: &SecretName) -> &dyn Source {
        match self.inner.outside.iter().find(|outside| outside.has(name)) {
            Some(outside) => outside,
            None => &*self.inner.own,
        }
    }

    fn learnt(&self) -> MutexGuard<'_, Learnt> {
        self.inner.learnt.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn values(&self) -> MutexGuard<'_, Values> {
        self.inner.values.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn note(learnt: Result<(), Error>, first: &mut Option<Error>) {
    let Err(error) = learnt else { return };
    match error.kind() {
        ErrorKind::Locked | ErrorKind::NotFound => tracing::debug!(%error, "not all secrets are scrubbed"),
        _ => drop(first.get_or_insert(error)),
    }
}

/// The own store with what was read of it.
struct Own {
    store: Store,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    index: Option<(Stamp, Arc<Index>)>,
    keys: Option<Arc<Keyring>>,
}

impl Own {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Of the index as it is on the disk now; none if there is no store.
    fn stamp(&self) -> Result<Option<Stamp>, Error> {
        Stamp::of(&self.store.dir().join(index::FILE))
    }

    /// As it is on the disk now; read again only if the file is another.
    fn index(&self) -> Result<Option<(Stamp, Arc<Index>)>, Error> {
        let Some(stamp) = self.stamp()? else {
            self.state().index = None;
            return Ok(None);
        };
        if let Some((then, index)) = &self.state().index
            && *then == stamp
        {
            return Ok(Some((stamp, Arc::clone(index))));
        }
        // A change between the look and the reading is seen by the next look.
        let Some(index) = self.store.index()?.map(Arc::new) else { return Ok(None) };
        self.state().index = Some((stamp, Arc::clone(&index)));
        Ok(Some((stamp, index)))
    }

    fn keys(&self, fresh: bool) -> Result<Arc<Keyring>, Error> {
        if let Some(keys) = self.state().keys.clone().filter(|_| !fresh) {
            return Ok(keys);
        }
        let index = self.index()?.map(|(_, index)| index);
        let found = self.store.keyring(index.as_deref())?;
        Ok(self.found(found.ok_or_else(|| identity::keyless(self.store.settings()))?))
    }

    /// Those that open this index: looked for again if the ones that are known do not.
    fn keys_of(&self, index: &Index) -> Result<Arc<Keyring>, Error> {
        if let Some(keys) = self.state().keys.clone().filter(|keys| keys.opens(index)) {
            return Ok(keys);
        }
        Ok(self.found(self.store.keys(index)?))
    }

    fn found(&self, keys: Keyring) -> Arc<Keyring> {
        let keys = Arc::new(keys);
        self.state().keys = Some(Arc::clone(&keys));
        keys
    }

    fn try_load(&self, name: &SecretName, version: &Version) -> Result<Arc<SecretValue>, Error> {
        let (_, index) = self.index()?.ok_or_else(|| absent(name, None))?;
        let kept = kept(&index, name, Some(number(name, version)?))?;
        let keys = self.keys_of(&index)?;
        self.store.load(&keys.keys, name, kept).map(Arc::new)
    }
}

/// A version of the own store.
fn number(name: &SecretName, version: &Version) -> Result<u64, Error> {
    version.as_str().parse().map_err(|_| {
        Error::new(ErrorKind::NotFound, format!("the secret `{name}` has no version {version}"))
            .hint("it was in an outside store when it was used: `runbook secret list` shows where it is now")
    })
}

impl Source for Own {
    fn names(&self) -> Result<Vec<SecretName>, Error> {
        let Some((_, index)) = self.index()? else { return Ok(Vec::new()) };
        Ok(index.living().map(|(name, _)| name.clone()).collect())
    }

    fn current(&self, name: &SecretName) -> Result<Version, Error> {
        let (_, index) = self.index()?.ok_or_else(|| absent(name, None))?;
        Ok(Version(kept(&index, name, None)?.version.to_string()))
    }

    fn newest(&self, name: &SecretName) -> Result<Vec<Version>, Error> {
        let (_, index) = self.index()?.ok_or_else(|| absent(name, None))?;
        let entry = index.entry(name).ok_or_else(|| absent(name, Some(&index)))?;
        let newest = entry.versions.iter().rev().take(LEARNT_VERSIONS);
        Ok(newest.map(|kept| Version(kept.version.to_string())).collect())
    }

    fn load(&self, name: &SecretName, version: &Version) -> Result<Arc<SecretValue>, Error> {
        let mut seen = HashSet::new();
        let mut loaded = self.try_load(name, version);
        // A re-key takes the files away under those who read: then there is another index.
        while let Err(error) = &loaded
            && matches!(error.kind(), ErrorKind::Damaged | ErrorKind::Locked)
            && seen.len() < LOOKS
            && seen.insert(self.stamp()?)
        {
            loaded = self.try_load(name, version);
        }
        loaded
    }
}
