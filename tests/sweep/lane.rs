//! Works through the cases of one shape, in a bed of its own.

use std::time::Instant;

use super::case::{Report, play, undisturbed};
use super::cut::Cut;
use super::shape::{Bed, Shape};

/// A share of a shape's cases: every `of`th, from `number` on.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Share {
    pub(crate) number: usize,
    pub(crate) of: usize,
}

/// Plays what `chosen` makes of the places at which the shape's run can be cut, until `until`; tells each report.
pub(crate) fn work(
    shape: &Shape,
    part: Share,
    until: Instant,
    chosen: impl FnOnce(Vec<Cut>) -> Vec<Cut>,
    mut tell: impl FnMut(Cut, Report),
) {
    let mut bed = Bed::of(shape);
    let expected = undisturbed(shape, &bed);
    (shape.prepare)(&bed);
    let arguments = (shape.arguments)(&bed);
    let extent = Cut::measure(&mut bed, &arguments);
    let cuts = chosen(Cut::all(extent)).into_iter().skip(part.number).step_by(part.of);
    for cut in cuts {
        if Instant::now() > until {
            return;
        }
        let report = play(shape, &mut bed, cut, &expected);
        tell(cut, report);
    }
}
