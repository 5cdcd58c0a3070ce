//! What an engine holds that has much to wait for, and what one holds that has lived long.

use std::fmt::Write as _;

use crate::audit::on_disk;
use crate::figure::{Board, Goal};
use crate::memory::Held;
use crate::service::{ASKS, Service, runtime};
use crate::steps::{runbook, scratch};

/// Half of what an engine takes (`MAX_UNFINISHED`).
const WAITING: usize = 10_000;
const SLEEPS: &str = "format: 1\nrunbook: sleeps\nsummary: Sleep.\nrisk: low\ntimeout: 24h\nsteps:\n  - { id: nap, summary: Sleep., uses: core.sleep, with: { for: 20h }, timeout: 21h }\n";

/// Runs in the life of an old engine, and after how many of them it is looked at.
const LIFE: usize = 100_000;
const LOOK: usize = 10_000;
/// Runs that are asked for before the engine is waited for.
const BATCH: usize = 500;

/// As long as a runbook of the library: what is parsed counts, too.
fn asks_first() -> String {
    let mut text = ASKS.to_owned();
    for n in 0..10 {
        writeln!(
            text,
            r#"  - {{ id: c{n}, summary: See that all is as it should be., if: run.status == "running", uses: core.log, with: {{ message: "run ${{{{ run.id }}}}" }}, retry: {{ attempts: 3 }} }}"#
        )
        .unwrap();
    }
    text
}

/// Memory of 10,000 runs that wait for a person or sleep: as they were begun, and in an engine that found them.
pub(crate) fn waiting(board: &mut Board) {
    let long = asks_first();
    for (words, text) in [("ask a person", ASKS), ("sleep", SLEEPS), ("ask before ten more steps", &long)] {
        let dir = scratch();
        let data = dir.path().join("data");
        let runtime = runtime();
        let service = Service::begin(&data);
        let empty = runtime.block_on(async {
            service.ready().await;
            // One that waits keeps the engine, and what is made once is made.
            service.submit(text, 1).await;
            service.reached("waiting", 1).await;
            let empty = service.mib(Held::Now);
            service.submit(text, WAITING - 1).await;
            service.reached("waiting", WAITING).await;
            empty
        });
        let full = service.mib(Held::Now);
        board.figure(&format!("10,000 runs that {words}"), full, "MiB", Goal::AtMost(256.0));
        let each_kib = (full - empty) * 1024.0 / f64::from(u32::try_from(WAITING).unwrap());
        board.figure("  each", each_kib, "KiB", Goal::None);
        drop(service);
        let again = Service::begin(&data);
        runtime.block_on(async {
            again.ready().await;
            again.reached("waiting", WAITING).await;
        });
        std::thread::sleep(std::time::Duration::from_secs(3));
        board.figure("  found by a new engine", again.mib(Held::Now), "MiB", Goal::AtMost(256.0));
        board.figure("  at most while it found them", again.mib(Held::Most), "MiB", Goal::None);
    }
}

/// 100,000 runs in one engine, each of one step that writes.
pub(crate) fn old_age(board: &mut Board) {
    let dir = scratch();
    let data = dir.path().join("data");
    let service = Service::begin(&data);
    let text = runbook(1);
    let mut seen = Vec::new();
    runtime().block_on(async {
        service.ready().await;
        service.submit(ASKS, 1).await;
        // The first compiles its plugin.
        service.submit(&text, 1).await;
        service.calm(1).await;
        for done in (BATCH..=LIFE).step_by(BATCH) {
            service.submit(&text, BATCH).await;
            service.calm(1).await;
            if done.is_multiple_of(LOOK) {
                let (held, bytes) = (service.mib(Held::Now), on_disk(&data));
                board.figure(&format!("memory after {done} runs"), held, "MiB", Goal::None);
                seen.push((held, bytes));
            }
        }
    });
    let ((young, small), (old, large)) = (seen[1], seen[seen.len() - 1]);
    board.figure("  grown from the 20,000th to the 100,000th", old - young, "MiB", Goal::AtMost(8.0));
    let runs = u64::try_from(LIFE - 2 * LOOK).unwrap();
    let each = f64::from(u32::try_from((large - small) / runs).unwrap());
    board.figure("  on disk, a run of one step", each, "bytes", Goal::None);
}
