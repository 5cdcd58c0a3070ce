//! What a rebuild depends on.

use std::fs;
use std::path::{Path, PathBuf};

/// Directories that hold results rather than sources.
const RESULTS: &str = "target";

/// Cargo looks into a watched directory as deep as it goes, so that `plugins/` itself, which may hold a target
/// directory, is replaced by what lies in it.
pub(crate) fn inputs(root: &Path) -> Result<Vec<PathBuf>, String> {
    let plugins = root.join("plugins");
    let mut inputs = vec![root.join("wit"), root.join("runbooks"), root.join("engine/host/build")];
    for path in entries(&plugins)? {
        if !path.ends_with(RESULTS) {
            inputs.push(path);
        }
    }
    Ok(inputs)
}

/// What lies in a directory, sorted by name.
pub(crate) fn entries(folder: &Path) -> Result<Vec<PathBuf>, String> {
    let fail = |e: std::io::Error| format!("cannot read `{}`: {e}", folder.display());
    let mut paths = Vec::new();
    for entry in fs::read_dir(folder).map_err(fail)? {
        paths.push(entry.map_err(fail)?.path());
    }
    paths.sort();
    Ok(paths)
}
