//! `cargo bench`: what the engine costs, as ratios against a floor measured in the same run, since machines differ and are
//! noisy. Prints one line a figure with the goal beside it; ends with 1 if a goal is missed.
#![expect(
    clippy::print_stdout,
    clippy::unwrap_used,
    reason = "a bench prints its figures and stops at the first surprise"
)]

mod audit;
#[path = "../hostile/component.rs"]
#[expect(dead_code, reason = "one of its plugins is enough here")]
mod component;
mod deadline;
mod figure;
mod floor;
mod memory;
mod process;
mod replay;
mod scrub;
mod service;
mod start;
mod steps;
mod unfinished;

use std::process::ExitCode;

use figure::Board;

/// What measures a group.
type Group = (&'static str, fn(&mut Board));

/// Minutes, or gigabytes of disk: measured only when named.
const LONG: [&str; 2] = ["old-age", "ten-million"];

fn main() -> ExitCode {
    // `cargo bench -- step` measures one group, `cargo bench -- all` also the long ones; cargo itself adds `--bench`.
    let wanted: Vec<String> = std::env::args().skip(1).filter(|a| !a.starts_with('-')).collect();
    let mut board = Board::new();
    let groups: [Group; 12] = [
        ("step", steps::latency),
        ("throughput", steps::throughput),
        ("audit", audit::groups),
        ("verify", audit::many_entries),
        ("process", process::whole),
        ("deadline", deadline::overrun),
        ("start-up", start::up),
        ("replay", replay::speed),
        ("scrub", scrub::speed),
        ("waiting", unfinished::waiting),
        ("old-age", unfinished::old_age),
        ("ten-million", audit::ten_million),
    ];
    for (name, measure) in groups {
        let named = wanted.iter().any(|w| w == name || w == "all");
        if named || (wanted.is_empty() && !LONG.contains(&name)) {
            println!("# {name}");
            measure(&mut board);
        }
    }
    if board.finish() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}
