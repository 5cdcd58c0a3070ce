//! The plugin `container`: commands and scripts inside containers, one-shot containers, logs.
//!
//! A command is an argument list and a script's parameters are environment variables: nothing is ever put into a text
//! that a shell reads.

mod exec;
mod logs;
mod one_shot;
mod script;

use std::collections::BTreeMap;

use runbook_plugin::{
    Container, Error, ExecOutput, ExecRequest, Host, JsonSchema, Secret, SecretName, Serialize, Step, select,
    text,
};

/// What this plugin performs.
pub fn steps<H: Host + 'static>() -> Vec<Step<H>> {
    [exec::steps(), script::steps(), one_shot::steps(), logs::steps()].into_iter().flatten().collect()
}

runbook_plugin::export!(steps);

/// How much of each stream an output holds.
pub(crate) const MAX_STREAM_BYTES: usize = 128 * 1024;

/// How much of what a failing command said is told.
const TOLD_BYTES: usize = 1_000;

/// What a command did.
#[derive(Debug, Serialize, JsonSchema)]
pub(crate) struct Output {
    /// The container it ran in.
    container: String,
    /// Its exit code.
    exit_code: i32,
    /// What it printed, at most 128 KiB, without the line ends at its end, as a shell gives it. A one-shot container's two
    /// streams are one.
    stdout: String,
    /// What it printed to standard error, at most 128 KiB.
    stderr: String,
    /// Whether something was cut.
    truncated: bool,
}

impl Output {
    pub(crate) fn new(container: &Container, printed: &ExecOutput) -> Self {
        let stdout = text::beginning(&printed.stdout, MAX_STREAM_BYTES);
        let stderr = text::beginning(&printed.stderr, MAX_STREAM_BYTES).to_owned();
        let cut = stdout.len() < printed.stdout.len() || stderr.len() < printed.stderr.len();
        let stdout = stdout.trim_end_matches(['\n', '\r']).to_owned();
        Self {
            container: container.name.clone(),
            exit_code: printed.exit_code,
            stdout,
            stderr,
            truncated: printed.truncated || cut,
        }
    }

    /// A failure unless the command ended as it should; none wanted: however it ended.
    pub(crate) fn judge(self, wanted: Option<i32>) -> Result<Self, Error> {
        if wanted.is_none_or(|wanted| wanted == self.exit_code) {
            return Ok(self);
        }
        let said = if self.stderr.trim().is_empty() { &self.stdout } else { &self.stderr };
        let said = text::end(said.trim(), TOLD_BYTES);
        let words = format!("the command ended with {} in `{}`: {said}", self.exit_code, self.container);
        Err(Error::conflict("container.exit-code", words.trim_end_matches([':', ' '])))
    }
}

/// The container meant: the one named, else the first running replica.
pub(crate) fn running(
    host: &impl Host,
    service: Option<&str>,
    container: Option<&str>,
) -> Result<Container, Error> {
    let found = select(host, service, container)?;
    let name = service.or(container).unwrap_or_default().to_owned();
    let available = found.iter().position(Container::available);
    let index = available.or_else(|| found.iter().position(Container::up));
    index
        .and_then(|index| found.into_iter().nth(index))
        .ok_or_else(|| Error::conflict("container.not-running", format!("nothing of `{name}` is running")))
}

/// Handles of secrets by the name of a variable or the path of a file.
pub(crate) fn handles(
    host: &impl Host,
    wanted: &BTreeMap<String, SecretName>,
) -> Result<Vec<(String, Secret)>, Error> {
    wanted.iter().map(|(place, name)| Ok((place.clone(), host.secret(&name.0)?))).collect()
}

/// A command in a running container.
pub(crate) struct Task<'a> {
    pub(crate) command: &'a [String],
    pub(crate) env: &'a BTreeMap<String, String>,
    pub(crate) secret_env: &'a BTreeMap<String, SecretName>,
    pub(crate) input: Option<&'a str>,
    pub(crate) user: Option<&'a str>,
    pub(crate) workdir: Option<&'a str>,
    pub(crate) timeout: runbook_plugin::Duration,
}

impl Task<'_> {
    pub(crate) fn run(&self, host: &impl Host, container: &Container) -> Result<Output, Error> {
        let Self { command, input, user, workdir, timeout, .. } = *self;
        let env: Vec<(String, String)> = self.env.clone().into_iter().collect();
        let secret_env = handles(host, self.secret_env)?;
        let (env, secret_env) = (env.as_slice(), secret_env.as_slice());
        let request = ExecRequest { command, env, secret_env, input, user, workdir, timeout };
        let printed = host.exec(&container.id, &request)?;
        Ok(Output::new(container, &printed))
    }
}

/// Zero is how commands say that all is well.
#[expect(clippy::unnecessary_wraps, reason = "a default of an optional input")]
pub(crate) fn zero() -> Option<i32> {
    Some(0)
}

pub(crate) fn one_minute() -> runbook_plugin::Duration {
    runbook_plugin::Duration::from_secs(60)
}
