//! `make endings`: commands ended in every manner at random moments of every shape. See `mod.rs`.
#![expect(clippy::print_stdout, reason = "it prints what it finds")]
#![expect(dead_code, reason = "the tests use more of what they share")]

#[path = "../away/mod.rs"]
mod away;
#[path = "mod.rs"]
mod ended;
#[path = "../support/mod.rs"]
mod support;

use std::collections::BTreeMap;
use std::process::ExitCode;
use std::sync::Mutex;
use std::time::{Duration, Instant};

use away::{SHAPES, Shape};
use ended::{Ending, Manner, measure, play};

/// Endings in all, unless told otherwise.
const ENDINGS: usize = 200;
/// At once, unless told otherwise.
const LANES: usize = 4;
/// Minutes, unless told otherwise.
const MINUTES: u64 = 60;

const HELP: &str = "commands ended from outside at random moments of restart, recreate, scale and their undo, judged in the world

  --endings N      so many in all (200)
  --shape NAME     this one only
  --manner NAME    this one only, for example Terminate
  --seed N         the same moments again
  --minutes N      begin no further one after so many (60)
  --lanes N        at once (4)
";

struct Options {
    endings: usize,
    shape: Option<String>,
    manner: Option<String>,
    seed: u64,
    minutes: u64,
    lanes: usize,
}

#[derive(Default)]
struct Board {
    next: usize,
    ends: BTreeMap<(String, String), usize>,
    wrong: usize,
}

fn main() -> ExitCode {
    let Some(options) = options() else {
        print!("{HELP}");
        return ExitCode::from(2);
    };
    println!("seed {}", options.seed);
    let shapes: Vec<(&Shape, [Duration; 2])> = SHAPES
        .iter()
        .filter(|shape| options.shape.as_ref().is_none_or(|name| name == shape.name))
        .map(|shape| (shape, [measure(shape, false), measure(shape, true)]))
        .collect();
    let manners: Vec<Manner> = Manner::ALL
        .into_iter()
        .filter(|manner| options.manner.as_ref().is_none_or(|name| *name == format!("{manner:?}")))
        .collect();
    if shapes.is_empty() || manners.is_empty() {
        print!("{HELP}");
        return ExitCode::from(2);
    }
    let board = Mutex::new(Board::default());
    let until = Instant::now() + Duration::from_secs(options.minutes * 60);
    std::thread::scope(|scope| {
        for _ in 0..options.lanes {
            scope.spawn(|| lane(&board, &options, (&shapes, &manners), until));
        }
    });
    let board = board.into_inner().expect("no lane panics");
    for ((manner, status), count) in &board.ends {
        println!("{manner:20} {status:15} {count}");
    }
    println!("{} commands were ended, {} of them wrongly", board.ends.values().sum::<usize>(), board.wrong);
    if board.wrong == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

fn lane(
    board: &Mutex<Board>,
    options: &Options,
    (shapes, manners): (&[(&Shape, [Duration; 2])], &[Manner]),
    until: Instant,
) {
    loop {
        let number = {
            let mut board = board.lock().expect("no lane panics");
            if board.next == options.endings || Instant::now() > until {
                return;
            }
            board.next += 1;
            board.next - 1
        };
        let random = scattered(options.seed, number);
        let manner = manners[number % manners.len()];
        let (shape, took) = shapes[(number / manners.len()) % shapes.len()];
        let stubborn = random.is_multiple_of(3);
        let took = took[usize::from(stubborn)];
        let after = took.mul_f64(f64::from(u16::try_from(random % 1_000).unwrap_or(0)) / 1_000.0);
        let ending = Ending { manner, after, stubborn };
        let played = play(shape, ending);
        let mut board = board.lock().expect("no lane panics");
        let status = match played {
            Ok(status) if status.is_empty() => "not accepted".to_owned(),
            Ok(status) => status,
            Err(why) => {
                println!("{why}\n");
                board.wrong += 1;
                "WRONG".to_owned()
            }
        };
        *board.ends.entry((format!("{manner:?}"), status)).or_default() += 1;
    }
}

/// A number that looks random, the same for the same seed: the finaliser of SplitMix64 (Steele and others, 2014).
fn scattered(seed: u64, number: usize) -> u64 {
    let mut z = seed.wrapping_add((number as u64 + 1).wrapping_mul(0x9E37_79B9_7F4A_7C15));
    z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    z ^ (z >> 31)
}

fn options() -> Option<Options> {
    let seed =
        std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).map_or(1, |now| now.as_secs());
    let mut options =
        Options { endings: ENDINGS, shape: None, manner: None, seed, minutes: MINUTES, lanes: LANES };
    let mut words = std::env::args().skip(1);
    while let Some(word) = words.next() {
        match word.as_str() {
            "--endings" => options.endings = words.next()?.parse().ok()?,
            "--shape" => options.shape = Some(words.next()?),
            "--manner" => options.manner = Some(words.next()?),
            "--seed" => options.seed = words.next()?.parse().ok()?,
            "--minutes" => options.minutes = words.next()?.parse().ok()?,
            "--lanes" => options.lanes = words.next()?.parse().ok()?,
            _ => return None,
        }
    }
    Some(options)
}
