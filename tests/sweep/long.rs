//! `make sweep`: every place of every shape, resumable, bounded in time. See `mod.rs`.
#![expect(clippy::print_stdout, reason = "it prints what it finds")]
#![expect(dead_code, reason = "the tests use more of what they share")]

#[path = "../support/mod.rs"]
mod support;
#[path = "mod.rs"]
mod sweep;

use std::collections::BTreeSet;
use std::fs::{File, OpenOptions};
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Mutex;
use std::time::{Duration, Instant};

use sweep::cut::Cut;
use sweep::lane::{Share, work};
use sweep::shape::Shape;
use sweep::shapes::SHAPES;
use sweep::tally::Tally;

/// Shapes at once, unless told otherwise.
const LANES: usize = 6;
/// Minutes, unless told otherwise.
const MINUTES: u64 = 60;
/// Kills after which it is enough, unless told otherwise.
const KILLS: usize = 2_000;
/// Shares into which a shape's cases are cut, so that the lanes end together.
const SHARES: usize = 3;

const HELP: &str = "the crash sweep: kills the engine everywhere, judges by Docker's events

  --kills N      enough after so many (2000)
  --minutes N    begin no new case after so many (60)
  --lanes N      shapes at once (6)
  --shape NAME   this one only
  --again        forget what an earlier sweep of this binary has done
";

struct Options {
    kills: usize,
    minutes: u64,
    lanes: usize,
    shape: Option<String>,
    again: bool,
}

/// What all lanes share.
struct Board {
    tally: Tally,
    done: BTreeSet<String>,
    file: File,
    shares: Vec<(&'static Shape, Share)>,
}

fn main() -> ExitCode {
    let Some(options) = options() else {
        print!("{HELP}");
        return ExitCode::from(2);
    };
    let path = progress_file();
    if options.again {
        let _ = std::fs::remove_file(&path);
    }
    let done: BTreeSet<String> =
        std::fs::read_to_string(&path).unwrap_or_default().lines().map(str::to_owned).collect();
    println!("{} cases were played before; progress is kept in {}", done.len(), path.display());
    let file = OpenOptions::new().create(true).append(true).open(&path).expect("the file of progress");
    let wanted = |shape: &&Shape| options.shape.as_ref().is_none_or(|name| name == shape.name);
    let shares = (0..SHARES).flat_map(|number| {
        SHAPES.iter().filter(wanted).map(move |shape| (shape, Share { number, of: SHARES }))
    });
    let board = Mutex::new(Board { tally: Tally::default(), done, file, shares: shares.rev().collect() });
    let until = Instant::now() + Duration::from_secs(options.minutes * 60);
    std::thread::scope(|scope| {
        for _ in 0..options.lanes {
            scope.spawn(|| lane(&board, options.kills, until));
        }
    });
    let board = board.into_inner().expect("no lane panics");
    println!("{}", board.tally.table());
    let wrong = [board.tally.wrong(), &board.tally.slow()].concat();
    for case in &wrong {
        println!("{case}\n");
    }
    if wrong.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

fn lane(board: &Mutex<Board>, kills: usize, until: Instant) {
    let look = || board.lock().expect("no lane panics");
    loop {
        let next = {
            let mut board = look();
            if board.tally.kills() >= kills || Instant::now() > until {
                return;
            }
            board.shares.pop()
        };
        let Some((shape, part)) = next else { return };
        let name = |cut: &Cut| format!("{}: {cut}", shape.name);
        work(
            shape,
            part,
            until,
            |all| shuffled(all).into_iter().filter(|cut| !look().done.contains(&name(cut))).collect(),
            |cut, report| {
                let mut board = look();
                if let Some(wrong) = board.tally.count(shape.name, &cut.to_string(), &report) {
                    println!("{wrong}\n");
                }
                let _ = writeln!(board.file, "{}", name(&cut));
                let count = board.tally.kills();
                if count.is_multiple_of(50) {
                    println!("{count} kills, {} wrong", board.tally.wrong().len());
                }
            },
        );
    }
}

/// In an order that is the same every time and near to none.
fn shuffled(all: Vec<Cut>) -> Vec<Cut> {
    let mut keyed: Vec<(u64, Cut)> =
        (0_u64..).zip(all).map(|(n, cut)| (n.wrapping_mul(0x9E37_79B9_7F4A_7C15), cut)).collect();
    keyed.sort_by_key(|(key, _)| *key);
    keyed.into_iter().map(|(_, cut)| cut).collect()
}

/// Beside the binary, and of no use to another one.
fn progress_file() -> PathBuf {
    let binary = Path::new(support::engine::BINARY);
    let meta = std::fs::metadata(binary).expect("the built binary");
    let made = meta.modified().ok().and_then(|at| at.duration_since(std::time::UNIX_EPOCH).ok());
    binary.with_file_name(format!("sweep-{}-{}", meta.len(), made.unwrap_or_default().as_secs()))
}

fn options() -> Option<Options> {
    let mut options = Options { kills: KILLS, minutes: MINUTES, lanes: LANES, shape: None, again: false };
    let mut words = std::env::args().skip(1);
    while let Some(word) = words.next() {
        match word.as_str() {
            "--kills" => options.kills = words.next()?.parse().ok()?,
            "--minutes" => options.minutes = words.next()?.parse().ok()?,
            "--lanes" => options.lanes = words.next()?.parse().ok()?,
            "--shape" => options.shape = Some(words.next()?),
            "--again" => options.again = true,
            _ => return None,
        }
    }
    Some(options)
}
