//! Beginning an engine: a process of its own, which outlives the command that needs it.

use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream as Socket;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};

use super::context::Context;
use super::line::{Line, Order, Word};
use crate::config::Settings;
use crate::error::Error;
use executor::lock_file;

/// From this size on the C library gives memory back to the system as soon as it is free. Left to itself it raises that bound,
/// and an engine that lives for days keeps what a plugin made it use for a moment (measured: `tests/hostile`, up to 190 MiB).
const LARGE_BYTES: &str = "1048576";

/// How to begin an engine that sees the same settings.
pub(super) struct Launch {
    pub(super) data_dir: PathBuf,
    config: Option<PathBuf>,
    secrets_of: Option<PathBuf>,
    verbose: u8,
}

/// An engine that was begun and not yet told to.
#[derive(Debug)]
pub(super) struct Launched {
    socket: Socket,
    pub(super) process: Child,
}

impl Launch {
    pub(super) fn of(context: &Context, settings: &Settings) -> Self {
        let flags = context.flags();
        Self {
            data_dir: settings.data.path.clone(),
            config: flags.config.clone(),
            secrets_of: flags.secrets_of.clone(),
            verbose: flags.verbose,
        }
    }

    /// Begins one that tells this process how it goes. It waits to be told to begin.
    pub(super) fn begin(&self) -> Result<Launched, Error> {
        let (ours, theirs) = Socket::pair().map_err(|error| cannot(&error))?;
        let mut command = self.command()?;
        command.arg("--begun").stdin(Stdio::from(OwnedFd::from(theirs)));
        let process = command.spawn().map_err(|error| cannot(&error))?;
        Ok(Launched { socket: ours, process })
    }

    /// Begins one that carries on what this process, an engine that ends, leaves unfinished.
    pub(super) fn begin_next(&self) -> Result<(), Error> {
        self.command()?.stdin(Stdio::null()).spawn().map(drop).map_err(|error| cannot(&error))
    }

    fn command(&self) -> Result<Command, Error> {
        let program = std::env::current_exe().map_err(|error| {
            Error::environment(format!("cannot find this program: {}", crate::error::reason(&error)))
        })?;
        let mut command = Command::new(program);
        command.arg("engine").arg("--data-dir").arg(&self.data_dir);
        if let Some(config) = &self.config {
            command.arg("--config").arg(config);
        }
        if let Some(main) = &self.secrets_of {
            command.arg("--secrets-of").arg(main);
        }
        command.env("MALLOC_MMAP_THRESHOLD_", LARGE_BYTES).stdout(Stdio::null());
        if self.verbose == 0 {
            command.stderr(Stdio::null());
        } else {
            // Whoever wants to be told what the engine does is told by itself.
            command.arg(format!("-{}", "v".repeat(usize::from(self.verbose))));
        }
        Ok(command)
    }
}

impl Launched {
    /// Tells it to begin; the line to it. Needs the runtime.
    pub(super) async fn go(self) -> Result<(Line<Word>, Child), Error> {
        let mut line = Line::over(self.socket).map_err(|error| cannot(&error))?;
        line.say(&Order::Begin).await;
        Ok((line, self.process))
    }
}

/// Begins an engine, if there is none, for a command that may need one soon: both start at the same time. A command that comes to
/// nothing begins none, as far as anybody can tell.
pub(super) fn early(context: &Context) {
    let Ok(settings) = context.settings() else { return };
    if !lock_file::is_held(&settings.data.path)
        && let Ok(launched) = Launch::of(context, settings).begin()
    {
        context.keep(launched);
    }
}

fn cannot(error: &std::io::Error) -> Error {
    Error::environment(format!("cannot begin an engine: {}", crate::error::reason(error)))
}
