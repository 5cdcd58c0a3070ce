//! A few of the endings of `make endings`: each manner once, each shape once.

use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

use crate::away::SHAPES;
use crate::ended::{Ending, Manner, measure, play};

/// Endings at once.
const LANES: usize = 3;

#[test]
fn however_a_command_ends_nothing_stays_down_or_locked() {
    let (wrong, next) = (Mutex::new(Vec::new()), AtomicUsize::new(0));
    std::thread::scope(|scope| {
        for _ in 0..LANES {
            scope.spawn(|| {
                loop {
                    let number = next.fetch_add(1, Ordering::SeqCst);
                    let Some(manner) = Manner::ALL.get(number) else { return };
                    let (shape, stubborn) = (&SHAPES[number % SHAPES.len()], number % 3 == 1);
                    // A different part of the run for each, from its beginning to its end.
                    let part = u32::try_from(2 * number + 1).expect("few manners");
                    let after = measure(shape, stubborn) * part / 20;
                    if let Err(why) = play(shape, Ending { manner: *manner, after, stubborn }) {
                        wrong.lock().expect("no lane panics").push(why);
                    }
                }
            });
        }
    });
    assert_eq!(wrong.into_inner().expect("no lane panics"), Vec::<String>::new());
}
