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
