//! The store of secrets: whether it opens, and whether anybody else could.

use super::Check;
use crate::config::Settings;
use secrets::{Health, Store};

const NAME: &str = "secrets";

/// Modes, files and key.
pub(super) fn check(settings: &Settings) -> Check {
    let store = Store::new(&settings.data.path, settings.secrets.clone());
    match store.health() {
        Ok(None) => Check::ok(NAME, "none kept"),
        Ok(Some(health)) => of(&health),
        Err(error) => {
            Check::fail(NAME, error.to_string(), error.way_out().unwrap_or("look at the directory `secrets`"))
        }
    }
}

fn of(health: &Health) -> Check {
    let shown = format!("{} kept", health.secrets);
    let origin = match &health.key {
        Ok(origin) => origin,
        Err(error) => {
            let found = format!("{shown}; {error}");
            return Check::fail(NAME, found, error.way_out().unwrap_or("see `runbook secret --help`"));
        }
    };
    if let Some(error) = &health.broken {
        let todo = error.way_out().unwrap_or("put it back from a copy of the data directory");
        return Check::fail(NAME, format!("{shown}; {error}"), todo);
    }
    if health.key_inside {
        let todo = "move it elsewhere and name its place as [secrets] identity: a copy of the data directory opens itself";
        return Check::warn(NAME, format!("{shown}; the key is in the data directory: {origin}"), todo);
    }
    if let Some(first) = health.loose.first() {
        let loose: Vec<String> = health.loose.iter().map(|path| path.display().to_string()).collect();
        let found = format!("{shown}; others can read `{}`", first.display());
        return Check::warn(NAME, found, format!("`chmod go= {}`", loose.join(" ")));
    }
    Check::ok(NAME, format!("{shown}, opened by {origin}"))
}
