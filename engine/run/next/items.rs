//! Drives the items of a `for_each`: how many at once, one first where it is a canary, and none further after enough
//! failures.

use super::agenda::Agenda;
use super::attempt;
use super::fate::{StepFate, fate};
use super::moment::{Moment, Unit};
use super::stop::Stop;
use crate::event::{Event, SkipReason};
use crate::state::State;
use model::runbook::{ForEach, Step};
use words::ids::StepPath;

/// How many of the first items are over, and how they ended.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Ended {
    /// All of them.
    pub all: usize,
    /// Those that ended well.
    pub succeeded: usize,
    /// Those that did not.
    pub failed: usize,
}

impl Ended {
    fn add(&mut self, fate: StepFate) {
        self.all += 1;
        self.succeeded += usize::from(fate == StepFate::Succeeded);
        self.failed += usize::from(fate == StepFate::Failed);
    }
}

/// How many of a step's first items are over, given that these are.
pub(super) fn ended(state: &State, step: &Step, path: &StepPath, known: Ended) -> Ended {
    let items = state.progress(path).and_then(|progress| progress.items.as_ref()).map_or(0, Vec::len);
    let mut ended = known;
    let rest =
        (known.all..items).map(|index| StepFate::from(fate(Some(step), state.progress(&at(path, index)))));
    rest.take_while(|fate| fate.over()).for_each(|fate| ended.add(fate));
    ended
}

/// There are at most [`MAX_ITEMS`](super::MAX_ITEMS).
fn at(path: &StepPath, index: usize) -> StepPath {
    path.at(u32::try_from(index).unwrap_or(u32::MAX))
}

/// Carries on with the items of a step, of which these are known to be over.
pub(super) fn drive(
    moment: &Moment<'_>,
    (step, path, known): (&Step, &StepPath, Ended),
    why: Option<&Stop>,
    agenda: &mut Agenda,
) {
    let progress = moment.progress(path);
    let values = progress.and_then(|progress| progress.items.as_ref()).map_or(&[][..], Vec::as_slice);
    // After the last that was named, all are pending.
    let named = progress.map_or(0, |progress| progress.items_named as usize).clamp(known.all, values.len());
    let unit = |index: usize| Unit::item(step, at(path, index), &values[index]);
    let begun: Vec<_> = (known.all..named)
        .map(|index| {
            let unit = unit(index);
            let fate = StepFate::from(moment.fate(&unit));
            (unit, fate)
        })
        .collect();
    let mut active = 0;
    let mut ended = known;
    for (_, fate) in &begun {
        active += usize::from(*fate == StepFate::Active);
        ended.add(*fate);
    }
    let (limit, enough) = step.for_each.as_ref().map_or((1, false), |for_each| {
        let stop_after = usize::try_from(for_each.stop_after).unwrap_or(usize::MAX).max(1);
        (limit(for_each, ended.succeeded + ended.failed), ended.failed >= stop_after)
    });
    let reason = why.map(|halt| halt.skip_reason(moment)).or_else(|| enough.then_some(SkipReason::StopAfter));
    let room = match reason {
        _ if moment.hold => 0,
        Some(_) => values.len(),
        None => limit.saturating_sub(active),
    };
    let rest = (named..values.len()).take(room).map(|index| (unit(index), StepFate::Pending));
    for (unit, fate) in begun.into_iter().chain(rest) {
        match fate {
            StepFate::Active => attempt::advance(moment, &unit, why, agenda),
            StepFate::Pending if moment.hold => {}
            StepFate::Pending => {
                if let Some(reason) = &reason {
                    agenda.skip(Event::Skipped { path: unit.path, reason: reason.clone() });
                } else if active < limit {
                    active += 1;
                    attempt::begin(moment, &unit, 1, agenda);
                }
            }
            StepFate::Succeeded | StepFate::Failed | StepFate::Skipped => {}
        }
    }
    agenda.settle();
}

/// How many items may be under way. A canary doubles with what has ended: 1, after one 2, after three 4, and so on.
fn limit(for_each: &ForEach, ended: usize) -> usize {
    let most = usize::try_from(for_each.max_parallel).unwrap_or(usize::MAX).max(1);
    if for_each.canary { most.min(1 << (ended + 1).ilog2()) } else { most }
}
