//! Integers as programs have them: for JSON Schema `2.0` and `1e30` are integers, for a plugin they are not, and neither is
//! what its type of number has no room for. The `format` of an integer names that type.

use serde_json::{Number, Value};

use super::wording::member;
use super::{Problem, choices, resolved};

/// The types of integers, as `schemars` names them, and their bounds. Plugins have 32-bit sizes.
const TYPES: [(&str, i128, i128); 10] = [
    ("int8", i8::MIN as i128, i8::MAX as i128),
    ("uint8", 0, u8::MAX as i128),
    ("int16", i16::MIN as i128, i16::MAX as i128),
    ("uint16", 0, u16::MAX as i128),
    ("int32", i32::MIN as i128, i32::MAX as i128),
    ("uint32", 0, u32::MAX as i128),
    ("int64", i64::MIN as i128, i64::MAX as i128),
    ("uint64", 0, u64::MAX as i128),
    ("int", i32::MIN as i128, i32::MAX as i128),
    ("uint", 0, u32::MAX as i128),
];

/// How deep a value is looked at.
const MAX_DEPTH: usize = 16;

/// The numbers of a value that are no integers where the schema wants one, or too large for it.
pub(super) fn problems(schema: &Value, value: &Value) -> Vec<Problem> {
    let mut found = Vec::new();
    walk((schema, schema), value, &mut Vec::new(), &mut found);
    found
}

fn walk((root, part): (&Value, &Value), value: &Value, path: &mut Vec<String>, found: &mut Vec<Problem>) {
    if path.len() > MAX_DEPTH {
        return;
    }
    let mut inside = |name: String, inner: &Value| {
        if let Some(part) = member(root, part, &name, 0) {
            path.push(name);
            walk((root, part), inner, path, found);
            path.pop();
        }
    };
    match value {
        Value::Object(members) => members.iter().for_each(|(name, inner)| inside(name.clone(), inner)),
        Value::Array(items) => {
            items.iter().enumerate().for_each(|(index, inner)| inside(index.to_string(), inner))
        }
        Value::Number(number) => found.extend(
            wrong(root, part, number).map(|(message, hint)| Problem::new(path.clone(), message, Some(hint))),
        ),
        _ => {}
    }
}

fn wrong(root: &Value, part: &Value, number: &Number) -> Option<(String, String)> {
    let schema = resolved(root, part)?;
    let branches: Vec<&Value> = std::iter::once(schema).chain(choices(schema)).collect();
    if branches.iter().any(|branch| has_type(branch, "number")) {
        return None;
    }
    let types: Vec<&(&str, i128, i128)> = branches
        .iter()
        .filter(|branch| has_type(branch, "integer"))
        .filter_map(|branch| TYPES.iter().find(|(name, _, _)| branch["format"] == *name))
        .collect();
    let (_, least, most) = types.first()?;
    let integer = number.as_i64().map(i128::from).or_else(|| number.as_u64().map(i128::from));
    match integer {
        Some(integer) if types.iter().any(|(_, least, most)| (*least..=*most).contains(&integer)) => None,
        Some(_) => Some((
            format!("this must be from {least} to {most}, not {number}"),
            "write a number in this range".to_owned(),
        )),
        None => Some((
            format!("this must be an integer, not `{number}`"),
            "write a whole number without a point, like `2`".to_owned(),
        )),
    }
}

fn has_type(schema: &Value, name: &str) -> bool {
    match &schema["type"] {
        Value::String(only) => only == name,
        Value::Array(several) => several.iter().any(|one| one == name),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::problems;

    #[test]
    fn integers_of_a_type_are_whole_and_fit() {
        let schema = json!({ "properties": {
            "code": { "type": ["integer", "null"], "format": "int32" },
            "ports": { "type": "array", "items": { "type": "integer", "format": "uint16" } },
            "expect": { "anyOf": [{ "type": "integer", "format": "uint16" }, { "type": "array" }] },
            "share": { "type": "number" },
        } });
        let told =
            |value| problems(&schema, &value).into_iter().map(|p| p.path.join(".")).collect::<Vec<_>>();
        assert_eq!(told(json!({ "code": 3, "ports": [80], "expect": 200, "share": 1e30 })), [""; 0]);
        assert_eq!(
            told(json!({ "code": 1e30, "ports": [80, 70000], "expect": 2.0 })),
            ["code", "expect", "ports.1"]
        );
    }
}
