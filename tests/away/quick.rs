//! A few places of the table of `make away`.

use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use crate::away::{Place, SHAPES, measure, play};
use crate::support::absence::Manner;

/// Places of each shape.
const PLACES: usize = 4;
/// Shapes at once.
const LANES: usize = 4;
/// How long the daemon is away.
const AWAY: Duration = Duration::from_secs(2);

#[test]
fn a_daemon_that_is_away_for_a_moment_leaves_nothing_down() {
    let (wrong, next) = (Mutex::new(Vec::new()), AtomicUsize::new(0));
    std::thread::scope(|scope| {
        for _ in 0..LANES {
            scope.spawn(|| {
                loop {
                    let number = next.fetch_add(1, Ordering::SeqCst);
                    let Some(shape) = SHAPES.get(number) else { return };
                    let requests = measure(shape);
                    for part in 0..PLACES {
                        let nth = 1 + (requests - 1) * (2 * part + 1) / (2 * PLACES);
                        let manner = Manner::ALL[(number + part * 3) % Manner::ALL.len()];
                        if let Err(why) = play(shape, Place { nth, manner, lasts: AWAY }) {
                            wrong.lock().expect("no lane panics").push(why);
                        }
                    }
                }
            });
        }
    });
    assert_eq!(wrong.into_inner().expect("no lane panics"), Vec::<String>::new());
}
