//! `runbook runs settle`.

use clap::Args;
use serde_json::Value;

use super::super::Ended;
use super::super::context::Context;
use super::command;
use crate::error::Error;
use executor::request::Command;
use run::event::Settlement;
use words::json;

/// Decide about a call of which nobody can tell whether it happened
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  runbook runs show last                                   what was expected, and what was seen
  runbook runs settle last --done                          it did happen
  runbook runs settle last --done --result '{\"id\":\"…\"}'    it did, and answered this
  runbook runs settle last --retry                         it did not: do it
  runbook runs settle last --fail                          let the step fail")]
#[command(group(clap::ArgGroup::new("decision").required(true).args(["done", "retry", "fail"])))]
pub(in crate::cli) struct Settle {
    /// Its id, the beginning of it, or `last`
    run: String,
    /// It happened
    #[arg(long)]
    done: bool,
    /// What it answered, as JSON
    #[arg(long, value_name = "JSON", requires = "done")]
    result: Option<String>,
    /// It did not happen: do it
    #[arg(long)]
    retry: bool,
    /// Let the step fail
    #[arg(long)]
    fail: bool,
}

impl Settle {
    pub(super) fn run(self, context: &Context) -> Ended {
        let (decision, done) = match (self.done, self.retry) {
            (true, _) => (Settlement::Done(result(self.result.as_deref())?), "settled: it happened"),
            (_, true) => (Settlement::Retry, "settled: it is done again"),
            _ => (Settlement::Fail, "settled: the step fails"),
        };
        command(context, &self.run, Command::Settle(decision), done)
    }
}

fn result(text: Option<&str>) -> Result<Value, Error> {
    let Some(text) = text else { return Ok(Value::Null) };
    json::read(text).map_err(|error| {
        Error::usage(format!("--result cannot be read as JSON: {error}"))
            .hint("quote it: --result '{\"id\": 1}'")
    })
}
