//! What the engine was told before it started: flags, environment, `runbook.toml`, in this order of weight, and who said
//! what. Reads the environment and the file once; connects to nothing and opens no data.

mod actor;
mod audit;
mod directory;
mod environment;
mod file;
mod secrets_settings;
mod target;

use std::collections::BTreeMap;
use std::fmt;
use std::path::{Path, PathBuf};

use serde::{Serialize, Serializer};

pub use actor::{name_of_user, of_peer as actor_of_peer};
pub use audit::DEFAULT_QUOTA;
pub use directory::{DataDirectory, SHARED};
pub use environment::Environment;
pub use target::{DEFAULT_CONNECTION, Target, TlsFiles};

use crate::error::Error;
use docker::Connection;
use file::File;
use secrets::SecretsSettings;
use words::ids::TargetName;

/// The target that is used if none is named.
pub const LOCAL: &str = "local";

/// The folder beside the person that holds their own runbooks.
pub const RUNBOOKS: &str = "runbooks";

/// What flags may say.
#[derive(Debug, Clone, Default)]
pub struct Flags {
    /// `--data-dir`
    pub data_dir: Option<PathBuf>,
    /// `--config`
    pub config: Option<PathBuf>,
    /// `--target`
    pub target: Option<String>,
    /// `-v`, how often
    pub verbose: u8,
    /// Of an emergency: the data directory whose secrets are used, which is not where everything is kept.
    pub secrets_of: Option<PathBuf>,
}

/// Everything that was set, and by whom.
#[derive(Debug, Clone)]
pub struct Settings {
    /// Where everything is kept.
    pub data: DataDirectory,
    /// The file that was read, if there is one.
    pub file: Option<PathBuf>,
    /// The folder of the person's own runbooks.
    pub runbooks: (PathBuf, Origin),
    /// Sorted by name; always holds [`LOCAL`].
    pub targets: Vec<Target>,
    /// The target of commands that name none.
    pub target: (TargetName, Origin),
    /// How much runs may keep beside the audit log, bytes.
    pub quota: (u64, Origin),
    /// The person behind this process, as the kernel knows them.
    pub actor: String,
    /// What `SUDO_USER` says, where that is somebody else: a remark, believed by nobody.
    pub sudo_user: Option<String>,
    /// Where the key of the secrets comes from, and which outside stores there are.
    pub secrets: SecretsSettings,
    /// Who named the file with that key.
    pub secrets_origin: Origin,
    /// What else the environment said.
    pub environment: Environment,
}

/// Who said something.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Origin {
    /// Nobody: the built-in value.
    Default,
    /// A flag of the command line.
    Flag(&'static str),
    /// A variable of the environment.
    Variable(&'static str),
    /// A file.
    File(PathBuf),
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Default => f.write_str("default"),
            Self::Flag(name) | Self::Variable(name) => f.write_str(name),
            Self::File(path) => write!(f, "{}", path.display()),
        }
    }
}

impl Serialize for Origin {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl Settings {
    /// Puts flags, environment and file together.
    pub fn gather(flags: &Flags) -> Result<Self, Error> {
        Self::from_parts(flags, Environment::of_process(), Path::new(SHARED))
    }

    fn from_parts(flags: &Flags, environment: Environment, shared: &Path) -> Result<Self, Error> {
        let found = File::find(flags.config.as_deref())?;
        let (path, file) = found.unzip();
        let file = file.unwrap_or_default();
        let from_file = || path.clone().map_or(Origin::Default, Origin::File);
        let data_dir = file.data_dir.clone().map(|dir| (file::beside(path.as_deref(), dir), from_file()));
        let data = DataDirectory::choose(flags.data_dir.clone(), &environment, data_dir, shared)?;
        let runbooks = match file.runbooks.clone() {
            Some(folder) => (file::beside(path.as_deref(), folder), from_file()),
            None => (PathBuf::from(RUNBOOKS), Origin::Default),
        };
        let targets = file.targets(path.as_deref(), &environment);
        let target = match (&flags.target, file.target.clone()) {
            (Some(name), _) => (target_name(name)?, Origin::Flag("--target")),
            (None, Some(name)) => (name, from_file()),
            (None, None) => (local(), Origin::Default),
        };
        let quota = audit::quota(&file, path.as_deref(), &environment)?;
        let actor = actor::of_process();
        let sudo_user = actor::remark(environment.sudo_user.as_deref(), &actor);
        let (secrets, secrets_origin) =
            secrets_settings::choose(flags, &file, path.as_deref(), &environment)?;
        Ok(Self {
            data,
            file: path,
            runbooks,
            targets,
            target,
            quota,
            actor,
            sudo_user,
            secrets,
            secrets_origin,
            environment,
        })
    }

    /// The target commands go to.
    pub fn target(&self) -> Result<&Target, Error> {
        self.target_named(&self.target.0)
    }

    /// Where an emergency may keep its entries when the data directory cannot be written, the likeliest first.
    pub fn temporary(&self) -> Vec<PathBuf> {
        let own = [self.environment.xdg_runtime_dir.clone(), self.environment.tmpdir.clone()];
        let usual = ["/run", "/dev/shm", "/tmp", "/var/tmp"].map(PathBuf::from);
        own.into_iter().flatten().chain(usual).filter(|path| path.is_dir()).collect()
    }

    /// The targets that can be connected to.
    pub fn connections(&self) -> BTreeMap<TargetName, Connection> {
        let usable = |target: &Target| Some((target.name.clone(), target.connection().ok()?));
        self.targets.iter().filter_map(usable).collect()
    }

    /// A target by its name.
    pub fn target_named(&self, name: &TargetName) -> Result<&Target, Error> {
        self.targets.iter().find(|target| target.name == *name).ok_or_else(|| {
            let known: Vec<_> = self.targets.iter().map(|target| format!("`{}`", target.name)).collect();
            Error::invalid(format!("there is no target `{name}`")).hint(format!(
                "known are {}; name it under [targets.{name}] in runbook.toml",
                known.join(", ")
            ))
        })
    }
}

fn target_name(text: &str) -> Result<TargetName, Error> {
    TargetName::new(text).map_err(|error| Error::usage(error.to_string()))
}

fn local() -> TargetName {
    match TargetName::new(LOCAL) {
        Ok(name) => name,
        Err(error) => unreachable!("{error}"),
    }
}

/// The targets of a `runbook.toml` with this text, without reading any file.
pub fn targets_of(path: &Path, text: &str) -> Result<Vec<Target>, Error> {
    Ok(File::parse(path, text)?.targets(Some(path), &Environment::default()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn settings(toml: &str, environment: Environment) -> Result<Settings, Error> {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("runbook.toml");
        std::fs::write(&path, toml).unwrap();
        let flags = Flags { config: Some(path), data_dir: Some("/data".into()), ..Flags::default() };
        Settings::from_parts(&flags, environment, Path::new("/nowhere"))
    }

    #[test]
    fn a_target_can_be_named_in_the_file() {
        let toml = "[targets.prod-1]\nconnection = \"tcp://prod-1:2376\"\nenvironment = \"production\"\n\
                    tls = { ca = \"ca.pem\", cert = \"c.pem\", key = \"k.pem\" }\n";
        let settings = settings(toml, Environment::default()).unwrap();
        let target = settings.target_named(&TargetName::new("prod-1").unwrap()).unwrap();
        assert_eq!(target.environment.as_deref(), Some("production"));
        assert!(target.tls.as_ref().unwrap().ca.is_absolute());
        assert_eq!(settings.target().unwrap().connection, DEFAULT_CONNECTION);
    }

    #[test]
    fn docker_host_is_the_local_target_unless_the_file_names_it() {
        let environment =
            Environment { docker_host: Some("tcp://build:2375".to_owned()), ..Environment::default() };
        let from_env = settings("", environment.clone()).unwrap();
        assert_eq!(from_env.target().unwrap().connection, "tcp://build:2375");
        assert_eq!(from_env.target().unwrap().origin, Origin::Variable("DOCKER_HOST"));
        let named = "[targets.local]\nconnection = \"unix:///run/other.sock\"\n";
        let from_file = settings(named, environment).unwrap();
        assert_eq!(from_file.target().unwrap().connection, "unix:///run/other.sock");
    }

    #[test]
    fn tls_of_docker_comes_from_its_own_variables() {
        let environment = Environment {
            docker_host: Some("tcp://build:2376".to_owned()),
            docker_tls_verify: true,
            docker_cert_path: Some("/certs".into()),
            ..Environment::default()
        };
        let settings = settings("", environment).unwrap();
        let tls = settings.target().unwrap().tls.clone().unwrap();
        assert_eq!(tls.key, std::path::Path::new("/certs/key.pem"));
    }

    #[test]
    fn an_unknown_key_is_told_with_its_line() {
        let error = settings("[targets.local]\nconection = \"x\"\n", Environment::default()).unwrap_err();
        assert_eq!(error.kind.exit_code(), 3);
        assert!(error.message.contains("runbook.toml:2"), "{}", error.message);
        assert!(error.message.contains("conection"), "{}", error.message);
    }

    #[test]
    fn an_unknown_target_lists_the_known() {
        let settings = settings("target = \"prod-9\"\n", Environment::default()).unwrap();
        let error = settings.target().unwrap_err();
        assert!(error.hint.unwrap().contains("`local`"));
    }

    #[test]
    fn a_file_that_was_named_must_exist() {
        let flags = Flags { config: Some("/no/such.toml".into()), ..Flags::default() };
        let error = Settings::from_parts(&flags, Environment::default(), Path::new("/nowhere")).unwrap_err();
        assert!(error.message.contains("/no/such.toml"));
    }
}
