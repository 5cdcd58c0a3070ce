//! Ending a command that runs in a container. Docker has no call for it: a second command in the same container runs the
//! image's own `kill`. No process of this machine is signalled from outside of its container.

use std::time::Duration;

use bollard::models::ExecInspectResponse;

use crate::connection::Connection;
use crate::daemon::{Daemon, read};
use crate::exec::ExecCommand;
use crate::name::check_exec;
use crate::processes::Family;
use words::clock::Deadline;

/// How long a command has to end after TERM, before KILL.
const GRACE: Duration = Duration::from_secs(10);
/// How long it has to be gone after KILL.
const AFTER_KILL: Duration = Duration::from_secs(5);
/// How long the word of the image's `kill` is waited for. Docker tells the ends of one container's commands one after the
/// other, and holds back that of one whose output its children keep open, for 2 s seen: by then `kill` has long done its work.
const KILL_TIME: Duration = Duration::from_secs(2);
/// Between two looks whether it is gone.
const PAUSE: Duration = Duration::from_millis(200);
/// What ending a command takes at most, beside the daemon's answers.
pub const ENDING: Duration = Duration::from_secs(20);
/// The codes of a shell, and of Docker, for a program that is not there or cannot be run.
const NO_PROGRAM: [i32; 2] = [126, 127];

/// How a command came to its end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ended {
    /// By itself, before it was signalled.
    ByItself,
    /// It ended on this signal.
    By(&'static str),
}

impl std::fmt::Display for Ended {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::ByItself => f.write_str("it ended then"),
            Self::By(signal) => write!(f, "it was ended with {signal}"),
        }
    }
}

/// How often a daemon that does not tell the process of a running command yet is asked again, and after which pause.
const BEGINS_TRIES: u32 = 20;
const BEGINS_PAUSE: Duration = Duration::from_millis(250);

/// Why a command cannot be ended, a clause.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StaysBehind(pub String);

impl StaysBehind {
    fn because(why: impl Into<String>) -> Self {
        Self(why.into())
    }
}

impl Daemon {
    /// Whether commands in containers of this daemon may be ended at all: its processes may be ours to see.
    pub fn may_end_commands(&self) -> bool {
        matches!(self.connection(), Connection::Unix(_))
    }

    /// What the daemon knows of a command once it tells its process: on a busy machine that may take longer than its limit.
    async fn begun(&self, exec: &str) -> Result<ExecInspectResponse, StaysBehind> {
        let mut tries = 0;
        loop {
            let raw = self.exec_of(exec).await?;
            let begins = raw.running.unwrap_or(false) && raw.pid.is_none_or(|pid| pid <= 0);
            if !begins || tries == BEGINS_TRIES {
                return Ok(raw);
            }
            tries += 1;
            tokio::time::sleep(BEGINS_PAUSE).await;
        }
    }

    /// Ends a command: TERM to it and to all that it began, after a while KILL.
    pub async fn end_exec(&self, exec: &str) -> Result<Ended, StaysBehind> {
        check_exec(exec).map_err(|error| StaysBehind(error.failure.message))?;
        if !self.may_end_commands() {
            return Err(StaysBehind::because("the daemon is on another machine"));
        }
        let raw = self.begun(exec).await?;
        let (pid, container) = (raw.pid.and_then(|pid| u32::try_from(pid).ok()), raw.container_id);
        let (Some(pid), Some(container)) = (pid.filter(|pid| *pid > 0), container) else {
            return Err(StaysBehind::because("the daemon does not tell its process"));
        };
        let running = raw.running.unwrap_or(false);
        let Some(family) = Family::of(pid, running, &container) else {
            if !running || !self.exec_of(exec).await?.running.unwrap_or(false) {
                return Ok(Ended::ByItself);
            }
            return Err(StaysBehind::because(format!(
                "process {pid} of the daemon's machine cannot be seen from here as one of its container"
            )));
        };
        let user = raw.process_config.and_then(|process| process.user).filter(|user| !user.is_empty());
        Ending { daemon: self, exec, container, user, family }.end().await
    }

    async fn exec_of(&self, exec: &str) -> Result<ExecInspectResponse, StaysBehind> {
        self.ask(read("look at command", exec), async |docker| docker.inspect_exec(exec).await)
            .await
            .map_err(|error| StaysBehind(error.failure.message))
    }
}

/// A command that is being ended.
struct Ending<'a> {
    daemon: &'a Daemon,
    exec: &'a str,
    container: String,
    /// Whom it runs as, if it was asked for.
    user: Option<String>,
    family: Family,
}

impl Ending<'_> {
    async fn end(mut self) -> Result<Ended, StaysBehind> {
        for (signal, time) in [("TERM", GRACE), ("KILL", AFTER_KILL)] {
            let deadline = Deadline::after(time);
            self.signal(signal).await?;
            while !deadline.passed() {
                if self.is_gone().await {
                    return Ok(Ended::By(signal));
                }
                tokio::time::sleep(PAUSE).await;
            }
        }
        Err(StaysBehind::because("it was sent TERM and KILL and is still there"))
    }

    async fn is_gone(&mut self) -> bool {
        let (family, living) = look(self.family.clone()).await;
        self.family = family;
        living.is_empty()
            && self.daemon.exec_of(self.exec).await.is_ok_and(|raw| !raw.running.unwrap_or(false))
    }

    /// As the user of the command, who may signal what is its own; then as root, what is not.
    async fn signal(&mut self, signal: &str) -> Result<(), StaysBehind> {
        let mut told = None;
        for user in [self.user.clone(), Some("0".to_owned())] {
            let (family, living) = look(self.family.clone()).await;
            self.family = family;
            if living.is_empty() {
                return Ok(());
            }
            match self.kill(signal, &living, user.as_deref()).await {
                Ok(()) => return Ok(()),
                Err(why) => told = Some(why),
            }
        }
        // One that ended meanwhile is no failure to signal it.
        let (family, living) = look(self.family.clone()).await;
        self.family = family;
        match told {
            Some(why) if !living.is_empty() => Err(why),
            _ => Ok(()),
        }
    }

    /// Runs the first `kill` that the image has.
    async fn kill(&self, signal: &str, living: &[u32], user: Option<&str>) -> Result<(), StaysBehind> {
        let pids: Vec<String> = living.iter().map(ToString::to_string).collect();
        let by_shell = format!("kill -{signal} {}", pids.join(" "));
        let plain = |program: &[&str]| {
            let program = program.iter().map(|part| (*part).to_owned());
            program.chain([format!("-{signal}")]).chain(pids.iter().cloned()).collect::<Vec<_>>()
        };
        let ways = [
            vec!["/bin/sh".to_owned(), "-c".to_owned(), by_shell],
            plain(&["kill"]),
            plain(&["/bin/kill"]),
            plain(&["busybox", "kill"]),
        ];
        for command in ways {
            match self.run(&command, user).await? {
                // Whether it worked without a word, the processes show.
                None | Some(0) => return Ok(()),
                Some(code) if NO_PROGRAM.contains(&code) => {}
                Some(code) => {
                    let who = user.unwrap_or("the container's user");
                    return Err(StaysBehind(format!("`kill` as {who} ended with {code}")));
                }
            }
        }
        Err(StaysBehind::because("the image has no `kill`"))
    }

    /// Its exit code; none if the daemon does not tell of its end in time.
    async fn run(&self, command: &[String], user: Option<&str>) -> Result<Option<i32>, StaysBehind> {
        let command = ExecCommand { command, user, ..ExecCommand::default() };
        let failed = |error: crate::Error| StaysBehind(error.failure.message);
        let exec = self.daemon.exec_create(&self.container, &command, &[]).await.map_err(failed)?;
        let ran = self.daemon.exec_short(&exec, KILL_TIME).await.map_err(failed)?;
        Ok(ran.map(|output| output.exit_code))
    }
}

/// Reads the processes of the machine where nobody waits for it.
async fn look(mut family: Family) -> (Family, Vec<u32>) {
    let before = family.clone();
    // A look that dies has seen nothing: the daemon's word decides then.
    let looked = tokio::task::spawn_blocking(move || {
        let living = family.living();
        (family, living)
    });
    looked.await.unwrap_or((before, Vec::new()))
}
