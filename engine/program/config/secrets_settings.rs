//! Where the key of the secrets is kept, and which outside stores there are. Reads no key.

use std::path::{Path, PathBuf};

use super::environment::Environment;
use super::file::{self, File};
use super::{Flags, Origin};
use crate::error::Error;
use secrets::{Directory, SecretsSettings};
use words::secret::SecretName;

/// The file with the identity, beside the configuration.
const IDENTITY: &str = "secrets-identity";

/// More outside stores are no configuration.
const MAX_DIRECTORIES: usize = 32;

/// What was set, and who named the file with the identity.
pub(super) fn choose(
    flags: &Flags,
    file: &File,
    path: Option<&Path>,
    environment: &Environment,
) -> Result<(SecretsSettings, Origin), Error> {
    let from_file = || path.map_or(Origin::Default, |path| Origin::File(path.to_owned()));
    let (identity, origin) = match file.secrets.identity.clone() {
        Some(named) => (Some(absolute(file::beside(path, named))), from_file()),
        None => (default(flags, path, environment), Origin::Default),
    };
    let mut directories: Vec<Directory> = Vec::new();
    for written in &file.secrets.directories {
        let name = &written.name;
        if SecretName::new(name.as_str()).is_err() || name.contains('/') {
            return Err(Error::invalid(format!("`{name}` cannot be the name of a directory of secrets"))
                .hint("lower-case letters, digits, `.`, `_` and `-`: its secrets are called NAME/..."));
        }
        if directories.iter().any(|known| known.name == *name) || directories.len() >= MAX_DIRECTORIES {
            return Err(Error::invalid(format!("the directory of secrets `{name}` is one too many"))
                .hint(format!("each name once, at most {MAX_DIRECTORIES} of them")));
        }
        let path = absolute(file::beside(path, written.path.clone()));
        directories.push(Directory { name: name.clone(), path });
    }
    Ok((SecretsSettings { given: environment.secrets.clone(), identity, directories }, origin))
}

/// Beside the configuration that was named, or that of the machine. A `runbook.toml` of the working folder is often kept
/// with others' files, and seen from one folder only: then it is among the person's own settings.
fn default(flags: &Flags, path: Option<&Path>, environment: &Environment) -> Option<PathBuf> {
    let beside = path.filter(|path| flags.config.is_some() || *path == Path::new(file::SYSTEM));
    if let Some(folder) = beside.and_then(Path::parent) {
        return Some(absolute(folder.join(IDENTITY)));
    }
    let settings = environment.xdg_config_home.clone();
    let settings = settings.or_else(|| environment.home.as_ref().map(|home| home.join(".config")));
    settings.map(|settings| settings.join("runbook").join(IDENTITY))
}

fn absolute(path: PathBuf) -> PathBuf {
    std::path::absolute(&path).unwrap_or(path)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn chosen(toml: &str, named: bool) -> Result<(SecretsSettings, Origin), Error> {
        let path = Path::new("/conf/runbook.toml");
        let file = File::parse(path, toml).unwrap();
        let flags = Flags { config: named.then(|| path.to_owned()), ..Flags::default() };
        let environment = Environment { home: Some("/home/a".into()), ..Environment::default() };
        choose(&flags, &file, Some(path), &environment)
    }

    #[test]
    fn the_key_lies_beside_the_configuration_but_not_in_a_working_folder() {
        let identity = |toml: &str, named: bool| chosen(toml, named).unwrap().0.identity.unwrap();
        assert_eq!(identity("", true), Path::new("/conf/secrets-identity"));
        assert_eq!(identity("", false), Path::new("/home/a/.config/runbook/secrets-identity"));
        assert_eq!(identity("[secrets]\nidentity = \"k\"\n", false), Path::new("/conf/k"));
        assert_eq!(identity("[secrets]\nidentity = \"/k\"\n", true), Path::new("/k"));
    }

    #[test]
    fn directories_have_plain_names_once() {
        let one = |name: &str| format!("[[secrets.directories]]\nname = \"{name}\"\npath = \"d\"\n");
        let (settings, _) = chosen(&one("team"), true).unwrap();
        assert_eq!(settings.directories[0].path, Path::new("/conf/d"));
        for bad in [one("a/b"), one("Team"), one(""), one("team") + &one("team")] {
            assert_eq!(chosen(&bad, true).unwrap_err().kind.exit_code(), 3, "{bad}");
        }
    }
}
