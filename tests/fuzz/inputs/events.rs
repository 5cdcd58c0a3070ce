//! The journal of a run, one body of an entry to a line: decoded, folded, decided upon, shown.

use std::collections::BTreeMap;
use std::sync::LazyLock;

use audit::Entry;
use model::runbook::Runbook;
use run::event::Event;
use run::next::{InFlight, Over, next, over};
use run::state::State;
use run::view::view;

use super::runbooks::library;

/// The most entries of one journal that are looked at.
const MAX_ENTRIES: usize = 100;

/// The library by name; a journal whose runbook is not in it is decided upon with any of them.
static RUNBOOKS: LazyLock<BTreeMap<String, Runbook>> =
    LazyLock::new(|| library().into_iter().map(|runbook| (runbook.name.to_string(), runbook)).collect());

pub(super) fn feed(bytes: &[u8]) {
    let mut state = State::default();
    for body in bytes.split(|byte| *byte == b'\n').take(MAX_ENTRIES) {
        let Ok(entry) = Entry::from_body(body, |_| None) else { continue };
        let Ok(event) = entry.event::<Event>() else { continue };
        let kept = serde_json::to_value(&event).expect("an event is written as JSON");
        assert_eq!(kept["kind"], event.kind());
        assert_eq!(serde_json::from_value::<Event>(kept).ok().as_ref(), Some(&event), "and read back");
        let before = state.clone();
        match state.apply(entry.time_ms, &event) {
            Ok(()) => assert_eq!(state.version(), before.version() + 1),
            Err(refused) => {
                assert!(!refused.to_string().is_empty());
                assert_eq!(state, before, "what is refused changes nothing");
                continue;
            }
        }
        look(&state);
    }
}

/// Everything that is asked of a state.
fn look(state: &State) {
    let named = state.accepted().and_then(|accepted| RUNBOOKS.get(accepted.runbook.as_str()));
    let Some(runbook) = named.or_else(|| RUNBOOKS.values().next()) else { return };
    for now_ms in [state.last_ms(), u64::MAX] {
        let actions = next(runbook, state, now_ms, &InFlight::default());
        assert!(actions.is_empty() || state.end().is_none(), "what is over does nothing more");
    }
    assert!(over(runbook, state, Over::default()).steps <= runbook.steps.len());
    assert_eq!(state.has_doubt(), !state.doubts().is_empty());
    assert!(state.doubts().len() <= state.open_calls().len());
    let _ = (state.deadline_ms(), state.wakes_ms(), state.wrote(), state.extended(u64::MAX, 0));
    for known in [None, Some(runbook)] {
        assert_eq!(view(known, state).status, state.status().word());
    }
}
