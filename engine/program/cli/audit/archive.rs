//! `runbook audit archive`: moves old entries out of the log.

use std::path::{Path, PathBuf};
use std::time::Duration;

use clap::Args;

use crate::cli::Ended;
use crate::cli::context::Context;
use crate::error::{Error, Kind, exit};
use audit::{self, ArchiveError, Archived, VerifyError};
use executor::lock_file::LockFile;
use words::clock;
use words::duration::parse_duration;
use words::size;

/// Where archives go in the data directory, unless told otherwise.
const FOLDER: &str = "archives";

/// Move the entries of old runs out of the log, to an export that stays provable
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  runbook audit archive                                            what is older than 90 days
  runbook audit archive --older-than 30d --to /mnt/evidence/2026-11
  runbook audit verify /mnt/evidence/2026-11 --public-key runbook.pub

The log is verified first, and the archive is read back and verified before anything is deleted. Only whole runs that have
ended are moved; `audit verify` tells how many entries were, and one entry vouches for them. Nobody may be the engine
meanwhile.")]
pub(in crate::cli) struct Archive {
    /// Move what is older than this
    #[arg(long, value_name = "DURATION", default_value = "90d", value_parser = age)]
    older_than: Duration,
    /// A folder to be made [default: archives/DATE in the data directory]
    #[arg(long, value_name = "FOLDER")]
    to: Option<PathBuf>,
}

/// `90d`
pub(super) fn age(text: &str) -> Result<Duration, String> {
    parse_duration(text).map_err(|wrong| format!("{wrong} ({})", wrong.hint()))
}

/// Keeps everyone else from being the engine of a data directory that holds a log; where there is none, none is made.
pub(super) fn alone(dir: &Path) -> Result<LockFile, Error> {
    audit::Reader::open(dir)?;
    super::join::alone(dir, "runs under way must end first: `runbook runs list`")
}

/// What is older was there before this time, milliseconds since 1970.
pub(super) fn before_ms(now_ms: u64, older_than: Duration) -> u64 {
    now_ms.saturating_sub(u64::try_from(older_than.as_millis()).unwrap_or(u64::MAX))
}

impl Archive {
    pub(super) fn run(self, context: &Context) -> Ended {
        let settings = context.settings()?;
        let dir = &settings.data.path;
        settings.data.refuse_of_another()?;
        let _lock = alone(dir)?;
        let now_ms = clock::now_ms();
        let to = self.to.unwrap_or_else(|| {
            let name: String = clock::rfc3339(now_ms).chars().filter(|c| *c != ':').take(17).collect();
            dir.join(FOLDER).join(name)
        });
        let before_ms = before_ms(now_ms, self.older_than);
        let archived = audit::archive(dir, &settings.actor, before_ms, &to).map_err(|why| refused(&why))?;
        tell(context, &archived);
        Ok(exit::SUCCEEDED)
    }
}

fn tell(context: &Context, archived: &Archived) {
    let out = &context.out;
    if out.is_json() {
        out.json(archived);
        return;
    }
    let shown = archived.to.display();
    out.line(format!("moved entries {} to {} to {shown}", archived.first, archived.last));
    let (before, after) = (size::bytes(archived.bytes_before), size::bytes(archived.bytes_after));
    if archived.compacted {
        out.line(format!("the log had {before} and has {after} now"));
    } else {
        out.line(format!("the log keeps its {after}, which new entries fill: to make it smaller takes twice as much free disk"));
    }
    out.hint(&format!(
        "carry it elsewhere; `runbook audit verify {shown} --public-key KEY` proves what it is"
    ));
}

fn refused(why: &ArchiveError) -> Error {
    match why {
        ArchiveError::Unverified(VerifyError::Tampered(tampered)) => super::verify::bad(tampered, false),
        ArchiveError::Unverified(VerifyError::Unreadable(error)) | ArchiveError::Log(error) => {
            error.clone().into()
        }
        ArchiveError::Place(error) => {
            let why = match error {
                audit::Error::Full => "there is no room left".to_owned(),
                other => other.to_string(),
            };
            Error::environment(format!("cannot write the archive: {why}"))
                .hint("nothing was moved; `--to` names another place")
        }
        ArchiveError::Nothing(words) => Error::new(Kind::Conflict, words.clone())
            .hint("`--older-than 30d` takes younger ones, too; only whole runs that have ended are moved"),
    }
}
