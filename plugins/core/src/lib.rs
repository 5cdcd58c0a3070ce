//! The plugin `core`: small steps every runbook needs. They touch nothing but the log.

use runbook_plugin::{Context, Deserialize, Error, Host, JsonSchema, Level, Serialize, Step};

/// What this plugin performs.
pub fn steps<H: Host + 'static>() -> Vec<Step<H>> {
    vec![
        Step::new("assert", "Fail unless something is true.", &[], assert),
        Step::new("log", "Tell people something.", &[], log),
        Step::new("fail", "End with a failure.", &[], fail),
    ]
}

runbook_plugin::export!(steps);

/// The input of `core.assert`.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Assert {
    /// What must be true.
    pub that: bool,
    /// What is said when it is not.
    pub message: String,
}

/// The input of `core.log`.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Log {
    /// What is said.
    pub message: String,
    /// How loud.
    #[serde(default)]
    pub level: Loudness,
}

/// How loud a line is.
#[derive(Debug, Clone, Copy, Default, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
#[expect(missing_docs, reason = "the words say it")]
pub enum Loudness {
    Debug,
    #[default]
    Info,
    Warn,
    Error,
}

/// The input of `core.fail`.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Fail {
    /// Why.
    pub message: String,
}

/// Nothing to tell.
#[derive(Debug, Serialize, JsonSchema)]
pub struct Nothing {}

fn assert(_: &impl Host, _: &Context, input: &Assert) -> Result<Nothing, Error> {
    if input.that { Ok(Nothing {}) } else { Err(Error::conflict("core.assert", &input.message)) }
}

#[expect(clippy::unnecessary_wraps, reason = "the shape of a step")]
fn log(host: &impl Host, _: &Context, input: &Log) -> Result<Nothing, Error> {
    let level = match input.level {
        Loudness::Debug => Level::Debug,
        Loudness::Info => Level::Info,
        Loudness::Warn => Level::Warn,
        Loudness::Error => Level::Error,
    };
    host.log(level, &input.message);
    Ok(Nothing {})
}

fn fail(_: &impl Host, _: &Context, input: &Fail) -> Result<Nothing, Error> {
    Err(Error::conflict("core.fail", &input.message))
}

#[cfg(test)]
mod tests {
    use runbook_plugin::Step;
    use runbook_plugin::mock::World;

    fn perform(world: &World, step: &str, input: &str) -> Result<String, String> {
        let steps = super::steps();
        let step: &Step<World> = steps.iter().find(|s| s.name() == step).expect("a step of this plugin");
        step.perform(world, &world.context(), input).map_err(|error| error.message)
    }

    #[test]
    fn assert() {
        let world = World::new();
        assert_eq!(perform(&world, "assert", r#"{ "that": true, "message": "no" }"#), Ok("{}".to_owned()));
        assert_eq!(perform(&world, "assert", r#"{ "that": false, "message": "no" }"#), Err("no".to_owned()));
    }

    #[test]
    fn log_and_fail() {
        let world = World::new();
        assert_eq!(perform(&world, "log", r#"{ "message": "hear" }"#), Ok("{}".to_owned()));
        assert_eq!(world.lines(), ["hear"]);
        assert_eq!(perform(&world, "fail", r#"{ "message": "enough" }"#), Err("enough".to_owned()));
    }

    #[test]
    fn an_input_that_does_not_fit() {
        let error = perform(&World::new(), "log", r#"{ "massage": "hear" }"#).expect_err("an unknown field");
        assert!(error.starts_with("the input of the step does not fit: unknown field `massage`"), "{error}");
    }
}
