//! `runbook plugin new`: a project that builds and tests, with all it needs inside.

use std::path::{Path, PathBuf};

use clap::Args;
use serde_json::json;

use crate::cli::Ended;
use crate::cli::context::Context;
use crate::error::{Error, exit};
use crate::host::embedded;
use crate::model::ids::PluginName;

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
    let own = [
        ("Cargo.toml", MANIFEST.replace("NAME", name.as_str())),
        ("src/lib.rs", SOURCE.replace("NAME", name.as_str())),
        (".gitignore", "target\n".to_owned()),
        ("README.md", README.replace("NAME", name.as_str())),
    ];
    for (path, text) in own {
        put(&folder.join(path), &text)?;
    }
    for (path, text) in embedded::sdk() {
        // Here the contract lies beside the SDK, in our own tree a folder further up.
        put(&folder.join(path), &text.replace("\"../../wit/", "\"../wit/"))?;
    }
    Ok(())
}

fn put(path: &Path, text: &str) -> Result<(), Error> {
    let written =
        path.parent().map_or(Ok(()), std::fs::create_dir_all).and_then(|()| std::fs::write(path, text));
    written.map_err(|error| Error::file(path, "write", &error))
}

const MANIFEST: &str = r#"[workspace]
resolver = "3"
members = ["pack", "sdk"]

[package]
name = "NAME"
version = "0.1.0"
edition = "2024"

[lib]
crate-type = ["cdylib", "rlib"]

[dependencies]
runbook-plugin = { path = "sdk" }
schemars = "1"
serde = { version = "1", features = ["derive"] }

[profile.release]
codegen-units = 1
lto = true
opt-level = "s"
panic = "abort"
strip = true
"#;

const SOURCE: &str = r#"//! The plugin `NAME`.

use runbook_plugin::{Context, Deserialize, Error, Host, JsonSchema, Serialize, Step};

/// What this plugin performs: name, one sentence, the grants it may need.
pub fn steps<H: Host + 'static>() -> Vec<Step<H>> {
    vec![Step::new("count", "Count the replicas of a service.", &["containers.read"], count)]
}

runbook_plugin::export!(steps);

/// The input of `NAME.count`: the fields of `with`, their comments are shown to people.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Input {
    /// `project/service`, or the service alone where it is unique.
    pub service: String,
}

/// What came of it: `steps.ID.output` in the runbook.
#[derive(Debug, Serialize, JsonSchema)]
pub struct Output {
    /// All replicas.
    pub replicas: usize,
    /// How many serve.
    pub available: usize,
}

fn count(host: &impl Host, _: &Context, input: &Input) -> Result<Output, Error> {
    let replicas = host.service(&input.service)?;
    let available = replicas.iter().filter(|replica| replica.available()).count();
    host.info(&format!("{available} of {} replicas of {} serve", replicas.len(), input.service));
    Ok(Output { replicas: replicas.len(), available })
}

#[cfg(test)]
mod tests {
    use runbook_plugin::mock::World;

    use super::{Input, count};

    #[test]
    fn it_counts() {
        let world = World::new().with_service("shop/web", 3);
        let input = Input { service: "shop/web".to_owned() };
        let output = count(&world, &world.context(), &input).expect("the service exists");
        assert_eq!((output.replicas, output.available), (3, 3));
    }
}
"#;

const README: &str = "# The plugin `NAME`

    cargo test                                  # native, against a small world of containers
    cargo run -p runbook-pack -- NAME           # makes target/plugins/NAME.wasm
    runbook plugin add target/plugins/NAME.wasm

Then a runbook can say `uses: NAME.count`. `sdk/` and `wit/` are the contract with the engine, `pack/` makes the
component; leave them as they are.
";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_project_has_the_contract_beside_the_sdk() {
        let folder = tempfile::tempdir().unwrap();
        let project = folder.path().join("queue");
        write(&project, &PluginName::new("queue").unwrap()).unwrap();
        for path in ["Cargo.toml", "src/lib.rs", "sdk/src/lib.rs", "pack/src/main.rs", "wit/types/types.wit"]
        {
            assert!(project.join(path).is_file(), "{path}");
        }
        let sdk = std::fs::read_to_string(project.join("sdk/src/lib.rs")).unwrap();
        assert!(sdk.contains("\"../wit/types\"") && !sdk.contains("../../wit"));
        assert!(write(&project, &PluginName::new("queue").unwrap()).is_err());
    }
}
