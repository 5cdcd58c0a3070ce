//! What every command is given: settings, output, a runtime if it needs one. Knows no command.

use std::cell::OnceCell;
use std::future::Future;

use crate::cli::output::Output;
use crate::config::{Flags, Settings};
use crate::error::Error;
use crate::executor::library::Library;

/// What every command is given.
#[derive(Debug)]
pub(crate) struct Context {
    flags: Flags,
    settings: OnceCell<Settings>,
    /// Where everything is written.
    pub(crate) out: Output,
}

impl Context {
    /// Reads nothing yet.
    pub(crate) fn new(flags: Flags, out: Output) -> Self {
        Self { flags, settings: OnceCell::new(), out }
    }

    /// Flags, environment and file, read once.
    pub(crate) fn settings(&self) -> Result<&Settings, Error> {
        if let Some(settings) = self.settings.get() {
            return Ok(settings);
        }
        let settings = Settings::gather(&self.flags)?;
        Ok(self.settings.get_or_init(|| settings))
    }

    /// Where runbooks are looked for.
    pub(crate) fn library(&self) -> Result<Library, Error> {
        Ok(Library::new(&[], &self.settings()?.runbooks.0))
    }

    /// Runs a future on this thread: enough for those who wait for one answer.
    #[expect(clippy::unused_self, reason = "only a command may start a runtime")]
    pub(crate) fn wait<T>(&self, future: impl Future<Output = Result<T, Error>>) -> Result<T, Error> {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .map_err(|error| Error::environment(format!("cannot start the runtime: {error}")))?;
        runtime.block_on(future)
    }
}
