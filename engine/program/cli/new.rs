//! `runbook new`: a runbook to start from.

use std::io::Write as _;
use std::path::{Path, PathBuf};

use clap::Args;
use serde_json::json;

use super::Ended;
use super::context::Context;
use crate::error::{Error, exit};
use words::ids::RunbookName;

/// Write a commented runbook to start from, in the folder `runbooks` here
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  runbook new restart-shop                     writes runbooks/restart-shop.yaml
  runbook new restart-shop --file shop.yaml")]
pub(super) struct New {
    /// Its name: lower-case letters, digits and dashes
    name: String,
    /// Write it here instead
    #[arg(long, value_name = "FILE")]
    file: Option<PathBuf>,
}

impl New {
    pub(super) fn run(self, context: &Context) -> Ended {
        let name = RunbookName::new(self.name).map_err(|error| Error::usage(error.to_string()))?;
        if let Some(taken) = context.library()?.all()?.iter().find(|found| found.name == name) {
            return Err(Error::invalid(format!("there is a runbook `{name}` already: `{}`", taken.file))
                .hint(format!(
                    "choose another name; `runbook show {name} --yaml` prints that one, to be copied"
                )));
        }
        let folder = &context.settings()?.runbooks.0;
        let path = self.file.unwrap_or_else(|| folder.join(format!("{name}.yaml")));
        write(&path, &starter(&name))?;
        if context.out.is_json() {
            context.out.json(&json!({ "runbook": name, "file": path }));
            return Ok(exit::SUCCEEDED);
        }
        let shown = path.display();
        context.out.line(format!("{shown}"));
        context.out.hint(&format!(
            "edit it, then `runbook validate {shown}` and `runbook plan {shown} -p service=NAME`"
        ));
        Ok(exit::SUCCEEDED)
    }
}

/// Never over a file that exists.
fn write(path: &Path, text: &str) -> Result<(), Error> {
    let cannot = |error: std::io::Error| {
        let told = Error::file(path, "write", &error);
        match error.kind() {
            std::io::ErrorKind::AlreadyExists => told.hint("name another with --file, or remove it first"),
            _ => told,
        }
    };
    if let Some(folder) = path.parent().filter(|folder| !folder.as_os_str().is_empty()) {
        std::fs::create_dir_all(folder).map_err(cannot)?;
    }
    let mut file = std::fs::OpenOptions::new().write(true).create_new(true).open(path).map_err(cannot)?;
    file.write_all(text.as_bytes()).map_err(cannot)
}

fn starter(name: &RunbookName) -> String {
    STARTER.replace("NAME", name.as_str())
}

const STARTER: &str = r#"format: 1
runbook: NAME
summary: Restart a service one container at a time and see that it answers.
about: |
  Say here, in Markdown, what a tired person needs to know before running it:
  what it is for, what callers notice, how to tell that it is the right cure, what to do if it is not.
risk: medium                              # low | medium | high: high asks for the service's name before it acts

parameters:                               # given with -p name=value
  service: { type: string, about: "project/service, or the service alone where it is unique" }
  grace:   { type: duration, default: 10s, about: "time to stop by itself" }

timeout: 30m                              # of the whole run

grants:                                   # all it may do; nothing else is possible
  containers:
    select: { service: "${{ parameters.service }}" }
    actions: [read, restart]              # restart = stop + start
    max_unavailable: 1                    # so many replicas down at once, whatever a step tries

steps:                                    # in this order, unless a step says `needs: [id, …]`
  - id: before
    summary: See how the service is doing.
    uses: service.status
    with: { service: "${{ parameters.service }}" }

  - id: restart
    summary: Restart one replica at a time and wait until each is healthy.
    expect: Every replica is healthy again.
    if_it_fails: Read the last log lines below; `runbook run diagnose-service` collects more.
    uses: service.restart
    with:
      service: ${{ parameters.service }}
      grace: ${{ parameters.grace }}
    if: steps.before.output.running > 0   # an expression (CEL)
    timeout: 10m

finally:                                  # always, also after a failure
  - id: after
    summary: Say how it ended.
    uses: core.log
    with: { message: "${{ parameters.service }}: ${{ run.status }}" }
"#;

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;
    use model::parse::{Known, parse};

    #[test]
    fn a_file_that_exists_is_kept() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("runbooks/mine.yaml");
        write(&path, "first").unwrap();
        let error = write(&path, "second").unwrap_err();
        assert!(error.message.contains("file exists"), "{}", error.message);
        assert_eq!(std::fs::read_to_string(&path).unwrap(), "first");
    }

    #[test]
    fn the_starter_is_valid() {
        let name = RunbookName::new("mine").unwrap();
        let catalogue = host::embedded::catalogue();
        let known = Known { catalogue: &catalogue, runbooks: &BTreeMap::new() };
        let runbook =
            parse("mine.yaml", &starter(&name), &known).unwrap_or_else(|t| panic!("{}", t.render()));
        assert_eq!(runbook.name, name);
    }
}
