//! What step types exist and what they take: known from the plugins' own descriptions.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use words::ids::{Digest, PluginName};

/// The first words of `uses` that no plugin performs, and the word for this program itself: no plugin may be named so.
const RESERVED_NAMES: [&str; 4] = ["ask", "engine", "manual", "runbook"];

/// The most step types of one plugin.
pub const MAX_STEP_TYPES: usize = 100;

/// Whether a plugin may never have this name. Those inside the binary keep theirs for themselves; that is not asked here.
pub fn is_reserved(name: &PluginName) -> bool {
    RESERVED_NAMES.contains(&name.as_str())
}

/// One step type of a plugin, from its `describe`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct StepType {
    /// The part after the dot in `uses: service.restart`.
    pub name: String,
    /// One sentence.
    pub summary: String,
    /// JSON Schema of `with`.
    pub input: Value,
    /// JSON Schema of the output.
    pub output: Value,
    /// Grant actions it may need, for example `containers.stop`, `http.request`, `state.write`.
    pub needs: Vec<String>,
}

/// What a plugin says of itself.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct PluginDescription {
    /// The plugin.
    pub name: PluginName,
    /// SHA-256 of the component's bytes.
    pub digest: Digest,
    /// The interfaces it imports, for example `runbook:containers/containers`.
    pub imports: Vec<String>,
    /// Its step types.
    pub steps: Vec<StepType>,
}

/// Every plugin a runbook may use.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Catalogue {
    plugins: BTreeMap<PluginName, PluginDescription>,
}

impl Catalogue {
    /// Adds a plugin; a later one of the same name replaces the earlier.
    pub fn add(&mut self, plugin: PluginDescription) {
        self.plugins.insert(plugin.name.clone(), plugin);
    }

    /// All, sorted by name.
    pub fn plugins(&self) -> impl Iterator<Item = &PluginDescription> {
        self.plugins.values()
    }

    /// One plugin.
    pub fn plugin(&self, name: &PluginName) -> Option<&PluginDescription> {
        self.plugins.get(name)
    }

    /// One step type.
    pub fn step(&self, plugin: &PluginName, step: &str) -> Option<&StepType> {
        self.plugins.get(plugin)?.steps.iter().find(|s| s.name == step)
    }
}
