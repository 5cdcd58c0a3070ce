//! A plugin ready to be instantiated: its component linked against the contract, once per engine.

use std::sync::Arc;

use wasmtime::component::types::ComponentItem;
use wasmtime::component::{Component, HasSelf, Linker};

use super::bindings::{Plugin as Bindings, PluginPre};
use super::engine::{Error, Wasm, first_line};
use super::instance::Guest;
use crate::model::ids::{Digest, PluginName};
use crate::model::step_type::{PluginDescription, StepType};

/// The interfaces a plugin may import.
pub const OFFERED: [&str; 8] = [
    "runbook:containers/containers",
    "runbook:state/state",
    "runbook:state/artifacts",
    "runbook:http/http",
    "runbook:http/tcp",
    "runbook:clock/clock",
    "runbook:log/log",
    "runbook:progress/progress",
];

/// A linked plugin; cheap to clone.
#[derive(Clone)]
pub struct Plugin {
    /// Its name.
    pub name: PluginName,
    /// SHA-256 of the component.
    pub digest: Digest,
    pub(super) pre: Arc<PluginPre<Guest>>,
}

impl Plugin {
    /// Compiles (or loads) and links.
    pub fn load(wasm: &Wasm, name: &PluginName, bytes: &[u8]) -> Result<Self, Error> {
        let component = wasm.component(name.as_str(), bytes)?;
        check_imports(wasm, name, &component)?;
        let refused =
            |e: &wasmtime::Error| Error::NotAComponent { name: name.to_string(), why: first_line(e) };
        let mut linker = Linker::<Guest>::new(wasm.engine());
        Bindings::add_to_linker::<_, HasSelf<_>>(&mut linker, |guest| guest).map_err(|e| refused(&e))?;
        let pre = linker.instantiate_pre(&component).map_err(|e| refused(&e))?;
        let pre = PluginPre::new(pre).map_err(|e| refused(&e))?;
        Ok(Self { name: name.clone(), digest: Digest::of(bytes), pre: Arc::new(pre) })
    }
}

/// The interfaces a component imports, without versions, sorted.
fn imports(wasm: &Wasm, component: &Component) -> Vec<String> {
    let mut names: Vec<String> = component
        .component_type()
        .imports(wasm.engine())
        .map(|(name, _)| name.split('@').next().unwrap_or(name).to_owned())
        .collect();
    names.sort();
    names
}

fn check_imports(wasm: &Wasm, name: &PluginName, component: &Component) -> Result<(), Error> {
    for (import, kind) in component.component_type().imports(wasm.engine()) {
        let interface = import.split('@').next().unwrap_or(import);
        // An interface of types alone grants nothing.
        let only_types = matches!(&kind, wasmtime::component::types::ComponentExtern { ty: ComponentItem::ComponentInstance(instance), .. }
            if instance.exports(wasm.engine()).all(|(_, item)| matches!(item.ty, ComponentItem::Type(_))));
        if !only_types && !OFFERED.contains(&interface) {
            return Err(Error::UnknownImport {
                name: name.to_string(),
                what: format!("`{}`", import.escape_debug()),
            });
        }
    }
    Ok(())
}

/// Asks a plugin to describe itself, every import trapping.
pub async fn describe(wasm: &Wasm, name: &PluginName, bytes: &[u8]) -> Result<PluginDescription, Error> {
    let plugin = Plugin::load(wasm, name, bytes)?;
    let refused = |why: String| Error::NotAComponent { name: name.to_string(), why };
    let steps = super::instance::describe(wasm, &plugin).await.map_err(refused)?;
    let steps = steps
        .into_iter()
        .map(|step| {
            let schema = |text: &str| {
                serde_json::from_str(text)
                    .map_err(|e| refused(format!("a schema of step type `{}`: {e}", step.name)))
            };
            Ok(StepType {
                input: schema(&step.input)?,
                output: schema(&step.output)?,
                name: step.name.clone(),
                summary: step.summary.clone(),
                needs: step.needs.clone(),
            })
        })
        .collect::<Result<Vec<_>, Error>>()?;
    let component = wasm.component(name.as_str(), bytes)?;
    Ok(PluginDescription {
        name: name.clone(),
        digest: plugin.digest,
        imports: imports(wasm, &component),
        steps,
    })
}
