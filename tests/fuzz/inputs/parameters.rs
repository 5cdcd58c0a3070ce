//! What a person or an alert gives to a runbook: `{...}` is a whole request, `/...` a pattern, all else a flag `name=value`.

use std::sync::LazyLock;

use model::parameters::{anchored, complete, from_flag, resolve};
use model::parse::{Known, parse};
use model::runbook::Runbook;
use model::step_type::Catalogue;
use serde_json::{Map, Value};

const RUNBOOK: &str = "format: 1
runbook: every-type
summary: A parameter of every type.
parameters:
  text: { type: string, default: a, pattern: '[a-z]+(-[a-z0-9]{1,8})*' }
  choice: { type: string, default: a, choices: [a, b] }
  count: { type: integer, default: 1, minimum: -5, maximum: 20 }
  ratio: { type: number, default: 0.5, minimum: 0 }
  yes: { type: boolean, default: false }
  wait: { type: duration, default: 30s, maximum: 10m }
  memory: { type: size, default: 64MiB, minimum: 1kB }
  names: { type: list, default: [], pattern: '[^,]*' }
  env: { type: map, default: {} }
steps:
  - { id: wait, uses: core.sleep, with: { for: 1s } }
";

static EVERY_TYPE: LazyLock<Runbook> = LazyLock::new(|| {
    let known = Known { catalogue: &Catalogue::default(), runbooks: &std::collections::BTreeMap::new() };
    parse("every-type.yaml", RUNBOOK, &known).unwrap_or_else(|troubles| panic!("{}", troubles.render()))
});

pub(super) fn feed(bytes: &[u8]) {
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    for line in text.lines() {
        match line.as_bytes() {
            [b'{', ..] => request(line),
            [b'/', ..] => {
                let _ = anchored(&line[1..]).map(|pattern| pattern.is_match(text));
            }
            _ => flag(line),
        }
    }
}

fn request(line: &str) {
    let Ok(given) = serde_json::from_str::<Map<String, Value>>(line) else { return };
    match resolve(&EVERY_TYPE, &given) {
        Ok(Value::Object(whole)) => {
            assert_eq!(whole.len(), EVERY_TYPE.parameters.len(), "every parameter has its value");
            let again = complete(&EVERY_TYPE.parameters, &whole);
            assert_eq!(again, Ok(Value::Object(whole)), "what was accepted is accepted again");
        }
        Ok(other) => panic!("parameters are an object, not {other}"),
        Err(troubles) => {
            for trouble in &troubles {
                assert!(super::is_tame(&trouble.to_string()), "{trouble:?}");
            }
            assert!(!troubles.is_empty());
        }
    }
}

fn flag(line: &str) {
    let (name, value) = line.split_once('=').unwrap_or(("text", line));
    let parameters = EVERY_TYPE.parameters.iter().filter(|parameter| parameter.name.as_str() == name);
    for parameter in parameters {
        match from_flag(parameter, value) {
            Ok(value) => request(&Value::Object(Map::from_iter([(name.to_owned(), value)])).to_string()),
            Err(trouble) => assert!(super::is_tame(&trouble.to_string()), "{trouble:?}"),
        }
    }
}
