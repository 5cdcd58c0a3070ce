//! `runbook halt`: the switch that stops everything that changes anything.

use clap::{Args, Subcommand};
use serde_json::{Value, json};

use super::Ended;
use super::context::Context;
use super::session::Session;
use crate::error::{Error, exit};
use audit::{self, Reader};
use words::clock;

/// Where the engine keeps it.
const PLACE: (&str, &str) = ("engine", "halt");

/// Stop everything that changes anything, at once, and let it go on again
#[derive(Debug, Subcommand)]
pub(super) enum Halt {
    On(On),
    Off(Off),
    Status(Status),
}

/// No call that changes anything is made from now on, and no run is accepted that may change something
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  runbook halt on --reason 'storage is failing over'")]
pub(super) struct On {
    /// Why; shown to everyone who is refused
    #[arg(long, value_name = "TEXT", value_parser = some_words)]
    reason: String,
}

/// Runs that change something are accepted again
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  runbook halt off --reason 'storage is back'")]
pub(super) struct Off {
    /// Why; kept in the audit log
    #[arg(long, value_name = "TEXT", default_value = "over")]
    reason: String,
}

/// Tell whether it is on
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  runbook halt status --output json

Exit code 14 while it is on.")]
pub(super) struct Status {}

impl Halt {
    pub(super) fn run(self, context: &Context) -> Ended {
        match self {
            Self::On(on) => set(context, true, &on.reason),
            Self::Off(off) => set(context, false, &off.reason),
            Self::Status(_) => status(context),
        }
    }
}

/// A reason that says nothing helps nobody who is refused.
fn some_words(text: &str) -> Result<String, &'static str> {
    if text.trim().is_empty() {
        Err("say why: everyone who is refused is shown it")
    } else {
        Ok(text.to_owned())
    }
}

fn set(context: &Context, on: bool, reason: &str) -> Ended {
    context.wait(async {
        let session = Session::open(context).await?;
        let result = session.halt(on, reason).await;
        session.close().await;
        result
    })?;
    tell(context, on, reason);
    Ok(exit::SUCCEEDED)
}

fn tell(context: &Context, on: bool, reason: &str) {
    if context.out.is_json() {
        context.out.json(&json!({ "halted": on, "reason": reason }));
    } else if on {
        let reason = crate::error::printable(reason);
        context.out.line(format!("{}: {reason}", context.out.paint.red("halted")));
        context.out.hint("`runbook halt off` ends it");
    } else {
        context.out.line(context.out.paint.green("not halted"));
    }
}

fn status(context: &Context) -> Ended {
    let halt = read(context)?;
    let reason = halt.as_ref().and_then(|halt| halt["reason"].as_str()).unwrap_or_default();
    let since = halt.as_ref().and_then(|halt| halt["at_ms"].as_u64());
    if context.out.is_json() {
        let since = since.map(clock::rfc3339);
        context.out.json(&json!({ "halted": halt.is_some(), "reason": reason, "since": since }));
    } else {
        tell(context, halt.is_some(), reason);
    }
    Ok(if halt.is_some() { exit::HALTED } else { exit::SUCCEEDED })
}

/// As the engine keeps it; where nothing was ever run it is off.
pub(super) fn read(context: &Context) -> Result<Option<Value>, Error> {
    let (bucket, key) = PLACE;
    match Reader::open(&context.settings()?.data.path) {
        Ok(reader) => Ok(reader.state_get(bucket, key)?),
        Err(audit::Error::Absent { .. }) => Ok(None),
        Err(error) => Err(error.into()),
    }
}

#[cfg(test)]
mod tests {
    use super::some_words;

    #[test]
    fn a_reason_says_something() {
        assert!(some_words(" ").is_err() && some_words("").is_err());
        assert_eq!(some_words("storage").as_deref(), Ok("storage"));
    }
}
