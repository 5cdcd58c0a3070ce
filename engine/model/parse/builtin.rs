//! The step types that are decisions of the run machine, described as a plugin would describe them.

use serde_json::{Value, json};

use crate::input::DURATION_FORMAT;
use crate::runbook::Uses;
use crate::step_type::StepType;

/// `core.sleep`, `ask.person` and `manual.step`, by their full names.
pub fn step_types() -> Vec<(String, StepType)> {
    [Uses::AskPerson, Uses::Sleep, Uses::ManualStep]
        .iter()
        .filter_map(|uses| Some((uses.to_string(), step_type(uses)?)))
        .collect()
}

/// The description of one of them; `None` if something else performs the step.
pub(super) fn step_type(uses: &Uses) -> Option<StepType> {
    let duration = json!({ "type": "string", "format": DURATION_FORMAT });
    let text = |about: &str| json!({ "type": "string", "minLength": 1, "description": about });
    let who = json!({
        "description": "Login names that may answer; anyone if left out. The person who asked for the run is not among them, unless `self` is true.",
        "anyOf": [
            { "type": "array", "items": { "type": "string", "minLength": 1 }, "minItems": 1 },
            { "type": "string", "minLength": 1 },
        ],
    });
    let own = json!({
        "type": "boolean",
        "description": "With `who`: whether the person who asked for the run may answer, if `who` names them; no if left out.",
    });
    let answer = object(&json!({ "by": { "type": "string" }, "text": { "type": ["string", "null"] } }), &[]);
    let (name, summary, input, output) = match uses {
        Uses::Sleep => (
            "sleep",
            "Wait for a time.",
            object(&json!({ "for": duration }), &["for"]),
            object(&json!({ "slept_ms": { "type": "integer" } }), &[]),
        ),
        Uses::AskPerson => (
            "person",
            "Ask a person to approve or reject what comes next.",
            object(
                &json!({ "question": text("What is asked."), "who": who, "self": own, "timeout": duration }),
                &["question"],
            ),
            answer,
        ),
        Uses::ManualStep => (
            "step",
            "Show an instruction and wait until a person says that it is done.",
            object(
                &json!({ "instruction": text("What to do."), "who": who, "self": own, "evidence": { "type": "boolean" } }),
                &["instruction"],
            ),
            answer,
        ),
        Uses::Plugin { .. } | Uses::Runbook(_) => return None,
    };
    let needs = Vec::new();
    Some(StepType { name: name.to_owned(), summary: summary.to_owned(), input, output, needs })
}

fn object(properties: &Value, required: &[&str]) -> Value {
    json!({ "type": "object", "additionalProperties": false, "properties": properties, "required": required })
}
