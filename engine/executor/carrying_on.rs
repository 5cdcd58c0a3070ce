//! An engine takes a run into its hands, and says so in the journal: from here on it is the one who carries it on.

use super::runner::{Quit, Runner};
use run::event::Event;
use run::state::{INTERRUPTED, RunStatus, State};
use words::clock;

impl Runner {
    /// Records that this engine has the run now. One that was interrupted too long ago waits for a person.
    pub(super) fn begin(&self) -> Result<(), Quit> {
        let engine = self.inner.config.name.clone();
        let (status, last_ms, within_ms, lost) = self.journal.with(|state| {
            (
                state.status(),
                state.last_ms(),
                state.accepted().map_or(0, |accepted| accepted.resume_within_ms),
                state.lock_loss().is_some(),
            )
        });
        let idle_ms = self.idle_ms(status, last_ms);
        let event = match status {
            RunStatus::Left | RunStatus::InDoubt | RunStatus::Ended(_) => return Ok(()),
            _ if idle_ms > within_ms && !lost => Event::Left {
                reason: format!(
                    "{INTERRUPTED}{} s ago, and is carried on by itself only within {} s",
                    idle_ms / 1_000,
                    within_ms / 1_000
                ),
            },
            RunStatus::Queued => Event::Started { engine },
            RunStatus::Running | RunStatus::Waiting => Event::Resumed { engine, by_person: false },
        };
        if self.journal.with(|state| state.check(&event).is_ok()) {
            self.journal.record(&event)?;
        }
        Ok(())
    }

    /// For how long nobody could carry the run on: since its last event; for one that slept, since it should have woken;
    /// for one that waited for its locks, as long as there was no engine at all.
    fn idle_ms(&self, status: RunStatus, last_ms: u64) -> u64 {
        let now_ms = clock::now_ms();
        match status {
            RunStatus::Queued => {
                let (began_ms, away_ms) = self.inner.began;
                let earlier = self.journal.with(|state| state.accepted_ms().is_some_and(|at| at < began_ms));
                if earlier { away_ms } else { 0 }
            }
            RunStatus::Waiting => {
                let wakes_ms = self.journal.with(State::wakes_ms);
                wakes_ms.map_or(0, |wakes_ms| now_ms.saturating_sub(wakes_ms))
            }
            _ => now_ms.saturating_sub(last_ms),
        }
    }
}
