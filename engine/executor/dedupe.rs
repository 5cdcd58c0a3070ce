//! Dedupe keys: a second request with the same key is the run that the first one became.

use std::path::Path;

use serde_json::{Value, json};

use super::refusal::Refusal;
use super::request::Request;
use audit::{Condition, Reader, StateChange};
use model::parse::peek;
use words::ids::{Digest, RunId};

/// Bucket of what is known by which key.
pub(super) const BUCKET: &str = "engine.dedupe";

/// For so long after the acceptance of its run a dedupe key names that run; then the same key is a new run. Seven days: long
/// enough for whoever sends an alert or a webhook again, short enough for a key that is used every week.
pub const DEDUPE_DAYS: u64 = 7;

const DEDUPE_MS: u64 = DEDUPE_DAYS * 24 * 60 * 60 * 1000;

/// What a request's key stands for.
#[derive(Debug)]
pub(super) enum Key {
    /// It has none.
    Absent,
    /// This run.
    Run(RunId),
    /// Nothing, or a run of long ago. The condition says that it is still so; it goes with the acceptance.
    Free(Condition),
}

/// Looks a request's key up. A key names one wish: with another runbook it is refused, since whoever asks would take the other
/// run's result for their own. The key of a child run is for ever, as its parent may rest for longer than any key lasts.
pub(super) fn look(
    data_dir: &Path,
    request: &Request,
    parent: Option<&RunId>,
    now_ms: u64,
) -> Result<Key, Refusal> {
    let Some(key) = &request.dedupe else { return Ok(Key::Absent) };
    if key.trim().is_empty() {
        return Err(Refusal::Input(vec![
            "the dedupe key is empty (give it a text that names this wish, or leave it out)".to_owned(),
        ]));
    }
    let reader = Reader::open(data_dir)?;
    let digest = Digest::of(key).as_str().to_owned();
    let kept = reader.state_get(BUCKET, &digest)?;
    let free = |kept: Option<Value>| {
        Ok(Key::Free(Condition::State { bucket: BUCKET.to_owned(), key: digest.clone(), value: kept }))
    };
    let Some(run) = kept.clone().and_then(|run| serde_json::from_value::<RunId>(run).ok()) else {
        return free(kept);
    };
    let row = reader.run(&run)?;
    let accepted_ms = row.as_ref().map_or(0, |row| row.started_ms);
    if parent.is_none() && now_ms.saturating_sub(accepted_ms) >= DEDUPE_MS {
        return free(kept);
    }
    let asked = peek(&request.runbook.text).map(|found| found.name);
    match row.filter(|row| asked.as_ref().is_some_and(|name| *name != row.runbook)) {
        Some(row) => Err(Refusal::KeyTaken { key: key.clone(), run, runbook: row.runbook.to_string() }),
        None => Ok(Key::Run(run)),
    }
}

/// What is to be kept with the acceptance of the run.
pub(super) fn remembered(key: &str, run: &RunId) -> StateChange {
    StateChange::Set {
        bucket: BUCKET.to_owned(),
        key: Digest::of(key).as_str().to_owned(),
        value: json!(run),
    }
}
