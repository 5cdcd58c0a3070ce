//! Which plugins there are: those inside the binary and those a person added, by name for new runs and by digest for
//! runs that were accepted with them.

use std::collections::{HashMap, HashSet};
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use super::performing::split_uses;
use audit::Reader;
use host::{Error, Plugin, Wasm, embedded};
use model::input::Checker;
use model::step_type::{Catalogue, PluginDescription, is_reserved};
use words::ids::{Digest, PluginName};
use words::json;
use words::own_file;

/// Folder of added plugins inside the data directory.
const ADDED: &str = "plugins";
/// The largest component that is taken: the audit log keeps it as a blob, which may have no more.
pub const MAX_COMPONENT_BYTES: u64 = 16 * 1024 * 1024;
/// The largest description of an added plugin, in bytes.
const MAX_DESCRIPTION_BYTES: u64 = 4 << 20;
/// What a description puts around its schemas, in levels.
const DESCRIPTION_LEVELS: usize = 4;
/// Folder of compiled plugins inside the data directory.
const COMPILED: &str = "cache";

/// See the module.
pub struct Plugins {
    data_dir: PathBuf,
    /// Whether compiled plugins are kept for the next process.
    keeps: bool,
    catalogue: Catalogue,
    wasm: Mutex<Option<Arc<Wasm>>>,
    loaded: Mutex<HashMap<Digest, Plugin>>,
    /// Whose bytes the audit log is known to keep: while an engine lives, it forgets none.
    kept: Mutex<HashSet<Digest>>,
    /// Whose turn it is to compile: hundreds of runs that begin at once want the same plugin.
    turn: tokio::sync::Mutex<()>,
    /// What step types promise of their outputs, made when first asked for.
    outputs: Mutex<HashMap<String, Arc<Checker>>>,
}

impl Plugins {
    /// Those inside the binary and those added to this data directory. What is compiled is kept there.
    pub fn open(data_dir: &Path) -> Self {
        Self::of(data_dir, true)
    }

    /// The same for those who only look: nothing is written, and the directory need not exist.
    pub fn looking(data_dir: &Path) -> Self {
        Self::of(data_dir, false)
    }

    fn of(data_dir: &Path, keeps: bool) -> Self {
        let mut catalogue = embedded::catalogue();
        for description in added(data_dir) {
            catalogue.add(description);
        }
        Self {
            data_dir: data_dir.to_owned(),
            keeps,
            catalogue,
            wasm: Mutex::default(),
            loaded: Mutex::default(),
            kept: Mutex::default(),
            turn: tokio::sync::Mutex::default(),
            outputs: Mutex::default(),
        }
    }

    pub(super) fn data_dir(&self) -> &Path {
        &self.data_dir
    }

    /// What runbooks may use.
    pub fn catalogue(&self) -> &Catalogue {
        &self.catalogue
    }

    /// What the step type `service.restart` promises of its output; none if that is not known of a plugin with these bytes.
    pub(super) fn output_of(&self, uses: &str, digest: &Digest) -> Option<Arc<Checker>> {
        let (plugin, step) = split_uses(uses)?;
        if self.catalogue.plugin(&plugin)?.digest != *digest {
            return None;
        }
        let mut outputs = self.outputs.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(known) = outputs.get(uses) {
            return Some(Arc::clone(known));
        }
        let made = Arc::new(Checker::new(&self.catalogue.step(&plugin, step)?.output));
        outputs.insert(uses.to_owned(), Arc::clone(&made));
        Some(made)
    }

    /// The WASM engine, made when first asked for.
    pub fn wasm(&self) -> Result<Arc<Wasm>, Error> {
        let mut wasm = self.wasm.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(wasm) = &*wasm {
            return Ok(Arc::clone(wasm));
        }
        let folder = self.data_dir.join(COMPILED);
        let made = Arc::new(if self.keeps { Wasm::new(Some(folder))? } else { Wasm::looking(folder)? });
        *wasm = Some(Arc::clone(&made));
        Ok(made)
    }

    /// The bytes of a plugin, from the binary, the folder of added ones, or the audit log.
    pub fn bytes(&self, name: &PluginName, digest: &Digest) -> Option<Vec<u8>> {
        if let Some(bytes) = embedded::component(name.as_str()).filter(|bytes| Digest::of(bytes) == *digest) {
            return Some(bytes.to_vec());
        }
        let file = self.data_dir.join(ADDED).join(format!("{name}.wasm"));
        if let Some(bytes) =
            own_file::read(&file, MAX_COMPONENT_BYTES).ok().filter(|bytes| Digest::of(bytes) == *digest)
        {
            return Some(bytes);
        }
        Reader::open(&self.data_dir).ok()?.blob(digest).ok()?
    }

    /// The bytes of those that the audit log does not keep yet.
    pub(super) fn not_kept(&self, plugins: &[(PluginName, Digest)]) -> Result<Vec<Vec<u8>>, audit::Error> {
        let mut kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        let mut missing: Vec<_> = plugins.iter().filter(|(_, digest)| !kept.contains(digest)).collect();
        if !missing.is_empty() {
            let found = Reader::open(&self.data_dir)?.kept(missing.iter().map(|(_, digest)| digest))?;
            missing.retain(|(_, digest)| !found.contains(digest));
            kept.extend(found);
        }
        Ok(missing.into_iter().filter_map(|(name, digest)| self.bytes(name, digest)).collect())
    }

    /// A plugin that was loaded before.
    pub fn loaded(&self, digest: &Digest) -> Option<Plugin> {
        self.loaded.lock().unwrap_or_else(PoisonError::into_inner).get(digest).cloned()
    }

    /// Waits for the turn to load one. Who gets it looks first whether the one before has loaded the same.
    pub(super) async fn turn(&self) -> tokio::sync::MutexGuard<'_, ()> {
        self.turn.lock().await
    }

    /// A plugin ready to run. Compiling may take a tenth of a second the first time: call it where blocking is allowed.
    pub fn load(&self, name: &PluginName, digest: &Digest) -> Result<Plugin, Error> {
        if let Some(plugin) = self.loaded(digest) {
            return Ok(plugin);
        }
        let bytes = self.bytes(name, digest).ok_or_else(|| Error::NotAComponent {
            name: name.to_string(),
            why: format!("its bytes {} are no longer kept", digest.short()),
        })?;
        let plugin = Plugin::load(&*self.wasm()?, name, &bytes)?;
        self.loaded.lock().unwrap_or_else(PoisonError::into_inner).insert(digest.clone(), plugin.clone());
        Ok(plugin)
    }
}

/// What the added plugins said of themselves when they were added. A damaged file is passed over, and so is one whose name
/// is reserved: a runbook that uses the plugin then says that there is none.
fn added(data_dir: &Path) -> Vec<PluginDescription> {
    let Ok(files) = fs::read_dir(data_dir.join(ADDED)) else { return Vec::new() };
    files
        .filter_map(Result::ok)
        .map(|file| file.path())
        .filter(|path| path.extension().is_some_and(|e| e == "json"))
        .filter_map(|path| described(&path))
        .collect()
}

fn described(path: &Path) -> Option<PluginDescription> {
    let text = own_file::read(path, MAX_DESCRIPTION_BYTES).ok()?;
    let description: PluginDescription = json::read_enveloped(&text, DESCRIPTION_LEVELS).ok()?;
    let name = &description.name;
    if taken(name) {
        tracing::warn!("the added plugin `{name}` is not used: its name is reserved");
        return None;
    }
    Some(description)
}

/// Whether no added plugin may have this name.
fn taken(name: &PluginName) -> bool {
    is_reserved(name) || embedded::component(name.as_str()).is_some()
}

/// Adds a plugin to a data directory: it is compiled, asked to describe itself with every import trapping, and kept. Its
/// name must be free or its own.
pub async fn add(data_dir: &Path, name: &PluginName, bytes: &[u8]) -> Result<PluginDescription, AddError> {
    if taken(name) {
        return Err(AddError::Taken { name: name.clone() });
    }
    let wasm = Wasm::new(Some(data_dir.join(COMPILED)))?;
    let description = host::describe(&wasm, name, bytes).await?;
    let folder = data_dir.join(ADDED);
    let failed = |error| AddError::Io { folder: folder.display().to_string(), error };
    fs::create_dir_all(&folder).map_err(failed)?;
    let text = serde_json::to_vec_pretty(&description).unwrap_or_default();
    write_whole(&folder.join(format!("{name}.wasm")), bytes).map_err(failed)?;
    write_whole(&folder.join(format!("{name}.json")), &text).map_err(failed)?;
    Ok(description)
}

/// Removes an added plugin; runs accepted with it keep its bytes.
pub fn remove(data_dir: &Path, name: &PluginName) -> Result<bool, AddError> {
    let folder = data_dir.join(ADDED);
    let mut found = false;
    for ending in ["json", "wasm"] {
        match fs::remove_file(folder.join(format!("{name}.{ending}"))) {
            Ok(()) => found = true,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {}
            Err(error) => return Err(AddError::Io { folder: folder.display().to_string(), error }),
        }
    }
    if !found && taken(name) {
        return Err(AddError::Taken { name: name.clone() });
    }
    Ok(found)
}

fn write_whole(file: &Path, bytes: &[u8]) -> std::io::Result<()> {
    let beside = file.with_extension("new");
    fs::write(&beside, bytes)?;
    fs::File::open(&beside)?.sync_all()?;
    fs::rename(&beside, file)
}

/// A plugin that cannot be added or removed.
#[derive(Debug, thiserror::Error)]
pub enum AddError {
    /// Its name is that of one inside the binary, or means something else in `uses`.
    #[error("the name `{name}` is reserved: {}", if is_reserved(name) { "it means something else" } else { "a plugin inside the binary has it" })]
    Taken {
        /// The name.
        name: PluginName,
    },
    /// It is not one.
    #[error(transparent)]
    Plugin(#[from] Error),
    /// The folder cannot be written.
    #[error("cannot write `{folder}`: {error}")]
    Io {
        /// Which.
        folder: String,
        /// Why.
        error: std::io::Error,
    },
}
