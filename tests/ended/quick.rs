//! A few of the endings of `make endings`: each manner once, each shape once.

use crate::away::SHAPES;
use crate::ended::{Ending, Manner, measure, play};
use crate::support::lanes::in_lanes;

/// Endings at once.
const LANES: usize = 3;

#[test]
fn however_a_command_ends_nothing_stays_down_or_locked() {
    let wrong = in_lanes(LANES, &Manner::ALL, |number, manner| {
        let (shape, stubborn) = (&SHAPES[number % SHAPES.len()], number % 3 == 1);
        // A different part of the run for each, from its beginning to its end.
        let part = u32::try_from(2 * number + 1).expect("few manners");
        let after = measure(shape, stubborn) * part / 20;
        play(shape, Ending { manner: *manner, after, stubborn }).err().into_iter().collect()
    });
    assert_eq!(wrong, Vec::<String>::new());
}
