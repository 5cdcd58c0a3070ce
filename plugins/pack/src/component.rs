//! From a core module, as the compiler writes it, to a component, as the engine loads it.

use std::fs;
use std::path::Path;

use wit_component::{ComponentEncoder, decode};

/// A plugin as the engine loads it.
pub struct Component {
    /// The component's bytes.
    pub bytes: Vec<u8>,
    /// The interfaces whose functions it imports, without version, sorted; for example `runbook:log/log`.
    pub imports: Vec<String>,
}

impl Component {
    /// Makes a component of a module that carries the contract, as every crate with the SDK does.
    pub fn from_module(file: &Path) -> Result<Self, String> {
        let fail = |what: &str, why: &str| format!("cannot {what} `{}`: {why}", file.display());
        let module = fs::read(file).map_err(|e| fail("read", &e.to_string()))?;
        let bytes = ComponentEncoder::default()
            .module(&module)
            .and_then(|encoder| encoder.validate(true).encode())
            .map_err(|e| fail("make a component of", &format!("{e:#}")))?;
        let imports = imports(&bytes).map_err(|e| fail("read the imports of", &e))?;
        Ok(Self { bytes, imports })
    }
}

/// Interfaces that hold only types give no power and are left out.
fn imports(component: &[u8]) -> Result<Vec<String>, String> {
    let decoded = decode(component).map_err(|e| format!("{e:#}"))?;
    let resolve = decoded.resolve();
    let world = resolve.worlds.iter().next().map(|(_, world)| world).ok_or("it has no world")?;
    let keys: Vec<String> = world.imports.keys().map(|key| resolve.name_world_key(key)).collect();
    let powerful = resolve.interfaces.iter().filter(|(_, interface)| !interface.functions.is_empty());
    let mut names: Vec<String> = powerful
        .filter_map(|(id, _)| resolve.id_of(id))
        .filter(|name| keys.contains(name))
        .map(|name| name.split('@').next().unwrap_or(&name).to_owned())
        .collect();
    names.sort();
    Ok(names)
}
