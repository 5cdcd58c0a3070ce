//! `make away`: the daemon away for 1, 5 and 15 s at each request of every shape. See `mod.rs`.
#![expect(clippy::print_stdout, reason = "it prints what it finds")]
#![expect(dead_code, reason = "the tests use more of what they share")]

#[path = "mod.rs"]
mod away;
#[path = "../support/mod.rs"]
mod support;

use std::collections::{BTreeMap, VecDeque};
use std::process::ExitCode;
use std::sync::Mutex;
use std::time::{Duration, Instant};

use away::{Place, SHAPES, Shape, measure, play};
use support::absence::Manner;

/// Places at once, unless told otherwise.
const LANES: usize = 6;
/// Minutes, unless told otherwise.
const MINUTES: u64 = 60;
/// How long the daemon is away, in seconds.
const AWAY_S: [u64; 3] = [1, 5, 15];

const HELP: &str =
    "the daemon away at each request of restart, recreate, scale and their undo, judged in the world

  --shape NAME     this one only
  --seconds N      away for so long only (1, 5 and 15)
  --every N        every Nth request only (1)
  --minutes N      begin no new place after so many (60)
  --lanes N        places at once (6)
";

struct Options {
    shape: Option<String>,
    seconds: Option<u64>,
    every: usize,
    minutes: u64,
    lanes: usize,
}

#[derive(Default)]
struct Board {
    open: VecDeque<(&'static Shape, Place)>,
    ends: BTreeMap<(&'static str, String), usize>,
    wrong: Vec<String>,
}

fn main() -> ExitCode {
    let Some(options) = options() else {
        print!("{HELP}");
        return ExitCode::from(2);
    };
    let board = Mutex::new(Board { open: places(&options), ..Board::default() });
    let until = Instant::now() + Duration::from_secs(options.minutes * 60);
    println!("{} places", board.lock().expect("nobody has it").open.len());
    std::thread::scope(|scope| {
        for _ in 0..options.lanes {
            scope.spawn(|| lane(&board, until));
        }
    });
    let board = board.into_inner().expect("no lane panics");
    for ((shape, end), count) in &board.ends {
        println!("{shape:15} {end:15} {count}");
    }
    println!("{} places were left out for want of time", board.open.len());
    if board.wrong.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

fn places(options: &Options) -> VecDeque<(&'static Shape, Place)> {
    let mut places = VecDeque::new();
    let wanted = |shape: &&Shape| options.shape.as_ref().is_none_or(|name| name == shape.name);
    for shape in SHAPES.iter().filter(wanted) {
        let requests = measure(shape);
        println!("{}: {requests} requests", shape.name);
        for seconds in AWAY_S.into_iter().filter(|s| options.seconds.is_none_or(|only| only == *s)) {
            for (number, nth) in (1..=requests).step_by(options.every).enumerate() {
                let lasts = Duration::from_secs(seconds);
                // Each request in its turn; the manners take turns too, and all come to each length.
                let manner =
                    Manner::ALL[(number + usize::try_from(seconds).unwrap_or(0)) % Manner::ALL.len()];
                places.push_back((shape, Place { nth, manner, lasts }));
            }
        }
    }
    places
}

fn lane(board: &Mutex<Board>, until: Instant) {
    loop {
        let next = board.lock().expect("no lane panics").open.pop_front();
        let Some((shape, place)) = next else { return };
        if Instant::now() > until {
            board.lock().expect("no lane panics").open.push_front((shape, place));
            return;
        }
        let played = play(shape, place);
        let mut board = board.lock().expect("no lane panics");
        let end = match played {
            Ok(end) if end.is_empty() => "not accepted".to_owned(),
            Ok(end) => end,
            Err(why) => {
                println!("{why}\n");
                board.wrong.push(why);
                "WRONG".to_owned()
            }
        };
        *board.ends.entry((shape.name, end)).or_default() += 1;
    }
}

fn options() -> Option<Options> {
    let mut options = Options { shape: None, seconds: None, every: 1, minutes: MINUTES, lanes: LANES };
    let mut words = std::env::args().skip(1);
    while let Some(word) = words.next() {
        match word.as_str() {
            "--shape" => options.shape = Some(words.next()?),
            "--seconds" => options.seconds = Some(words.next()?.parse().ok()?),
            "--every" => options.every = words.next()?.parse().ok().filter(|every| *every > 0)?,
            "--minutes" => options.minutes = words.next()?.parse().ok()?,
            "--lanes" => options.lanes = words.next()?.parse().ok()?,
            _ => return None,
        }
    }
    Some(options)
}
