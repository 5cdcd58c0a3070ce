//! What stands in the places of the log's files, before anything is opened there.

use std::path::Path;

use super::checkpoint_files::CHECKPOINT_DIR;
use super::error::Error;
use super::key::{PRIVATE_KEY_FILE, PUBLIC_KEY_FILE};
use super::mark::MARK_FILE;
use super::reserve::RESERVE_FILE;
use super::schema::DATABASE_FILE;

/// What SQLite keeps beside the database.
const BESIDE: [&str; 3] = ["-wal", "-shm", "-journal"];

/// Refuses a directory in which something else stands in the place of a file or a folder of the log: a link would have
/// another file of the engine's user written to, a pipe would be waited for.
pub(super) fn check(dir: &Path) -> Result<(), Error> {
    let files =
        [DATABASE_FILE, PRIVATE_KEY_FILE, PUBLIC_KEY_FILE, MARK_FILE, RESERVE_FILE].map(str::to_owned);
    let files = files.into_iter().chain(BESIDE.map(|end| format!("{DATABASE_FILE}{end}")));
    for (name, folder) in files.map(|name| (name, false)).chain([(CHECKPOINT_DIR.to_owned(), true)]) {
        let path = dir.join(name);
        let Ok(found) = std::fs::symlink_metadata(&path) else { continue };
        if folder != found.is_dir() || !(folder || found.is_file()) {
            let what = if folder { "folder" } else { "regular file" };
            return Err(Error::damaged(format!("`{}` is not a {what}", path.display())));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_else_may_stand_in_the_place_of_a_file_of_ours() {
        for name in ["audit.db", "audit.db-wal", "audit.mark", "reserve", "checkpoints"] {
            let dir = tempfile::tempdir().unwrap();
            check(dir.path()).unwrap();
            std::os::unix::fs::symlink(dir.path(), dir.path().join(name)).unwrap();
            assert!(check(dir.path()).unwrap_err().to_string().contains(name), "{name}");
        }
        let dir = tempfile::tempdir().unwrap();
        std::fs::create_dir(dir.path().join("audit.key")).unwrap();
        assert!(check(dir.path()).is_err());
        std::fs::remove_dir(dir.path().join("audit.key")).unwrap();
        std::fs::create_dir(dir.path().join("checkpoints")).unwrap();
        check(dir.path()).unwrap();
    }
}
