//! Work that mostly waits, several pieces at once.

use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

/// Takes these one after the other, so many at once. `take` is told the place of each, from 0; what it finds wrong is collected.
pub(crate) fn in_lanes<T: Sync>(
    lanes: usize,
    all: &[T],
    take: impl Fn(usize, &T) -> Vec<String> + Sync,
) -> Vec<String> {
    let (wrong, next) = (Mutex::new(Vec::new()), AtomicUsize::new(0));
    std::thread::scope(|scope| {
        for _ in 0..lanes {
            scope.spawn(|| {
                loop {
                    let place = next.fetch_add(1, Ordering::SeqCst);
                    let Some(one) = all.get(place) else { return };
                    let found = take(place, one);
                    wrong.lock().expect("no lane panics").extend(found);
                }
            });
        }
    });
    wrong.into_inner().expect("no lane panics")
}
