//! The machine and its container daemons.

use std::fs;
use std::io::Write as _;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};
use std::path::Path;
use std::time::{Duration, Instant};

use super::Check;
use crate::config::{Settings, Target};
use crate::error::Error;
use docker::Daemon;
use words::clock;
use words::size;

/// A log on a disk that is slower takes seconds for a run of many steps.
const SLOW_SYNC: Duration = Duration::from_millis(20);

/// Syncs that are measured.
const SYNCS: usize = 15;

/// Below this much free the end of a run may not be told any more.
const LITTLE_SPACE: u64 = 64 * 1024 * 1024;

/// Below this much free it is time to do something.
const SOME_SPACE: u64 = 1024 * 1024 * 1024;

/// Before this the clock was never set: this program did not exist.
const EARLIEST_MS: u64 = 1_735_689_600_000;

/// Everything that needs no daemon.
pub(super) fn checks(settings: &Settings) -> Vec<Check> {
    let mut checks = vec![clock_set(), directory(settings)];
    let dir = nearest(&settings.data.path);
    checks.push(space(dir));
    if settings.data.exists() {
        checks.push(sync(&settings.data.path));
    }
    checks
}

fn clock_set() -> Check {
    let now_ms = clock::now_ms();
    let shown = clock::rfc3339(now_ms);
    if now_ms < EARLIEST_MS {
        return Check::fail("clock", format!("{shown} is long past"), "set it, and keep it by NTP");
    }
    Check::ok("clock", shown)
}

fn directory(settings: &Settings) -> Check {
    let path = &settings.data.path;
    let shown = format!("{} ({})", path.display(), settings.data.origin);
    let Ok(found) = fs::metadata(path) else {
        return Check::ok("data directory", format!("{shown}, made by the first run"));
    };
    let mode = found.permissions().mode() & 0o777;
    let own = rustix::process::getuid().as_raw();
    if found.uid() != own && own != 0 {
        return Check::fail(
            "data directory",
            format!("{shown} belongs to another user"),
            "run it as its owner, or name another with --data-dir",
        );
    }
    if mode & 0o077 != 0 {
        let todo = format!("`chmod 700 {}`: others can read what was run", path.display());
        return Check::warn("data directory", format!("{shown} has mode {mode:o}"), todo);
    }
    Check::ok("data directory", shown)
}

/// The directory itself, or the nearest one that exists.
fn nearest(path: &Path) -> &Path {
    path.ancestors().find(|dir| dir.is_dir()).unwrap_or(Path::new("/"))
}

/// Free bytes where a path lies.
pub(super) fn free_bytes(dir: &Path) -> Option<u64> {
    let found = rustix::fs::statvfs(nearest(dir)).ok()?;
    Some(found.f_bavail.saturating_mul(found.f_frsize))
}

fn space(dir: &Path) -> Check {
    let Some(free) = free_bytes(dir) else {
        return Check::warn(
            "disk",
            format!("cannot tell how much is free at {}", dir.display()),
            "look with `df`",
        );
    };
    let shown = format!("{} free", size::bytes(free));
    match free {
        0..LITTLE_SPACE => {
            Check::fail("disk", shown, "free some space: runs stop when nothing can be written down")
        }
        LITTLE_SPACE..SOME_SPACE => Check::warn("disk", shown, "free some space before it runs out"),
        _ => Check::ok("disk", shown),
    }
}

fn sync(dir: &Path) -> Check {
    match measure(dir) {
        Ok(took) => {
            let shown = format!("{:.2} ms for a write to be safe", took.as_secs_f64() * 1_000.0);
            if took < SLOW_SYNC {
                Check::ok("sync", shown)
            } else {
                Check::warn(
                    "sync",
                    shown,
                    "every step waits for at least two: put the data directory on a faster disk",
                )
            }
        }
        Err(error) => Check::fail(
            "sync",
            crate::error::reason(&error),
            "the data directory must be writable, and the disk well",
        ),
    }
}

/// The median.
fn measure(dir: &Path) -> std::io::Result<Duration> {
    let path = dir.join(format!(".doctor-{}", std::process::id()));
    let mut file = fs::OpenOptions::new().write(true).create_new(true).open(&path)?;
    let mut times = Vec::new();
    let mut measured = || -> std::io::Result<()> {
        for _ in 0..SYNCS {
            let start = Instant::now();
            file.write_all(&[0; 4096])?;
            file.sync_data()?;
            times.push(start.elapsed());
        }
        Ok(())
    };
    let result = measured();
    fs::remove_file(&path)?;
    result?;
    times.sort();
    Ok(times[SYNCS / 2])
}

/// Whether a daemon answers, and who it is.
pub(super) async fn docker(target: &Target) -> (Check, Option<Daemon>) {
    let name = format!("docker {}", target.name);
    let reached = async {
        let daemon = Daemon::connect(&target.connection()?)?;
        let start = Instant::now();
        daemon.ping().await?;
        let took = start.elapsed();
        let info = daemon.info().await?;
        Ok::<_, Error>((daemon, took, info))
    };
    match reached.await {
        Ok((daemon, took, info)) => {
            let found = format!(
                "{} on {}, cgroup v{}, {} of {} containers run, answers in {:.1} ms",
                info.version,
                info.name,
                info.cgroup_version,
                info.running,
                info.containers,
                took.as_secs_f64() * 1_000.0
            );
            (Check::ok(name, found), Some(daemon))
        }
        Err(error) => {
            let todo = error.hint.filter(|hint| !hint.contains("doctor"));
            let usual = "start it (`systemctl start docker`), or name where it listens in runbook.toml or DOCKER_HOST";
            (Check::fail(name, error.message, todo.unwrap_or_else(|| usual.to_owned())), None)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::doctor::Status;

    #[test]
    fn a_sync_is_measured_and_leaves_nothing() {
        let dir = tempfile::tempdir().unwrap();
        assert!(measure(dir.path()).unwrap() > Duration::ZERO);
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 0);
    }

    #[test]
    fn a_directory_that_is_not_there_yet_has_a_nearest_one() {
        let dir = tempfile::tempdir().unwrap();
        assert_eq!(nearest(&dir.path().join("a/b")), dir.path());
        assert!(free_bytes(&dir.path().join("a/b")).unwrap() > 0);
    }

    #[tokio::test]
    async fn a_daemon_that_is_not_there_comes_with_what_to_do() {
        let target = Target {
            name: words::ids::TargetName::new("local").unwrap(),
            connection: "unix:///no/such.sock".to_owned(),
            tls: None,
            environment: None,
            origin: crate::config::Origin::Default,
        };
        let (check, daemon) = docker(&target).await;
        assert_eq!(check.status, Status::Fail);
        assert!(daemon.is_none() && check.todo.is_some());
    }
}
