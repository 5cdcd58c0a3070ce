//! One case: a run that is disturbed, finished by whoever comes next, and judged.

use std::time::{Duration, Instant};

use super::cut::Cut;
use super::effects::{Difference, Effects};
use super::shape::{Bed, Shape};
use crate::support::docker_events::Event;
use crate::support::engine::Ended;

/// How often another engine may be started until the run has ended.
const LIVES: usize = 3;

/// What a case came to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// Everything done, everything once.
    Right,
    /// Ended before it was accepted: nothing was done, and nothing was to be.
    NeverAccepted,
    /// In doubt, where that is the only honest answer.
    InDoubt,
    /// In doubt without need.
    WronglyInDoubt(String),
    /// Something was not done, though the run says so or is over.
    Lost(String),
    /// Something was done twice.
    Doubled(String),
    /// It does not end.
    Stuck(String),
}

/// What is known of a case once it is over.
#[derive(Debug, Clone)]
pub(crate) struct Report {
    pub(crate) verdict: Verdict,
    /// From the start of the next engine to its first word about the run.
    pub(crate) first_decision: Option<Duration>,
    /// Whether a process was killed in it.
    pub(crate) killed: bool,
}

/// What an undisturbed run of the shape does.
pub(crate) fn undisturbed(shape: &Shape, bed: &Bed) -> Effects {
    (shape.prepare)(bed);
    let mut scrap = Effects::default();
    (shape.also)(bed, &mut scrap);
    let mark = bed.service.events.mark();
    let arguments = (shape.arguments)(bed);
    let mut all = vec!["run"];
    all.extend(arguments.iter().map(String::as_str));
    let ended = bed.engine.run(&all);
    assert_eq!(bed.engine.status(), shape.ends, "`{}` undisturbed: {}", shape.name, ended.said());
    let effects = done_since(shape, bed, mark);
    assert!(!effects.is_empty(), "`{}` does nothing that could be lost", shape.name);
    effects
}

/// How long the daemon may take to tell of an end that it has caused: it does so when it has heard of it itself, which may be
/// after it has answered and started the container again.
const LATE_EVENTS: Duration = Duration::from_secs(30);

/// What was done, once all of what is expected has been told of, or will not be any more.
fn done_at_last(shape: &Shape, bed: &Bed, mark: usize, expected: &Effects) -> Effects {
    let began = Instant::now();
    let is_end = |event: &Event| event.action == "die";
    let asked: Vec<Event> = bed.service.events.since(mark).into_iter().filter(|e| !is_end(e)).collect();
    let mut also = Effects::default();
    (shape.also)(bed, &mut also);
    loop {
        let mut events = bed.service.events.since(mark);
        events.retain(is_end);
        events.extend(asked.iter().cloned());
        let mut effects = Effects::of(&events, &bed.newest_run());
        also.0.iter().for_each(|(what, times)| effects.add(what, *times));
        let lacks = matches!(effects.difference(expected), Some(Difference::Lost(_)));
        if !lacks || began.elapsed() > LATE_EVENTS {
            return effects;
        }
        std::thread::sleep(Duration::from_millis(100));
    }
}

fn done_since(shape: &Shape, bed: &Bed, mark: usize) -> Effects {
    let mut effects = Effects::of(&bed.service.events.since(mark), &bed.newest_run());
    (shape.also)(bed, &mut effects);
    effects
}

/// Plays a case.
pub(crate) fn play(shape: &Shape, bed: &mut Bed, cut: Cut, expected: &Effects) -> Report {
    (shape.prepare)(bed);
    (shape.also)(bed, &mut Effects::default());
    let arguments = (shape.arguments)(bed);
    let before = bed.newest_run();
    let mark = bed.service.events.mark();
    cut.inflict(bed, &arguments);
    let mut first_decision = None;
    let mut last = None;
    for _ in 0..LIVES {
        let status = bed.engine.status();
        let fresh = bed.newest_run() != before;
        if !fresh || status == shape.ends || status == "in-doubt" {
            break;
        }
        let (ended, decided) = resume(bed);
        first_decision = first_decision.or(decided);
        last = Some(ended);
    }
    let verdict = judge(shape, bed, &Begin { mark, newest_run: &before }, expected, last.as_ref());
    if matches!(verdict, Verdict::InDoubt | Verdict::WronglyInDoubt(_)) {
        bed.engine.run(&["runs", "settle", "last", "--fail"]);
        bed.engine.run(&["runs", "watch", "last"]);
    }
    Report { verdict, first_decision, killed: cut.kills() }
}

/// The next engine's life, and how long it took to its first word about the run.
fn resume(bed: &Bed) -> (Ended, Option<Duration>) {
    let began = Instant::now();
    let resume = bed.engine.spawn(&["runs", "resume", "--yes"]);
    let mut decided = None;
    while decided.is_none() && began.elapsed() < Duration::from_secs(20) && resume.runs() {
        if resume.said().contains("running again") || resume.told().contains("running again") {
            decided = Some(began.elapsed());
        }
        std::thread::sleep(Duration::from_millis(5));
    }
    (resume.wait(), decided)
}

/// Where a case began.
struct Begin<'a> {
    mark: usize,
    newest_run: &'a str,
}

fn judge(shape: &Shape, bed: &Bed, begin: &Begin<'_>, expected: &Effects, last: Option<&Ended>) -> Verdict {
    let accepted = bed.newest_run() != begin.newest_run;
    let status = if accepted { bed.engine.status() } else { String::new() };
    // A run that has not ended as it should does not do what it should.
    let effects = if status == shape.ends {
        done_at_last(shape, bed, begin.mark, expected)
    } else {
        done_since(shape, bed, begin.mark)
    };
    let said = last.map(Ended::said).unwrap_or_default();
    if !accepted {
        return if effects.is_empty() {
            Verdict::NeverAccepted
        } else {
            Verdict::Doubled(format!("without a run: {effects}"))
        };
    }
    let story = || {
        let events = bed.service.events.since(begin.mark);
        let told = events.iter().map(|e| format!("{} {} {}", e.time_ns / 1_000_000, e.action, e.name));
        told.filter(|line| !line.contains("exec_")).collect::<Vec<_>>().join("\n")
    };
    match effects.difference(expected) {
        Some(Difference::Doubled(what)) => {
            return Verdict::Doubled(format!("{what} ({status})\n{}", story()));
        }
        Some(Difference::Lost(what)) if status == shape.ends => {
            return Verdict::Lost(format!("{what} ({status})\n{}", story()));
        }
        _ => {}
    }
    if status == shape.ends {
        Verdict::Right
    } else if status == "in-doubt" && shape.once {
        Verdict::InDoubt
    } else if status == "in-doubt" {
        Verdict::WronglyInDoubt(said)
    } else {
        let message = bed.engine.last()["message"].as_str().unwrap_or_default().to_owned();
        Verdict::Stuck(format!("{status}: {message}\n{said}"))
    }
}
