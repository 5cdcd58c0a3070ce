//! Who holds a lock of this machine: what the kernel tells of the process, and what the process says of itself. The latter
//! comes from outside: it is bounded, made printable, and decides nothing.

use std::time::Duration;

use serde::{Deserialize, Serialize};
use tokio::io::AsyncReadExt as _;
use tokio::net::UnixStream;

use super::telling::shortened;
use words::clock;
use words::ids::RunId;
use words::process::Process;
use words::text::{for_shell, one_line};

/// The longest answer of a holder, in bytes.
const MAX_ANSWER_BYTES: usize = 1024;
/// How long a holder may take to answer.
const ANSWER_DEADLINE: Duration = Duration::from_secs(2);
/// After so long on the line the lock is tried again, whatever the holder does.
const LONGEST_LINE: Duration = Duration::from_secs(10);
/// How often a holder that hangs up is asked again, and after which pause.
const HUNG_UP: usize = 5;
const HUNG_UP_PAUSE: Duration = Duration::from_millis(100);
/// The longest path or name in a greeting, in bytes.
const MAX_WORD_BYTES: usize = 300;

/// What a holder says of itself, in one line of JSON.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Greeting {
    /// Its run.
    pub(super) run: RunId,
    /// What the run does.
    pub(super) runbook: String,
    /// Since when it has the lock, milliseconds since 1970.
    pub(super) since_ms: u64,
    /// Its data directory.
    pub(super) data_dir: String,
}

impl Greeting {
    pub(super) fn line(&self) -> Vec<u8> {
        let short = Self {
            runbook: shortened(&self.runbook, MAX_WORD_BYTES),
            data_dir: shortened(&self.data_dir, MAX_WORD_BYTES),
            ..self.clone()
        };
        let mut line = serde_json::to_vec(&short).unwrap_or_default();
        line.push(b'\n');
        line
    }

    /// Of what came over the line.
    fn read(line: &[u8]) -> Option<Self> {
        let said: Self = serde_json::from_slice(line).ok()?;
        let word = |text: &str| shortened(&one_line(text), MAX_WORD_BYTES);
        Some(Self { runbook: word(&said.runbook), data_dir: word(&said.data_dir), ..said })
    }
}

/// The process that holds a lock.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Neighbour {
    /// Its number; 0 if it cannot be seen from here.
    pub(super) pid: u32,
    /// Whose it is.
    pub(super) uid: u32,
    /// What it says, if it is an engine that answers.
    pub(super) said: Option<Greeting>,
    /// Whether it is stopped, by a signal or a debugger.
    pub(super) stopped: bool,
}

/// A connection to the holder: it ends when the lock is free.
#[derive(Debug)]
pub(super) struct Line {
    stream: Option<UnixStream>,
    /// The holder closed it without a word.
    hung_up: bool,
}

impl Neighbour {
    /// The pause after which a lock is tried again whose holder does not keep the line.
    pub(super) const PAUSE: Duration = Duration::from_millis(500);

    /// Asks the holder of the lock of this name; none if nobody holds it any more. Who hangs up is about to give it back: it is
    /// asked again before anything is said of it.
    pub(super) async fn ask(name: &str) -> Option<(Self, Line)> {
        for _ in 0..HUNG_UP {
            match Self::ask_once(name).await? {
                (Self { said: None, stopped: false, pid: 1.., .. }, line) if line.hung_up => {
                    tokio::time::sleep(HUNG_UP_PAUSE).await;
                }
                asked => return Some(asked),
            }
        }
        Self::ask_once(name).await
    }

    async fn ask_once(name: &str) -> Option<(Self, Line)> {
        // A holder that is stopped does not take the connection; the kernel keeps it until too many wait.
        let mut stream = match UnixStream::connect(format!("\0{name}")).await {
            Ok(stream) => stream,
            Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => {
                let unseen = Self { pid: 0, uid: u32::MAX, said: None, stopped: false };
                return Some((unseen, Line { stream: None, hung_up: false }));
            }
            Err(_) => return None,
        };
        let credentials = stream.peer_cred().ok()?;
        let pid = credentials.pid().and_then(|pid| u32::try_from(pid).ok()).unwrap_or_default();
        let line = tokio::time::timeout(ANSWER_DEADLINE, first_line(&mut stream)).await;
        let hung_up = matches!(line, Ok(None));
        let said = line.ok().flatten().as_deref().and_then(Greeting::read);
        let stopped = said.is_none() && Process::of(pid).is_some_and(|process| process.is_stopped());
        Some((Self { pid, uid: credentials.uid(), said, stopped }, Line { stream: Some(stream), hung_up }))
    }

    /// Whether it is this process: another run of this engine.
    pub(super) fn is_here(&self) -> bool {
        self.pid == std::process::id()
    }

    /// Who holds the lock, how it stands, and whom to ask: "run `0mabc` (…) of root, process 4711, holds …".
    pub(super) fn words(&self, service: &str, user: &str) -> String {
        let process = if self.pid == 0 {
            "a process that cannot be seen from here".to_owned()
        } else {
            format!("process {}", self.pid)
        };
        let Some(said) = &self.said else {
            let how = if self.stopped { "is stopped" } else { "does not answer as an engine does" };
            return format!("{process} of {user} holds this machine's lock on `{service}` and {how}");
        };
        format!(
            "run `{}` ({}, of {user}, since {}, {process}, data directory {}) holds this machine's lock on `{service}`",
            said.run,
            said.runbook,
            clock::rfc3339(said.since_ms),
            said.data_dir
        )
    }

    /// What to type, or whom to ask: one clause.
    pub(super) fn ways_out(&self, user: &str) -> String {
        let Self { pid, .. } = self;
        if self.stopped {
            return format!("`kill -CONT {pid}` lets it go on, as {user} or root");
        }
        match &self.said {
            Some(said) if self.uid == rustix::process::getuid().as_raw() => {
                let command = format!("runbook --data-dir {} runs", for_shell(&said.data_dir));
                format!("`{command} watch {0}` follows it; `{command} cancel {0}` ends it", said.run)
            }
            Some(said) => {
                let dir = for_shell(&said.data_dir);
                format!("ask {user}, who can end it with `runbook --data-dir {dir} runs cancel {}`", said.run)
            }
            None if pid == &0 => "it ends when that process does".to_owned(),
            None => format!("ask {user}; it ends when that process does"),
        }
    }
}

impl Line {
    /// Ends when the lock may be free.
    pub(super) async fn until_free(self) {
        let Some(mut stream) = self.stream else { return tokio::time::sleep(Neighbour::PAUSE).await };
        let mut more = [0; 64];
        let closed = tokio::time::timeout(LONGEST_LINE, stream.read(&mut more)).await;
        if matches!(closed, Ok(Ok(read)) if read > 0) {
            // It talks on, and need not be listened to.
            tokio::time::sleep(Neighbour::PAUSE).await;
        }
    }
}

async fn first_line(stream: &mut UnixStream) -> Option<Vec<u8>> {
    let mut line = Vec::new();
    let mut piece = [0; 256];
    loop {
        let read = stream.read(&mut piece).await.ok().filter(|read| *read > 0)?;
        line.extend_from_slice(&piece[..read]);
        if let Some(end) = line.iter().position(|byte| *byte == b'\n') {
            line.truncate(end);
            return Some(line);
        }
        if line.len() > MAX_ANSWER_BYTES {
            return None;
        }
    }
}
