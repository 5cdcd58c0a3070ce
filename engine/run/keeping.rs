//! Why a run that rests keeps its locks: something does not serve because of it, or what it did is unknown. Read from the
//! journal; knows no daemon.

use std::collections::HashSet;

use super::differences::{Difference, What, differences, words};
use super::event::Outcome;
use super::state::{RecordedCall, State};

/// See the module; empty if nobody need wait for the run.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Keeping {
    /// Containers that do not serve: down, paused, or removed by a step that has not ended.
    pub down: Vec<Difference>,
    /// Calls that were announced and may or may not have happened: `containers.stop` at step `a`.
    pub unknown: Vec<String>,
}

impl Keeping {
    /// Whether nothing speaks against giving the locks back.
    pub fn is_empty(&self) -> bool {
        self.down.is_empty() && self.unknown.is_empty()
    }

    /// One clause: "`web-1` is down; whether `containers.stop` at step `a` happened is unknown".
    pub fn words(&self) -> String {
        let down = Some(words(&self.down)).filter(|words| !words.is_empty());
        let unknown = self.unknown.iter().map(|call| format!("whether {call} happened is unknown"));
        down.into_iter().chain(unknown).collect::<Vec<_>>().join("; ")
    }
}

/// What this run must keep its locks for while it rests.
pub fn keeping(state: &State) -> Keeping {
    let removed = removed_in_passing(state);
    let serves_not = |difference: &Difference| match difference.what {
        What::Down | What::Paused => true,
        What::Removed => removed.contains(difference.id.as_str()),
        What::Replaced | What::Created | What::Renamed | What::Resized => false,
    };
    let down = differences(state).into_iter().filter(serves_not).collect();
    let unknown = state.open_calls().into_iter().filter_map(|call| {
        let ordinal = usize::try_from(call.ordinal).ok()?;
        let open = state.calls(&call.path, call.attempt).get(ordinal)?;
        Some(format!("`{}` at step `{}`", open.function, call.path))
    });
    Keeping { down, unknown: unknown.collect() }
}

/// Containers that attempts under way have removed: their successors are still to come.
fn removed_in_passing(state: &State) -> HashSet<&str> {
    let open = state.paths().filter_map(|(_, progress)| progress.unfinished());
    let calls = open.flat_map(|(_, attempt)| &attempt.calls);
    let removes = |call: &&RecordedCall| {
        call.function == "containers.remove" && matches!(call.outcome, Some(Outcome::Ok(_)))
    };
    calls.filter(removes).filter_map(|call| call.arguments["id"].as_str()).collect()
}
