//! The replicas of a service, and what must be true of them before anything is done.

use runbook_plugin::{Container, Context, Duration, Error, Host};

/// The last lines of a replica's logs that are shown when it fails.
const LAST_LINES: u32 = 20;

/// How long a container may take to stop that says nothing of it itself.
const DEFAULT_STOP_TIMEOUT: Duration = Duration::from_secs(10);

/// For how long a crash counts, milliseconds.
const CRASH_MEMORY_MS: u64 = 600_000;

/// How a replica stands. A step changes those first that serve nobody: whoever is down, then the sick, then the well. Only
/// the order is decided here; the engine decides by what it sees itself which of them costs budget.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Standing {
    /// It has no processes.
    Down,
    /// Paused, not healthy, or it crashes and is started again by its restart policy.
    Sick,
    /// It serves.
    Well,
}

/// How a replica stands at this time.
pub(crate) fn standing(container: &Container, now_ms: u64) -> Standing {
    let crashes = container.restart_count > 0
        && container.finished_ms().is_some_and(|ended_ms| ended_ms + CRASH_MEMORY_MS >= now_ms);
    if !container.alive() {
        Standing::Down
    } else if crashes || !container.available() {
        Standing::Sick
    } else {
        Standing::Well
    }
}

/// Stops a replica, and tells people if it had to be killed. Without a grace it has its own stop timeout.
pub(crate) fn stop(host: &impl Host, container: &Container, grace: Option<Duration>) -> Result<(), Error> {
    if host.stop(&container.id, grace)?.killed {
        let time = grace.unwrap_or(container.stop_timeout_ms.map_or(DEFAULT_STOP_TIMEOUT, Duration::from_ms));
        host.warn(&format!("`{}` did not stop within {time} and was killed", container.name));
    }
    Ok(())
}

/// `web-1, web-2`, or `none`.
pub(crate) fn names<'a>(containers: impl IntoIterator<Item = &'a Container>) -> String {
    list(containers.into_iter().map(|container| container.name.as_str()))
}

/// `web-1, web-2`, or `none`.
pub(crate) fn list<'a>(names: impl Iterator<Item = &'a str>) -> String {
    let names: Vec<&str> = names.collect();
    if names.is_empty() { "none".to_owned() } else { names.join(", ") }
}

/// A container that Docker deletes when it stops cannot be started again.
pub(crate) fn refuse_auto_remove<'a>(
    containers: impl IntoIterator<Item = &'a Container>,
) -> Result<(), Error> {
    match containers.into_iter().find(|container| container.auto_remove) {
        None => Ok(()),
        Some(container) => Err(Error::conflict(
            "service.auto-remove",
            format!("`{}` was started with `--rm`: once stopped it would be gone", container.name),
        )),
    }
}

/// Running says little of a container without a health check; the runbook must say that it is enough.
pub(crate) fn refuse_weak_evidence(containers: &[Container], accepted: bool) -> Result<(), Error> {
    match containers.iter().find(|container| container.alive() && !container.has_health_check()) {
        Some(container) if !accepted => Err(Error::conflict(
            "service.weak-evidence",
            format!(
                "`{}` has no health check, so that nobody could tell whether it came back: give it one, or set \
                 `accept_weak_evidence: true`",
                container.name
            ),
        )),
        _ => Ok(()),
    }
}

/// Whether an earlier attempt of this step has already done something to a container at this time.
pub(crate) fn since_first_attempt(context: &Context, time_ms: Option<u64>) -> bool {
    context.attempt > 1 && time_ms.is_some_and(|time_ms| time_ms >= context.first_started_ms)
}

/// Tells people the last words of a replica that failed. Never a reason to fail itself.
pub(crate) fn tell_last_lines(host: &impl Host, container: &Container) {
    match host.logs(&container.id, LAST_LINES, false) {
        Ok(text) if !text.trim().is_empty() => {
            host.error(&format!("last lines of `{}`:", container.name));
            for line in text.lines() {
                host.error(line);
            }
        }
        Ok(_) => host.error(&format!("`{}` has logged nothing", container.name)),
        Err(error) => host.warn(&format!("cannot read the logs of `{}`: {}", container.name, error.message)),
    }
}
