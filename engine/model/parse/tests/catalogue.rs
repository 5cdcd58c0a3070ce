//! A small catalogue, as the plugins' own descriptions would make it.

use serde_json::{Value, json};

use crate::step_type::{Catalogue, PluginDescription, StepType};
use words::ids::{Digest, PluginName};

pub(super) fn small() -> Catalogue {
    let mut catalogue = Catalogue::default();
    catalogue.add(plugin("service", vec![restart(), status()]));
    catalogue.add(plugin("check", vec![http()]));
    catalogue.add(plugin("core", vec![log()]));
    catalogue
}

fn plugin(name: &str, steps: Vec<StepType>) -> PluginDescription {
    let name = PluginName::new(name).unwrap();
    PluginDescription { name, digest: Digest::of("a component"), imports: Vec::new(), steps }
}

fn step(name: &str, input: Value, output: Value, needs: &[&str]) -> StepType {
    let needs = needs.iter().map(|need| (*need).to_owned()).collect();
    StepType { name: name.to_owned(), summary: format!("What `{name}` does."), input, output, needs }
}

/// As derived from a Rust struct that denies unknown fields.
fn input(properties: &Value, required: &[&str]) -> Value {
    json!({
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "type": "object",
        "additionalProperties": false,
        "properties": properties,
        "required": required,
        "$defs": { "Duration": { "type": "string", "format": "duration-text", "pattern": "^[0-9]" } },
    })
}

fn output(properties: &Value) -> Value {
    json!({ "type": "object", "properties": properties })
}

fn restart() -> StepType {
    let properties = json!({
        "service": { "type": "string", "minLength": 1, "description": "Which service." },
        "grace": { "anyOf": [{ "$ref": "#/$defs/Duration" }, { "type": "null" }] },
        "batch": { "type": "integer", "minimum": 1, "maximum": 100 },
        "force": { "type": "boolean" },
    });
    let done = json!({
        "restarted": { "type": "integer" },
        "service": { "type": "string" },
        "last": { "type": "object", "properties": { "name": { "type": "string" } } },
    });
    step("restart", input(&properties, &["service"]), output(&done), &["containers.stop", "containers.start"])
}

fn status() -> StepType {
    let properties =
        json!({ "service": { "type": "string", "minLength": 1, "description": "Which service." } });
    let seen = json!({ "running": { "type": "integer" }, "replicas": { "type": "array" } });
    step("status", input(&properties, &["service"]), output(&seen), &["containers.read"])
}

fn http() -> StepType {
    let properties = json!({
        "service": { "type": "string" },
        "port": { "type": "integer", "minimum": 1, "maximum": 65535 },
        "path": { "type": "string", "pattern": "^/" },
        "expect": { "type": "integer" },
        "scheme": { "enum": ["http", "https"] },
    });
    let seen = json!({ "healthy": { "type": "integer" }, "replicas": { "type": "integer" } });
    step(
        "http",
        input(&properties, &["service", "port"]),
        output(&seen),
        &["containers.read", "http.request"],
    )
}

fn log() -> StepType {
    let properties = json!({ "message": { "type": "string", "description": "What is said." }, "level": { "enum": ["info", "warn"] } });
    step("log", input(&properties, &["message"]), output(&json!({})), &[])
}
