//! What every command is given: settings, output, a runtime if it needs one. Knows no command.

use std::cell::{OnceCell, RefCell};
use std::future::Future;
use std::path::PathBuf;

use tokio::runtime::Builder;

use crate::cli::launch::Launched;
use crate::cli::output::Output;
use crate::config::{Flags, Settings};
use crate::error::Error;
use executor::Reach;
use executor::library::{self, Library};
use executor::plugins::Plugins;
use executor::request::Source;
use model::parse::{Known, parse};
use model::runbook::Runbook;
use model::step_type::Catalogue;
use secrets::Keeper;

/// What every command is given.
#[derive(Debug)]
pub(crate) struct Context {
    flags: Flags,
    settings: OnceCell<Settings>,
    keeper: OnceCell<Keeper>,
    /// An engine that starts beside this command.
    early: RefCell<Option<Launched>>,
    /// Where everything is written.
    pub(crate) out: Output,
}

impl Context {
    /// Reads nothing yet.
    pub(crate) fn new(flags: Flags, out: Output) -> Self {
        Self { flags, settings: OnceCell::new(), keeper: OnceCell::new(), early: RefCell::default(), out }
    }

    /// Flags, environment and file, read once.
    pub(crate) fn settings(&self) -> Result<&Settings, Error> {
        if let Some(settings) = self.settings.get() {
            return Ok(settings);
        }
        let settings = Settings::gather(&self.flags)?;
        Ok(self.settings.get_or_init(|| settings))
    }

    /// The same with another data directory, but with the secrets of this one: an emergency needs them, too.
    pub(crate) fn at(&self, data_dir: PathBuf) -> Self {
        let main = self.settings().ok().map(|settings| settings.data.path.clone());
        let flags = Flags { data_dir: Some(data_dir), secrets_of: main, ..self.flags.clone() };
        let keeper = self.keeper().map(OnceCell::from).unwrap_or_default();
        Self { keeper, ..Self::new(flags, self.out.again()) }
    }

    /// The secrets; what was decrypted for one part of a command need not be for the next.
    pub(crate) fn keeper(&self) -> Result<Keeper, Error> {
        let settings = self.settings()?;
        let data_dir = self.flags.secrets_of.as_ref().unwrap_or(&settings.data.path);
        let made = || Keeper::new(data_dir, settings.secrets.clone());
        Ok(self.keeper.get_or_init(made).clone())
    }

    /// Keeps an engine that starts beside this command until somebody asks for one.
    pub(crate) fn keep(&self, early: Launched) {
        self.early.replace(Some(early));
    }

    /// The engine that started beside this command, if nobody has asked for it yet.
    pub(crate) fn early(&self) -> Option<Launched> {
        self.early.take()
    }

    /// What the flags said.
    pub(crate) fn flags(&self) -> &Flags {
        &self.flags
    }

    /// Where runbooks are looked for.
    pub(crate) fn library(&self) -> Result<Library, Error> {
        Ok(Library::new(host::embedded::runbooks(), &self.settings()?.runbooks.0))
    }

    /// What a plan needs that is made in this process.
    pub(crate) fn reach(&self) -> Result<Reach, Error> {
        let settings = self.settings()?;
        Ok(Reach::looking(&settings.data.path, settings.connections(), self.keeper()?, settings.quota.0))
    }

    /// Every plugin a runbook may use.
    pub(crate) fn catalogue(&self) -> Result<Catalogue, Error> {
        Ok(Plugins::looking(&self.settings()?.data.path).catalogue().clone())
    }

    /// Finds and checks a runbook.
    pub(crate) fn runbook(&self, name_or_path: &str) -> Result<(Source, Runbook), Error> {
        let source = self.library()?.find(name_or_path)?;
        let others = source.others.iter().map(|(name, _, text)| (name, text.as_str()));
        let catalogue = self.catalogue()?;
        let known = Known { catalogue: &catalogue, runbooks: &library::signatures(others) };
        let runbook = parse(&source.file, &source.text, &known)?;
        Ok((source, runbook))
    }

    /// Runs a future on this thread: enough for those who wait for one answer.
    #[expect(clippy::unused_self, reason = "only a command may start a runtime")]
    pub(crate) fn wait<T>(&self, future: impl Future<Output = Result<T, Error>>) -> Result<T, Error> {
        on(Builder::new_current_thread(), future)
    }

    /// Runs an engine, which works on as many threads as there are cores.
    #[expect(clippy::unused_self, reason = "only a command may start a runtime")]
    pub(crate) fn wait_many<T>(&self, future: impl Future<Output = Result<T, Error>>) -> Result<T, Error> {
        on(Builder::new_multi_thread(), future)
    }
}

fn on<T>(mut builder: Builder, future: impl Future<Output = Result<T, Error>>) -> Result<T, Error> {
    let runtime = builder
        .enable_all()
        .build()
        .map_err(|error| Error::environment(format!("cannot start the runtime: {error}")))?;
    let result = runtime.block_on(future);
    // A thread that waits for a person's answer must not keep the program from ending.
    runtime.shutdown_background();
    result
}
