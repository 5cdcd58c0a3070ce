//! Dedupe keys: a second request with the same key is the run that the first one became.

use std::path::Path;

use serde_json::json;

use super::refusal::Refusal;
use super::request::Request;
use crate::audit::{Reader, StateChange};
use crate::model::ids::{Digest, RunId};
use crate::model::parse::peek;

/// Bucket of what is known by which key.
const BUCKET: &str = "engine.dedupe";

/// The run that an earlier request with this key became. A key names one wish: with another runbook it is refused, since
/// whoever asks would take the other run's result for their own.
pub(super) fn known(data_dir: &Path, request: &Request) -> Result<Option<RunId>, Refusal> {
    let Some(key) = &request.dedupe else { return Ok(None) };
    if key.trim().is_empty() {
        return Err(Refusal::Input(vec![
            "the dedupe key is empty (give it a text that names this wish, or leave it out)".to_owned(),
        ]));
    }
    let reader = Reader::open(data_dir)?;
    let known = reader.state_get(BUCKET, Digest::of(key).as_str())?;
    let Some(run) = known.and_then(|run| serde_json::from_value::<RunId>(run).ok()) else {
        return Ok(None);
    };
    let asked = peek(&request.runbook.text).map(|found| found.name);
    match reader.run(&run)?.filter(|row| asked.as_ref().is_some_and(|name| *name != row.runbook)) {
        Some(row) => Err(Refusal::KeyTaken { key: key.clone(), run, runbook: row.runbook.to_string() }),
        None => Ok(Some(run)),
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
