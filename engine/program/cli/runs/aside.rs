//! Runs that cannot be read, as people see them.

use std::collections::BTreeMap;

use serde_json::json;

use super::super::context::Context;
use super::super::output::time;
use super::reader;
use crate::error::{Error, printable};
use audit::RunRow;
use executor::{Aside, Refusal, why_set_aside};
use words::ids::RunId;

/// What lists say of such a run in place of its status.
pub(in crate::cli) const SET_ASIDE: &str = "set-aside";

/// Those of the unfinished runs among these that an engine sets aside.
pub(in crate::cli) fn set_aside(context: &Context, rows: &[RunRow]) -> Result<BTreeMap<RunId, Aside>, Error> {
    let mut unfinished = rows.iter().filter(|row| row.finished_ms.is_none()).peekable();
    if unfinished.peek().is_none() {
        return Ok(BTreeMap::new());
    }
    let (reader, catalogue) = (reader(context)?, context.catalogue()?);
    let found =
        unfinished.filter_map(|row| Some((row.run.clone(), why_set_aside(&reader, row, &catalogue)?)));
    Ok(found.collect())
}

/// What ends such a run.
pub(super) fn way_out(run: &RunId) -> String {
    format!("runbook runs cancel {run}")
}

/// The error of whoever wants such a run carried on.
pub(super) fn refused(run: RunId, aside: Aside) -> Error {
    Refusal::SetAside { run, aside }.into()
}

/// What can be shown of a run that cannot be read: its row, why, and the way out.
pub(super) fn show(context: &Context, row: &RunRow, why: &str) {
    let out = &context.out;
    if out.is_json() {
        out.json(
            &json!({ "run": row.run, "runbook": row.runbook, "row": row, "set_aside": why, "steps": [] }),
        );
        return;
    }
    let status = if row.finished_ms.is_none() { SET_ASIDE } else { row.status.as_str() };
    out.line(format!("{} {} {} {}", out.paint.red(status), row.runbook, row.run, row.subject));
    out.line(format!("\n  it cannot be read: {}", printable(why)));
    if !row.message.is_empty() {
        out.line(format!("  {}", printable(&row.message)));
    }
    out.line(format!("  asked by {} on {}, target {}", row.actor, time::date(row.started_ms), row.target));
    let run = &row.run;
    out.line(format!("\n  runbook audit tail --run {run} -n 50   what it did, as far as it can be told"));
    if row.finished_ms.is_none() {
        out.line(format!(
            "  runbook runs cancel {run}   ends it as stuck and gives up its locks; nothing is undone"
        ));
    }
}
