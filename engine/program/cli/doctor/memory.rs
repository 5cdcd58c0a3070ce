//! What the engine keeps: the audit log and how it grows, the plugin cache, what is unfinished.

use std::os::unix::fs::PermissionsExt as _;

use super::Check;
use super::machine::free_bytes;
use crate::api::client::Client;
use crate::cli::audit::join::unjoined;
use crate::config::Settings;
use crate::error::Error;
use audit::{self, Reader, RunRow};
use executor::plugins::Plugins;
use executor::why_set_aside;
use model::step_type::Catalogue;
use words::clock;
use words::size;

/// An entry newer than now by more than this: the clock was set back.
const CLOCK_SLACK_MS: u64 = 60_000;

/// Fewer days of disk left are worth a warning.
const FEW_DAYS: u64 = 30;

/// Of the quota: with more than this kept it is time to make room.
const FULL_PERCENT: u64 = 80;

/// Everything that can be told from the files alone.
pub(super) fn checks(settings: &Settings) -> Vec<Check> {
    let mut checks = vec![Check::ok("sqlite", audit::sqlite_version())];
    checks.extend(log(settings));
    checks.push(cache(settings));
    let segments = unjoined(settings);
    if !segments.is_empty() {
        let found = format!("{} emergency segments were not joined", segments.len());
        checks.push(Check::warn("emergency", found, "`runbook audit join` takes them into the audit log"));
    }
    checks
}

/// Whether the engine would open it, how it grows, and what in it is unfinished.
fn log(settings: &Settings) -> Vec<Check> {
    let dir = &settings.data.path;
    let reader = match audit::examine(dir).and_then(|()| Reader::open(dir)) {
        Ok(reader) => reader,
        Err(audit::Error::Absent { .. }) => {
            return vec![Check::ok("audit log", "none yet, made by the first run")];
        }
        Err(error) => return vec![unusable(error.into())],
    };
    told(settings, &reader).unwrap_or_else(|error| vec![unusable(error)])
}

fn unusable(error: Error) -> Check {
    let todo = error.hint.unwrap_or_else(|| "`runbook audit verify` tells more".to_owned());
    Check::fail("audit log", error.message, todo)
}

fn told(settings: &Settings, reader: &Reader) -> Result<Vec<Check>, Error> {
    let growth = reader.growth()?;
    let mut found = format!(
        "{} entries, {}, grows by {} a day",
        growth.entries,
        size::bytes(growth.bytes),
        size::bytes(growth.bytes_per_day)
    );
    let days = free_bytes(&settings.data.path).and_then(|free| free.checked_div(growth.bytes_per_day));
    if let Some(days) = days {
        found.push_str(&format!(", {days} days of disk left"));
    }
    let mut checks = vec![match days {
        Some(days) if days < FEW_DAYS => {
            Check::warn("audit log", found, "give it a larger disk, or move the data directory")
        }
        _ => Check::ok("audit log", found),
    }];
    let now_ms = clock::now_ms();
    if growth.last_ms > now_ms + CLOCK_SLACK_MS {
        let found = format!("the newest entry is from {}, later than now", clock::rfc3339(growth.last_ms));
        checks.push(Check::fail("clock", found, "the clock was set back: set it, and keep it by NTP"));
    }
    checks.insert(1, kept(reader.kept_bytes()?, settings.quota.0));
    checks.extend(unfinished(reader, Plugins::looking(&settings.data.path).catalogue())?);
    Ok(checks)
}

/// What runs have kept beside the log.
fn kept(used: u64, quota: u64) -> Check {
    let percent = u64::try_from(u128::from(used) * 100 / u128::from(quota.max(1))).unwrap_or(u64::MAX);
    let found = format!(
        "{} of {} are kept beside the audit log ({percent} %)",
        size::bytes(used),
        size::bytes(quota)
    );
    if percent < FULL_PERCENT {
        return Check::ok("audit quota", found);
    }
    let todo = "`runbook audit prune --older-than 30d` makes room, or raise `[audit] quota`: when it is used up, \
                steps can keep no artifacts";
    Check::warn("audit quota", found, todo)
}

/// What is unfinished, and which of it cannot be read.
fn unfinished(reader: &Reader, catalogue: &Catalogue) -> Result<Vec<Check>, Error> {
    let mut rows = reader.unfinished()?;
    let mut aside = Vec::new();
    rows.retain(|row| match why_set_aside(reader, row, catalogue) {
        None => true,
        Some(why) => {
            let found = format!("run `{}` is set aside, since it cannot be read: {}", row.run, why.why);
            let todo = format!(
                "`runbook runs show {}` tells more, `runbook runs cancel {}` ends it",
                row.run, row.run
            );
            aside.push(Check::warn("runs", found, todo));
            false
        }
    });
    aside.insert(0, of_people(&rows));
    Ok(aside)
}

fn of_people(rows: &[RunRow]) -> Check {
    let stuck = rows.iter().filter(|row| matches!(row.status.as_str(), "in-doubt" | "left")).count();
    let found = format!("{} unfinished, {stuck} of them need a person", rows.len());
    if stuck == 0 {
        Check::ok("runs", found)
    } else {
        Check::warn("runs", found, "`runbook runs list` shows them first, each with the commands to type")
    }
}

fn cache(settings: &Settings) -> Check {
    let folder = settings.data.path.join("cache");
    let Ok(found) = std::fs::metadata(&folder) else {
        return Check::ok("plugin cache", "empty: the first step of each plugin compiles it");
    };
    let mode = found.permissions().mode() & 0o777;
    if mode & 0o077 != 0 {
        let todo = format!("`chmod 700 {}`: compiled code must be nobody else's to change", folder.display());
        return Check::warn("plugin cache", format!("has mode {mode:o}"), todo);
    }
    let files = std::fs::read_dir(&folder).map(Iterator::count).unwrap_or_default();
    Check::ok("plugin cache", format!("{files} compiled plugins"))
}

/// Whether there is an engine, and whether it is well.
pub(super) async fn engine(settings: &Settings) -> Check {
    match Client::new(&settings.data.path).health().await {
        Ok(None) => Check::ok("engine", "none runs; the next command that needs one is it"),
        Ok(Some(health)) if health.version != env!("CARGO_PKG_VERSION") => Check::warn(
            "engine",
            format!(
                "process {} has version {}, this is {}",
                health.pid,
                health.version,
                env!("CARGO_PKG_VERSION")
            ),
            "let it finish; the next one is of this version",
        ),
        Ok(Some(health)) => {
            Check::ok("engine", format!("process {}, works on {} runs", health.pid, health.busy))
        }
        Err(error) => Check::fail(
            "engine",
            error.message,
            error.hint.unwrap_or_else(|| "look at the process".to_owned()),
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::doctor::Status;

    #[test]
    fn a_quota_that_fills_up_is_told_from_80_percent() {
        assert_eq!(kept(799, 1000).status, Status::Ok);
        let full = kept(800, 1000);
        assert_eq!(full.status, Status::Warn);
        assert_eq!(full.found, "800 B of 1000 B are kept beside the audit log (80 %)");
        assert!(full.todo.unwrap().contains("audit prune"));
        assert_eq!(kept(u64::MAX, 1).status, Status::Warn);
    }
}
