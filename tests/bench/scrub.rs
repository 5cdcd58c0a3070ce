//! The scrubber alone: what a thousand secrets cost to learn, and each megabyte that passes.

use std::fmt::Write as _;
use std::sync::Arc;
use std::time::Instant;

use secrets::scrub::Scrubber;

use crate::figure::{Board, Goal, median, ms};

const SECRETS: usize = 1_000;
const BYTES: usize = 64 << 20;
const ROUNDS: usize = 5;

/// Like a log, like base64 from end to end, and like the worst: a third of it secrets in one of their forms.
pub(crate) fn speed(board: &mut Board) {
    let secrets: Vec<(String, String)> = (0..SECRETS).map(|n| (format!("bench/{n}"), secret(n))).collect();
    let learn = || {
        let mut known = Scrubber::default();
        for (name, value) in &secrets {
            known.learn(name, value);
        }
        known
    };
    let mut times = Vec::new();
    for _ in 0..ROUNDS {
        let began = Instant::now();
        assert!(!learn().is_empty());
        times.push(began.elapsed());
    }
    board.figure("1,000 secrets learnt", ms(median(times)), "ms", Goal::AtMost(200.0));

    let known = Arc::new(learn());
    let nobody = Scrubber::default();
    let passes = |known: &Scrubber, text: &str| rate(text.len(), || drop(known.text(text)));
    let log =
        lines(|n| format!("2026-01-01T00:00:00.{n:06}Z INFO id={} path=/v1/items status=200", word(n, 16)));
    let base64 = lines(|n| word(n, 76));
    let full = lines(|n| format!("{} password={}", word(n, 60), secret(n % SECRETS)));
    board.figure("a log scrubbed, nothing known", passes(&nobody, &log), "MB/s", Goal::None);
    board.figure("a log scrubbed of 1,000 secrets", passes(&known, &log), "MB/s", Goal::AtLeast(200.0));
    board.figure("base64 scrubbed of 1,000 secrets", passes(&known, &base64), "MB/s", Goal::AtLeast(200.0));
    board.figure("a secret in every line", passes(&known, &full), "MB/s", Goal::AtLeast(200.0));
    let streamed = rate(log.len(), || {
        let mut stream = known.stream();
        let written: usize = log.as_bytes().chunks(8 << 10).map(|piece| stream.push(piece).len()).sum();
        assert_eq!(written + stream.finish().len(), log.len());
    });
    board.figure("a log in pieces of 8 KiB", streamed, "MB/s", Goal::AtLeast(200.0));
}

#[expect(clippy::cast_precision_loss, reason = "figures are for people; no size here has 52 bits")]
fn rate(bytes: usize, mut pass: impl FnMut()) -> f64 {
    let mut times = Vec::new();
    for _ in 0..ROUNDS {
        let began = Instant::now();
        pass();
        times.push(began.elapsed());
    }
    bytes as f64 / 1e6 / median(times).as_secs_f64()
}

fn lines(line: impl Fn(usize) -> String) -> String {
    let mut text = String::with_capacity(BYTES + 256);
    let mut n = 0;
    while text.len() < BYTES {
        let _ = writeln!(text, "{}", line(n));
        n += 1;
    }
    text
}

/// A token, a password with signs, or one that looks like a digest.
fn secret(n: usize) -> String {
    match n % 3 {
        0 => format!("sk_live_{}", word(n, 32)),
        1 => format!("p@ss \"{}\"/{}", word(n, 8), word(n + SECRETS, 12)),
        _ => word(n, 40),
    }
}

/// Letters and digits, always the same for a number.
fn word(n: usize, length: usize) -> String {
    const LETTERS: &[u8; 62] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789";
    let mut state = (n as u64 + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    let mut letter = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        char::from(LETTERS[usize::try_from(state % 62).unwrap_or_default()])
    };
    (0..length).map(|_| letter()).collect()
}
