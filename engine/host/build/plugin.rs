//! Our plugins: their own words first, from a native build, then their components.

use std::fmt::Write as _;
use std::fs::{self, File};
use std::path::Path;

use runbook_pack::{Component, Guests, Toolchain};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

/// A plugin ready to be embedded.
pub(crate) struct Plugin {
    /// The part of `uses` before the dot.
    pub(crate) name: String,
    /// The component.
    pub(crate) component: Vec<u8>,
    /// A `PluginDescription` as JSON.
    pub(crate) description: String,
}

/// Builds every plugin of the workspace, one build at a time: debug, release and checks share the directory.
pub(crate) fn build_all(workspace: &Path, target_dir: &Path) -> Result<Vec<Plugin>, String> {
    let _lock = lock(target_dir)?;
    let toolchain = Toolchain::find()?;
    let described = describe(&toolchain, workspace, target_dir)?;
    let packages: Vec<String> = described.iter().map(|(name, _)| format!("runbook-{name}")).collect();
    let modules = Guests { workspace, target_dir, packages: &packages }.build(&toolchain)?;
    described
        .into_iter()
        .zip(modules)
        .map(|((name, steps), module)| {
            let component = Component::from_module(&module)?;
            let digest = hex(&Sha256::digest(&component.bytes));
            let description =
                json!({ "name": name, "digest": digest, "imports": component.imports, "steps": steps });
            Ok(Plugin { name, component: component.bytes, description: description.to_string() })
        })
        .collect()
}

/// Name and step types of each plugin, from the program `runbook-describe`.
fn describe(
    toolchain: &Toolchain,
    workspace: &Path,
    target_dir: &Path,
) -> Result<Vec<(String, Value)>, String> {
    let mut cargo = toolchain.cargo();
    cargo.current_dir(workspace).args(["run", "--quiet", "--locked", "--package", "runbook-describe"]);
    let text = runbook_pack::output(cargo.arg("--target-dir").arg(target_dir))?;
    let plugins: Vec<Value> =
        serde_json::from_str(&text).map_err(|e| format!("plugins do not describe themselves: {e}"))?;
    plugins
        .into_iter()
        .map(|mut plugin| match (plugin["name"].take(), plugin["steps"].take()) {
            (Value::String(name), steps @ Value::Array(_)) => Ok((name, steps)),
            _ => Err("a plugin describes itself without a name or steps".to_owned()),
        })
        .collect()
}

fn hex(bytes: &[u8]) -> String {
    let mut text = String::with_capacity(bytes.len() * 2);
    for byte in bytes {
        let _ = write!(text, "{byte:02x}");
    }
    text
}

/// Held until dropped.
fn lock(target_dir: &Path) -> Result<File, String> {
    let path = target_dir.join("engine-build.lock");
    let fail = |e: std::io::Error| format!("cannot lock `{}`: {e}", path.display());
    fs::create_dir_all(target_dir).map_err(fail)?;
    let file = File::create(&path).map_err(fail)?;
    file.lock().map_err(fail)?;
    Ok(file)
}
