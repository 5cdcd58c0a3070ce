//! Joining a segment, a log that was kept elsewhere while this one could not be written, such as that of an emergency run.
//!
//! The segment stays what it is: verified with its own key, kept whole as a blob, and vouched for by one entry here. Its
//! entries are not renumbered into this log, since that would be writing history anew.

use std::path::Path;

use serde_json::{Value, json};

use words::ids::Digest;

use super::announcement::announced;
use super::entry::{Draft, StateChange};
use super::error::Error;
use super::export;
use super::log::Audit;
use super::reader::{Reader, RunFilter};
use super::schema;
use super::tampered::VerifyError;
use super::verify::{Verified, VerifyOptions, verify};

/// The kind of the entry that vouches for a segment.
pub const JOINED: &str = "audit.joined";

/// Where it is kept which segments were joined; keys are the origins of their checkpoints.
pub const JOINED_BUCKET: &str = "audit.joined";

/// The most runs named in the entry; all are in the export.
const MAX_NAMED_RUNS: usize = 100;

/// A segment that was joined.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub struct Joined {
    /// The entry that vouches for it.
    pub seq: u64,
    /// What was joined.
    pub segment: Verified,
}

/// Why a segment was not joined.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum JoinError {
    /// It is not what was written.
    #[error("the segment cannot be joined: {0}")]
    Segment(#[from] VerifyError),
    /// It was joined before.
    #[error("the segment `{origin}` was joined before, with all of its {entries} entries")]
    Already {
        /// The segment's origin.
        origin: String,
        /// How many entries were joined.
        entries: u64,
    },
    /// The log cannot be read or written.
    #[error(transparent)]
    Log(#[from] Error),
}

/// Verifies the log in `segment` and has this one vouch for it. A segment that grew since it was joined may be joined again.
pub fn join(audit: &Audit, actor: &str, segment: &Path) -> Result<Joined, JoinError> {
    let verified = verify(segment, &VerifyOptions::default())?;
    let (bytes, exported) = export::export_bytes(segment)?;
    let origin = exported.checkpoint.lines().next().unwrap_or_default().to_owned();
    let before = Reader::open(audit.dir())?.state_get(JOINED_BUCKET, &origin)?;
    let known = before.and_then(|value| value["entries"].as_u64()).unwrap_or(0);
    if known >= verified.entries {
        return Err(JoinError::Already { origin, entries: known });
    }
    // Appended to after it was verified: what was verified is what is vouched for.
    if exported.checkpoint != verified.checkpoint {
        let what = "the segment is being written; wait until its run has ended".to_owned();
        return Err(Error::Invalid { what }.into());
    }
    let (export, blobs) = with_blobs(segment, bytes)?;
    let data = json!({
        "announced": announced(audit.dir(), segment),
        "checkpoint": verified.checkpoint,
        "entries": verified.entries,
        "export": export,
        "origin": origin,
        "public_key": verified.public_key,
        "root": verified.root,
        "runs": named_runs(segment)?,
    });
    let value = json!({ "entries": verified.entries, "root": verified.root });
    let state = vec![StateChange::Set { bucket: JOINED_BUCKET.to_owned(), key: origin, value }];
    let draft = Draft { state, blobs, ..Draft::fact(actor, JOINED, data) };
    let appended = audit.append_blocking(vec![draft], None)?;
    Ok(Joined { seq: appended.last_seq, segment: verified })
}

/// The digest of the export, and everything to be kept: it and the segment's own blobs.
fn with_blobs(segment: &Path, export: Vec<u8>) -> Result<(Digest, Vec<Vec<u8>>), Error> {
    let digest = Digest::of(&export);
    let mut blobs = vec![export];
    let db = schema::open_reader(&schema::database(segment))?;
    export::each_blob(&db, |_, bytes| {
        blobs.push(bytes.to_vec());
        Ok(())
    })?;
    Ok((digest, blobs))
}

fn named_runs(segment: &Path) -> Result<Vec<Value>, Error> {
    let filter = RunFilter { limit: MAX_NAMED_RUNS, ..RunFilter::default() };
    let runs = Reader::open(segment)?.runs(&filter)?;
    Ok(runs
        .iter()
        .map(|run| json!({ "run": run.run, "runbook": run.runbook, "status": run.status }))
        .collect())
}
