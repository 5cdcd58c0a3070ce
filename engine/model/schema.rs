//! The runbook format as a JSON Schema, so that editors complete and check while one writes.
//!
//! What it cannot say (names in expressions, grants against needs, circles) only the parser says: see [`super::parse`].

use serde_json::{Map, Value, json};

use super::grant::ContainerAction;
use super::input::{DURATION_FORMAT, SIZE_FORMAT, resolved};
use super::parse::step_types;
use super::runbook::ParameterType;
use super::secret_grant::SecretAction;
use super::step_type::Catalogue;
use super::template::OPEN;

/// How deep the input of a step type is followed; deeper parts may hold anything.
const MAX_INPUT_DEPTH: usize = 8;

const NAME: &str = "^[a-z][a-z0-9_]{0,62}$";
const DURATION: &str = "^([0-9]+d)?([0-9]+h)?([0-9]+m)?([0-9]+s)?([0-9]+ms)?$";
const SIZE: &str = "^[0-9]+(B|kB|MB|GB|TB|KiB|MiB|GiB|TiB)$";

/// The JSON Schema (draft 2020-12) of the format with these plugins.
pub fn schema(catalogue: &Catalogue) -> Value {
    let mut runbook = object(
        &json!({
            "format": { "const": 1, "description": "The version of the format." },
            "runbook": { "type": "string", "pattern": "^[a-z]([a-z0-9-]{0,61}[a-z0-9])?$", "description": "The name, unique, in kebab-case." },
            "summary": text("One sentence, shown in lists."),
            "about": text("Markdown, shown before a person runs it: meaning, impact, diagnosis, mitigation."),
            "risk": { "enum": ["low", "medium", "high"], "description": "The least risk comes from the grants; this only raises it. `high` asks for the service's name before it acts." },
            "owner": text("Who answers for it."),
            "parameters": { "type": "object", "propertyNames": { "pattern": NAME }, "additionalProperties": { "$ref": "#/$defs/parameter" }, "description": "What a run is given." },
            "triggers": { "type": "array", "items": { "$ref": "#/$defs/trigger" }, "description": "Why runs are asked for without a person." },
            "timeout": duration("Of the whole run, `undo` and `finally` apart; 1h if left out."),
            "resume_within": duration("How old an interrupted run may be to be carried on without a person; 15m if left out."),
            "grants": { "$ref": "#/$defs/grants" },
            "steps": { "type": "array", "minItems": 1, "items": { "$ref": "#/$defs/step" }, "description": "Run in order, unless `needs` says otherwise." },
            "finally": { "type": "array", "items": { "$ref": "#/$defs/step" }, "description": "Always run, after the steps and the undo." },
            "outputs": { "type": "object", "propertyNames": { "pattern": NAME }, "description": "Names and values shown at the end and given to a parent run." },
        }),
        &["format", "runbook", "steps"],
    );
    runbook["$schema"] = json!("https://json-schema.org/draft/2020-12/schema");
    runbook["title"] = json!("Runbook");
    runbook["$defs"] = json!({
        "parameter": parameter(),
        "trigger": trigger(),
        "grants": grants(),
        "step": step(catalogue),
        "undo": undo(catalogue),
    });
    runbook
}

fn object(properties: &Value, required: &[&str]) -> Value {
    json!({ "type": "object", "additionalProperties": false, "properties": properties, "required": required })
}

fn text(description: &str) -> Value {
    json!({ "type": "string", "minLength": 1, "description": description })
}

fn duration(description: &str) -> Value {
    json!({ "type": "string", "format": DURATION_FORMAT, "pattern": DURATION, "minLength": 2, "description": description })
}

/// Bare in `if` and its like; `true` alone is a boolean in YAML.
fn expression(description: &str) -> Value {
    json!({ "type": ["string", "boolean", "number"], "description": description })
}

fn integer(least: u32, description: &str) -> Value {
    json!({ "type": "integer", "minimum": least, "description": description })
}

/// The value itself or an expression that becomes it.
fn templated(part: &Value) -> Value {
    let open = OPEN.replace('$', "\\$").replace('{', "\\{");
    json!({ "anyOf": [part, { "type": "string", "pattern": open }] })
}

fn parameter() -> Value {
    let types: Vec<&str> = ParameterType::ALL.iter().map(|kind| kind.word()).collect();
    object(
        &json!({
            "type": { "enum": types },
            "about": text("For people."),
            "default": { "description": "Without one it must be given." },
            "pattern": { "type": "string", "format": "regex", "description": "Of strings and the elements of lists; must match all of it." },
            "minimum": { "type": ["number", "string"], "description": "Of integers, numbers, durations and sizes." },
            "maximum": { "type": ["number", "string"], "description": "Of integers, numbers, durations and sizes." },
            "choices": { "type": "array", "minItems": 1, "description": "The only values allowed." },
        }),
        &["type"],
    )
}

fn trigger() -> Value {
    let with = json!({ "type": "object", "description": "Parameters of the run." });
    let schedule = object(
        &json!({
            "schedule": text("Five-field cron as in Vixie cron, six with seconds first, or `@daily` and its like."),
            "timezone": text("IANA name; UTC if left out."),
            "with": with,
            "catch_up": { "type": "string", "pattern": "^(none|last|all\\([0-9]+\\))$", "description": "What to do about slots missed while no engine ran; none if left out." },
            "start_deadline": duration("How late a slot may still start."),
        }),
        &["schedule"],
    );
    let matcher = json!({ "anyOf": [
        { "type": "string" },
        object(&json!({ "matches": { "type": "string", "format": "regex" } }), &["matches"]),
    ] });
    let throttle = object(
        &json!({
            "once_within": duration("At most one run within this time."),
            "per": { "type": "array", "items": { "type": "string" }, "description": "Counted apart for each value of these parameters." },
        }),
        &["once_within"],
    );
    let alert = object(
        &json!({
            "alert": { "type": "object", "minProperties": 1, "additionalProperties": matcher, "description": "Labels and what they must be." },
            "with": with,
            "throttle": throttle,
        }),
        &["alert"],
    );
    json!({ "oneOf": [schedule, alert] })
}

/// One, or a list.
fn some(one: &Value) -> Value {
    json!({ "anyOf": [one, { "type": "array", "items": one }] })
}

fn grants() -> Value {
    let actions: Vec<&str> = ContainerAction::ALL.iter().map(|action| action.word()).collect();
    let name = |description: &str| json!({ "type": "string", "minLength": 1, "description": description });
    let select = json!({
        "type": "object",
        "additionalProperties": false,
        "minProperties": 1,
        "maxProperties": 1,
        "properties": {
            "service": name("`project/service`, a service alone, or a container's name."),
            "project": name("Every service of a Compose project."),
            "label": name("`name=value`"),
        },
    });
    let container = object(
        &json!({
            "select": select,
            "actions": { "type": "array", "minItems": 1, "uniqueItems": true, "items": { "enum": actions }, "description": "`restart` is stop and start." },
            "max_unavailable": templated(&integer(1, "How many replicas of one service may be down or unhealthy at once; 1 if left out.")),
            "min_healthy": templated(&integer(0, "How many replicas of one service must stay healthy.")),
        }),
        &["select", "actions"],
    );
    let state = object(
        &json!({
            "bucket": name("The bucket."),
            "actions": { "type": "array", "minItems": 1, "uniqueItems": true, "items": { "enum": ["read", "write"] } },
        }),
        &["bucket", "actions"],
    );
    let words: Vec<&str> = SecretAction::ALL.iter().map(|action| action.word()).collect();
    let secret = object(
        &json!({
            "names": some(&name("The name of a secret; `*` at its end stands for any text.")),
            "actions": { "type": "array", "minItems": 1, "uniqueItems": true, "items": { "enum": words }, "description": "`use`: have the host put it somewhere; `reveal`: see the plain text." },
        }),
        &["names", "actions"],
    );
    let mut grants = object(
        &json!({
            "containers": some(&container),
            "http": { "type": "array", "items": { "type": "string" }, "description": "`scheme://host:port/path`; `*` stands for any text inside one part." },
            "state": some(&state),
            "secrets": some(&secret),
        }),
        &[],
    );
    grants["description"] = json!("What a run may do; a step sees nothing else.");
    grants
}

fn step(catalogue: &Catalogue) -> Value {
    let retry = object(
        &json!({
            "attempts": { "type": "integer", "minimum": 1, "maximum": 20, "description": "In all, the first one included." },
            "delay": duration("Before the second."),
            "factor": { "type": "number", "minimum": 1, "maximum": 10, "description": "The delay grows by it each time." },
            "max_delay": duration("It grows no further."),
        }),
        &["attempts"],
    );
    let ids = json!({ "type": "array", "items": { "type": "string", "pattern": NAME } });
    let mut step = object(
        &json!({
            "id": { "type": "string", "pattern": NAME, "description": "Unique in the runbook." },
            "summary": text("What it does, one sentence."),
            "expect": text("What should be seen."),
            "if_it_fails": text("What a person does when it fails."),
            "uses": uses(catalogue, true),
            "with": { "type": "object", "description": "Its input." },
            "if": expression("Skipped if this does not hold."),
            "for_each": { "type": ["string", "array"], "description": "Once per item of this list; each is `item`." },
            "max_parallel": integer(1, "How many items at once; 1 if left out."),
            "ramp": { "enum": ["canary", "none"], "description": "One item first, then doubling." },
            "stop_after": integer(1, "No further items after so many failures; 1 if left out."),
            "until": expression("Repeated until this holds; sees `output`."),
            "every": duration("Between two attempts of `until`; 5s if left out."),
            "timeout": duration("Of one attempt; with `until`, of all of them; 10m if left out."),
            "retry": retry,
            "on_failure": { "enum": ["stop", "continue"], "description": "What a failure means for the run." },
            "needs": { "anyOf": [ids, { "type": "string", "pattern": NAME }], "description": "Steps that must have ended first; the one before if left out." },
            "undo": { "$ref": "#/$defs/undo" },
        }),
        &["id", "uses"],
    );
    step["allOf"] = inputs(catalogue);
    step
}

fn undo(catalogue: &Catalogue) -> Value {
    let mut undo = object(
        &json!({
            "uses": uses(catalogue, false),
            "with": { "type": "object", "description": "Its input; sees `effects`, the writes of the step." },
            "holds": expression("Must be true afterwards; sees `output` of the undo."),
        }),
        &["uses"],
    );
    undo["description"] = json!("The step's way back.");
    undo["allOf"] = inputs(catalogue);
    undo
}

fn uses(catalogue: &Catalogue, all: bool) -> Value {
    let of_plugin = |name: &str| !["core.sleep", "ask.person", "manual.step"].contains(&name);
    let mut choices: Vec<Value> = step_types(catalogue)
        .into_iter()
        .filter(|(name, _)| all || of_plugin(name))
        .map(|(name, step)| json!({ "const": name, "description": step.summary }))
        .collect();
    if all {
        let child = "Another runbook as a child run.";
        choices.push(
            json!({ "type": "string", "pattern": "^runbook\\.[a-z][a-z0-9-]*$", "description": child }),
        );
    }
    json!({ "anyOf": choices, "description": "What performs it." })
}

/// For each step type: if it is used, this is its input.
fn inputs(catalogue: &Catalogue) -> Value {
    let rule = |(name, step): (String, super::step_type::StepType)| {
        let with = input(&step.input, &step.input, 0);
        let required = step.input["required"].as_array().is_some_and(|names| !names.is_empty());
        let needed: &[&str] = if required { &["with"] } else { &[] };
        json!({
            "if": { "properties": { "uses": { "const": name } }, "required": ["uses"] },
            "then": { "properties": { "with": with }, "required": needed },
        })
    };
    Value::Array(step_types(catalogue).into_iter().map(rule).collect())
}

/// The schema of an input in which every value may be an expression, and which refers to nothing outside itself.
fn input(root: &Value, part: &Value, depth: usize) -> Value {
    let Some(found) = resolved(root, part).filter(|_| depth < MAX_INPUT_DEPTH) else { return json!({}) };
    let mut plain = found.as_object().cloned().unwrap_or_default();
    for name in ["$schema", "$defs", "definitions", "title"] {
        plain.remove(name);
    }
    // The description beside a reference says more than that of what it refers to.
    if let Some(description) = part.get("description") {
        plain.insert("description".to_owned(), description.clone());
    }
    let text = plain.get("type") == Some(&json!("string")) && !plain.contains_key("enum");
    if let Some(format) = plain.get("format").and_then(Value::as_str) {
        let pattern = match format {
            DURATION_FORMAT => Some(DURATION),
            SIZE_FORMAT => Some(SIZE),
            _ => None,
        };
        plain.extend(pattern.map(|pattern| ("pattern".to_owned(), json!(pattern))));
    }
    let follow = |value: &Value| input(root, value, depth + 1);
    if let Some(Value::Object(properties)) = plain.get("properties").cloned() {
        let followed: Map<String, Value> =
            properties.iter().map(|(name, value)| (name.clone(), follow(value))).collect();
        plain.insert("properties".to_owned(), Value::Object(followed));
    }
    for name in ["items", "additionalProperties"] {
        if let Some(inner) = plain.get(name).filter(|inner| inner.is_object()).cloned() {
            plain.insert(name.to_owned(), follow(&inner));
        }
    }
    for name in ["anyOf", "oneOf", "allOf"] {
        if let Some(Value::Array(choices)) = plain.get(name).cloned() {
            plain.insert(name.to_owned(), choices.iter().map(follow).collect());
        }
    }
    let restricted = ["pattern", "minLength", "maxLength"].iter().any(|name| plain.contains_key(*name));
    let plain = Value::Object(plain);
    if depth == 0 || (text && !restricted) { plain } else { templated(&plain) }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::schema;
    use crate::step_type::{Catalogue, PluginDescription, StepType};
    use crate::yaml;
    use words::ids::{Digest, PluginName};

    fn catalogue() -> Catalogue {
        let input = json!({
            "type": "object",
            "additionalProperties": false,
            "required": ["service"],
            "properties": {
                "service": { "type": "string", "minLength": 1 },
                "grace": { "anyOf": [{ "$ref": "#/$defs/Duration" }, { "type": "null" }] },
                "batch": { "type": "integer" },
            },
            "$defs": { "Duration": { "type": "string", "format": "duration-text" } },
        });
        let step = |name: &str| StepType {
            name: name.to_owned(),
            summary: "A step.".to_owned(),
            input: if name == "restart" { input.clone() } else { json!({ "type": "object" }) },
            output: json!({}),
            needs: Vec::new(),
        };
        let mut catalogue = Catalogue::default();
        for (plugin, steps) in
            [("service", vec!["restart", "status"]), ("check", vec!["http"]), ("core", vec!["log"])]
        {
            catalogue.add(PluginDescription {
                name: PluginName::new(plugin).unwrap(),
                digest: Digest::of(""),
                imports: Vec::new(),
                steps: steps.into_iter().map(step).collect(),
            });
        }
        catalogue
    }

    fn valid(text: &str) -> bool {
        let value: Value = yaml::read(text).0.unwrap().to_json();
        jsonschema::validator_for(&schema(&catalogue())).unwrap().is_valid(&value)
    }

    #[test]
    fn the_examples_are_valid() {
        jsonschema::meta::validate(&schema(&catalogue())).unwrap();
        assert!(valid(include_str!("parse/tests/example.yaml")));
        assert!(valid(include_str!("parse/tests/wide.yaml")));
    }

    #[test]
    fn what_is_wrong_is_not() {
        let runbook = |rest: &str| {
            format!("format: 1\nrunbook: a\nsteps: [{{ id: a, uses: service.restart{rest} }}]\n")
        };
        assert!(valid(&runbook(", with: { service: web, grace: 30s, batch: \"${{ parameters.batch }}\" }")));
        for rest in [
            "",
            ", with: {}",
            ", with: { servise: web }",
            ", with: { service: web, grace: 30 }",
            ", with: { service: web, grace: soon }",
            ", with: { service: web, batch: two }",
            ", with: { service: web }, when: x",
            ", with: { service: web }, undo: { uses: ask.person }",
        ] {
            assert!(!valid(&runbook(rest)), "{rest}");
        }
    }
}
