//! Why nothing new of a section may begin.

use std::time::Duration;

use super::fate::{Fate, StepFate, fate, step_fate};
use super::moment::Moment;
use crate::event::SkipReason;
use model::runbook::OnFailure;
use words::duration::format_duration;
use words::ids::{Section, StepPath};

/// Why nothing new may begin.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Stop {
    /// A person wants it, or another run was given the locks.
    Cancelled {
        /// Their words.
        reason: String,
    },
    /// A step failed that stops the run.
    Failed {
        /// Which; an item of it where there are items.
        path: StepPath,
    },
    /// The time is over.
    TimeUp,
}

impl Stop {
    /// As a clause after "since".
    pub(super) fn clause(&self, moment: &Moment<'_>) -> String {
        match self {
            Self::Cancelled { reason } => format!("the run is being cancelled: {reason}"),
            Self::Failed { path } => format!("step `{path}` failed"),
            Self::TimeUp => time_up(moment),
        }
    }

    /// Why a step that was not begun is skipped.
    pub(super) fn skip_reason(&self, moment: &Moment<'_>) -> SkipReason {
        match self {
            Self::Cancelled { .. } => SkipReason::Cancelled,
            Self::Failed { .. } | Self::TimeUp => SkipReason::Failed(self.clause(moment)),
        }
    }
}

fn time_up(moment: &Moment<'_>) -> String {
    let timeout_ms = moment.state.accepted().map_or(0, |accepted| accepted.timeout_ms);
    format!("the run's time of {} is over", format_duration(Duration::from_millis(timeout_ms)))
}

/// A failure that stops the run, the earliest first.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct FailedStep {
    /// The step or item.
    pub(super) path: StepPath,
    /// Why.
    pub(super) message: String,
    order: u32,
}

impl Moment<'_> {
    /// Why nothing new of the section may begin, if so.
    pub(super) fn stop(&self, section: Section) -> Option<Stop> {
        let late = self.now_ms >= self.section_deadline_ms(section);
        if section == Section::Finally {
            return late.then_some(Stop::TimeUp);
        }
        if let Some(reason) = self.cancel_reason() {
            return Some(Stop::Cancelled { reason });
        }
        match self.failed(section, OnFailure::Stop) {
            Some(failed) => Some(Stop::Failed { path: failed.path }),
            None => (late || self.ran_out_of_time()).then_some(Stop::TimeUp),
        }
    }

    /// Why the run is being cancelled, if so.
    pub(super) fn cancel_reason(&self) -> Option<String> {
        match (self.state.cancel(), self.state.lock_loss()) {
            (Some(cancel), _) => Some(cancel.reason.clone()),
            (None, Some(loss)) => Some(format!("run `{}` was given its locks: {}", loss.by, loss.reason)),
            (None, None) => None,
        }
    }

    /// Whether a step was skipped because the run had failed or its time was over.
    pub(super) fn ran_out_of_time(&self) -> bool {
        self.state.forsaken()
    }

    /// The earliest failure among the steps of a section that are over and treat failures so.
    pub(super) fn failed(&self, section: Section, treat: OnFailure) -> Option<FailedStep> {
        let mut earliest: Option<FailedStep> = None;
        if self.state.failed_attempts() == 0 {
            return None;
        }
        for step in self.steps(section).iter().filter(|step| step.on_failure == treat) {
            let path = StepPath { section, id: step.id.clone(), item: None };
            if step_fate(self.state, step, &path) != StepFate::Failed {
                continue;
            }
            let items = self.progress(&path).and_then(|progress| progress.items.as_ref()).map_or(0, Vec::len);
            let units = std::iter::once(path.clone()).chain((0..).map(|index| path.at(index)).take(items));
            for unit in units {
                let Some(progress) = self.progress(&unit) else { continue };
                let Fate::Failed(attempt, failure) = fate(Some(step), Some(progress)) else { continue };
                let order = attempt.finished_order;
                if earliest.as_ref().is_none_or(|known| order < known.order) {
                    earliest = Some(FailedStep { path: unit, message: failure.message.clone(), order });
                }
            }
        }
        earliest
    }
}
