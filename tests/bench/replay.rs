//! A run made again from its journal: every step instantiated and called, every host call answered from the log.

use std::time::{Duration, Instant};

use executor::replay::replay;

use crate::figure::{Board, Goal, median};
use crate::service::runtime;
use crate::steps::{engine, keeper, one_run, runbook, scratch};

const ROUNDS: usize = 5;

/// A short run and one as long as the format allows without `for_each`.
pub(crate) fn speed(board: &mut Board) {
    let dir = scratch();
    for steps in [20, 200] {
        let times: Vec<Duration> = runtime().block_on(async {
            let engine = engine(dir.path());
            let (run, _) = one_run(&engine, &runbook(steps)).await;
            engine.drain().await;
            let mut times = Vec::new();
            for _ in 0..ROUNDS {
                let began = Instant::now();
                let made = replay(dir.path(), &run, &keeper(dir.path())).await.unwrap();
                times.push(began.elapsed());
                assert!(made.differences.is_empty() && made.attempts as usize == steps, "{made:?}");
            }
            times
        });
        let each = f64::from(u32::try_from(steps).unwrap()) / median(times).as_secs_f64();
        board.figure(
            &format!("a run of {steps} steps replayed, its plugins loaded first"),
            each,
            "steps/s",
            Goal::None,
        );
    }
}
