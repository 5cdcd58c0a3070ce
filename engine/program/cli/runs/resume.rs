//! `runbook runs resume`.

use clap::Args;

use super::super::Ended;
use super::super::context::Context;
use super::super::output::time;
use super::super::run::conclude;
use super::super::session::Session;
use super::super::signals::Signals;
use super::super::watching::{Display, Watching};
use super::{aside, find, reader};
use crate::error::{Error, Kind, exit};
use audit::{RunRow, examine};
use executor::request::Command;
use words::clock;
use words::ids::RunId;

/// Carry on runs that were interrupted or left
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  runbook runs resume                  lists what is unfinished and asks
  runbook runs resume 0mabc
  runbook runs resume --yes            all of them

Ends with the exit code of the run; of several, with that of the first that did not succeed.")]
pub(in crate::cli) struct Resume {
    /// Its id, the beginning of it, or `last`; without it everything unfinished
    run: Option<String>,
    /// Do not ask
    #[arg(short, long)]
    yes: bool,
}

impl Resume {
    pub(super) fn run(self, context: &Context) -> Ended {
        let reader = reader(context)?;
        let mut rows = match &self.run {
            Some(run) => reader.run(&find(&reader, run)?)?.into_iter().collect(),
            // A child run is carried on by its parent.
            None => reader.unfinished()?,
        };
        drop(reader);
        let aside = aside::set_aside(context, &rows)?;
        rows.retain(|row| !aside.contains_key(&row.run));
        if self.run.is_some()
            && let Some((run, aside)) = aside.iter().next()
        {
            return Err(aside::refused(run.clone(), aside.clone()));
        }
        for (run, aside) in &aside {
            context.out.warning(&format!("run `{run}` is set aside, since it cannot be read: {}", aside.why));
            context.out.hint(&format!("`runbook runs show {run}` tells what to do about it"));
        }
        let runs = match &self.run {
            Some(_) => rows.into_iter().map(|row| row.run).collect(),
            None => chosen(context, &rows, self.yes)?,
        };
        let ended = if runs.is_empty() { Ok(exit::SUCCEEDED) } else { carry_all_on(context, &runs) };
        // What was changed by somebody is told by the exit code as well.
        match aside.into_iter().find(|(_, aside)| aside.damaged) {
            Some((run, aside)) => ended.and(Err(aside::refused(run, aside))),
            None => ended,
        }
    }
}

fn carry_all_on(context: &Context, runs: &[RunId]) -> Ended {
    context.wait(async {
        let session = Session::open(context).await?;
        let ended = carry_on(context, &session, runs).await;
        session.close().await;
        ended
    })
}

/// All at once; each is then shown in turn.
async fn carry_on(context: &Context, session: &Session<'_>, runs: &[RunId]) -> Ended {
    for run in runs {
        match session.command(run, Command::Resume).await {
            // The engine that this command began may have carried it to its end already.
            Err(error) if error.kind == Kind::NotFound => {}
            answered => answered?,
        }
    }
    let mut code = exit::SUCCEEDED;
    let mut signals = Signals::listen()?;
    for run in runs {
        let watching = Watching::new(context, session, run.clone(), Display::of(context))?;
        let follower = watching.until_rest(run, &mut signals).await?;
        conclude(context, &follower);
        if code == exit::SUCCEEDED {
            code = follower.exit_code();
        }
    }
    Ok(code)
}

fn chosen(context: &Context, rows: &[RunRow], yes: bool) -> Result<Vec<RunId>, Error> {
    let rows: Vec<&RunRow> = rows.iter().filter(|row| row.parent.is_none()).collect();
    let out = &context.out;
    if rows.is_empty() {
        // Maybe the end of the log is gone, and what was unfinished with it.
        examine(&context.settings()?.data.path)?;
        if out.is_json() {
            out.json(&serde_json::json!([]));
        } else {
            out.talk("nothing is unfinished");
        }
        return Ok(Vec::new());
    }
    if yes {
        return Ok(rows.iter().map(|row| row.run.clone()).collect());
    }
    let now_ms = clock::now_ms();
    let mut runs = Vec::new();
    for row in rows {
        let when = time::ago(row.started_ms, now_ms);
        let words = format!("{} {} {} {}, {when}", row.run, row.status, row.runbook, row.subject);
        if !out.can_ask() {
            out.talk(words);
        } else if out.confirm(&format!("{words}: carry on?")) {
            runs.push(row.run.clone());
        }
    }
    if !out.can_ask() {
        return Err(Error::usage("several runs may be meant, and nobody can be asked")
            .hint("name one, or give --yes for all"));
    }
    Ok(runs)
}
