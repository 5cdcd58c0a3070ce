//! Patience with a container daemon that is away: it is not there, hangs up, hangs, or answers that it fails itself. What
//! only looks is asked again; a write that surely did not happen is sent again. Patience is longest while something is
//! down that the step took down: only the daemon can bring it back.

use std::future::Future;
use std::time::Duration;

use super::call::{Call, Need, Trouble};
use super::context::{Mode, Stop, lock, told_down};
use super::door::{Door, cancelled};
use super::limits::{ANSWERED_PATIENCE_MS, PATIENCE_MS};
use docker::{is_away, is_daemon_error};
use words::clock::Deadline;
use words::effect::{Failure, FailureKind};
use words::ids::Section;

/// The pause before the daemon is asked again.
const PAUSE: Duration = Duration::from_millis(250);

/// How long the daemon has been waited for on behalf of one call.
#[derive(Debug, Default)]
pub(super) struct Patience {
    /// Until when it is usually waited for, once it gave no answer.
    usual: Option<Deadline>,
    /// Until when it is asked again, once it answers other questions but not this one.
    answers: Option<Deadline>,
}

impl Door {
    /// Asks, and asks again while the daemon is away, as long as patience lasts.
    pub(super) async fn patiently<T, F>(
        &self,
        call: &dyn Call,
        ask: impl Fn() -> F,
    ) -> Result<Result<T, Failure>, Stop>
    where
        F: Future<Output = Result<T, Failure>>,
    {
        let mut patience = Patience::default();
        loop {
            match ask().await {
                Ok(answer) => return Ok(Ok(answer)),
                Err(failure) => {
                    if let Some(failure) = self.bear(call, failure, &mut patience).await? {
                        return Ok(Err(failure));
                    }
                }
            }
        }
    }

    /// Waits a moment if the failure says that the daemon is away: none if it is to be asked again, the failure if it is the
    /// answer. A run is left rather than that a step fails with something down.
    pub(super) async fn bear(
        &self,
        call: &dyn Call,
        failure: Failure,
        patience: &mut Patience,
    ) -> Result<Option<Failure>, Stop> {
        if self.context.mode != Mode::Live || !is_away(&failure) {
            return Ok(Some(failure));
        }
        if let Some(stop) = self.stopped() {
            return Err(stop);
        }
        if self.held_back(call) {
            return Ok(Some(cancelled()));
        }
        self.note_absence(&failure, patience);
        if is_daemon_error(&failure) && self.daemon_answers().await {
            let answers = patience.answers.get_or_insert_with(|| Deadline::after_ms(ANSWERED_PATIENCE_MS));
            if answers.passed() {
                return Ok(Some(failure));
            }
        } else {
            patience.answers = None;
            if self.gives_up(call, patience) {
                return match told_down(&self.down()) {
                    None => Ok(Some(failure)),
                    Some(down) => Err(Stop::Left(format!("the container daemon is away: {failure}; {down}"))),
                };
            }
        }
        self.pause().await;
        Ok(None)
    }

    /// Whether an announced write that surely did not happen is to be sent once more.
    pub(super) async fn sends_again(&self, failure: &Failure, patience: &mut Patience) -> bool {
        if !is_away(failure) {
            return false;
        }
        self.note_absence(failure, patience);
        let again = !patience.answers.get_or_insert_with(|| Deadline::after_ms(PATIENCE_MS)).passed();
        if again {
            self.pause().await;
        }
        again
    }

    /// After a look at the world that told nothing of an announced call: waits a moment, or leaves the run.
    pub(super) async fn bear_blindness(
        &self,
        call: &dyn Call,
        trouble: &Trouble,
        patience: &mut Patience,
    ) -> Result<(), Stop> {
        if let Some(stop) = self.stops_establishing(call) {
            return Err(stop);
        }
        self.note_absence(&trouble.failure, patience);
        patience.answers = None;
        if self.gives_up(call, patience) {
            let told = told_down(&self.down()).map(|down| format!("; {down}")).unwrap_or_default();
            return Err(Stop::Left(format!(
                "cannot establish whether `{}` happened: {}{told}",
                call.function(),
                trouble.failure
            )));
        }
        self.pause().await;
        Ok(())
    }

    /// Whether the daemon is given up.
    fn gives_up(&self, call: &dyn Call, patience: &mut Patience) -> bool {
        let usual = patience.usual.get_or_insert_with(|| Deadline::after_ms(PATIENCE_MS)).passed();
        let takes_down = matches!(call.need(), Need::Container { takes_down: true, .. });
        if takes_down || !self.down().is_empty() {
            usual && self.deadline.passed()
        } else if call.effect().writes() {
            usual
        } else {
            usual || self.deadline.passed()
        }
    }

    /// The names of what is down because of this step; in the undo and in `finally` because of any step of the run.
    fn down(&self) -> Vec<String> {
        let step = (self.site.path.section == Section::Steps).then_some(&self.site.path);
        lock(&self.context.memory).way_back.down(step)
    }

    /// Why the attempt stops before its safe point.
    pub(super) fn stopped_at_once(&self) -> Option<Stop> {
        if self.context.control.stops_at_once() { self.context.control.stopped() } else { None }
    }

    /// Why it is not found out now whether a call happened. What may have taken something down is not left open.
    pub(super) fn stops_establishing(&self, call: &dyn Call) -> Option<Stop> {
        match call.need() {
            Need::Container { takes_down: true, .. } => self.stopped_at_once(),
            _ => self.stopped(),
        }
    }

    /// Why the attempt stops here: at its safe point, where nothing is down that its step took down.
    pub(super) fn stopped(&self) -> Option<Stop> {
        let why = self.context.control.stopped()?;
        let step = (self.site.path.section == Section::Steps).then_some(&self.site.path);
        let safe = !lock(&self.context.memory).way_back.open(step);
        (safe || self.context.control.stops_at_once()).then_some(why)
    }

    async fn daemon_answers(&self) -> bool {
        let Ok(daemon) = self.context.world.daemon() else { return false };
        let asked = Box::pin(async move { Ok(daemon.ping().await?) });
        self.bounded(asked).await.is_ok()
    }

    /// Tells people once what is being waited for.
    fn note_absence(&self, failure: &Failure, patience: &mut Patience) {
        if patience.usual.is_none() {
            patience.usual = Some(Deadline::after_ms(PATIENCE_MS));
            let words = format!("waiting for the container daemon: {failure}");
            self.context.ledger.note(&self.site.path, self.site.attempt, "warn", words);
        }
    }

    async fn pause(&self) {
        let mut wishes = self.context.control.wishes();
        tokio::select! {
            () = tokio::time::sleep(PAUSE) => {}
            Ok(()) = wishes.changed() => {}
        }
    }
}

/// A look that took too long: of the daemon that it hangs, of anything else that it is slow.
pub(super) fn silent(call: &dyn Call, limit: Duration) -> Failure {
    let message = format!("`{}` got no answer within {} ms", call.function(), limit.as_millis());
    let code = if matches!(call.need(), Need::Container { .. } | Need::Answered) {
        docker::SILENT
    } else {
        "host.timed-out"
    };
    Failure::new(FailureKind::TimedOut, code, message)
}
