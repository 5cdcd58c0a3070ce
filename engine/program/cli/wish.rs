//! What a person wants to run: flags become a checked request. Shared by `run`, `plan` and the shorthands of `service`.

use std::path::{Path, PathBuf};

use clap::Args;
use serde_json::{Map, Value};

use super::context::Context;
use crate::error::Error;
use executor::library::{self, yaml};
use executor::request::{LockWish, Request};
use model::parameters::{self, InvalidParameter};
use model::runbook::Runbook;
use words::ids::Digest;
use words::json;
use words::trigger::TriggerKind;

/// What a file of parameters looks like.
const FILE_HINT: &str =
    "write one `name: value` a line in a file that ends in .yaml, or a JSON object: {\"name\": \"value\"}";

/// Parameters as they are typed.
#[derive(Debug, Clone, Default, Args)]
pub(super) struct Given {
    /// A parameter; may be given many times
    #[arg(short = 'p', long = "parameter", value_name = "NAME=VALUE")]
    parameters: Vec<String>,
    /// Parameters from a file, JSON or YAML; those of -p win
    #[arg(long = "params", value_name = "FILE")]
    file: Option<PathBuf>,
}

/// How a run is wanted.
#[derive(Debug, Clone, Default, Args)]
#[expect(clippy::struct_excessive_bools, reason = "each is a flag of the command line")]
pub(super) struct Manner {
    /// Why; kept in the audit log
    #[arg(long, value_name = "TEXT")]
    pub(super) reason: Option<String>,
    /// Do not ask
    #[arg(short, long)]
    pub(super) yes: bool,
    /// Do exactly what this plan says, or nothing
    #[arg(long, value_name = "DIGEST")]
    plan: Option<String>,
    /// Ask before each step
    #[arg(long)]
    step: bool,
    /// Wait if another run holds the lock on the service (the default)
    #[arg(long, conflicts_with_all = ["no_wait", "take_lock"])]
    wait_lock: bool,
    /// Refuse if another run holds the lock on the service
    #[arg(long, conflicts_with = "take_lock")]
    no_wait: bool,
    /// Take the lock away from the run that holds it, which then ends for good
    #[arg(long, requires = "reason")]
    take_lock: bool,
    /// Return as soon as it is accepted; it goes on by itself
    #[arg(long)]
    pub(super) detach: bool,
    /// The data directory is full, damaged, or its engine hangs: fence it, and write to a segment of its own
    #[arg(long, requires = "reason", conflicts_with_all = ["detach", "plan", "step"])]
    pub(super) emergency: bool,
    /// A second request with the same key within 7 days is the same run
    #[arg(long, value_name = "KEY", value_parser = clap::builder::NonEmptyStringValueParser::new())]
    dedupe: Option<String>,
}

/// A request and what it is about.
#[derive(Debug, Clone)]
pub(super) struct Wish {
    /// Ready to be submitted.
    pub(super) request: Request,
    /// Checked.
    pub(super) runbook: Runbook,
    /// Complete.
    pub(super) parameters: Value,
}

impl Wish {
    /// Finds the runbook and checks the parameters; asks no engine.
    pub(super) fn new(context: &Context, name: &str, given: &Given, manner: &Manner) -> Result<Self, Error> {
        let (source, runbook) = context.runbook(name)?;
        let given = given.read(&runbook)?;
        let parameters = parameters::resolve(&runbook, &given).map_err(|all| refused(&all))?;
        let settings = context.settings()?;
        settings.target()?.connection()?;
        let plan = manner.plan.as_ref().map(|text| Digest::new(text.as_str())).transpose().map_err(|_| {
            Error::usage("--plan takes the whole digest")
                .hint("`runbook plan` prints it on its last line, 64 digits")
        })?;
        let lock = match (&manner.reason, manner.take_lock, manner.no_wait) {
            (Some(reason), true, _) => LockWish::Take { reason: reason.clone() },
            (_, _, true) => LockWish::Fail,
            _ => LockWish::Wait,
        };
        let request = Request {
            runbook: source,
            parameters: given,
            actor: settings.actor.clone(),
            sudo_user: settings.sudo_user.clone(),
            trigger: TriggerKind::Manual,
            reason: manner.reason.clone(),
            target: Some(settings.target.0.clone()),
            dedupe: manner.dedupe.clone(),
            plan,
            step_by_step: manner.step,
            lock,
        };
        Ok(Self { request, runbook, parameters })
    }
}

impl Given {
    /// Of these names and values, for the shorthands.
    pub(super) fn of(pairs: Vec<(&str, String)>) -> Self {
        let parameters = pairs.into_iter().map(|(name, value)| format!("{name}={value}")).collect();
        Self { parameters, file: None }
    }

    fn read(&self, runbook: &Runbook) -> Result<Map<String, Value>, Error> {
        let mut given = self.file.as_deref().map(read_file).transpose()?.unwrap_or_default();
        let mut wrong = Vec::new();
        for text in &self.parameters {
            let (name, value) = text.split_once('=').ok_or_else(|| {
                Error::usage(format!("`-p {text}` has no `=`")).hint("write it as -p name=value")
            })?;
            let parameter = runbook.parameters.iter().find(|parameter| parameter.name.as_str() == name);
            match parameter.map(|parameter| parameters::from_flag(parameter, value)) {
                Some(Ok(value)) => drop(given.insert(name.to_owned(), value)),
                Some(Err(error)) => wrong.push(error),
                // `resolve` tells that there is no such parameter, and which one was meant.
                None => drop(given.insert(name.to_owned(), Value::String(value.to_owned()))),
            }
        }
        if wrong.is_empty() { Ok(given) } else { Err(refused(&wrong)) }
    }
}

fn refused(all: &[InvalidParameter]) -> Error {
    let messages: Vec<&str> = all.iter().map(|one| one.message.as_str()).collect();
    let error = Error::invalid(messages.join("; "));
    match all.iter().find_map(|one| one.hint.as_ref()) {
        Some(hint) => error.hint(hint),
        None => error,
    }
}

fn read_file(path: &Path) -> Result<Map<String, Value>, Error> {
    let text = library::read(path)?;
    let value = if yaml(path) {
        model::yaml::value(&text).map_err(|trouble| {
            let place = format!("{}:{}:{}", path.display(), trouble.line, trouble.column);
            let error = Error::invalid(format!("{place}: {}", trouble.message));
            error.hint(trouble.hint.as_deref().unwrap_or(FILE_HINT))
        })?
    } else {
        json::read(&text).map_err(|error| {
            Error::invalid(format!("`{}` cannot be read as JSON: {error}", path.display())).hint(FILE_HINT)
        })?
    };
    match value {
        Value::Object(map) => Ok(map),
        _ => Err(Error::invalid(format!("`{}` holds no names and values", path.display())).hint(FILE_HINT)),
    }
}
