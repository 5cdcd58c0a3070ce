//! Builds the plugins and writes the file that embeds them, their descriptions and the library of runbooks.
//!
//! A build without changes costs nothing: only `plugins/`, `wit/` and `runbooks/` are watched, and the modules lie in a
//! target directory of their own that every profile of this checkout shares.

#[path = "build/embed.rs"]
mod embed;
#[path = "build/plugin.rs"]
mod plugin;
#[path = "build/watch.rs"]
mod watch;

use std::env;
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

fn main() -> ExitCode {
    match build() {
        Ok(()) => ExitCode::SUCCESS,
        Err(words) => {
            let line = words.lines().next().unwrap_or_default();
            tell("error", line);
            let _ = writeln!(io::stderr(), "{words}");
            ExitCode::FAILURE
        }
    }
}

fn build() -> Result<(), String> {
    let root = folder("CARGO_MANIFEST_DIR")?.join("../..");
    let root = root.canonicalize().map_err(|error| format!("{}: {error}", root.display()))?;
    let out = folder("OUT_DIR")?;
    for path in watch::inputs(&root)? {
        tell("rerun-if-changed", &path.display().to_string());
    }
    let plugins = plugin::build_all(&root.join("plugins"), &shared_target(&root, &out))?;
    embed::write(&root, &out, &plugins)
}

/// The target directory of this build, whatever profile and target triple it is for: cargo marks it with a tag.
fn shared_target(root: &Path, out: &Path) -> PathBuf {
    let tagged = out.ancestors().find(|folder| folder.join("CACHEDIR.TAG").is_file());
    tagged.map_or_else(|| root.join("target"), Path::to_owned).join("plugins")
}

fn folder(variable: &str) -> Result<PathBuf, String> {
    env::var_os(variable).map(PathBuf::from).ok_or_else(|| format!("`{variable}` is not set: run cargo"))
}

/// A build script speaks to cargo on its standard output.
fn tell(key: &str, value: &str) {
    let _ = writeln!(io::stdout(), "cargo::{key}={value}");
}
