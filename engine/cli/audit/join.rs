//! `runbook audit join`: takes what an emergency wrote elsewhere into the audit log, and lets its engine act again.

use std::path::{Path, PathBuf};

use clap::Args;
use serde_json::{Value, json};

use crate::audit::{self, Audit, JoinError, Options, Reader, VerifyError};
use crate::cli::Ended;
use crate::cli::context::Context;
use crate::config::Settings;
use crate::error::{Error, Kind, exit};
use crate::executor::{emergency, lock_file};

/// Left in a segment that was joined, so that it is not offered again.
const JOINED: &str = "joined";

/// Take what an emergency run wrote elsewhere into the audit log, and let the engine act again
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  runbook audit join                              every segment of this data directory
  runbook audit join /run/runbook-emergency-1f2e/1795248450341-9025

A segment is verified, kept whole, and vouched for by one entry; nothing of it is renumbered.")]
pub(in crate::cli) struct Join {
    /// A segment [default: all that were not joined yet]
    segments: Vec<PathBuf>,
}

impl Join {
    pub(super) fn run(self, context: &Context) -> Ended {
        let settings = context.settings()?;
        let dir = &settings.data.path;
        let segments = if self.segments.is_empty() { unjoined(settings) } else { self.segments };
        segments.iter().try_for_each(|segment| at_rest(segment))?;
        let lock = lock_file::try_lock(dir).map_err(|error| Error::file(dir, "lock", &error))?;
        let Some(_lock) = lock else { return Err(held(dir)) };
        let audit = Audit::open(dir, &Options::default())?;
        let mut joined = Vec::new();
        for segment in &segments {
            joined.push(take_in(context, &audit, segment)?);
        }
        audit.close()?;
        emergency::reopen(dir).map_err(|error| Error::file(dir, "open the fence of", &error))?;
        if context.out.is_json() {
            context.out.json(&joined);
        } else if segments.is_empty() {
            context.out.line("there is nothing to join; the engine may act");
        } else {
            context.out.line(format!("joined {}; the engine may act again", segments.len()));
        }
        Ok(exit::SUCCEEDED)
    }
}

/// Segments of this data directory that were not joined yet.
pub(in crate::cli) fn unjoined(settings: &Settings) -> Vec<PathBuf> {
    let mut segments = emergency::segments(&settings.data.path, &settings.temporary());
    segments.retain(|segment| !segment.join(JOINED).exists());
    segments
}

fn take_in(context: &Context, audit: &Audit, segment: &Path) -> Result<Value, Error> {
    let shown = segment.display().to_string();
    let document = match audit::join(audit, &context.settings()?.actor, segment) {
        Ok(joined) => {
            let entries = joined.segment.entries;
            context.out.talk(format!("{shown}: entry {} vouches for its {entries} entries", joined.seq));
            json!({ "segment": shown, "entry": joined.seq, "entries": entries, "root": joined.segment.root })
        }
        Err(JoinError::Already { entries, .. }) => {
            context.out.talk(format!("{shown}: joined before"));
            json!({ "segment": shown, "entry": null, "entries": entries })
        }
        Err(JoinError::Segment(VerifyError::Tampered(tampered))) => {
            return Err(Error::new(
                Kind::Directory,
                format!(
                    "the segment `{shown}` is not what was written: {}: {}",
                    tampered.place, tampered.what
                ),
            )
            .hint("keep it as it is; the others can be joined by naming them"));
        }
        Err(JoinError::Segment(VerifyError::Unreadable(error)) | JoinError::Log(error)) => {
            return Err(error.into());
        }
    };
    if let Err(error) = std::fs::write(segment.join(JOINED), "") {
        tracing::warn!(%error, "the segment cannot be marked as joined; joining it again does no harm");
    }
    Ok(document)
}

/// A segment grows until its runs are over.
fn at_rest(segment: &Path) -> Result<(), Error> {
    let shown = segment.display();
    let lock = lock_file::try_lock(segment).map_err(|error| Error::file(segment, "lock", &error))?;
    if lock.is_none() {
        return Err(Error::new(Kind::Conflict, format!("an emergency run is still under way in `{shown}`"))
            .hint(format!("`runbook runs watch last --data-dir {shown}`")));
    }
    match Reader::open(segment)?.unfinished()?.first() {
        None => Ok(()),
        Some(row) => {
            Err(Error::new(Kind::Conflict, format!("run `{}` in `{shown}` is {}", row.run, row.status)).hint(
                format!(
                    "finish it first: `runbook runs resume {} --data-dir {shown}`, or `runs cancel`",
                    row.run
                ),
            ))
        }
    }
}

fn held(dir: &Path) -> Error {
    let holder = lock_file::holder(dir).map(|pid| format!(", process {pid}")).unwrap_or_default();
    Error::new(Kind::Directory, format!("an engine{holder}, still holds `{}`", dir.display()))
        .hint("let it end first; it cannot act while it is fenced")
}
