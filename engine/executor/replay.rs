//! A run made again from its journal alone: same plugin bytes, same inputs, same recorded answers must give the same calls
//! and the same outputs. Needs no daemon and no engine; only reads.

use std::path::Path;
use std::sync::Arc;

use serde::Serialize;

use super::journal::{Sketch, fold};
use super::performing::{checked, split_uses};
use super::plugins::Plugins;
use super::refusal::Refusal;
use super::scrubbed;
use audit::Reader;
use host::{Attempt, HaltSwitch, Mode, Performed, RunContext, RunParts, Site, Stop, World, perform};
use run::event::{Accepted, Outcome};
use run::state::{Attempt as Recorded, State};
use secrets::Keeper;
use words::ids::{RunId, StepPath};

/// What a replay found.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Replay {
    /// Attempts made again.
    pub attempts: u32,
    /// Host calls answered from the journal.
    pub calls: u64,
    /// Where it differs, one sentence each; empty if it is the same.
    pub differences: Vec<String>,
}

/// Replays a run. Secrets are needed only where a plugin saw the text of one.
pub async fn replay(data_dir: &Path, run: &RunId, secrets: &Keeper) -> Result<Replay, Refusal> {
    let reader = Reader::open(data_dir)?;
    let state = fold(&reader, run)?;
    let accepted = state.accepted().cloned().ok_or_else(|| Refusal::UnknownRun(run.clone()))?;
    let plugins = Plugins::looking(data_dir);
    let mut replay = Replay::default();
    for (path, progress) in state.paths() {
        for (attempt, number) in progress.attempts.iter().zip(1..) {
            if attempt.plugin.is_none() || !attempt.began {
                continue;
            }
            replay.attempts += 1;
            replay.calls += attempt.calls.len() as u64;
            let first_started_ms = progress.attempts.first().map_or(0, |first| first.started_ms);
            let site = Site { path: path.clone(), attempt: number, first_started_ms, deadline_ms: u64::MAX };
            let made = again(&plugins, (data_dir, run, &accepted, &state, secrets), site, attempt).await?;
            replay.differences.extend(difference(path, number, attempt, made));
        }
    }
    Ok(replay)
}

async fn again(
    plugins: &Plugins,
    (data_dir, run, accepted, state, secrets): (&Path, &RunId, &Accepted, &State, &Keeper),
    site: Site,
    attempt: &Recorded,
) -> Result<Performed, Refusal> {
    let Some((name, step)) = split_uses(&attempt.uses) else {
        return Err(Refusal::Internal(format!("`{}` is no step type", attempt.uses)));
    };
    let Some(digest) = &attempt.plugin else { unreachable!("only attempts with a plugin are replayed") };
    let plugin = plugins.load(&name, digest)?;
    let at_ms = attempt.started_ms;
    let context = Arc::new(RunContext::new(RunParts {
        run: run.clone(),
        file: accepted.file.clone(),
        target: accepted.target.clone(),
        grants: accepted.grants.clone(),
        mode: Mode::Replay,
        halt: HaltSwitch::default(),
        ledger: Arc::new(Sketch::new(state.clone(), Arc::new(move || at_ms))),
        world: World::live(None, data_dir.to_owned(), (Arc::default(), Arc::default()), secrets.clone()),
        planned: None,
        is_child: false,
    }));
    let attempt_again = Attempt { context, site, cursor: attempt.calls.clone(), step, input: &attempt.with };
    let made = perform(&*plugins.wasm()?, &plugin, attempt_again).await;
    Ok(checked(made, plugins.output_of(&attempt.uses, digest).as_deref(), &attempt.uses))
}

fn difference(path: &StepPath, number: u32, recorded: &Recorded, made: Performed) -> Option<String> {
    let place = format!("step `{path}` attempt {number}");
    match (made, &recorded.outcome) {
        (Performed::Ended { outcome, .. }, Some(then)) => (!scrubbed::same(then, &outcome))
            .then(|| format!("{place}: its outcome was {}, and is {} now", words(then), words(&outcome))),
        // The journal of an attempt that was interrupted, or ended by the host, is shorter than the attempt.
        (Performed::Stopped(Stop::JournalEnds), None | Some(Outcome::Error(_))) => None,
        (Performed::Ended { .. }, None) => Some(format!("{place}: it did not end, and does now")),
        (Performed::Stopped(Stop::JournalEnds), Some(Outcome::Ok(_))) => {
            Some(format!("{place}: it makes a call that was not recorded"))
        }
        (Performed::Stopped(stop), _) => Some(format!("{place}: {stop}")),
    }
}

fn words(outcome: &Outcome) -> String {
    serde_json::to_string(outcome).unwrap_or_else(|_| "unreadable".to_owned())
}
