//! The plugin `state`: small values that outlive a run. A value commits together with the entry that records it, so it is
//! never in doubt.

use runbook_plugin::{Context, Deserialize, Error, Host, JsonSchema, Serialize, Step};
use serde_json::Value;

/// What this plugin performs.
pub fn steps<H: Host + 'static>() -> Vec<Step<H>> {
    vec![
        Step::new("get", "Read a value that an earlier run kept.", &["state.read"], get),
        Step::new("set", "Keep a value for later runs.", &["state.write"], set),
        Step::new("delete", "Forget a value.", &["state.write"], delete),
    ]
}

runbook_plugin::export!(steps);

/// The input of `state.get`.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Get {
    /// The bucket, for example `deploys`.
    #[schemars(extend("format" = "state-name"))]
    pub bucket: String,
    /// The key in it.
    #[schemars(extend("format" = "state-name"))]
    pub key: String,
    /// What is answered when there is none.
    #[serde(default)]
    pub default: Value,
}

/// The input of `state.set`.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Set {
    /// The bucket, for example `deploys`.
    #[schemars(extend("format" = "state-name"))]
    pub bucket: String,
    /// The key in it.
    #[schemars(extend("format" = "state-name"))]
    pub key: String,
    /// Any JSON value, at most 64 KiB.
    #[schemars(extend("maxJsonBytes" = 65_536))]
    pub value: Value,
}

/// The input of `state.delete`.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Delete {
    /// The bucket, for example `deploys`.
    #[schemars(extend("format" = "state-name"))]
    pub bucket: String,
    /// The key in it.
    #[schemars(extend("format" = "state-name"))]
    pub key: String,
}

/// What was found.
#[derive(Debug, PartialEq, Serialize, JsonSchema)]
pub struct Found {
    /// Whether there was one.
    pub found: bool,
    /// It, or the default.
    pub value: Value,
}

/// Nothing to tell.
#[derive(Debug, PartialEq, Serialize, JsonSchema)]
pub struct Nothing {}

fn get(host: &impl Host, _: &Context, input: &Get) -> Result<Found, Error> {
    match host.get(&input.bucket, &input.key)? {
        None => Ok(Found { found: false, value: input.default.clone() }),
        Some(text) => {
            let value = serde_json::from_str(&text)
                .map_err(|e| Error::conflict("state.not-json", format!("the value kept is not JSON: {e}")))?;
            Ok(Found { found: true, value })
        }
    }
}

fn set(host: &impl Host, _: &Context, input: &Set) -> Result<Nothing, Error> {
    host.set(&input.bucket, &input.key, &input.value.to_string())?;
    Ok(Nothing {})
}

fn delete(host: &impl Host, _: &Context, input: &Delete) -> Result<Nothing, Error> {
    host.delete(&input.bucket, &input.key)?;
    Ok(Nothing {})
}

#[cfg(test)]
mod tests {
    use super::{Delete, Found, Get, Set, delete, get, set};
    use runbook_plugin::mock::World;
    use serde_json::{Value, json};

    fn look(world: &World) -> Found {
        let input = Get { bucket: "deploys".to_owned(), key: "web".to_owned(), default: Value::Null };
        get(world, &world.context(), &input).expect("an answer")
    }

    #[test]
    fn what_is_set_is_found_until_it_is_deleted() {
        let world = World::new();
        assert_eq!(look(&world), Found { found: false, value: Value::Null });
        let (bucket, key) = ("deploys".to_owned(), "web".to_owned());
        let input = Set { bucket: bucket.clone(), key: key.clone(), value: json!({ "tag": "v2" }) };
        set(&world, &world.context(), &input).expect("room");
        assert_eq!(look(&world), Found { found: true, value: json!({ "tag": "v2" }) });
        delete(&world, &world.context(), &Delete { bucket, key }).expect("it is there");
        assert!(!look(&world).found);
    }
}
