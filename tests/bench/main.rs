//! `cargo bench`: what the engine costs, as ratios against a floor measured in the same run, since machines differ and are
//! noisy. Prints one line a figure with the goal beside it; ends with 1 if a goal is missed.
#![expect(
    clippy::print_stdout,
    clippy::unwrap_used,
    reason = "a bench prints its figures and stops at the first surprise"
)]

mod audit;
mod figure;
mod floor;
mod process;
mod steps;

use std::process::ExitCode;

use figure::Board;

/// What measures a group.
type Group = (&'static str, fn(&mut Board));

fn main() -> ExitCode {
    // `cargo bench -- step` measures one group; cargo itself adds `--bench`.
    let wanted: Vec<String> = std::env::args().skip(1).filter(|a| !a.starts_with('-')).collect();
    let mut board = Board::new();
    let groups: [Group; 5] = [
        ("step", steps::latency),
        ("throughput", steps::throughput),
        ("audit", audit::groups),
        ("verify", audit::many_entries),
        ("process", process::whole),
    ];
    for (name, measure) in groups {
        if wanted.is_empty() || wanted.iter().any(|w| w == name) {
            println!("# {name}");
            measure(&mut board);
        }
    }
    if board.finish() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}
