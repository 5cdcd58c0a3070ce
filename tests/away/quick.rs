//! A few places of the table of `make away`.

use std::time::Duration;

use crate::away::{Place, SHAPES, measure, play};
use crate::support::absence::Manner;
use crate::support::lanes::in_lanes;

/// Places of each shape.
const PLACES: usize = 4;
/// Shapes at once.
const LANES: usize = 4;
/// How long the daemon is away.
const AWAY: Duration = Duration::from_secs(2);

#[test]
fn a_daemon_that_is_away_for_a_moment_leaves_nothing_down() {
    let wrong = in_lanes(LANES, &SHAPES, |number, shape| {
        let requests = measure(shape);
        let place = |part: usize| {
            let nth = 1 + (requests - 1) * (2 * part + 1) / (2 * PLACES);
            let manner = Manner::ALL[(number + part * 3) % Manner::ALL.len()];
            Place { nth, manner, lasts: AWAY }
        };
        (0..PLACES).filter_map(|part| play(shape, place(part)).err()).collect()
    });
    assert_eq!(wrong, Vec::<String>::new());
}
