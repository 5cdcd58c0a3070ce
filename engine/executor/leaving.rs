//! How a run comes to rest before its end: a person leaves it, something stops it, its engine was stopped for a while.

use super::runner::{Quit, Runner};
use run::event::Event;
use run::state::RunStatus;
use words::clock;

/// The least time that the engine missed which is an entry of the run, milliseconds: less is a busy machine.
const LEAST_PAUSE_MS: u64 = 5_000;

impl Runner {
    /// Time in which this process did not run counts against no deadline of the run.
    pub(super) fn note_missed_time(&mut self) -> Result<(), Quit> {
        let now_ms = clock::missed_ms();
        let missed_ms = now_ms.saturating_sub(self.missed_ms);
        if missed_ms < LEAST_PAUSE_MS {
            return Ok(());
        }
        self.missed_ms = now_ms;
        let counts = self.journal.with(|state| {
            state.started_ms().is_some() && matches!(state.status(), RunStatus::Running | RunStatus::Waiting)
        });
        if counts {
            self.journal.record(&Event::Paused { missed_ms })?;
        }
        Ok(())
    }

    /// Leaves the run, or notes why an attempt stopped of a run that is being left: it is left when the others rest too.
    pub(super) async fn leave(&mut self, reason: String) -> Result<(), Quit> {
        let (left, leaving) =
            self.journal.with(|state| (state.left().is_some(), state.leaving().map(str::to_owned)));
        if left {
            return Ok(());
        }
        if let Some(asked) = leaving {
            if asked != reason {
                self.short_of_it = Some(reason);
            }
            return Ok(());
        }
        Ok(self.journal.append(&Event::Left { reason }, None).await?)
    }

    /// A person wanted to leave it, and every attempt has stopped.
    pub(super) async fn left_at_rest(&mut self, reason: String) -> Result<(), Quit> {
        let reason = match self.short_of_it.take() {
            Some(why) => format!("{reason}; {why}"),
            None => self.with_what_is_down(reason),
        };
        Ok(self.journal.append(&Event::Left { reason }, None).await?)
    }

    /// The reason, and what is down.
    pub(super) fn with_what_is_down(&self, reason: String) -> String {
        match self.context.down() {
            Some(down) => format!("{reason}; {down}"),
            None => reason,
        }
    }
}
