//! `runbook plugin new`: a project that builds and tests, with all it needs inside.

use std::path::{Path, PathBuf};

use clap::Args;
use serde_json::json;

use crate::cli::Ended;
use crate::cli::context::Context;
use crate::error::{Error, exit};
use host::embedded;
use words::ids::PluginName;

/// Start a plugin of your own: a project that builds and tests
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  runbook plugin new queue
  cd queue && cargo test                          native, against a small world of containers
  cargo run -p runbook-pack -- queue              makes target/plugins/queue.wasm
  runbook plugin add target/plugins/queue.wasm")]
pub(in crate::cli) struct New {
    /// The part of `uses` before the dot: lower-case letters, digits and dashes
    name: String,
    /// Write it here [default: a folder of that name]
    #[arg(long, value_name = "FOLDER")]
    folder: Option<PathBuf>,
}

impl New {
    pub(super) fn run(self, context: &Context) -> Ended {
        let name = PluginName::new(self.name).map_err(|error| Error::usage(error.to_string()))?;
        if embedded::component(name.as_str()).is_some() {
            return Err(Error::usage(format!("`{name}` is the name of a plugin inside the binary"))
                .hint("choose another"));
        }
        let folder = self.folder.unwrap_or_else(|| PathBuf::from(name.as_str()));
        write(&folder, &name)?;
        let shown = folder.display();
        if context.out.is_json() {
            context.out.json(&json!({ "plugin": name, "folder": folder }));
            return Ok(exit::SUCCEEDED);
        }
        context.out.line(format!("{shown}"));
        context.out.hint(&format!("`cd {shown} && cargo test`, then `cargo run -p runbook-pack -- {name}` and `runbook plugin add target/plugins/{name}.wasm`"));
        Ok(exit::SUCCEEDED)
    }
}

fn write(folder: &Path, name: &PluginName) -> Result<(), Error> {
    if folder.exists() {
        return Err(Error::usage(format!("`{}` exists", folder.display())).hint("name another with --folder"));
    }
    for (path, text) in embedded::project(name) {
        put(&folder.join(path), &text)?;
    }
    Ok(())
}

fn put(path: &Path, text: &str) -> Result<(), Error> {
    let written =
        path.parent().map_or(Ok(()), std::fs::create_dir_all).and_then(|()| std::fs::write(path, text));
    written.map_err(|error| Error::file(path, "write", &error))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_project_is_whole_and_never_overwritten() {
        let folder = tempfile::tempdir().unwrap();
        let project = folder.path().join("queue");
        write(&project, &PluginName::new("queue").unwrap()).unwrap();
        for path in [
            "Cargo.toml",
            "src/lib.rs",
            "vendor/sdk/src/lib.rs",
            "vendor/pack/src/main.rs",
            "wit/types/types.wit",
        ] {
            assert!(project.join(path).is_file(), "{path}");
        }
        assert!(write(&project, &PluginName::new("queue").unwrap()).is_err());
    }
}
