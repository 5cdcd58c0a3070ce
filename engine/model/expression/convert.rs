//! JSON into CEL and back. Integers stay integers, text is not copied on the way in.

use std::collections::HashMap;

use cel::common::types::{
    CelBool, CelDouble, CelInt, CelList, CelMap, CelMapKey, CelNull, CelString, CelUInt,
};
use cel::common::value::Val;
use serde_json::{Map, Number, Value};

use super::MAX_RESULT_BYTES;
use super::references::Reference;

/// The value of a top-level name with only those members that are asked for by name: an expression about one step need not
/// pay for the outputs of all.
pub(super) fn narrowed<'v>(value: &'v Value, used: &[&Reference]) -> Box<dyn Val + 'v> {
    let Value::Object(members) = value else { return to_cel(value) };
    let mut wanted: Vec<&str> = Vec::new();
    for reference in used {
        match reference.path.get(1) {
            Some(member) => wanted.push(member),
            None => return to_cel(value),
        }
    }
    let chosen = members.iter().filter(|(name, _)| wanted.contains(&name.as_str()));
    Box::new(CelMap::from(chosen.map(entry).collect::<HashMap<_, _>>()))
}

fn entry<'v>((name, value): (&'v String, &'v Value)) -> (CelMapKey<'v>, Box<dyn Val + 'v>) {
    (CelMapKey::from(name.as_str()), to_cel(value))
}

fn to_cel(value: &Value) -> Box<dyn Val + '_> {
    match value {
        Value::Null => Box::new(CelNull),
        Value::Bool(truth) => Box::new(CelBool::from(*truth)),
        Value::Number(number) => number_to_cel(number),
        Value::String(text) => Box::new(CelString::from(text.as_str())),
        Value::Array(items) => Box::new(CelList::from(items.iter().map(to_cel).collect::<Vec<_>>())),
        Value::Object(members) => {
            Box::new(CelMap::from(members.iter().map(entry).collect::<HashMap<_, _>>()))
        }
    }
}

fn number_to_cel(number: &Number) -> Box<dyn Val> {
    if let Some(integer) = number.as_i64() {
        Box::new(CelInt::from(integer))
    } else if let Some(integer) = number.as_u64() {
        Box::new(CelUInt::from(integer))
    } else {
        Box::new(CelDouble::from(number.as_f64().unwrap_or(f64::NAN)))
    }
}

/// The result as JSON, keys sorted; the error is one sentence.
pub(super) fn to_json(value: &dyn Val) -> Result<Value, String> {
    let mut left = MAX_RESULT_BYTES;
    Writer { left: &mut left }.value(value)
}

struct Writer<'l> {
    left: &'l mut usize,
}

impl Writer<'_> {
    fn take(&mut self, bytes: usize) -> Result<(), String> {
        match self.left.checked_sub(bytes) {
            Some(left) => {
                *self.left = left;
                Ok(())
            }
            None => Err(format!("its result is larger than {MAX_RESULT_BYTES} bytes")),
        }
    }

    fn value(&mut self, value: &dyn Val) -> Result<Value, String> {
        self.take(2)?;
        if let Some(truth) = value.downcast_ref::<CelBool>() {
            Ok(Value::Bool(*truth.inner()))
        } else if let Some(integer) = value.downcast_ref::<CelInt>() {
            Ok(Value::from(*integer.inner()))
        } else if let Some(integer) = value.downcast_ref::<CelUInt>() {
            Ok(Value::from(*integer.inner()))
        } else if let Some(number) = value.downcast_ref::<CelDouble>() {
            Number::from_f64(*number.inner())
                .map(Value::Number)
                .ok_or_else(|| "its result is not a finite number".to_owned())
        } else if let Some(text) = value.downcast_ref::<CelString<'_>>() {
            self.take(text.inner().len())?;
            Ok(Value::String(text.inner().to_owned()))
        } else if value.downcast_ref::<CelNull>().is_some() {
            Ok(Value::Null)
        } else if let Some(list) = value.downcast_ref::<CelList<'_>>() {
            list.inner().iter().map(|item| self.value(&**item)).collect::<Result<_, _>>().map(Value::Array)
        } else if let Some(map) = value.downcast_ref::<CelMap<'_>>() {
            self.members(map)
        } else {
            Err(format!(
                "its result is of type `{}`, which no parameter or input can hold",
                value.get_type().name()
            ))
        }
    }

    fn members(&mut self, map: &CelMap<'_>) -> Result<Value, String> {
        let mut members: Vec<(String, Value)> = Vec::with_capacity(map.inner().len());
        for (key, value) in map.inner() {
            let name = match key {
                CelMapKey::String(text) => text.inner().to_owned(),
                CelMapKey::Int(integer) => integer.inner().to_string(),
                CelMapKey::UInt(integer) => integer.inner().to_string(),
                CelMapKey::Bool(truth) => truth.inner().to_string(),
            };
            self.take(name.len())?;
            members.push((name, self.value(&**value)?));
        }
        members.sort_by(|a, b| a.0.cmp(&b.0));
        Ok(Value::Object(members.into_iter().collect::<Map<_, _>>()))
    }
}

/// What kind of value this is, with its article, for sentences.
pub(super) fn describe(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "a boolean",
        Value::Number(number) if number.is_f64() => "a number",
        Value::Number(_) => "an integer",
        Value::String(_) => "a text",
        Value::Array(_) => "a list",
        Value::Object(_) => "a map",
    }
}
