//! `runbook state`: what runbooks keep between runs. Every change is an entry of the audit log.

use clap::{Args, Subcommand};
use serde_json::{Value, json};

use super::Ended;
use super::context::Context;
use super::output::table::Table;
use super::render::value;
use super::session::Session;
use crate::error::{Error, exit};
use audit::{Reader, StateChange};
use words::json::{self, Unreadable};
use words::text::for_shell;

/// What the engine keeps for itself: changed by its own commands only.
const OWN: &str = "engine";

/// Read and change what runbooks keep between runs
#[derive(Debug, Subcommand)]
pub(super) enum State {
    Get(Get),
    Set(Set),
    List(List),
    Delete(Delete),
}

/// Print a value
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  runbook state get deploys shop/web

Exit code 3 if there is none.")]
pub(super) struct Get {
    /// For example the name of what it belongs to
    bucket: String,
    /// Its name
    key: String,
}

/// Set a value
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  runbook state set deploys shop/web '{\"image\": \"web:42\"}'
  runbook state set windows night true")]
pub(super) struct Set {
    /// For example the name of what it belongs to
    bucket: String,
    /// Its name
    key: String,
    /// JSON, or a text
    value: String,
}

/// List buckets, or the keys of one
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  runbook state list
  runbook state list deploys shop/ --output json")]
pub(super) struct List {
    /// Only this one
    bucket: Option<String>,
    /// Only keys that begin so
    prefix: Option<String>,
}

/// Delete a value
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  runbook state delete deploys shop/web")]
pub(super) struct Delete {
    /// For example the name of what it belongs to
    bucket: String,
    /// Its name
    key: String,
}

impl State {
    pub(super) fn run(self, context: &Context) -> Ended {
        match self {
            Self::Get(command) => command.run(context),
            Self::Set(command) => command.run(context),
            Self::List(command) => command.run(context),
            Self::Delete(command) => command.run(context),
        }
    }
}

impl Get {
    fn run(self, context: &Context) -> Ended {
        let found = reader(context)?.state_get(&self.bucket, &self.key)?;
        let found = found.ok_or_else(|| absent(&self.bucket, &self.key))?;
        match &found {
            Value::String(text) if !context.out.is_json() => context.out.exact(&format!("{text}\n")),
            other => context.out.json(other),
        }
        Ok(exit::SUCCEEDED)
    }
}

impl Set {
    fn run(self, context: &Context) -> Ended {
        let value = value_of(self.value)?;
        let data = json!({ "bucket": self.bucket, "key": self.key });
        let (bucket, key) = own(self.bucket, self.key)?;
        change(context, "state.set", &data, StateChange::Set { bucket, key, value })
    }
}

impl Delete {
    fn run(self, context: &Context) -> Ended {
        if reader(context)?.state_get(&self.bucket, &self.key)?.is_none() {
            return Err(absent(&self.bucket, &self.key));
        }
        let data = json!({ "bucket": self.bucket, "key": self.key });
        let (bucket, key) = own(self.bucket, self.key)?;
        change(context, "state.deleted", &data, StateChange::Delete { bucket, key })
    }
}

impl List {
    fn run(self, context: &Context) -> Ended {
        let reader = reader(context)?;
        let Some(bucket) = self.bucket else {
            let buckets = reader.state_buckets()?;
            if context.out.is_json() {
                context.out.json(&buckets);
            } else {
                for bucket in &buckets {
                    context.out.line(bucket);
                }
            }
            return Ok(exit::SUCCEEDED);
        };
        let values = reader.state_list(&bucket, &self.prefix.unwrap_or_default())?;
        if context.out.is_json() {
            let map: serde_json::Map<String, Value> = values.into_iter().collect();
            context.out.json(&map);
            return Ok(exit::SUCCEEDED);
        }
        let mut table = Table::new(&["KEY", "VALUE"]);
        for (key, found) in &values {
            table.row(vec![key.as_str().into(), value::short(found).into()]);
        }
        context.out.raw(&table.render(context.out.paint, context.out.table_width()));
        Ok(exit::SUCCEEDED)
    }
}

fn reader(context: &Context) -> Result<Reader, Error> {
    Ok(Reader::open(&context.settings()?.data.path)?)
}

fn absent(bucket: &str, key: &str) -> Error {
    Error::not_found(format!("bucket `{bucket}` has no key `{key}`"))
        .hint(format!("`runbook state list {}` shows its keys", for_shell(bucket)))
}

fn own(bucket: String, key: String) -> Result<(String, String), Error> {
    if bucket == OWN || bucket.starts_with("engine.") {
        return Err(Error::new(crate::error::Kind::Denied, format!("bucket `{bucket}` is the engine's own"))
            .hint("`runbook halt` sets the halt switch"));
    }
    Ok((bucket, key))
}

/// JSON, or else a text.
fn value_of(text: String) -> Result<Value, Error> {
    match json::read(&text) {
        Ok(value) => Ok(value),
        Err(Unreadable::Syntax(_)) => Ok(Value::String(text)),
        Err(Unreadable::Excess(excess)) => Err(Error::invalid(format!("the value cannot be kept: {excess}"))),
    }
}

fn change(context: &Context, kind: &str, data: &Value, change: StateChange) -> Ended {
    context.wait(async {
        let session = Session::open(context).await?;
        let result = session.fact(kind, data.clone(), vec![change]).await;
        session.close().await;
        result
    })?;
    if context.out.is_json() {
        context.out.json(data);
    }
    Ok(exit::SUCCEEDED)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_value_is_json_or_a_text_and_never_too_deep() {
        let nested = |depth| format!("{}1{}", "[".repeat(depth), "]".repeat(depth));
        assert_eq!(value_of("[1".to_owned()).unwrap(), Value::from("[1"));
        assert!(value_of(nested(json::MAX_DEPTH)).unwrap().is_array());
        for depth in [json::MAX_DEPTH + 1, 125, 200] {
            assert!(value_of(nested(depth)).unwrap_err().message.contains("64 levels"));
        }
    }

    #[test]
    fn what_the_engine_keeps_for_itself_is_out_of_reach() {
        for bucket in ["engine", "engine.dedupe"] {
            assert_eq!(own(bucket.to_owned(), "halt".to_owned()).unwrap_err().kind.exit_code(), 13);
        }
        assert!(own("deploys".to_owned(), "a".to_owned()).is_ok());
    }
}
