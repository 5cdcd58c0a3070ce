//! `runbook audit join`: takes what an emergency wrote elsewhere into the audit log, and lets its engine act again.

use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

use clap::Args;
use serde_json::{Value, json};

use crate::cli::Ended;
use crate::cli::context::Context;
use crate::config::Settings;
use crate::error::{Error, Kind, exit};
use audit::{self, Audit, JoinError, Options, Reader, VerifyError};
use executor::lock_file::{self, LockFile};
use executor::{emergency, segment};

/// Left in a segment that was joined, so that it is not offered again.
const JOINED: &str = "joined";

/// Take what an emergency run wrote elsewhere into the audit log, and let the engine act again
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  runbook audit join                              every segment of this data directory
  runbook audit join /run/runbook-emergency-5d41402abc4b2a76b9719d911017c592
  runbook audit join /mnt/segment --trust         one that the key of this data directory did not announce

A segment is verified, kept whole, and vouched for by one entry; nothing of it is renumbered. The engine may act again
once no segment is left, and none of them is under way. A segment is a folder of yours with mode 0700 that the key of the
data directory announced. With --trust you vouch for any other log: check whose it is first.")]
pub(in crate::cli) struct Join {
    /// A segment of this data directory [default: all that were not joined yet]
    segments: Vec<PathBuf>,
    /// Join these logs although the key of this data directory did not announce them: you vouch for them
    #[arg(long, requires = "segments")]
    trust: bool,
}

impl Join {
    pub(super) fn run(self, context: &Context) -> Ended {
        let settings = context.settings()?;
        settings.data.refuse_of_another()?;
        let dir = &settings.data.path;
        let left = unjoined(settings);
        let segments = if self.segments.is_empty() {
            left.clone()
        } else {
            let all = segment::segments(dir, &settings.temporary());
            let own = |named: &PathBuf| match own(dir, named, &all) {
                Err(_) if self.trust => trusted(context, named),
                other => other,
            };
            self.segments.iter().map(own).collect::<Result<_, _>>()?
        };
        for segment in &segments {
            at_rest(segment)?;
        }
        for segment in left.iter().filter(|segment| !segments.contains(segment)) {
            not_under_way(segment)?;
        }
        let _lock = alone(dir, "let it end first; it cannot act while it is fenced")?;
        let audit = Audit::open(dir, &Options::default())?;
        let mut joined = Vec::new();
        for segment in &segments {
            joined.push(take_in(context, &audit, segment)?);
        }
        audit.close()?;
        // Asked again: an emergency may have begun meanwhile. The mark of one just joined may not have been written.
        let mut left = unjoined(settings);
        left.retain(|segment| !segments.contains(segment));
        if left.is_empty() {
            emergency::reopen(dir).map_err(|error| Error::file(dir, "open the fence of", &error))?;
        }
        tell(context, &joined, &left);
        for path in segment::unannounced(dir, &settings.temporary()).iter().filter(|path| unmarked(path)) {
            if !segments.contains(path) {
                let shown = path.display();
                context.out.hint(&format!(
                    "`{shown}` is a log of yours that the key of this data directory did not announce; if you made it: `runbook audit join {shown} --trust`"
                ));
            }
        }
        Ok(exit::SUCCEEDED)
    }
}

fn tell(context: &Context, joined: &[Value], left: &[PathBuf]) {
    let out = &context.out;
    if out.is_json() {
        out.json(&joined);
    } else if left.is_empty() && joined.is_empty() {
        out.line("there is nothing to join; the engine may act");
    } else if left.is_empty() {
        out.line(format!("joined {}; the engine may act again", joined.len()));
    } else {
        out.line(format!("joined {}; the engine must not act yet", joined.len()));
    }
    if let Some(first) = left.first() {
        out.warning(&format!(
            "the fence stays closed: {} not joined yet, for example `{}`",
            if left.len() == 1 { "1 segment is".to_owned() } else { format!("{} segments are", left.len()) },
            first.display()
        ));
        out.hint("`runbook audit join` takes them in; one that cannot be joined must be moved away first");
    }
}

/// The segment that was named, if it is one of this data directory: of no other does it depend whether the engine may act.
fn own(dir: &Path, named: &Path, all: &[PathBuf]) -> Result<PathBuf, Error> {
    let whole = |path: &Path| std::fs::canonicalize(path).ok();
    let found = whole(named).and_then(|named| all.iter().find(|one| whole(one).as_ref() == Some(&named)));
    found.cloned().ok_or_else(|| {
        let said = format!("`{}` is not a segment of `{}`", named.display(), dir.display());
        let known: Vec<String> = all.iter().map(|one| format!("`{}`", one.display())).collect();
        Error::invalid(said).hint(if known.is_empty() {
            "this data directory has none".to_owned()
        } else {
            format!("those there are: {}", known.join(", "))
        })
    })
}

/// A log that a person vouches for, though nobody announced it.
fn trusted(context: &Context, named: &Path) -> Result<PathBuf, Error> {
    let path = std::fs::canonicalize(named).map_err(|error| Error::file(named, "read", &error))?;
    let owner = std::fs::metadata(&path).map_err(|error| Error::file(named, "read", &error))?.uid();
    let key = audit::public_key(&path)?;
    context.out.warning(&format!(
        "nobody announced `{}`: it belongs to user {owner} and is signed by `{}`; you vouch for its entries",
        path.display(),
        key.name()
    ));
    Ok(path)
}

/// Segments of this data directory that were not joined yet.
pub(in crate::cli) fn unjoined(settings: &Settings) -> Vec<PathBuf> {
    let mut segments = segment::segments(&settings.data.path, &settings.temporary());
    segments.retain(|segment| unmarked(segment));
    segments
}

fn unmarked(segment: &Path) -> bool {
    !segment.join(JOINED).exists()
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
            .hint("keep it as evidence: move it elsewhere as it is; the others can be joined by naming them, and the engine may act when none is left"));
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

/// Nobody is the engine of the segment.
fn not_under_way(segment: &Path) -> Result<(), Error> {
    let shown = segment.display();
    let lock = lock_file::try_lock(segment).map_err(|error| Error::file(segment, "lock", &error))?;
    if lock.is_none() {
        return Err(Error::new(Kind::Conflict, format!("an emergency run is still under way in `{shown}`"))
            .hint(format!("`runbook runs watch last --data-dir {shown}`")));
    }
    Ok(())
}

/// A segment grows until its runs are over.
fn at_rest(segment: &Path) -> Result<(), Error> {
    not_under_way(segment)?;
    let shown = segment.display();
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

/// Keeps everyone else from being the engine of a data directory; the hint is for when somebody is.
pub(super) fn alone(dir: &Path, hint: &str) -> Result<LockFile, Error> {
    let lock = lock_file::try_lock(dir).map_err(|error| Error::file(dir, "lock", &error))?;
    lock.ok_or_else(|| {
        let holder = lock_file::holder(dir).map(|pid| format!(", process {pid}")).unwrap_or_default();
        Error::new(Kind::Directory, format!("an engine{holder}, still holds `{}`", dir.display())).hint(hint)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_segments_of_the_data_directory_are_taken() {
        let home = tempfile::tempdir().unwrap();
        let (segment, other) = (home.path().join("emergency/1"), home.path().join("other"));
        std::fs::create_dir_all(&segment).unwrap();
        std::fs::create_dir(&other).unwrap();
        let all = [segment.clone()];
        assert_eq!(own(home.path(), &home.path().join("emergency/../emergency/1/"), &all).unwrap(), segment);
        let refused = own(home.path(), &other, &all).unwrap_err();
        assert!(refused.message.contains("is not a segment of"), "{refused:?}");
        assert!(refused.hint.unwrap().contains("emergency/1"));
        assert!(own(home.path(), &home.path().join("missing"), &[]).unwrap_err().hint.is_some());
    }

    #[test]
    fn a_segment_whose_engine_lives_is_under_way() {
        let dir = tempfile::tempdir().unwrap();
        not_under_way(dir.path()).unwrap();
        let lock = lock_file::try_lock(dir.path()).unwrap();
        assert_eq!(not_under_way(dir.path()).unwrap_err().kind, Kind::Conflict);
        drop(lock);
    }
}
