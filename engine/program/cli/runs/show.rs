//! `runbook runs show`.

use clap::Args;
use serde_json::{Value, json};

use super::super::Ended;
use super::super::context::Context;
use super::super::follow::{Follower, Happening};
use super::super::output::time;
use super::super::render::{card, story};
use super::{aside, find, reader};
use crate::error::exit;
use audit::RunRow;
use executor::request::Card;
use executor::{HOLDS, WAITS};
use run::view::RunView;

/// Show everything about one run: its steps, what it may do, what it logged, what comes next
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  runbook runs show last
  runbook runs show 0mabc --log
  runbook runs show last --output json")]
pub(in crate::cli) struct Show {
    /// Its id, the beginning of it, or `last`
    #[arg(default_value = "last")]
    run: String,
    /// Also everything that happened, line by line
    #[arg(long)]
    log: bool,
}

fn asked_by(row: &RunRow) -> String {
    let reason = row.reason.as_ref().map(|reason| format!(": {}", crate::error::printable(reason)));
    let (actor, date, target) = (&row.actor, time::date(row.started_ms), &row.target);
    format!("\n  asked by {actor} on {date}, target {target}{}", reason.unwrap_or_default())
}

impl Show {
    pub(super) fn run(self, context: &Context) -> Ended {
        let reader = reader(context)?;
        let run = find(&reader, &self.run)?;
        let row = reader.run(&run)?;
        let mut follower = Follower::new(&context.settings()?.data.path, run)?;
        let happenings = match (follower.read(&context.catalogue()?), &row) {
            (Err(error), Some(row)) => {
                aside::show(context, row, &error.message);
                return Ok(exit::SUCCEEDED);
            }
            (read, _) => read?,
        };
        if let Some(row) = &row
            && let Some(aside) = aside::set_aside(context, std::slice::from_ref(row))?.get(&row.run)
        {
            aside::show(context, row, &aside.why);
            return Ok(exit::SUCCEEDED);
        }
        let view = follower.view();
        let told = follower.told(&view);
        let out = &context.out;
        if out.is_json() {
            let mut document = told.document();
            document["row"] = json!(row);
            if let Some(waits) = waits(&view, &happenings) {
                document["waits_for_lock"] = json!(waits);
            }
            if self.log {
                document["log"] = happenings.iter().map(logged).collect();
            }
            out.json(&document);
            return Ok(exit::SUCCEEDED);
        }
        out.raw(&told.whole(out.paint, out.table_width()));
        if let Some(why) = waits(&view, &happenings) {
            out.line(format!("\n  {}", crate::error::printable(why)));
        }
        if let Some(row) = &row {
            out.line(asked_by(row));
        }
        if let (Some(accepted), Some(runbook)) = (follower.accepted(), follower.runbook()) {
            let risk = runbook.risk;
            let card = Card { risk, grants: accepted.grants.clone(), locks: accepted.locks.clone() };
            out.raw(&card::card(&card, out.paint));
        }
        if self.log {
            out.line("");
            let mut story = story::Story::default();
            for happening in happenings {
                let line = match happening {
                    Happening::Entry(entry, event) => story.line(entry.time_ms, &event, out.paint),
                    Happening::Note(kept) => Some(story::note(
                        kept.time_ms,
                        &kept.note.path.to_string(),
                        &kept.note.text,
                        out.paint,
                    )),
                };
                if let Some(line) = line {
                    out.line(line);
                }
            }
        }
        out.raw(&told.help(out.paint));
        Ok(exit::SUCCEEDED)
    }
}

/// As `runs watch --output json` tells it.
fn logged(happening: &Happening) -> Value {
    match happening {
        Happening::Entry(entry, _) => json!(entry),
        Happening::Note(note) => json!(note),
    }
}

/// For whom the run waits, and what frees the lock, as it said last.
fn waits<'a>(view: &RunView, happenings: &'a [Happening]) -> Option<&'a str> {
    let notes = happenings.iter().rev().filter_map(|happening| match happening {
        Happening::Note(kept) => Some(&kept.note),
        Happening::Entry(..) => None,
    });
    let goes_on = matches!(view.status.as_str(), "queued" | "running" | "waiting");
    let last = notes.into_iter().find(|note| note.level == WAITS || note.level == HOLDS)?;
    (goes_on && last.level == WAITS).then_some(last.text.as_str())
}
