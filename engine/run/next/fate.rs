//! What has become of a step or item so far, read from its attempts: whether it is over, under way, or due again.

use crate::event::{Outcome, SkipReason};
use crate::state::{Attempt, Progress, State};
use model::runbook::{Retry, Step};
use words::effect::{Failure, FailureKind};
use words::ids::StepPath;

/// The least time between two attempts of an `until`, in milliseconds, so that a journal cannot be flooded.
pub(super) const MIN_EVERY_MS: u64 = 100;

/// What has become of a step without items, or of an item.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum Fate<'a> {
    /// Not begun.
    Pending,
    /// The last attempt, this one, is under way.
    UnderWay(&'a Attempt),
    /// The last attempt failed, or its `until` does not hold yet: another is due at this time.
    Again(u64),
    /// Over, well.
    Succeeded(&'a Attempt),
    /// Over, not well.
    Failed(&'a Attempt, &'a Failure),
    /// Over, not begun.
    Skipped(&'a SkipReason),
}

/// What has become of a whole step.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum StepFate {
    /// Not begun, perhaps waiting for a confirmation.
    Pending,
    /// Begun, not over.
    Active,
    /// Over, well.
    Succeeded,
    /// Over, not well.
    Failed,
    /// Over, not begun.
    Skipped,
}

impl StepFate {
    /// Whether nothing more will become of it.
    pub(super) fn over(self) -> bool {
        matches!(self, Self::Succeeded | Self::Failed | Self::Skipped)
    }

    /// What expressions see as `steps.<id>.status`.
    pub(crate) fn word(self) -> &'static str {
        match self {
            Self::Pending => "pending",
            Self::Active => "running",
            Self::Succeeded => "succeeded",
            Self::Failed => "failed",
            Self::Skipped => "skipped",
        }
    }
}

impl From<Fate<'_>> for StepFate {
    fn from(fate: Fate<'_>) -> Self {
        match fate {
            Fate::Pending => Self::Pending,
            Fate::UnderWay(..) | Fate::Again(_) => Self::Active,
            Fate::Succeeded(_) => Self::Succeeded,
            Fate::Failed(..) => Self::Failed,
            Fate::Skipped(_) => Self::Skipped,
        }
    }
}

/// The fate of a step or item. `step` is none for an undo, which has one attempt.
pub(crate) fn fate<'a>(step: Option<&Step>, progress: Option<&'a Progress>) -> Fate<'a> {
    let Some(progress) = progress else { return Fate::Pending };
    if let Some(reason) = &progress.skipped {
        return Fate::Skipped(reason);
    }
    let Some((_, last)) = progress.last() else { return Fate::Pending };
    let Some(outcome) = &last.outcome else { return Fate::UnderWay(last) };
    let finished_ms = last.finished_ms.unwrap_or(last.started_ms);
    if last.met == Some(false)
        && let Some(until) = step.and_then(|step| step.until.as_ref())
    {
        return Fate::Again(finished_ms.saturating_add(millis(until.every).max(MIN_EVERY_MS)));
    }
    match outcome {
        Outcome::Ok(_) => Fate::Succeeded(last),
        Outcome::Error(failure) => {
            let failures = failures(progress);
            let again =
                step.is_some_and(|step| last.began && known(last, failure) && failures < step.retry.attempts);
            match step {
                Some(step) if again => {
                    let delay_ms = delay_ms(&step.retry, failures).max(failure.retry_after_ms.unwrap_or(0));
                    Fate::Again(finished_ms.saturating_add(delay_ms))
                }
                _ => Fate::Failed(last, failure),
            }
        }
    }
}

/// The fate of a whole step, its items taken together.
pub(crate) fn step_fate(state: &State, step: &Step, path: &StepPath) -> StepFate {
    let progress = state.progress(path);
    let Some(items) = progress.and_then(|progress| progress.items.as_ref()) else {
        return fate(Some(step), progress).into();
    };
    let mut failed = false;
    for (index, _) in (0..).zip(items) {
        let item = StepFate::from(fate(Some(step), state.progress(&path.at(index))));
        if !item.over() {
            return StepFate::Active;
        }
        failed |= item == StepFate::Failed;
    }
    let skipped = (0..)
        .zip(items)
        .all(|(index, _)| state.progress(&path.at(index)).is_some_and(|progress| progress.skipped.is_some()));
    match (failed, skipped) {
        (true, _) => StepFate::Failed,
        (false, true) => StepFate::Skipped,
        (false, false) => StepFate::Succeeded,
    }
}

/// Attempts that failed outright, an `until` that does not hold yet not counted.
fn failures(progress: &Progress) -> u32 {
    let failed =
        |attempt: &&Attempt| attempt.met != Some(false) && matches!(attempt.outcome, Some(Outcome::Error(_)));
    u32::try_from(progress.attempts.iter().filter(failed).count()).unwrap_or(u32::MAX)
}

/// Whether it is known that the attempt failed, so that another may be made.
fn known(attempt: &Attempt, failure: &Failure) -> bool {
    !matches!(failure.kind, FailureKind::Cancelled | FailureKind::OutcomeUnknown)
        && !attempt.settled_as_failed()
}

/// The time before the attempt that follows so many failures.
#[expect(clippy::cast_precision_loss, reason = "delays are far below 2^52 ms")]
#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "the value is between 0 and max_delay, and a float cast saturates"
)]
fn delay_ms(retry: &Retry, failures: u32) -> u64 {
    let exponent = i32::try_from(failures.saturating_sub(1)).unwrap_or(i32::MAX);
    let grown = millis(retry.delay) as f64 * retry.factor.powi(exponent);
    let limit = millis(retry.max_delay);
    if grown.is_finite() { (grown as u64).min(limit) } else { limit }
}

/// A duration in milliseconds.
pub(super) fn millis(duration: std::time::Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}
