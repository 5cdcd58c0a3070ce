//! Where the data directory is. Knows nothing of what is kept in it.

use std::fs::Permissions;
use std::os::unix::fs::{DirBuilderExt as _, MetadataExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};

use rustix::fs::Access;

use super::Origin;
use super::actor;
use super::environment::Environment;
use crate::error::Error;

/// Shared by everyone on a machine, so that a team has one audit log.
pub const SHARED: &str = "/var/lib/runbook";

/// Only the engine's own user may look inside.
const MODE: u32 = 0o700;

/// The bits of everyone but the owner; those with which they may write; that with which they may write only their own.
const OTHERS: u32 = 0o077;
const WRITABLE: u32 = 0o022;
const STICKY: u32 = 0o1000;

/// How the names of the files begin that are made in it.
const FILES: [&str; 4] = ["audit.", "engine.", "fence.", "reserve"];

/// The folders that are made in it.
const FOLDERS: [&str; 5] = ["cache", "checkpoints", "emergency", "plugins", "secrets"];

/// What tells a directory that is ours from one that a person named by mistake.
const KEY: &str = "audit.key";

/// The data directory and who named it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DataDirectory {
    /// The directory.
    pub path: PathBuf,
    /// Who named it.
    pub origin: Origin,
}

impl DataDirectory {
    /// `--data-dir`, `RUNBOOK_DATA_DIR`, `data_dir` in the file, [`SHARED`] if usable, else the person's own.
    pub(super) fn choose(
        flag: Option<PathBuf>,
        environment: &Environment,
        file: Option<(PathBuf, Origin)>,
        shared: &Path,
    ) -> Result<Self, Error> {
        let named = flag
            .map(|path| (path, Origin::Flag("--data-dir")))
            .or_else(|| environment.data_dir.clone().map(|path| (path, Origin::Variable("RUNBOOK_DATA_DIR"))))
            .or(file);
        if let Some((path, origin)) = named {
            return Ok(Self { path: absolute(&path)?, origin });
        }
        if usable(shared) {
            return Ok(Self { path: shared.to_owned(), origin: Origin::Default });
        }
        if let Some(path) = &environment.xdg_data_home {
            return Ok(Self { path: path.join("runbook"), origin: Origin::Variable("XDG_DATA_HOME") });
        }
        // Without a home only what looks is left, where nothing was ever kept.
        let own = environment.home.as_ref().map(|home| home.join(".local/share/runbook"));
        Ok(Self { path: own.unwrap_or_else(|| shared.to_owned()), origin: Origin::Default })
    }

    /// Makes it, for its owner alone, unless it exists.
    pub fn ensure(&self) -> Result<(), Error> {
        let made = std::fs::DirBuilder::new().recursive(true).mode(MODE).create(&self.path);
        made.map_err(|error| {
            Error::file(&self.path, "make the data directory", &error)
                .hint("run it as its owner, or name another with --data-dir or RUNBOOK_DATA_DIR")
        })?;
        if !self.path.is_dir() || !accessible(&self.path) {
            return Err(Error::environment(format!(
                "the data directory `{}` is not writable",
                self.path.display()
            ))
            .hint("run it as its owner, or name another with --data-dir"));
        }
        self.refuse_of_another()?;
        tighten(&self.path);
        Ok(())
    }

    /// Root may write anywhere, but what root writes into a directory of somebody else they could not read or change: their
    /// next command would fail. A directory that is not there is nobody's.
    pub fn refuse_of_another(&self) -> Result<(), Error> {
        let owner = std::fs::metadata(&self.path).map_or(0, |found| found.uid());
        if owner == 0 || !rustix::process::geteuid().is_root() {
            return Ok(());
        }
        let name = actor::name_of_user(owner);
        let user = name.strip_prefix("uid:").map_or_else(|| name.clone(), |number| format!("'#{number}'"));
        Err(Error::environment(format!(
            "the data directory `{}` belongs to `{name}`, who could not use what root writes there",
            self.path.display()
        ))
        .hint(format!("`sudo -u {user} runbook …` uses it as its owner, or name another with --data-dir")))
    }

    /// Whether something was ever kept there.
    pub fn exists(&self) -> bool {
        self.path.is_dir()
    }
}

/// Takes from everyone else what version 0.1 left them, as the umask was. A directory that others could only read is not
/// changed, since a person may have made it so: `doctor` tells.
fn tighten(dir: &Path) {
    let own = rustix::process::geteuid().as_raw();
    if let Ok(found) = std::fs::metadata(dir)
        && found.uid() == own
        && found.mode() & WRITABLE != 0
        && found.mode() & STICKY == 0
        && dir.join(KEY).exists()
    {
        narrow(dir, MODE);
    }
    let Ok(entries) = std::fs::read_dir(dir) else { return };
    for entry in entries.filter_map(Result::ok) {
        let name = entry.file_name().to_string_lossy().into_owned();
        let Ok(found) = std::fs::symlink_metadata(entry.path()) else { continue };
        if found.uid() != own || found.mode() & OTHERS == 0 {
            continue;
        }
        let file = found.is_file() && FILES.iter().any(|begin| name.starts_with(begin));
        if file || found.is_dir() && FOLDERS.contains(&&*name) {
            narrow(&entry.path(), found.mode() & MODE);
        }
    }
}

fn narrow(path: &Path, mode: u32) {
    if let Err(error) = std::fs::set_permissions(path, Permissions::from_mode(mode)) {
        tracing::warn!(%error, path = %path.display(), "others can read or change this");
    }
}

fn absolute(path: &Path) -> Result<PathBuf, Error> {
    std::path::absolute(path).map_err(|error| Error::file(path, "use the data directory", &error))
}

/// Exists and is ours to write in, or can be made.
fn usable(path: &Path) -> bool {
    if path.exists() {
        return path.is_dir() && accessible(path);
    }
    path.parent().is_some_and(accessible)
}

fn accessible(path: &Path) -> bool {
    rustix::fs::access(path, Access::READ_OK | Access::WRITE_OK | Access::EXEC_OK).is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn environment(data_dir: Option<&str>, xdg: Option<&str>, home: Option<&str>) -> Environment {
        Environment {
            data_dir: data_dir.map(PathBuf::from),
            xdg_data_home: xdg.map(PathBuf::from),
            home: home.map(PathBuf::from),
            ..Environment::default()
        }
    }

    #[test]
    fn the_nearest_wish_wins() {
        let shared = tempfile::tempdir().unwrap();
        let env = environment(Some("/env"), Some("/xdg"), Some("/home/a"));
        let file = Some((PathBuf::from("/file"), Origin::Default));
        let of = |flag: Option<&str>, env: &Environment, file, shared: &Path| {
            DataDirectory::choose(flag.map(PathBuf::from), env, file, shared).unwrap().path
        };
        let none = environment(None, Some("/xdg"), Some("/home/a"));
        assert_eq!(of(Some("/flag"), &env, file.clone(), shared.path()), Path::new("/flag"));
        assert_eq!(of(None, &env, file.clone(), shared.path()), Path::new("/env"));
        assert_eq!(of(None, &none, file, shared.path()), Path::new("/file"));
        assert_eq!(of(None, &none, None, shared.path()), shared.path());
        let unusable = Path::new("/proc/no/such");
        assert_eq!(of(None, &none, None, unusable), Path::new("/xdg/runbook"));
        let home = environment(None, None, Some("/home/a"));
        assert_eq!(of(None, &home, None, unusable), Path::new("/home/a/.local/share/runbook"));
    }

    #[test]
    fn without_any_place_who_looks_goes_on_and_who_writes_is_told_how_to_name_one() {
        let nowhere = environment(None, None, None);
        let chosen = DataDirectory::choose(None, &nowhere, None, Path::new("/proc/no/such")).unwrap();
        assert!(chosen.ensure().unwrap_err().hint.unwrap().contains("--data-dir"));
    }

    #[test]
    fn a_directory_that_can_be_made_is_usable() {
        let parent = tempfile::tempdir().unwrap();
        assert!(usable(&parent.path().join("runbook")));
        assert!(!usable(&parent.path().join("missing/runbook")));
    }

    #[test]
    fn it_is_made_for_its_owner_alone() {
        let parent = tempfile::tempdir().unwrap();
        let path = parent.path().join("a/b");
        DataDirectory { path: path.clone(), origin: Origin::Default }.ensure().unwrap();
        assert_eq!(std::fs::metadata(path).unwrap().permissions().mode() & 0o777, MODE);
    }

    #[test]
    fn what_others_could_change_is_narrowed_and_nothing_that_is_not_ours() {
        let dir = tempfile::tempdir().unwrap();
        let mode =
            |name: &str| std::fs::metadata(dir.path().join(name)).unwrap().permissions().mode() & 0o7777;
        let widen = |name: &str, mode| {
            std::fs::set_permissions(dir.path().join(name), Permissions::from_mode(mode)).unwrap();
        };
        for name in ["audit.db", "audit.pub", "fence.open", "letter.txt"] {
            std::fs::write(dir.path().join(name), "").unwrap();
            widen(name, 0o666);
        }
        for name in ["checkpoints", "photographs"] {
            std::fs::create_dir(dir.path().join(name)).unwrap();
            widen(name, 0o777);
        }
        let ensure = |wide| {
            widen(".", wide);
            DataDirectory { path: dir.path().to_owned(), origin: Origin::Default }.ensure().unwrap();
            mode(".")
        };
        assert_eq!(ensure(0o777), 0o777, "not known to be ours");
        std::fs::write(dir.path().join(KEY), "").unwrap();
        assert_eq!((ensure(0o755), ensure(0o1777), ensure(0o777)), (0o755, 0o1777, 0o700));
        let modes =
            ["audit.db", "audit.pub", "fence.open", "letter.txt", "checkpoints", "photographs"].map(mode);
        assert_eq!(modes, [0o600, 0o600, 0o600, 0o666, 0o700, 0o777]);
    }

    #[test]
    fn a_file_in_its_place_is_told() {
        let file = tempfile::NamedTempFile::new().unwrap();
        let directory = DataDirectory { path: file.path().to_owned(), origin: Origin::Default };
        assert_eq!(directory.ensure().unwrap_err().kind.exit_code(), 4);
    }
}
