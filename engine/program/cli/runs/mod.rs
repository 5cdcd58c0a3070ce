//! `runbook runs`: what was run, what is running, and what a person decides about it.

mod answer;
pub(super) mod aside;
mod cancel;
mod list;
mod replay;
mod resume;
mod settle;
mod show;
pub(super) mod waiting;
mod watch;

use clap::Subcommand;

use super::Ended;
use super::context::Context;
use super::session::Session;
use crate::error::{Error, exit};
use audit::{Reader, RunFilter};
use executor::request::Command;
use run::state::RunStatus;
use words::ids::RunId;

/// The word for the newest run that somebody asked for.
const LAST: &str = "last";

/// Matching runs shown when a prefix fits several.
const MAX_MATCHES: usize = 5;

/// List, show and follow runs, and decide about them
#[derive(Debug, Subcommand)]
pub(super) enum Runs {
    List(list::List),
    Show(show::Show),
    Watch(watch::Watch),
    Cancel(cancel::Cancel),
    Resume(resume::Resume),
    Settle(settle::Settle),
    Approve(answer::Approve),
    Reject(answer::Reject),
    Answer(answer::Answer),
    Replay(replay::Replay),
}

impl Runs {
    pub(super) fn run(self, context: &Context) -> Ended {
        match self {
            Self::List(command) => command.run(context),
            Self::Show(command) => command.run(context),
            Self::Watch(command) => command.run(context),
            Self::Cancel(command) => command.run(context),
            Self::Resume(command) => command.run(context),
            Self::Settle(command) => command.run(context),
            Self::Approve(command) => command.run(context),
            Self::Reject(command) => command.run(context),
            Self::Answer(command) => command.run(context),
            Self::Replay(command) => command.run(context),
        }
    }
}

/// The audit log, to read.
pub(super) fn reader(context: &Context) -> Result<Reader, Error> {
    Ok(Reader::open(&context.settings()?.data.path)?)
}

/// The run a person means: its id, the beginning of it, or `last`.
pub(super) fn find(reader: &Reader, text: &str) -> Result<RunId, Error> {
    if text == LAST {
        let asked_for = RunFilter { whole: true, limit: 1, ..RunFilter::default() };
        return newest(reader, &asked_for)?.ok_or_else(|| Error::not_found("nothing was run yet"));
    }
    let mut matches = reader.resolve_prefix(text, MAX_MATCHES)?;
    match matches.len() {
        1 => Ok(matches.remove(0)),
        0 => {
            Err(Error::not_found(format!("there is no run `{text}`")).hint("`runbook runs list` shows them"))
        }
        _ => {
            let shown: Vec<_> = matches.iter().map(RunId::as_str).collect();
            Err(Error::usage(format!("`{text}` is the beginning of several runs")).hint(shown.join(", ")))
        }
    }
}

fn newest(reader: &Reader, filter: &RunFilter) -> Result<Option<RunId>, Error> {
    Ok(reader.runs(filter)?.into_iter().next().map(|row| row.run))
}

/// The run that a command is for. What waits for a person may be a step of what the person asked for: then `last` is the
/// newest that does.
fn addressee(reader: &Reader, text: &str, command: &Command) -> Result<RunId, Error> {
    let status = match command {
        Command::Settle(_) => RunStatus::InDoubt,
        Command::Answer { .. } => RunStatus::Waiting,
        _ => return find(reader, text),
    };
    let statuses = vec![status.word().to_owned()];
    let waits = RunFilter { statuses, limit: 1, ..RunFilter::default() };
    match newest(reader, &waits)? {
        Some(run) if text == LAST => Ok(run),
        _ => find(reader, text),
    }
}

/// Gives a run a command and says that it was taken.
fn command(context: &Context, run: &str, command: Command, done: &str) -> Ended {
    let run = addressee(&reader(context)?, run, &command)?;
    context.wait(async {
        let session = Session::open(context).await?;
        let result = session.command(&run, command).await;
        session.close().await;
        result
    })?;
    if context.out.is_json() {
        context.out.json(&serde_json::json!({ "run": run, "done": done }));
    } else {
        context.out.line(format!("{run}: {done}"));
        context.out.hint(&format!("`runbook runs watch {run}` follows it"));
    }
    Ok(exit::SUCCEEDED)
}
