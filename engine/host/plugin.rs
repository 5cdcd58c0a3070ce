//! A plugin ready to be instantiated: its component linked against the contract, once per engine.

use std::collections::HashMap;
use std::sync::Arc;

use serde_json::Value;
use wasmtime::component::types::{ComponentExtern, ComponentItem};
use wasmtime::component::{Component, HasSelf, Linker};

use super::bindings::{Plugin as Bindings, PluginPre};
use super::calls::contract_0_1;
use super::engine::{Error, Wasm, first_line};
use super::instance::Guest;
use model::step_type::{MAX_STEP_TYPES, PluginDescription, StepType};
use words::ids::{Digest, PluginName};
use words::json::{self, Unreadable};

/// The interface by which a plugin can see the text of secrets.
pub const PLAIN_TEXT: &str = "runbook:secrets/plain-text";

/// The interfaces a plugin may import.
pub const OFFERED: [&str; 10] = [
    "runbook:containers/containers",
    "runbook:state/state",
    "runbook:state/artifacts",
    "runbook:http/http",
    "runbook:http/tcp",
    "runbook:secrets/secrets",
    PLAIN_TEXT,
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
        contract_0_1::add_to_linker(&mut linker).map_err(|e| refused(&e))?;
        let pre = linker.instantiate_pre(&component).map_err(|e| refused(&e))?;
        let pre = PluginPre::new(pre).map_err(|e| refused(&e))?;
        Ok(Self { name: name.clone(), digest: Digest::of(bytes), pre: Arc::new(pre) })
    }
}

/// The interfaces whose functions a component imports, without versions, sorted.
fn imports(wasm: &Wasm, component: &Component) -> Vec<String> {
    let mut names: Vec<String> = component
        .component_type()
        .imports(wasm.engine())
        .filter(|(_, item)| !only_types(wasm, item))
        .map(|(name, _)| name.split('@').next().unwrap_or(name).to_owned())
        .collect();
    names.sort();
    names
}

/// An interface of types alone grants nothing.
fn only_types(wasm: &Wasm, import: &ComponentExtern) -> bool {
    let is_type =
        |item: &ComponentExtern| matches!(item.ty, ComponentItem::Type(_) | ComponentItem::Resource(_));
    matches!(&import.ty, ComponentItem::ComponentInstance(instance)
        if instance.exports(wasm.engine()).all(|(_, item)| is_type(&item)))
}

fn check_imports(wasm: &Wasm, name: &PluginName, component: &Component) -> Result<(), Error> {
    for (import, kind) in component.component_type().imports(wasm.engine()) {
        let interface = import.split('@').next().unwrap_or(import);
        if !only_types(wasm, &kind) && !OFFERED.contains(&interface) {
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
    if steps.len() > MAX_STEP_TYPES {
        return Err(refused(format!("it describes more than {MAX_STEP_TYPES} step types")));
    }
    let steps = steps
        .into_iter()
        .map(|step| {
            let schema = |text: &str| {
                read_schema(text).map_err(|why| {
                    refused(format!("a schema of step type `{}` {why}", step.name.escape_debug()))
                })
            };
            plain(&step.name, &step.summary, &step.needs).map_err(refused)?;
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

/// The longest summary of a step type, in bytes.
const MAX_SUMMARY_BYTES: usize = 500;

/// What people and terminals are shown, and runbooks refer to, must be plain words.
fn plain(name: &str, summary: &str, needs: &[String]) -> Result<(), String> {
    let word = |text: &str| {
        (1..=64).contains(&text.len())
            && text.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b"_.-".contains(&b))
    };
    if !word(name) || name.contains('.') {
        return Err(format!("`{}` is no name for a step type", shown(name)));
    }
    if summary.len() > MAX_SUMMARY_BYTES || summary.chars().any(char::is_control) {
        return Err(format!(
            "the summary of step type `{name}` is not one line of {MAX_SUMMARY_BYTES} bytes"
        ));
    }
    match needs.iter().find(|need| !word(need)) {
        Some(need) => Err(format!("`{}`, which step type `{name}` needs, is no grant", shown(need))),
        None => Ok(()),
    }
}

fn shown(text: &str) -> String {
    text.chars().take(100).collect::<String>().escape_debug().to_string()
}

/// The most subschemas that one value may be held against, references followed.
const MAX_SCHEMA_PARTS: usize = 2_000;

/// The most references that lead to each other. Each is followed by recursion.
const MAX_SCHEMA_CHAIN: usize = 16;
/// The largest schema, in bytes.
const MAX_SCHEMA_BYTES: usize = 256 << 10;

/// Reads a schema. One that refers to itself, or doubles with every reference, would make the engine check for ever, which
/// no limit on the plugin itself could end; one that refers to elsewhere cannot be checked at all.
fn read_schema(text: &str) -> Result<Value, String> {
    if text.len() > MAX_SCHEMA_BYTES {
        return Err(format!("has {} bytes, more than {MAX_SCHEMA_BYTES}", text.len()));
    }
    let root: Value = json::read(text).map_err(|error| match error {
        Unreadable::Excess(excess) => format!("is too large: {excess}"),
        Unreadable::Syntax(error) => format!("is not JSON: {error}"),
    })?;
    let parts = parts(&root, &root, &mut HashMap::new())?;
    if parts > MAX_SCHEMA_PARTS {
        return Err(format!("has more than {MAX_SCHEMA_PARTS} parts, references followed"));
    }
    Ok(root)
}

/// How many subschemas stand in and behind a part of a schema. `known` holds what references lead to; none while it is
/// being counted.
fn parts(root: &Value, part: &Value, known: &mut HashMap<String, Option<usize>>) -> Result<usize, String> {
    let mut count: usize = 1;
    match part {
        Value::Array(items) => {
            for item in items {
                count = count.saturating_add(parts(root, item, known)?);
            }
        }
        Value::Object(fields) => {
            for (name, field) in fields {
                let inside = match (name.as_str(), field) {
                    ("$ref", Value::String(reference)) => referred(root, reference, known)?,
                    ("$id" | "$dynamicRef" | "$recursiveRef", Value::String(_)) => {
                        return Err(format!("uses `{name}`, which this engine does not follow"));
                    }
                    _ => parts(root, field, known)?,
                };
                count = count.saturating_add(inside);
            }
        }
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
    }
    Ok(count)
}

fn referred(
    root: &Value,
    reference: &str,
    known: &mut HashMap<String, Option<usize>>,
) -> Result<usize, String> {
    match known.get(reference) {
        Some(Some(count)) => return Ok(*count),
        Some(None) => return Err(format!("refers to itself by `{}`", shown(reference))),
        None => {}
    }
    let target = reference.strip_prefix('#').and_then(|pointer| root.pointer(pointer));
    let target = target.ok_or_else(|| format!("refers to `{}`, which is not in it", shown(reference)))?;
    if known.len() >= MAX_SCHEMA_PARTS {
        return Err(format!("has more than {MAX_SCHEMA_PARTS} references"));
    }
    if known.values().filter(|count| count.is_none()).count() >= MAX_SCHEMA_CHAIN {
        return Err(format!("has more than {MAX_SCHEMA_CHAIN} references that lead to each other"));
    }
    known.insert(reference.to_owned(), None);
    let count = parts(root, target, known)?;
    known.insert(reference.to_owned(), Some(count));
    Ok(count)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn why(text: &str) -> String {
        read_schema(text).unwrap_err()
    }

    #[test]
    fn schemas_that_cannot_be_checked_in_time_are_refused() {
        assert!(why(r##"{"$ref":"#"}"##).contains("refers to itself"));
        let circle = r##"{"$ref":"#/$defs/a","$defs":{"a":{"items":{"$ref":"#/$defs/a"}}}}"##;
        assert!(why(circle).contains("refers to itself"));
        assert!(why(r#"{"$ref":"http://h/x"}"#).contains("not in it"));
        assert!(why(r#"{"$id":"http://h/x"}"#).contains("`$id`"));
        let doubling: Vec<String> = (0..12)
            .map(|n| {
                format!(
                    r##""d{n}":{{"allOf":[{{"$ref":"#/$defs/d{0}"}},{{"$ref":"#/$defs/d{0}"}}]}}"##,
                    n + 1
                )
            })
            .collect();
        let doubling = format!(r#"{{"$defs":{{{},"d12":{{}}}}}}"#, doubling.join(","));
        assert!(why(&doubling).contains("more than 2000 parts"));
    }

    #[test]
    fn schemas_that_would_use_up_the_stack_are_refused() {
        let chain = |length: usize| {
            let links = (1..length).map(|n| format!(r##""d{n}":{{"$ref":"#/$defs/d{}"}}"##, n + 1));
            let links = links.collect::<Vec<_>>().join(",");
            format!(
                r##"{{"$ref":"#/$defs/d1","$defs":{{{links}{}"d{length}":{{}}}}}}"##,
                if length > 1 { "," } else { "" }
            )
        };
        assert!(read_schema(&chain(MAX_SCHEMA_CHAIN + 1)).is_ok());
        assert!(why(&chain(MAX_SCHEMA_CHAIN + 2)).contains("more than 16 references"));
        let nested =
            |depth: usize| format!("{}{{}}{}", r#"{"not":"#.repeat(depth - 1), "}".repeat(depth - 1));
        assert!(read_schema(&nested(json::MAX_DEPTH)).is_ok());
        assert!(why(&nested(json::MAX_DEPTH + 1)).contains("64 levels"));
    }

    #[test]
    fn schemas_of_our_own_plugins_are_small_enough() {
        for plugin in crate::embedded::catalogue().plugins() {
            for step in &plugin.steps {
                for schema in [&step.input, &step.output] {
                    let read = read_schema(&schema.to_string());
                    assert_eq!(read.as_ref(), Ok(schema), "{}.{}", plugin.name, step.name);
                    let count = parts(schema, schema, &mut HashMap::new()).unwrap();
                    assert!(count * 4 < MAX_SCHEMA_PARTS, "{}.{}: {count}", plugin.name, step.name);
                }
            }
        }
    }
}
