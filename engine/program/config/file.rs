//! `runbook.toml`: strict, small, optional. Knows only how it is written.

use std::collections::BTreeMap;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use serde::Deserialize;

use super::environment::Environment;
use super::target::{DEFAULT_CONNECTION, Target, TlsFiles};
use super::{Origin, local};
use crate::error::Error;
use secrets::Directory;
use words::ids::TargetName;
use words::own_file;

/// The file's name in the working directory.
const NAME: &str = "runbook.toml";

/// For the whole machine.
pub(super) const SYSTEM: &str = "/etc/runbook/runbook.toml";

/// Larger is not a configuration.
const MAX_BYTES: u64 = 256 * 1024;

/// The file as written.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct File {
    /// Where everything is kept; relative to the file.
    pub(super) data_dir: Option<PathBuf>,
    /// The folder of one's own runbooks; relative to the file.
    pub(super) runbooks: Option<PathBuf>,
    /// The target of commands that name none.
    pub(super) target: Option<TargetName>,
    /// The audit log.
    #[serde(default)]
    pub(super) audit: WrittenAudit,
    /// Where the key of the secrets is, and outside stores.
    #[serde(default)]
    pub(super) secrets: WrittenSecrets,
    #[serde(default)]
    targets: BTreeMap<TargetName, WrittenTarget>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct WrittenAudit {
    /// How much runs may keep beside it, as a size.
    pub(super) quota: Option<String>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct WrittenSecrets {
    /// The file with the identity; relative to the file.
    pub(super) identity: Option<PathBuf>,
    /// Directories of age files; relative to the file.
    #[serde(default)]
    pub(super) directories: Vec<Directory>,
}

#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
struct WrittenTarget {
    connection: String,
    tls: Option<TlsFiles>,
    environment: Option<String>,
}

impl File {
    /// The file that was named, or the first that exists.
    pub(super) fn find(named: Option<&Path>) -> Result<Option<(PathBuf, Self)>, Error> {
        if let Some(path) = named {
            return Self::read(path).map(|file| Some((path.to_owned(), file)));
        }
        for path in [Path::new(NAME), Path::new(SYSTEM)] {
            if path.is_file() {
                return Self::read(path).map(|file| Some((path.to_owned(), file)));
            }
        }
        Ok(None)
    }

    fn read(path: &Path) -> Result<Self, Error> {
        let text = own_file::read_named_text(path, MAX_BYTES).map_err(|error| match error.kind() {
            ErrorKind::FileTooLarge => Error::invalid(format!("`{}` is larger than 256 KiB", path.display())),
            _ => Error::file(path, "read", &error),
        })?;
        Self::parse(path, &text)
    }

    /// The text of a file; its path is for messages.
    pub(super) fn parse(path: &Path, text: &str) -> Result<Self, Error> {
        toml::from_str(text).map_err(|error| {
            let line = error.span().map_or(0, |span| 1 + text[..span.start].matches('\n').count());
            Error::invalid(format!("{}:{line}: {}", path.display(), error.message()))
                .hint("`runbook config show` prints what may be set, and what is")
        })
    }

    /// Those of the file, and `local` from the environment or by default.
    pub(super) fn targets(&self, path: Option<&Path>, environment: &Environment) -> Vec<Target> {
        let mut targets: Vec<Target> = self
            .targets
            .iter()
            .map(|(name, written)| Target {
                name: name.clone(),
                connection: written.connection.clone(),
                tls: written.tls.clone().map(|tls| TlsFiles {
                    ca: beside(path, tls.ca),
                    cert: beside(path, tls.cert),
                    key: beside(path, tls.key),
                }),
                environment: written.environment.clone(),
                origin: path.map_or(Origin::Default, |path| Origin::File(path.to_owned())),
            })
            .collect();
        if !self.targets.contains_key(&local()) {
            targets.push(local_target(environment));
            targets.sort_by(|a, b| a.name.cmp(&b.name));
        }
        targets
    }
}

fn local_target(environment: &Environment) -> Target {
    let Some(connection) = environment.docker_host.clone() else {
        return Target {
            name: local(),
            connection: DEFAULT_CONNECTION.to_owned(),
            tls: None,
            environment: None,
            origin: Origin::Default,
        };
    };
    let certificates = environment
        .docker_cert_path
        .clone()
        .or_else(|| environment.home.as_ref().map(|home| home.join(".docker")))
        .filter(|_| environment.docker_tls_verify);
    let tls = certificates.map(|folder| TlsFiles {
        ca: folder.join("ca.pem"),
        cert: folder.join("cert.pem"),
        key: folder.join("key.pem"),
    });
    Target { name: local(), connection, tls, environment: None, origin: Origin::Variable("DOCKER_HOST") }
}

/// A path of the file is meant relative to the file, not to where the person stands.
pub(super) fn beside(file: Option<&Path>, path: PathBuf) -> PathBuf {
    match file.and_then(Path::parent) {
        Some(folder) if path.is_relative() => {
            let joined = folder.join(path);
            std::path::absolute(&joined).unwrap_or(joined)
        }
        _ => path,
    }
}
