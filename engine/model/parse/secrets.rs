//! Inputs that name secrets: whether the name is one, and whether a grant covers its use.

use serde_json::Value;

use super::grant::literal;
use crate::grant::Grants;
use crate::input::{Problem, SECRET_FORMAT, resolved};
use crate::runbook::{Runbook, Template};
use crate::secret_grant::{SecretAction, check_secret_pattern, matches};
use crate::trouble::Trouble;

/// The secrets an input names that no grant covers. One whose name is an expression is seen when the step runs.
pub(super) fn problems(root: &Value, with: &Template, grants: &Grants) -> Vec<Problem> {
    let mut found = Vec::new();
    walk(root, root, with, &mut Vec::new(), &mut |path, name| {
        if let Some((message, hint)) = uncovered(name, grants) {
            found.push(Problem::new(path.to_vec(), message, Some(hint)));
        }
    });
    found
}

/// Grants by which a plugin sees plain text: right or not, a person should look twice.
pub(super) fn lints(runbook: &Runbook) -> Vec<Trouble> {
    let loud = runbook.grants.secrets.iter().filter(|grant| grant.gives(SecretAction::Reveal));
    loud.map(|grant| {
        let names: Vec<&str> = grant.names.iter().map(|name| literal(name).unwrap_or("${{ }}")).collect();
        Trouble {
            line: grant.line,
            column: 1,
            message: format!("plugins may SEE THE PLAIN TEXT of {}", names.join(", ").escape_debug()),
            hint: Some(
                "where the engine can put it into a request or a container, `use` is enough".to_owned(),
            ),
        }
    })
    .collect()
}

fn walk(
    root: &Value,
    part: &Value,
    template: &Template,
    path: &mut Vec<String>,
    see: &mut impl FnMut(&[String], &str),
) {
    let Some(schema) = resolved(root, part) else { return };
    match template {
        Template::Value(Value::String(name)) if schema["format"] == SECRET_FORMAT => see(path, name),
        Template::Map(entries) => {
            for (name, value) in entries {
                let inner = schema.get("properties").and_then(|known| known.get(name));
                if let Some(inner) = inner.or_else(|| schema.get("additionalProperties")) {
                    path.push(name.clone());
                    walk(root, inner, value, path, see);
                    path.pop();
                }
            }
        }
        Template::List(items) => {
            for (index, item) in items.iter().enumerate() {
                if let Some(inner) = schema.get("items") {
                    path.push(index.to_string());
                    walk(root, inner, item, path, see);
                    path.pop();
                }
            }
        }
        Template::Value(_) | Template::Text(_) | Template::Whole(_) => {}
    }
}

/// What is wrong, and the way out.
fn uncovered(name: &str, grants: &Grants) -> Option<(String, String)> {
    if let Err(message) = check_secret_pattern(name) {
        return Some((message, "for example `api/token`".to_owned()));
    }
    let shown = name.escape_debug();
    if name.ends_with('*') {
        return Some((format!("`{shown}` is no single secret"), "name one".to_owned()));
    }
    let covered = grants.secrets.iter().any(|grant| {
        let means = |pattern: &Template| literal(pattern).is_none_or(|pattern| matches(pattern, name));
        grant.gives(SecretAction::Use) && grant.names.iter().any(means)
    });
    if covered {
        return None;
    }
    let way_out = match grants.secrets.first() {
        Some(grant) => format!("add `{shown}` to `names` under `grants.secrets`, line {}", grant.line),
        None => format!("add `secrets: {{ names: [{shown}], actions: [use] }}` under `grants`"),
    };
    Some((format!("no grant gives the use of the secret `{shown}`"), way_out))
}
