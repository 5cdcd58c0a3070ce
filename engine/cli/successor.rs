//! Beginning an engine in the background: it carries on what a process leaves unfinished.

use std::path::PathBuf;
use std::process::Stdio;

use super::context::Context;
use crate::config::Settings;
use crate::error::Error;
use crate::executor::lock_file;

/// From this size on the C library gives memory back to the system as soon as it is free. Left to itself it raises that bound,
/// and an engine that lives for days keeps what a plugin made it use for a moment (measured: `tests/hostile`, up to 190 MiB).
const LARGE_BYTES: &str = "1048576";

/// How to begin an engine in the background that sees the same settings.
pub(super) struct Successor {
    pub(super) data_dir: PathBuf,
    config: Option<PathBuf>,
}

impl Successor {
    pub(super) fn of(context: &Context, settings: &Settings) -> Self {
        Self { data_dir: settings.data.path.clone(), config: context.flags().config.clone() }
    }

    /// Begins one, unless some process is the engine already or is about to be.
    pub(super) fn begin_if_nobody(&self) -> Result<(), Error> {
        if lock_file::is_held(&self.data_dir) { Ok(()) } else { self.begin() }
    }

    pub(super) fn begin(&self) -> Result<(), Error> {
        let program = std::env::current_exe().map_err(|error| {
            Error::environment(format!("cannot find this program: {}", crate::error::reason(&error)))
        })?;
        let mut command = std::process::Command::new(program);
        command.arg("engine").arg("--data-dir").arg(&self.data_dir);
        if let Some(config) = &self.config {
            command.arg("--config").arg(config);
        }
        command.env("MALLOC_MMAP_THRESHOLD_", LARGE_BYTES);
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        command.spawn().map(drop).map_err(|error| {
            Error::environment(format!("cannot begin an engine: {}", crate::error::reason(&error)))
        })
    }
}
