//! The plugin `check`: how things are. Checks report and do not judge: a replica that fails is part of the output, so
//! that `until`, `if` and `core.assert` decide what it means. A check fails only if it could not be made at all.

mod health;
mod probe;

use runbook_plugin::{Error, ErrorKind, Host, JsonSchema, Serialize, Step};

/// What this plugin performs.
pub fn steps<H: Host + 'static>() -> Vec<Step<H>> {
    [health::steps(), probe::steps()].into_iter().flatten().collect()
}

runbook_plugin::export!(steps);

/// A replica that does not pass.
#[derive(Debug, PartialEq, Eq, Serialize, JsonSchema)]
pub(crate) struct Failed {
    /// Its name.
    name: String,
    /// What was wrong.
    reason: String,
}

/// How the replicas of a service fared.
#[derive(Debug, Serialize, JsonSchema)]
pub(crate) struct Report {
    /// `project/service`
    service: String,
    /// All replicas, running or not.
    replicas: usize,
    /// How many pass.
    healthy: usize,
    /// Whether all of them pass.
    ok: bool,
    /// Those that do not.
    failures: Vec<Failed>,
}

impl Report {
    fn new(service: String, replicas: usize, failures: Vec<Failed>) -> Self {
        let healthy = replicas - failures.len();
        Self { service, replicas, healthy, ok: replicas > 0 && failures.is_empty(), failures }
    }
}

/// What an error says of the thing that is checked is a result; what it says of the check itself stays an error.
fn as_reason(error: Error) -> Result<String, Error> {
    match error.kind {
        ErrorKind::Unavailable | ErrorKind::TimedOut | ErrorKind::Conflict | ErrorKind::NotFound => {
            Ok(error.message)
        }
        _ => Err(error),
    }
}
