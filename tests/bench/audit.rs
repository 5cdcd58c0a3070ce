//! The audit log alone: appending in groups, verifying, listing.

use std::path::Path;
use std::time::Instant;

use audit::{Audit, DATABASE_FILE, Draft, Options, Reader, RunFilter, RunRow, VerifyOptions, verify};
use serde_json::json;
use words::ids::{RunId, RunbookName, TargetName};
use words::trigger::TriggerKind;

use crate::figure::{Board, Goal, median, mib, ms};
use crate::memory::{Held, count_anew, held_mib};
use crate::steps::scratch;

const ENTRIES: u32 = 100_000;
const VERIFIED: u32 = 1_000_000;
const RUNS: u32 = 100_000;
const LARGE: u32 = 10_000_000;

pub(crate) fn draft(n: u32) -> Draft {
    Draft::fact(
        "bench",
        "bench.fact",
        json!({ "n": n, "text": "about as much as a small call holds in its entry" }),
    )
}

/// Small appends from many tasks, committed in groups.
pub(crate) fn groups(board: &mut Board) {
    let dir = scratch();
    let audit = Audit::open(dir.path(), &Options::default()).unwrap();
    let started = Instant::now();
    let mut tickets: Vec<_> = (0..ENTRIES).map(|n| audit.submit(vec![draft(n)], None)).collect();
    let last = tickets.pop().unwrap();
    last.wait().unwrap();
    let each = f64::from(ENTRIES) / started.elapsed().as_secs_f64();
    board.figure(
        "entries appended one by one, committed in groups",
        each,
        "entries/s",
        Goal::AtLeast(40_000.0),
    );
    audit.close().unwrap();
}

/// A million entries verified, and the newest 50 of 100,000 runs listed.
pub(crate) fn many_entries(board: &mut Board) {
    let dir = scratch();
    let audit = Audit::open(dir.path(), &Options::default()).unwrap();
    for n in 0..RUNS {
        let run = RunId::from_parts(u64::from(n), n);
        let row = RunRow {
            run: run.clone(),
            runbook: RunbookName::new("bench").unwrap(),
            status: "succeeded".to_owned(),
            actor: "bench".to_owned(),
            trigger: TriggerKind::Api,
            target: TargetName::new("local").unwrap(),
            started_ms: u64::from(n),
            finished_ms: Some(u64::from(n)),
            parent: None,
            reason: None,
            subject: "shop/web".to_owned(),
            message: String::new(),
        };
        drop(audit.submit(vec![Draft { run: Some(run), row: Some(row), ..draft(n) }], None));
    }
    for n in (RUNS..VERIFIED).step_by(100) {
        drop(audit.submit((n..n + 100).map(draft).collect(), None));
    }
    audit.append_blocking(vec![draft(0)], None).unwrap();
    audit.close().unwrap();
    let reader = Reader::open(dir.path()).unwrap();
    let listing = || {
        let started = Instant::now();
        let runs = reader.runs(&RunFilter { limit: 50, ..RunFilter::default() }).unwrap();
        assert_eq!(runs.len(), 50);
        started.elapsed()
    };
    board.figure(
        "the newest 50 of 100,000 runs",
        ms(median((0..9).map(|_| listing()).collect())),
        "ms",
        Goal::AtMost(100.0),
    );
    let started = Instant::now();
    verify(dir.path(), &VerifyOptions::default()).unwrap();
    board.figure("1 M entries verified", started.elapsed().as_secs_f64(), "s", Goal::AtMost(5.0));
}

/// Ten million entries: appended, on disk, verified, and what memory both take.
pub(crate) fn ten_million(board: &mut Board) {
    let dir = scratch();
    count_anew();
    let audit = Audit::open(dir.path(), &Options::default()).unwrap();
    let started = Instant::now();
    for n in (0..LARGE).step_by(100) {
        drop(audit.submit((n..n + 100).map(draft).collect(), None));
    }
    audit.append_blocking(vec![draft(0)], None).unwrap();
    let took = started.elapsed().as_secs_f64();
    audit.close().unwrap();
    drop(audit);
    let me = std::process::id();
    board.figure("10 M entries appended, a hundred at a time", took, "s", Goal::None);
    board.figure("  most memory", held_mib(me, Held::Most), "MiB", Goal::AtMost(256.0));
    board.figure("  on disk", mib(on_disk(dir.path())), "MiB", Goal::None);
    let each = f64::from(u32::try_from(on_disk(dir.path()) / 1_000).unwrap()) / f64::from(LARGE / 1_000);
    board.figure("  on disk, an entry", each, "bytes", Goal::None);
    count_anew();
    let started = Instant::now();
    verify(dir.path(), &VerifyOptions::default()).unwrap();
    board.figure("10 M entries verified", started.elapsed().as_secs_f64(), "s", Goal::AtMost(50.0));
    board.figure("  most memory", held_mib(me, Held::Most), "MiB", Goal::AtMost(256.0));
}

/// The database and what belongs to it; the reserve does not grow.
pub(crate) fn on_disk(dir: &Path) -> u64 {
    let files = std::fs::read_dir(dir).unwrap().map(|file| file.unwrap());
    let grows = files.filter(|file| file.file_name().to_string_lossy().starts_with(DATABASE_FILE));
    grows.map(|file| file.metadata().unwrap().len()).sum()
}
