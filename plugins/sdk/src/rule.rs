//! Rules about several inputs of a step, for the `allOf` of its schema. A rule says in its description what is wrong with an
//! input that breaks it, and on the next line what to do; the engine tells both before anything runs.

use serde_json::{Value, json};

/// One of these inputs is given, and no two of them.
pub fn one_of(names: &[&str]) -> Value {
    let Value::Array(mut rules) = some_of(names) else { unreachable!("rules are a list") };
    for (index, one) in names.iter().enumerate() {
        for other in &names[index + 1..] {
            rules.push(not_both(one, other));
        }
    }
    rules.into()
}

/// At least one of these inputs is given.
pub fn some_of(names: &[&str]) -> Value {
    let given =
        |name: &&str| json!({ "required": [name], "properties": { *name: { "not": { "type": "null" } } } });
    let quoted = names.iter().map(|name| format!("`{name}`")).collect::<Vec<_>>();
    let list = match quoted.as_slice() {
        [] => return json!([]),
        [only] => only.clone(),
        [first @ .., last] => format!("{} and {last}", first.join(", ")),
    };
    let words = format!("one of the inputs {list} is needed\ngive one of them under `with`");
    json!([{ "description": words, "anyOf": names.iter().map(given).collect::<Vec<_>>() }])
}

/// These two inputs are not both given.
pub fn not_both(one: &str, other: &str) -> Value {
    let absent = |name: &str| json!({ "properties": { name: { "type": "null" } } });
    let words = format!("give either `{one}` or `{other}`, not both\nremove one of them");
    json!({ "description": words, "anyOf": [absent(one), absent(other)] })
}

#[cfg(test)]
mod tests {
    use super::one_of;

    #[test]
    fn a_rule_for_each_pair_and_one_for_all() {
        let rules = one_of(&["a", "b", "c"]);
        let words = |index: usize| {
            rules[index]["description"].as_str().expect("words").lines().next().expect("a line")
        };
        assert_eq!(rules.as_array().map(Vec::len), Some(4));
        assert_eq!(words(0), "one of the inputs `a`, `b` and `c` is needed");
        assert_eq!(words(3), "give either `b` or `c`, not both");
    }
}
