//! The plugin `container`: commands and scripts inside containers, one-shot containers, logs.
//!
//! A command is an argument list and a script's parameters are environment variables: nothing is ever put into a text
//! that a shell reads.

mod exec;
mod logs;
mod one_shot;
mod script;

use runbook_plugin::{Container, Error, ExecOutput, Host, JsonSchema, Serialize, Step, select, text};

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
    /// What it printed, at most 128 KiB. A one-shot container's two streams are one.
    stdout: String,
    /// What it printed to standard error, at most 128 KiB.
    stderr: String,
    /// Whether something was cut.
    truncated: bool,
}

impl Output {
    pub(crate) fn new(container: &Container, printed: &ExecOutput) -> Self {
        let stdout = text::beginning(&printed.stdout, MAX_STREAM_BYTES).to_owned();
        let stderr = text::beginning(&printed.stderr, MAX_STREAM_BYTES).to_owned();
        let cut = stdout.len() < printed.stdout.len() || stderr.len() < printed.stderr.len();
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

/// Zero is how commands say that all is well.
#[expect(clippy::unnecessary_wraps, reason = "a default of an optional input")]
pub(crate) fn zero() -> Option<i32> {
    Some(0)
}

pub(crate) fn one_minute() -> runbook_plugin::Duration {
    runbook_plugin::Duration::from_secs(60)
}
