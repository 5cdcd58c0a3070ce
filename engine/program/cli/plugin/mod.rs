//! `runbook plugin`: what performs steps, and what it asks to be allowed.

mod new;

use std::io::ErrorKind;
use std::os::unix::fs::FileTypeExt as _;
use std::path::{Path, PathBuf};

use clap::{Args, Subcommand};
use serde_json::json;

use super::Ended;
use super::context::Context;
use super::output::table::Table;
use super::session::Session;
use crate::error::{Error, exit};
use executor::plugins;
use executor::plugins::MAX_COMPONENT_BYTES;
use host::{PLAIN_TEXT, embedded};
use model::step_type::PluginDescription;
use words::ids::PluginName;
use words::own_file;

/// List, show, add and remove what performs steps
#[derive(Debug, Subcommand)]
pub(super) enum Plugin {
    List(List),
    Show(Show),
    Add(Add),
    Remove(Remove),
    New(new::New),
}

/// List the plugins and their step types
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  runbook plugin list
  runbook plugin list --output json")]
pub(super) struct List {}

/// Show what a plugin can do, what its steps take, and what it asks to be allowed
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  runbook plugin show service
  runbook plugin show service --output json       with the JSON Schemas of inputs and outputs")]
pub(super) struct Show {
    /// Its name
    name: String,
}

/// Add a plugin: a WASM component
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  runbook plugin add ./queue.wasm
  runbook plugin add ./target/plugin.wasm --name queue

It is compiled and asked to describe itself, with every host call trapping; what it is allowed to do is up to the
grants of each runbook.")]
pub(super) struct Add {
    /// The component
    #[arg(value_name = "FILE")]
    file: PathBuf,
    /// The part of `uses` before the dot [default: the file's name]
    #[arg(long)]
    name: Option<String>,
}

/// Remove a plugin that was added
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  runbook plugin remove queue

Unfinished runs keep the bytes they were accepted with.")]
pub(super) struct Remove {
    /// Its name
    name: String,
}

impl Plugin {
    pub(super) fn run(self, context: &Context) -> Ended {
        match self {
            Self::List(_) => list(context),
            Self::Show(command) => command.run(context),
            Self::Add(command) => command.run(context),
            Self::Remove(command) => command.run(context),
            Self::New(command) => command.run(context),
        }
    }
}

fn list(context: &Context) -> Ended {
    let catalogue = context.catalogue()?;
    if context.out.is_json() {
        let documents: Vec<_> = catalogue
            .plugins()
            .map(|plugin| {
                let steps: Vec<_> = plugin.steps.iter().map(|step| &step.name).collect();
                json!({ "name": plugin.name, "digest": plugin.digest, "from": from(plugin), "steps": steps })
            })
            .collect();
        context.out.json(&documents);
        return Ok(exit::SUCCEEDED);
    }
    let mut table = Table::new(&["STEP TYPE", "FROM", "SUMMARY"]);
    for plugin in catalogue.plugins() {
        for step in &plugin.steps {
            let name = format!("{}.{}", plugin.name, step.name);
            table.row(vec![name.into(), from(plugin).into(), step.summary.as_str().into()]);
        }
    }
    context.out.raw(&table.render(context.out.paint, context.out.table_width()));
    Ok(exit::SUCCEEDED)
}

fn from(plugin: &PluginDescription) -> &'static str {
    if embedded::component(plugin.name.as_str()).is_some() { "binary" } else { "added" }
}

impl Show {
    fn run(self, context: &Context) -> Ended {
        let catalogue = context.catalogue()?;
        let found = catalogue.plugins().find(|plugin| plugin.name.as_str() == self.name);
        let plugin = found.ok_or_else(|| {
            let names: Vec<_> = catalogue.plugins().map(|plugin| plugin.name.as_str()).collect();
            Error::not_found(format!("there is no plugin `{}`", self.name))
                .hint(format!("there are {}", names.join(", ")))
        })?;
        if context.out.is_json() {
            context.out.json(plugin);
        } else {
            context.out.raw(&text(plugin, context));
        }
        Ok(exit::SUCCEEDED)
    }
}

fn text(plugin: &PluginDescription, context: &Context) -> String {
    let paint = context.out.paint;
    let mut text =
        format!("{}  {} {}\n", paint.bold(plugin.name.as_str()), from(plugin), plugin.digest.short());
    text.push_str(&format!("{} {}\n", paint.dim("asks for"), plugin.imports.join(", ")));
    if plugin.imports.iter().any(|import| import == PLAIN_TEXT) {
        let loud = paint.red("MAY SEE THE PLAIN TEXT of the secrets that a runbook grants it with `reveal`");
        text.push_str(&format!("{loud}\n"));
    }
    for step in &plugin.steps {
        text.push_str(&format!(
            "\n{}  {}\n",
            paint.bold(&format!("{}.{}", plugin.name, step.name)),
            step.summary
        ));
        if !step.needs.is_empty() {
            text.push_str(&format!("  {} {}\n", paint.dim("may need"), step.needs.join(", ")));
        }
        let required: Vec<&str> = step.input["required"]
            .as_array()
            .map(|names| names.iter().filter_map(serde_json::Value::as_str).collect())
            .unwrap_or_default();
        let mut table = Table::new(&["  INPUT", "TYPE", "ABOUT"]);
        for (name, schema) in step.input["properties"].as_object().into_iter().flatten() {
            let mark = if required.contains(&name.as_str()) { "" } else { " (optional)" };
            let about = schema["description"].as_str().unwrap_or_default();
            table.row(vec![format!("  {name}").into(), kind(schema).into(), format!("{about}{mark}").into()]);
        }
        text.push_str(&table.render(paint, context.out.table_width()));
    }
    text
}

/// The type as JSON Schema says it, on one line.
fn kind(schema: &serde_json::Value) -> String {
    match &schema["type"] {
        serde_json::Value::String(kind) => kind.clone(),
        serde_json::Value::Array(kinds) => {
            let kinds: Vec<_> =
                kinds.iter().filter_map(|kind| kind.as_str()).filter(|kind| *kind != "null").collect();
            kinds.join(" or ")
        }
        _ => "any".to_owned(),
    }
}

impl Add {
    fn run(self, context: &Context) -> Ended {
        let stem = self.file.file_stem().map(|stem| stem.to_string_lossy().into_owned()).unwrap_or_default();
        let name = PluginName::new(self.name.unwrap_or(stem))
            .map_err(|error| Error::usage(error.to_string()).hint("name it with --name"))?;
        let bytes = component(&self.file)?;
        let description = context.wait(async {
            let settings = context.settings()?;
            settings.data.ensure()?;
            let session = Session::open(context).await?;
            let added = plugins::add(&settings.data.path, &name, &bytes).await.map_err(Error::from);
            let result = match added {
                Ok(description) => {
                    let data =
                        json!({ "name": name, "digest": description.digest, "imports": description.imports });
                    session.fact("plugin.added", data, Vec::new()).await.map(|()| description)
                }
                Err(error) => Err(error),
            };
            session.close().await;
            result
        })?;
        if context.out.is_json() {
            context.out.json(&description);
        } else {
            context.out.raw(&text(&description, context));
        }
        Ok(exit::SUCCEEDED)
    }
}

/// The bytes of a component; of what never ends, or is no component, no more than one may have.
fn component(file: &Path) -> Result<Vec<u8>, Error> {
    let cannot = |error: std::io::Error| Error::file(file, "read", &error);
    if std::fs::metadata(file).map_err(cannot)?.file_type().is_fifo() {
        return Err(Error::invalid(format!("`{}` is a pipe, not a component", file.display()))
            .hint("save what it gives in a file, and name that"));
    }
    own_file::read_named(file, MAX_COMPONENT_BYTES).map_err(|error| match error.kind() {
        ErrorKind::FileTooLarge => Error::invalid(format!("`{}` is larger than 16 MiB", file.display()))
            .hint("`cargo run -p runbook-pack -- NAME` makes it for release, without what is not needed"),
        _ => cannot(error),
    })
}

impl Remove {
    fn run(self, context: &Context) -> Ended {
        let name = PluginName::new(self.name).map_err(|error| Error::usage(error.to_string()))?;
        context.wait(async {
            let session = Session::open(context).await?;
            let removed = plugins::remove(&context.settings()?.data.path, &name).map_err(Error::from);
            let result = match removed {
                Ok(true) => session.fact("plugin.removed", json!({ "name": name }), Vec::new()).await,
                Ok(false) => Err(Error::not_found(format!("no plugin `{name}` was added"))
                    .hint("`runbook plugin list` shows which were")),
                Err(error) => Err(error),
            };
            session.close().await;
            result
        })?;
        if context.out.is_json() {
            context.out.json(&json!({ "removed": name }));
        }
        Ok(exit::SUCCEEDED)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_never_ends_is_not_read_to_its_end() {
        let error = component(Path::new("/dev/zero")).unwrap_err();
        assert!(error.message.contains("larger than 16 MiB"), "{}", error.message);
    }
}
