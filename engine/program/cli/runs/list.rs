//! `runbook runs list`.

use std::collections::BTreeMap;

use clap::Args;
use serde_json::{Value, json};

use super::super::Ended;
use super::super::context::Context;
use super::super::output::table::{Cell, Table};
use super::super::output::time;
use super::aside::{SET_ASIDE, set_aside};
use super::waiting::{self, Waiting};
use crate::error::exit;
use audit::{self, Reader, RunFilter, RunRow};
use executor::Aside;
use run::event::EndStatus;
use words::clock;
use words::ids::RunId;

/// The states of runs that are not over.
const UNFINISHED: [&str; 5] = ["queued", "running", "waiting", "in-doubt", "left"];

/// Every word a run's status can be.
fn statuses() -> Vec<&'static str> {
    UNFINISHED.into_iter().chain(EndStatus::ALL.map(EndStatus::word)).collect()
}

/// The most runs that wait for a person whose commands are told below the table.
const MAX_TOLD: usize = 10;

/// List runs: first those that wait for a person, then the others that are not over, then the rest; each the newest first
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  runbook runs list
  runbook runs list --unfinished
  runbook runs list --runbook service-restart --status failed --limit 200 --output json")]
pub(in crate::cli) struct List {
    /// Only runs of this runbook
    #[arg(long, value_name = "NAME")]
    runbook: Option<String>,
    /// Only runs in this state; may be given many times
    #[arg(long, value_name = "STATUS", value_parser = clap::builder::PossibleValuesParser::new(statuses()))]
    status: Vec<String>,
    /// Only runs about this service
    #[arg(long, value_name = "NAME")]
    service: Option<String>,
    /// Only runs that are not over
    #[arg(long, conflicts_with = "status")]
    unfinished: bool,
    /// At most so many
    #[arg(long, value_name = "NUMBER", default_value_t = 50)]
    limit: usize,
}

impl List {
    pub(super) fn run(self, context: &Context) -> Ended {
        let statuses =
            if self.unfinished { UNFINISHED.map(str::to_owned).to_vec() } else { self.status.clone() };
        let filter = RunFilter {
            runbook: self.runbook,
            statuses,
            subject: self.service,
            limit: self.limit,
            ..RunFilter::default()
        };
        let mut rows = match Reader::open(&context.settings()?.data.path) {
            Ok(reader) => unfinished_first(&reader, &filter)?,
            // Where nothing was ever run there is nothing to list.
            Err(audit::Error::Absent { .. }) => Vec::new(),
            Err(error) => return Err(error.into()),
        };
        let aside = set_aside(context, &rows)?;
        let waiting = waiting::all(&context.settings()?.data.path, &context.catalogue()?, &rows, &aside);
        let for_person = |row: &RunRow| waiting.get(&row.run).is_some_and(Waiting::for_person);
        rows.sort_by_key(|row| (!for_person(row), row.finished_ms.is_some()));
        if context.out.is_json() {
            let documents = rows.iter().map(|row| document(row, aside.get(&row.run), waiting.get(&row.run)));
            context.out.json(&documents.collect::<Vec<_>>());
            return Ok(exit::SUCCEEDED);
        }
        let width = context.out.table_width();
        context.out.raw(&table(&rows, &aside, clock::now_ms()).render(context.out.paint, width));
        for run in aside.keys() {
            context
                .out
                .hint(&format!("`runbook runs show {run}` tells why it is set aside and how to end it"));
        }
        tell(context, rows.iter().filter_map(|row| Some((row, waiting.get(&row.run)?))));
        Ok(exit::SUCCEEDED)
    }
}

/// As many as are wished: those that are not over before all others, however old they are; each the newest first.
fn unfinished_first(reader: &Reader, filter: &RunFilter) -> Result<Vec<RunRow>, audit::Error> {
    let wished = |row: &RunRow| {
        filter.runbook.as_ref().is_none_or(|runbook| *runbook == row.runbook.as_str())
            && filter.subject.as_ref().is_none_or(|subject| *subject == row.subject)
            && (filter.statuses.is_empty() || filter.statuses.contains(&row.status))
    };
    let mut rows: Vec<RunRow> = reader.unfinished()?.into_iter().rev().filter(wished).collect();
    rows.truncate(filter.limit);
    let over = reader.runs(filter)?.into_iter().filter(|row| row.finished_ms.is_some());
    let room = filter.limit - rows.len();
    rows.extend(over.take(room));
    Ok(rows)
}

/// What to type for those that wait for a person.
fn tell<'a>(context: &Context, all: impl Iterator<Item = (&'a RunRow, &'a Waiting)>) {
    let (mut told, mut more) = (0, 0);
    for (row, waiting) in all.filter(|(row, waiting)| waiting.for_person() && row.status != SET_ASIDE) {
        if told == MAX_TOLD {
            more += 1;
            continue;
        }
        told += 1;
        let commands: Vec<String> = waiting.commands.iter().map(|command| format!("`{command}`")).collect();
        context.out.hint(&format!("{} waits for a person: {}", row.run, commands.join(", ")));
    }
    if more > 0 {
        context.out.hint(&format!("{more} more wait for a person: `runbook runs list --unfinished`"));
    }
}

/// The row, what its run waits for, and why it cannot be carried on.
fn document(row: &RunRow, aside: Option<&Aside>, waiting: Option<&Waiting>) -> Value {
    let mut document = json!(row);
    if let Some(Waiting { what, commands }) = waiting {
        document["waits_for"] = json!(what);
        document["next"] = json!(commands);
    }
    if let Some(aside) = aside {
        document["set_aside"] = json!(aside.why);
    }
    document
}

fn table(rows: &[RunRow], aside: &BTreeMap<RunId, Aside>, now_ms: u64) -> Table {
    let mut table = Table::new(&["RUN", "STATUS", "RUNBOOK", "ABOUT", "WHO", "WHEN", "TOOK", "MESSAGE"]);
    for row in rows {
        let took = row.finished_ms.map(|end| time::span(end.saturating_sub(row.started_ms)));
        let (status, message) = match aside.get(&row.run) {
            Some(aside) => (SET_ASIDE, aside.why.as_str()),
            None => (row.status.as_str(), row.message.as_str()),
        };
        table.row(vec![
            row.run.as_str().into(),
            Cell::status(status),
            row.runbook.as_str().into(),
            row.subject.as_str().into(),
            row.actor.as_str().into(),
            time::ago(row.started_ms, now_ms).into(),
            took.unwrap_or_default().into(),
            crate::error::printable(message).into(),
        ]);
    }
    table
}
