//! The wasmtime engine and the cache of compiled plugins.
//!
//! A component is compiled once and kept in a directory that only our own user can write, under the digest of its bytes
//! and the compatibility hash of the compiler. The digest of what was written is kept beside it, under a key only this
//! user can read through the same directory; a compiled file from anyone else is never loaded.

use std::fs;
use std::hash::{Hash as _, Hasher as _};
use std::io::{Read as _, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, MetadataExt as _};
use std::path::{Path, PathBuf};
use std::time::Duration;

use tokio::sync::{Semaphore, SemaphorePermit};
use wasmtime::component::Component;
use wasmtime::{Config, Enabled, Engine, InstanceAllocationStrategy, OptLevel, PoolingAllocationConfig};

use super::limits;
use super::memory::Pool;
use words::clock::{self, Deadline};
use words::ids::Digest;
use words::own_file;

/// A component that cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Not a component, or one the engine does not accept.
    #[error("`{name}` is not a WASM component this engine can run: {why}")]
    NotAComponent {
        /// The plugin.
        name: String,
        /// The compiler's words, first line.
        why: String,
    },
    /// Too large.
    #[error("`{name}` has {bytes} bytes, more than the {} a component may have", limits::MAX_COMPONENT_BYTES)]
    TooLarge {
        /// The plugin.
        name: String,
        /// Its size.
        bytes: usize,
    },
    /// It asks for something that is not in the contract.
    #[error("`{name}` asks for {what}, which this engine does not offer")]
    UnknownImport {
        /// The plugin.
        name: String,
        /// The import.
        what: String,
    },
    /// The engine could not be made.
    #[error("the WASM engine cannot be started: {0}")]
    Engine(String),
}

/// The engine: compiles, caches, ticks.
pub struct Wasm {
    engine: Engine,
    /// Who may have an instance now.
    places: Semaphore,
    memory: Pool,
    /// Where compiled plugins are kept.
    cache: Option<PathBuf>,
    /// Whether nothing is written there.
    looks: bool,
}

impl Wasm {
    /// Makes the engine. `cache` is the directory of compiled plugins; without one, each is compiled when first used.
    pub fn new(cache: Option<PathBuf>) -> Result<Self, Error> {
        Self::with(cache.filter(|dir| make_private(dir)), false)
    }

    /// Makes the engine for those who only look: what was compiled before is used, and nothing is written.
    pub fn looking(dir: PathBuf) -> Result<Self, Error> {
        Self::with(Some(dir).filter(|dir| is_private(dir)), true)
    }

    fn with(cache: Option<PathBuf>, looks: bool) -> Result<Self, Error> {
        // A pool needs much address space, no memory; where that is rationed, each instance is mapped by itself.
        let engine = Engine::new(config().allocation_strategy(pool()))
            .or_else(|_| Engine::new(&config()))
            .map_err(|e| Error::Engine(first_line(&e)))?;
        let weak = engine.weak();
        std::thread::Builder::new()
            .name("epoch".to_owned())
            .spawn(move || {
                while let Some(engine) = weak.upgrade() {
                    engine.increment_epoch();
                    drop(engine);
                    std::thread::sleep(Duration::from_millis(limits::TICK_MS));
                }
            })
            .map_err(|e| Error::Engine(e.to_string()))?;
        Ok(Self {
            engine,
            places: Semaphore::new(limits::MAX_ATTEMPTS as usize),
            memory: Pool::default(),
            cache,
            looks,
        })
    }

    /// The wasmtime engine.
    pub fn engine(&self) -> &Engine {
        &self.engine
    }

    /// What all plugins share.
    pub(super) fn memory(&self) -> &Pool {
        &self.memory
    }

    /// Waits for a place among those that run, at most until then.
    pub(super) async fn place(&self, deadline: Deadline) -> Option<SemaphorePermit<'_>> {
        clock::until(deadline, self.places.acquire()).await.ok()?.ok()
    }

    /// Where compiled plugins are kept, if they are.
    pub fn cache(&self) -> Option<&Path> {
        self.cache.as_deref()
    }

    /// Compiles a component, or loads what was compiled before.
    pub fn component(&self, name: &str, bytes: &[u8]) -> Result<Component, Error> {
        if bytes.len() > limits::MAX_COMPONENT_BYTES {
            return Err(Error::TooLarge { name: name.to_owned(), bytes: bytes.len() });
        }
        let not_a_component =
            |e: &wasmtime::Error| Error::NotAComponent { name: name.to_owned(), why: first_line(e) };
        let file = self.cache.as_ref().map(|dir| dir.join(self.cache_name(bytes)));
        if let Some(component) = file.as_ref().and_then(|file| self.load(file)) {
            return Ok(component);
        }
        let compiled = self.compile(bytes).map_err(|e| not_a_component(&e))?;
        if let Some(file) = file.filter(|_| !self.looks)
            && let Err(error) = store(&file, &compiled)
        {
            tracing::warn!(%error, file = %file.display(), "compiled plugin cannot be cached");
        }
        self.deserialize(&compiled).map_err(|e| not_a_component(&e))
    }

    /// Who only looks uses it once: soon rather than well. How much effort was made does not change what the code is compatible
    /// with (`wasmtime` passes over `opt_level`). The faster register allocator is not for us: it is not held secure.
    fn compile(&self, bytes: &[u8]) -> wasmtime::Result<Vec<u8>> {
        if !self.looks {
            return self.engine.precompile_component(bytes);
        }
        let mut config = config();
        Engine::new(config.cranelift_opt_level(OptLevel::None))?.precompile_component(bytes)
    }

    fn cache_name(&self, bytes: &[u8]) -> String {
        let mut hasher = std::collections::hash_map::DefaultHasher::new();
        self.engine.precompile_compatibility_hash().hash(&mut hasher);
        format!("{}-{:016x}.cwasm", Digest::of(bytes), hasher.finish())
    }

    fn load(&self, file: &Path) -> Option<Component> {
        let mut opened = own_file::open(file).ok()?;
        let owner = opened.metadata().ok()?;
        if owner.uid() != rustix::process::geteuid().as_raw() || owner.mode() & 0o022 != 0 {
            return None;
        }
        let mut compiled = Vec::new();
        opened.read_to_end(&mut compiled).ok()?;
        let (digest, body) = compiled.split_at_checked(64)?;
        if Digest::of(body).as_str().as_bytes() != digest {
            return None;
        }
        self.deserialize(body).ok()
    }

    /// The only `unsafe` of the project.
    #[expect(
        unsafe_code,
        reason = "SAFETY: `Component::deserialize` trusts its bytes to come from `precompile_component` of a compatible \
                  engine. Both callers hold that: one passes what it has just compiled; the other what this user wrote \
                  into a 0700 directory of its own, owned by it, writable by nobody else, with a digest that matches. \
                  wasmtime itself refuses bytes of another version or other settings."
    )]
    fn deserialize(&self, compiled: &[u8]) -> wasmtime::Result<Component> {
        unsafe { Component::deserialize(&self.engine, compiled) }
    }
}

fn config() -> Config {
    let mut config = Config::new();
    config
        .consume_fuel(true)
        .epoch_interruption(true)
        .cranelift_nan_canonicalization(true)
        .wasm_relaxed_simd(false)
        .max_wasm_stack(limits::MAX_STACK_BYTES)
        .async_stack_size(limits::MAX_STACK_BYTES * 2)
        .memory_reservation(limits::MAX_MEMORY_BYTES as u64)
        .wasm_backtrace_max_frames(None);
    config
}

/// Room for every attempt, mapped once: making an instance costs no call of the system, which is half of what a small
/// step takes (measured: `cargo bench -- throughput`).
fn pool() -> InstanceAllocationStrategy {
    let mut pool = PoolingAllocationConfig::new();
    pool.total_component_instances(limits::MAX_ATTEMPTS)
        .total_core_instances(limits::MAX_ATTEMPTS * limits::CORE_INSTANCES)
        .total_memories(limits::MAX_ATTEMPTS * limits::MEMORIES)
        .total_tables(limits::MAX_ATTEMPTS * limits::TABLES)
        // One component takes no more than its share, or a few would leave nothing for the others.
        .max_core_instances_per_component(limits::CORE_INSTANCES)
        .max_memories_per_component(limits::MEMORIES)
        .max_tables_per_component(limits::TABLES)
        .total_stacks(limits::MAX_ATTEMPTS)
        .max_memory_size(limits::MAX_MEMORY_BYTES)
        .table_elements(limits::MAX_TABLE_ELEMENTS)
        .pagemap_scan(Enabled::Auto)
        .linear_memory_keep_resident(limits::KEPT_MEMORY_BYTES)
        .table_keep_resident(limits::KEPT_TABLE_BYTES)
        .async_stack_keep_resident(limits::KEPT_STACK_BYTES);
    InstanceAllocationStrategy::Pooling(pool)
}

/// Makes the directory with mode 0700, or checks that it is ours alone.
fn make_private(dir: &Path) -> bool {
    fs::DirBuilder::new().recursive(true).mode(0o700).create(dir).is_ok() && is_private(dir)
}

fn is_private(dir: &Path) -> bool {
    fs::symlink_metadata(dir).is_ok_and(|meta| {
        meta.is_dir() && meta.uid() == rustix::process::geteuid().as_raw() && meta.mode() & 0o777 == 0o700
    })
}

/// Written beside and renamed, so that a reader sees all of it or nothing.
fn store(file: &Path, compiled: &[u8]) -> std::io::Result<()> {
    let beside = file.with_extension(format!("{}.new", std::process::id()));
    let written = (|| {
        let mut options = fs::OpenOptions::new();
        let mut new = own_file::open_with(&beside, options.write(true).create(true).truncate(true))?;
        new.write_all(Digest::of(compiled).as_str().as_bytes())?;
        new.write_all(compiled)?;
        fs::rename(&beside, file)
    })();
    if written.is_err() {
        let _ = fs::remove_file(&beside);
    }
    written
}

/// The first line of wasmtime's words: the rest is context for its developers.
pub(super) fn first_line(error: &wasmtime::Error) -> String {
    let text = format!("{error:#}");
    text.lines().next().unwrap_or("no reason given").to_owned()
}
