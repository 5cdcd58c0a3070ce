//! Why an expression could not be evaluated, in words.

use cel::ExecutionError;
use serde_json::Value;

use super::references::Reference;
use super::{Scope, convert};
use words::suggestion;

/// The longest sentence that quotes values of a run.
const MAX_SENTENCE_CHARS: usize = 400;

pub(super) fn sentence(error: &ExecutionError, references: &[Reference], scope: &Scope) -> String {
    let sentence = match error {
        ExecutionError::NoSuchKey(_) | ExecutionError::UndeclaredReference(_) => {
            references.iter().find_map(|reference| missing(reference, scope)).unwrap_or_else(|| match error {
                ExecutionError::NoSuchKey(key) => format!("there is no `{key}`"),
                other => other.to_string(),
            })
        }
        ExecutionError::NoSuchOverload(overload) => references
            .iter()
            .find_map(|reference| missing(reference, scope))
            .unwrap_or_else(|| overloaded(overload.function(), overload.argument_types())),
        ExecutionError::UnsupportedBinaryOperator(name, left, right) => {
            let sign = match *name {
                "add" => "+",
                "sub" => "-",
                "mul" => "*",
                "div" => "/",
                "rem" => "%",
                other => other,
            };
            format!("`{sign}` does not apply to {} and {}", left.type_of(), right.type_of())
        }
        ExecutionError::ValuesNotComparable(left, right) => {
            format!("{} and {} cannot be compared", left.type_of(), right.type_of())
        }
        ExecutionError::DivisionByZero(_) => "it divides by zero".to_owned(),
        ExecutionError::RemainderByZero(_) => "it takes a remainder by zero".to_owned(),
        ExecutionError::Overflow(..) => "an integer becomes too large".to_owned(),
        ExecutionError::IndexOutOfBounds(index) => format!("the list has no item {index:?}"),
        ExecutionError::UnsupportedIndex(index, value) => {
            format!("{} cannot be indexed with {}", value.type_of(), index.type_of())
        }
        ExecutionError::FunctionError { function, message } => format!("`{function}`: {message}"),
        ExecutionError::UnexpectedType { got, want } => format!("it needs {want} and finds {got}"),
        other => other.to_string(),
    };
    sentence.chars().map(|c| if c.is_control() { ' ' } else { c }).take(MAX_SENTENCE_CHARS).collect()
}

/// Where the path of a name ends in nothing: "`steps.before.output` has no `runing`".
fn missing(reference: &Reference, scope: &Scope) -> Option<String> {
    let (root, members) = reference.path.split_first()?;
    let Some(mut value) = scope.names.get(root) else {
        return Some(format!("there is no `{root}` here"));
    };
    let mut place = root.clone();
    for (index, member) in members.iter().enumerate() {
        match value {
            // `has()` asks for the last one and minds no null.
            Value::Null if reference.tested => return None,
            Value::Object(map)
                if reference.tested && index + 1 == members.len() && !map.contains_key(member) =>
            {
                return None;
            }
            Value::Object(map) => match map.get(member) {
                Some(inner) => value = inner,
                None => return Some(without(&place, member, map.keys().map(String::as_str))),
            },
            other => {
                return Some(format!("`{place}` is {}, which has no `{member}`", convert::describe(other)));
            }
        }
        place = format!("{place}.{member}");
    }
    None
}

fn without<'n>(place: &str, member: &str, names: impl Iterator<Item = &'n str>) -> String {
    match suggestion::hint(member, names) {
        Some(hint) => format!("`{place}` has no `{member}`; {hint}"),
        None => format!("`{place}` has no `{member}`"),
    }
}

fn overloaded(function: &str, types: &[String]) -> String {
    let sign = function.trim_matches(|c| c == '_' || c == '@');
    let sign = if function == "_[_]" { "[ ]" } else { sign };
    format!("`{sign}` does not apply to {}", types.join(" and "))
}
