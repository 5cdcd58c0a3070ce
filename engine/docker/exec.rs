//! Commands in running containers: made inert, then started, then asked for their end, so that each step can be found
//! again after a crash.

use std::sync::Arc;
use std::time::Duration;

use bollard::models::{ExecConfig, ExecInspectResponse};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::sync::watch;

use crate::daemon::{Daemon, read, write};
use crate::ending::{Ended, StaysBehind};
use crate::error::Error;
use crate::frames::{Frames, Piece};
use crate::name::check_exec;
use crate::types::{ContainerEvent, ExecOutput};
use words::clock::{self, Deadline};
use words::container_text::{check_user, check_workdir};
use words::effect::FailureKind;
use words::secret::SecretValue;
use words::unfit::Unfit;

/// The most output that is kept, of both streams together.
const MAX_OUTPUT_BYTES: usize = 1 << 20;
/// How much output is read at once.
const PORTION_BYTES: usize = 8 << 10;
/// The most that a command and its environment may take.
const MAX_COMMAND_BYTES: usize = 1 << 20;
/// The longest a command may take.
const MAX_TIMEOUT: Duration = Duration::from_hours(1);
/// The code of a command that was ended in its container.
pub const EXEC_ENDED: &str = "containers.exec-ended";
const EXEC_TIMED_OUT: &str = "containers.exec-timed-out";
/// How long the last output of a command that has ended is waited for.
const LAST_WORDS: Duration = Duration::from_secs(2);
/// What Docker takes for the exit code of a command whose listener went away while it printed.
const LISTENER_LOST: i32 = 126;
/// By how much the clocks of the daemon and of this machine may differ, in milliseconds.
const CLOCK_SLACK_MS: u64 = 1_000;
/// The pause between two questions for the end of a command whose output has ended.
const PAUSE: Duration = Duration::from_millis(20);

/// What the daemon knows of an exec.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ExecState {
    /// Whether it runs now.
    pub running: bool,
    /// None before its end.
    pub exit_code: Option<i32>,
    /// On the daemon's machine; 0 if it was never started.
    pub pid: u32,
}

impl ExecState {
    /// Whether this may be what Docker says of a command whose listener went away while it printed.
    pub fn listener_lost(self) -> bool {
        !self.running && self.pid != 0 && self.exit_code == Some(LISTENER_LOST)
    }

    /// Whether it was ever started.
    pub fn started(self) -> bool {
        self.running || self.exit_code.is_some() || self.pid != 0
    }
}

/// What an exec left in the daemon's events.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ExecTrace {
    /// It ended with this code.
    Ended(i32),
    /// It was started and no end is told.
    Started,
    /// Nothing: it was never started, or the daemon has dropped what it told of it.
    Nothing,
}

impl ExecTrace {
    fn of(exec: &str, events: &[ContainerEvent]) -> Self {
        let mut trace = Self::Nothing;
        for event in events {
            let attribute = |wanted: &str| {
                let found = event.attributes.iter().find(|(name, _)| name == wanted);
                found.map(|(_, value)| value.as_str())
            };
            if attribute("execID") != Some(exec) {
                continue;
            }
            // The actions of starts carry the command: `exec_start: sh -c true`.
            if event.action == "exec_die"
                && let Some(code) = attribute("exitCode").and_then(|code| code.parse().ok())
            {
                return Self::Ended(code);
            }
            if event.action.starts_with("exec_start") {
                trace = Self::Started;
            }
        }
        trace
    }
}

/// What a command printed so far.
#[derive(Default)]
struct Printed {
    stdout: Vec<u8>,
    stderr: Vec<u8>,
    truncated: bool,
}

impl Printed {
    /// Keeps the beginning: an error's cause stands there more often than at the end of a flood.
    fn take(&mut self, piece: &Piece<'_>) {
        let room = MAX_OUTPUT_BYTES - self.stdout.len() - self.stderr.len();
        let bytes = piece.bytes;
        self.truncated |= bytes.len() > room;
        let stream = if piece.error { &mut self.stderr } else { &mut self.stdout };
        stream.extend_from_slice(&bytes[..bytes.len().min(room)]);
    }

    fn end(self, exit_code: i32) -> ExecOutput {
        let text = |bytes: Vec<u8>| String::from_utf8_lossy(&bytes).into_owned();
        ExecOutput {
            exit_code,
            stdout: text(self.stdout),
            stderr: text(self.stderr),
            truncated: self.truncated,
        }
    }
}

impl Daemon {
    /// An inert exec in a running container; its id. Nothing runs yet. Secrets are further environment variables, whose names
    /// the caller has checked.
    pub async fn exec_create(
        &self,
        id: &str,
        command: &ExecCommand<'_>,
        secrets: &[(String, Arc<SecretValue>)],
    ) -> Result<String, Error> {
        let ExecCommand { command, env, user, workdir } = *command;
        check_command(command, env)?;
        check_identity(user, workdir)?;
        let secret = secrets.iter().map(|(name, value)| format!("{name}={}", value.expose()));
        let container = self.inspect(id).await?;
        let config = ExecConfig {
            attach_stdin: Some(true),
            attach_stdout: Some(true),
            attach_stderr: Some(true),
            env: Some(env.iter().map(|(name, value)| format!("{name}={value}")).chain(secret).collect()),
            cmd: Some(command.to_vec()),
            user: user.map(str::to_owned),
            working_dir: workdir.map(str::to_owned),
            ..ExecConfig::default()
        };
        // One that is never started changes nothing: it is made again if the answer is lost.
        let call = read("make a command in container", &container.name);
        self.ask(call, async |docker| docker.create_exec(&container.id, config.clone()).await)
            .await
            .map(|made| made.id)
    }

    /// Starts an inert exec and waits for its end. One that outlives its time, or is to end before, is ended in its container
    /// where that can be done.
    pub async fn exec_start(
        &self,
        exec: &str,
        input: Option<&str>,
        limit: impl Into<ExecLimit>,
    ) -> Result<ExecOutput, Error> {
        let limit = limit.into();
        check_exec(exec)?;
        let timeout = limit.time;
        if timeout > MAX_TIMEOUT {
            let most = MAX_TIMEOUT.as_secs();
            return Err(Error::invalid("containers.exec", format!("a command takes at most {most} s")));
        }
        self.refuse_started(exec).await?;
        // The daemon's clock may be a little behind.
        let began_ms = clock::now_ms().saturating_sub(CLOCK_SLACK_MS);
        let deadline = Deadline::after(timeout);
        let wire = self.wire().await?;
        let line = self.ask(write("start command", exec), async |_| wire.exec(exec).await).await?;
        let mut attended = Box::pin(self.attend(exec, line, input, began_ms));
        let mut ends = limit.ends;
        loop {
            let why = tokio::select! {
                biased;
                ended = &mut attended => return ended,
                why = over(deadline, ends.take()) => why,
            };
            // It is attended to until then, or it might wait for a reader rather than end.
            let (mut done, mut cut) = (None, Box::pin(self.end_exec(exec)));
            let cut = loop {
                tokio::select! {
                    biased;
                    cut = &mut cut => break cut,
                    ended = &mut attended, if done.is_none() => done = Some(ended),
                }
            };
            match (cut, why) {
                (Ok(Ended::By(signal)), why) => return Err(ended_by(exec, signal, &why, timeout)),
                (Ok(Ended::ByItself), _) => {
                    let last = async { clock::within(LAST_WORDS, &mut attended).await.ok() };
                    let Some(ended) = (if done.is_some() { done } else { last.await }) else {
                        return Err(self.overdue(exec, timeout, "its output is still open").await);
                    };
                    return ended;
                }
                // It ended, and left behind what it began.
                (Err(StaysBehind(words)), why) if done.is_some() => {
                    return match done {
                        Some(Err(error)) => Err(error),
                        _ => Err(outlived(ended_by(exec, "TERM", &why, timeout), &words)),
                    };
                }
                // It has its time then.
                (Err(_), Over::Wish) => {}
                (Err(StaysBehind(words)), Over::Time) => {
                    return Err(self.overdue(exec, timeout, &words).await);
                }
            }
        }
    }

    /// The same for a command that ends at once by itself; none if its end is not told in time.
    pub(super) async fn exec_short(&self, exec: &str, time: Duration) -> Result<Option<ExecOutput>, Error> {
        let began_ms = clock::now_ms().saturating_sub(CLOCK_SLACK_MS);
        let wire = self.wire().await?;
        let line = self.ask(write("start command", exec), async |_| wire.exec(exec).await).await?;
        let ended = clock::within(time, Box::pin(self.attend(exec, line, None, began_ms))).await;
        ended.ok().transpose()
    }

    /// Feeds a command its input, reads what it prints, and waits for its end.
    async fn attend(
        &self,
        exec: &str,
        line: impl AsyncRead + AsyncWrite,
        input: Option<&str>,
        began_ms: u64,
    ) -> Result<ExecOutput, Error> {
        let (output, stdin) = tokio::io::split(line);
        let printed = match tokio::join!(feed(stdin, input), drain(output)).1 {
            Ok(printed) => printed,
            Err(err) => {
                let error = bollard::errors::Error::IOError { err };
                return Err(write("read command", exec).failed(self.connection(), &error));
            }
        };
        loop {
            match self.exec_state(exec).await.map_err(Error::after_change)? {
                // A connection that was cut looks like the end of the output.
                Some(state) if state.listener_lost() && !self.really_ended_so(exec, began_ms).await? => {
                    let message = format!("the connection was cut while command `{exec}` ran");
                    return Err(Error::uncertain(
                        FailureKind::OutcomeUnknown,
                        "containers.exec-cut",
                        message,
                    ));
                }
                Some(ExecState { running: false, exit_code, .. }) => {
                    return Ok(printed.end(exit_code.unwrap_or(-1)));
                }
                // It closed its output and goes on.
                Some(_) => tokio::time::sleep(PAUSE).await,
                None => {
                    let message = format!("the daemon has forgotten command `{exec}` while it ran");
                    return Err(Error::uncertain(
                        FailureKind::OutcomeUnknown,
                        "containers.exec-forgotten",
                        message,
                    ));
                }
            }
        }
    }

    /// Whether the code by which the daemon tells of a lost listener is the command's own.
    async fn really_ended_so(&self, exec: &str, since_ms: u64) -> Result<bool, Error> {
        let asked = async |docker: bollard::Docker| docker.inspect_exec(exec).await;
        let raw = self.ask(read("look at command", exec), asked).await.map_err(Error::after_change)?;
        let id = raw.container_id.unwrap_or_default();
        let trace = self.exec_trace(&id, exec, since_ms).await.map_err(Error::after_change)?;
        Ok(trace == ExecTrace::Ended(LISTENER_LOST))
    }

    /// None if the daemon does not know it (any more: it forgets those of containers that stopped).
    pub async fn exec_state(&self, exec: &str) -> Result<Option<ExecState>, Error> {
        check_exec(exec)?;
        let asked =
            self.ask(read("look at command", exec), async |docker| docker.inspect_exec(exec).await).await;
        match asked {
            Ok(raw) => Ok(Some(state(&raw))),
            Err(error) if error.is_not_found() => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// What the daemon's events since then tell of an exec. Docker sets the exit code of an exec whose listener went away
    /// while it printed to 126, though the command runs on; only the event of its end tells the real one.
    pub async fn exec_trace(&self, id: &str, exec: &str, since_ms: u64) -> Result<ExecTrace, Error> {
        let events = self.events(Some(id), since_ms, u64::MAX).await?;
        Ok(ExecTrace::of(exec, &events))
    }

    /// Docker tells of a second start only in what looks like the command's own output.
    async fn refuse_started(&self, exec: &str) -> Result<(), Error> {
        match self.exec_state(exec).await? {
            Some(state) if state.started() => Err(Error::conflict(
                "containers.exec-started",
                format!("command `{exec}` was started before"),
            )),
            Some(_) => Ok(()),
            None => Err(Error::certain(
                FailureKind::NotFound,
                "containers.not-found",
                format!("the daemon knows no command `{exec}`"),
            )),
        }
    }

    async fn overdue(&self, exec: &str, timeout: Duration, why: &str) -> Error {
        let pid = self.exec_state(exec).await.ok().flatten().map_or(0, |state| state.pid);
        let message = format!(
            "command `{exec}` has not ended after {} s and cannot be ended from here ({why}): end process {pid} of the \
             daemon's machine there, or restart the container",
            timeout.as_secs_f64()
        );
        Error::uncertain(FailureKind::TimedOut, EXEC_TIMED_OUT, message)
    }
}

/// How long a command may take, and who may want it to end before.
#[derive(Debug)]
pub struct ExecLimit {
    /// From its start.
    pub time: Duration,
    /// Becomes true when it is to end at once.
    pub ends: Option<watch::Receiver<bool>>,
}

impl From<Duration> for ExecLimit {
    fn from(time: Duration) -> Self {
        Self { time, ends: None }
    }
}

/// Why a command is to end.
enum Over {
    Time,
    Wish,
}

async fn over(deadline: Deadline, ends: Option<watch::Receiver<bool>>) -> Over {
    let wish = async {
        let wished = match ends {
            Some(mut ends) => ends.wait_for(|ends| *ends).await.is_ok(),
            None => false,
        };
        if !wished {
            std::future::pending::<()>().await;
        }
    };
    clock::until(deadline, wish).await.map_or(Over::Time, |()| Over::Wish)
}

/// It is known that the command failed: it is gone.
fn ended_by(exec: &str, signal: &str, why: &Over, timeout: Duration) -> Error {
    match why {
        Over::Time => {
            let time = timeout.as_secs_f64();
            let message = format!("command `{exec}` did not end within {time} s and was ended with {signal}");
            Error::certain(FailureKind::TimedOut, EXEC_ENDED, message)
        }
        Over::Wish => {
            let message = format!("the run is being cancelled: command `{exec}` was ended with {signal}");
            Error::certain(FailureKind::Cancelled, EXEC_ENDED, message)
        }
    }
}

fn outlived(mut error: Error, why: &str) -> Error {
    error.failure.message.push_str(&format!(", but what it began is still there: {why}"));
    error
}

fn state(raw: &ExecInspectResponse) -> ExecState {
    let narrow = |number: i64| i32::try_from(number).unwrap_or(-1);
    ExecState {
        running: raw.running.unwrap_or(false),
        exit_code: raw.exit_code.map(narrow),
        pid: raw.pid.and_then(|pid| u32::try_from(pid).ok()).unwrap_or(0),
    }
}

/// A command, what it is told, and as whom and where it runs; none of the last two is as the container has it.
#[derive(Debug, Clone, Copy, Default)]
pub struct ExecCommand<'a> {
    /// The program and its arguments.
    pub command: &'a [String],
    /// Environment variables.
    pub env: &'a [(String, String)],
    /// `user`, `uid` or `uid:gid`.
    pub user: Option<&'a str>,
    /// An absolute path.
    pub workdir: Option<&'a str>,
}

/// Refuses a user or a working directory that cannot be one.
pub(crate) fn check_identity(user: Option<&str>, workdir: Option<&str>) -> Result<(), Error> {
    let unfit = |code: &'static str| move |unfit: Unfit| Error::invalid(code, unfit.to_string());
    user.map_or(Ok(()), check_user).map_err(unfit("containers.user"))?;
    workdir.map_or(Ok(()), check_workdir).map_err(unfit("containers.workdir"))
}

fn check_command(command: &[String], env: &[(String, String)]) -> Result<(), Error> {
    let refuse = |why: &str| Err(Error::invalid("containers.exec", why));
    let texts = command.iter().chain(env.iter().flat_map(|(name, value)| [name, value]));
    if texts.clone().any(|text| text.contains('\0')) {
        return refuse("a command and its environment may not hold NUL characters");
    }
    if texts.map(String::len).sum::<usize>() > MAX_COMMAND_BYTES {
        return refuse("the command and its environment are larger than 1 MiB; give it input instead");
    }
    if command.first().is_none_or(String::is_empty) {
        return refuse("the command is empty");
    }
    if env.iter().any(|(name, _)| name.is_empty() || name.contains('=')) {
        return refuse("an environment variable needs a name without `=`");
    }
    Ok(())
}

/// A command that ends without reading its input is no failure.
async fn feed(mut stdin: impl AsyncWrite + Unpin, input: Option<&str>) {
    if let Some(input) = input
        && stdin.write_all(input.as_bytes()).await.is_err()
    {
        return;
    }
    let _ = stdin.shutdown().await;
}

async fn drain(mut output: impl AsyncRead + Unpin) -> std::io::Result<Printed> {
    let mut printed = Printed::default();
    let mut frames = Frames::new(false);
    let mut portion = vec![0; PORTION_BYTES];
    loop {
        let length = output.read(&mut portion).await?;
        if length == 0 {
            return Ok(printed);
        }
        frames.take(&portion[..length], |piece| printed.take(&piece));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn event(action: &str, attributes: &[(&str, &str)]) -> ContainerEvent {
        let attributes =
            attributes.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
        ContainerEvent { time_ms: 1, action: action.to_owned(), id: "c".to_owned(), attributes }
    }

    #[test]
    fn an_end_is_told_by_the_event_of_this_very_exec() {
        let other = event("exec_die", &[("execID", "b"), ("exitCode", "1")]);
        let start = event("exec_start: sh -c true", &[("execID", "a")]);
        let end = event("exec_die", &[("execID", "a"), ("exitCode", "0")]);
        assert_eq!(ExecTrace::of("a", std::slice::from_ref(&other)), ExecTrace::Nothing);
        assert_eq!(ExecTrace::of("a", &[start.clone(), other.clone()]), ExecTrace::Started);
        assert_eq!(ExecTrace::of("a", &[start, other, end]), ExecTrace::Ended(0));
    }
}
