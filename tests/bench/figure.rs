//! Figures, their goals, and whether they were met.

use std::time::Duration;

/// What a figure should be.
#[derive(Clone, Copy)]
pub(crate) enum Goal {
    AtMost(f64),
    AtLeast(f64),
    /// Shown for comparison only.
    None,
}

/// Collects the verdicts.
pub(crate) struct Board {
    missed: Vec<String>,
}

impl Board {
    pub(crate) fn new() -> Self {
        Self { missed: Vec::new() }
    }

    pub(crate) fn figure(&mut self, name: &str, value: f64, unit: &str, goal: Goal) {
        let (words, met) = match goal {
            Goal::AtMost(most) => (format!("at most {most} {unit}"), value <= most),
            Goal::AtLeast(least) => (format!("at least {least} {unit}"), value >= least),
            Goal::None => (String::new(), true),
        };
        let verdict = if words.is_empty() {
            ""
        } else if met {
            "met"
        } else {
            "MISSED"
        };
        println!("{name:<58} {value:>12.3} {unit:<10} {words:<26} {verdict}");
        if !met {
            self.missed.push(name.to_owned());
        }
    }

    /// Whether every goal was met.
    pub(crate) fn finish(&self) -> bool {
        if !self.missed.is_empty() {
            println!("missed: {}", self.missed.join(", "));
        }
        self.missed.is_empty()
    }
}

/// The middle one.
pub(crate) fn median(mut all: Vec<Duration>) -> Duration {
    all.sort();
    all[all.len() / 2]
}

pub(crate) fn ms(duration: Duration) -> f64 {
    duration.as_secs_f64() * 1_000.0
}

#[expect(clippy::cast_precision_loss, reason = "figures are for people; no size here has 52 bits")]
pub(crate) fn mib(bytes: u64) -> f64 {
    bytes as f64 / f64::from(1 << 20)
}
