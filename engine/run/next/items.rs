//! Drives the items of a `for_each`: how many at once, one first where it is a canary, and none further after enough
//! failures.

use super::agenda::Agenda;
use super::attempt;
use super::fate::StepFate;
use super::moment::{Moment, Unit};
use super::stop::Stop;
use crate::model::ids::StepPath;
use crate::model::runbook::{ForEach, Step};
use crate::run::event::{Event, SkipReason};

/// Carries on with the items of a step.
pub(super) fn drive(
    moment: &Moment<'_>,
    step: &Step,
    path: &StepPath,
    why: Option<&Stop>,
    agenda: &mut Agenda,
) {
    let values = moment.progress(path).and_then(|progress| progress.items.as_ref());
    let values = values.map_or(&[][..], Vec::as_slice);
    let units: Vec<Unit<'_>> =
        (0..).zip(values).map(|(index, value)| Unit::item(step, path.at(index), value)).collect();
    let fates: Vec<StepFate> = units.iter().map(|unit| moment.fate(unit).into()).collect();
    let count = |wanted: fn(StepFate) -> bool| fates.iter().filter(|fate| wanted(**fate)).count();
    let mut active = count(|fate| fate == StepFate::Active);
    let failed = count(|fate| fate == StepFate::Failed);
    let ended = failed + count(|fate| fate == StepFate::Succeeded);
    let (limit, enough) = step.for_each.as_ref().map_or((1, false), |for_each| {
        (limit(for_each, ended), failed >= usize::try_from(for_each.stop_after).unwrap_or(usize::MAX).max(1))
    });
    for (unit, fate) in units.iter().zip(&fates) {
        match fate {
            StepFate::Active => attempt::advance(moment, unit, why, agenda),
            StepFate::Pending if moment.hold => {}
            StepFate::Pending => {
                let reason = why.map(|halt| halt.skip_reason(moment));
                let reason = reason.or_else(|| enough.then_some(SkipReason::StopAfter));
                if let Some(reason) = reason {
                    agenda.skip(Event::Skipped { path: unit.path.clone(), reason });
                } else if active < limit {
                    active += 1;
                    attempt::begin(moment, unit, 1, agenda);
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
