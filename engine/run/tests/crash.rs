//! Random runbooks with random outcomes, cut anywhere and carried on: the same loop leads to the same end.

use std::collections::BTreeSet;
use std::time::Duration;

use proptest::collection::vec;
use proptest::prelude::{Just, ProptestConfig, Strategy, any, prop_assert, prop_assert_eq, proptest};
use serde_json::{Value, json};

use crate::event::{EndStatus, Event, Outcome, Settlement};
use crate::simulator::{
    Act, EPOCH_MS, Simulator, book, broken, cancel, expr, fails, id, ok, plugin, run_id, text,
};
use crate::state::State;
use model::runbook::{ForEach, OnFailure, Runbook, Step, Template, Undo, Until, Uses};
use words::effect::FailureKind;
use words::ids::{RunbookName, Section};

/// Choices from which a step is made; small numbers make plain steps, so that failures shrink to plain runbooks.
#[derive(Debug, Clone)]
struct Choices {
    kind: u8,
    needs: u8,
    condition: u8,
    repeat: u8,
    items: u8,
    undo: u8,
    policy: u8,
    acts: Vec<(u8, u8, u8)>,
}

fn choices() -> impl Strategy<Value = Choices> {
    let acts = vec((0..10_u8, 0..4_u8, 0..4_u8), 1..4);
    (0..10_u8, 0..4_u8, 0..6_u8, 0..6_u8, 0..8_u8, 0..6_u8, 0..5_u8, acts).prop_map(
        |(kind, needs, condition, repeat, items, undo, policy, acts)| Choices {
            kind,
            needs,
            condition,
            repeat,
            items,
            undo,
            policy,
            acts,
        },
    )
}

fn shape(step: &mut Step, number: usize, choices: &Choices) {
    let before = format!("s{}", number.saturating_sub(1));
    match choices.needs {
        0 | 1 => {}
        2 => step.needs.clear(),
        _ => step.needs.truncate(usize::from(number > 1)),
    }
    let (uses, with) = match choices.kind {
        0..=6 => (plugin(), text("${{ steps.s0.status }} ${{ parameters.service }}")),
        7 => (Uses::Sleep, Template::Value(json!({ "for": "40ms" }))),
        8 => (Uses::AskPerson, Template::Value(json!({ "question": "go on?" }))),
        _ => (Uses::Runbook(RunbookName::new("child").unwrap()), Template::empty()),
    };
    step.uses = uses;
    step.with = with;
    step.condition = match choices.condition {
        4 => Some(expr(&format!("steps.{before}.status != 'failed'"))),
        5 => Some(expr(&format!("steps.{before}.output.missing == 1"))),
        _ => None,
    };
    step.timeout = Duration::from_millis(200);
    match choices.repeat {
        3 => step.retry.attempts = 2,
        4 => (step.retry.attempts, step.retry.delay) = (3, Duration::from_millis(30)),
        5 => step.until = Some(Until { condition: expr("output != 0"), every: Duration::from_millis(20) }),
        _ => {}
    }
    if choices.items > 4 {
        let [max_parallel, stop_after] = if choices.items == 5 { [1, 1] } else { [3, 2] };
        let items = expr("[1, 2, 3, 4]");
        step.for_each = Some(ForEach { items, max_parallel, canary: choices.items == 7, stop_after });
    }
    if choices.undo > 2 {
        let holds = (choices.undo > 3).then(|| expr("output != 0"));
        step.undo = Some(Undo { uses: plugin(), with: text("${{ size(effects) }}"), holds, line: 1 });
    }
    if choices.policy == 4 {
        step.on_failure = OnFailure::Continue;
    }
}

fn act((what, takes, writes): (u8, u8, u8)) -> Act {
    let act = match what {
        0..=4 => ok(1),
        5 => ok(0),
        6 => broken(),
        7 => fails(FailureKind::Unavailable),
        8 => fails(FailureKind::OutcomeUnknown),
        _ => ok(1).in_doubt(),
    };
    let act = act.takes([10, 10, 45, 300][usize::from(takes)]);
    match (act.doubt, writes) {
        (true, writes) => act.writes(u32::from(writes.max(1))),
        (false, 3) => act.calls(vec!["state.set".to_owned()]),
        (false, writes) => act.writes(u32::from(writes)),
    }
}

#[derive(Debug, Clone)]
struct Plot {
    steps: Vec<Choices>,
    finally: Vec<Choices>,
    person: u8,
    at_ms: u64,
    timeout_ms: u64,
    step_by_step: bool,
}

fn plot() -> impl Strategy<Value = Plot> {
    let timeout = proptest::prop_oneof![Just(100_000_u64), Just(150_u64)];
    (vec(choices(), 1..6), vec(choices(), 0..3), 0..8_u8, 0..200_u64, timeout, 0..6_u8).prop_map(
        |(steps, finally, person, at_ms, timeout_ms, step_by_step)| Plot {
            steps,
            finally,
            person,
            at_ms,
            timeout_ms,
            step_by_step: step_by_step == 5,
        },
    )
}

impl Plot {
    fn runbook(&self) -> Runbook {
        let mut runbook = book(|book| {
            for (number, choices) in self.steps.iter().enumerate() {
                shape(book.step(&format!("s{number}")), number, choices);
            }
            for (number, choices) in self.finally.iter().enumerate() {
                let step = book.finally(&format!("f{number}"));
                shape(step, number, choices);
                step.condition = None;
            }
            book.outputs.push(("last".to_owned(), text("${{ steps.s0.output }}")));
        });
        runbook.timeout = Duration::from_millis(self.timeout_ms);
        runbook
    }

    fn simulator(&self) -> Simulator {
        let runbook = self.runbook();
        let step_by_step = self.step_by_step;
        let accepted = crate::simulator::accepted(&runbook);
        let mut run = Simulator::accepted(runbook, crate::event::Accepted { step_by_step, ..accepted });
        let sections = [("", 's', &self.steps), ("finally:", 'f', &self.finally)];
        for (prefix, letter, steps) in sections {
            for (number, choices) in steps.iter().enumerate() {
                let acts: Vec<Act> = choices.acts.iter().copied().map(act).collect();
                let name = format!("{letter}{number}");
                run.script(&format!("{prefix}{name}"), acts.clone());
                run.script(&format!("undo:{name}"), acts.iter().rev().cloned());
                for item in 0..4_usize {
                    let turned = acts.iter().cycle().skip(item).take(acts.len()).cloned();
                    run.script(&format!("{prefix}{name}[{item}]"), turned);
                }
            }
        }
        run.obliging = Some(match self.person {
            0..=3 => (true, Settlement::Retry),
            4 => (false, Settlement::Fail),
            _ => (true, Settlement::Done(json!("stopped"))),
        });
        match self.person {
            5 => run.person(self.at_ms, cancel(false)),
            6 => run.person(self.at_ms, cancel(true)),
            7 => run.person(self.at_ms, Event::LockTaken { by: run_id(9), reason: "urgent".to_owned() }),
            _ => &mut run,
        };
        run
    }
}

fn performed(run: &Simulator) -> BTreeSet<(&str, u32)> {
    run.performed.iter().map(|(_, path, attempt)| (path.as_str(), *attempt)).collect()
}

fn honest(run: &Simulator, status: EndStatus) {
    assert!(run.state.open_calls().is_empty(), "every intent has its outcome");
    let failed = run.state.paths().any(|(_, progress)| {
        let last = progress.last().and_then(|(_, last)| last.outcome.as_ref());
        matches!(last, Some(Outcome::Error(_)))
    });
    assert!(!(failed && status == EndStatus::Succeeded), "succeeded means every step did");
    let stands = run.state.paths().any(|(path, progress)| {
        path.section == Section::Steps
            && progress.changed()
            && !run.state.progress(&path.in_section(Section::Undo)).is_some_and(|undo| {
                matches!(undo.last().and_then(|(_, last)| last.outcome.as_ref()), Some(Outcome::Ok(_)))
                    && undo.check.as_ref().is_none_or(|check| check.holds)
            })
    });
    assert!(!(stands && status == EndStatus::RolledBack), "rolled back means that nothing stands");
    every_undo_is_tried(run);
    for step in &run.runbook.finally {
        let path = words::ids::StepPath { section: Section::Finally, id: id(step.id.as_str()), item: None };
        assert!(run.state.progress(&path).is_some(), "`finally` always runs");
    }
}

/// An undo that fails does not keep the others from being tried; only a lost lock does.
fn every_undo_is_tried(run: &Simulator) {
    let Some(undoing) = run.state.undoing().filter(|_| run.state.lock_loss().is_none()) else { return };
    let tried = |path| run.state.progress(path).is_some_and(|undo| !undo.attempts.is_empty());
    assert!(undoing.paths.iter().all(tried), "every undo is tried: {:?}", undoing.paths);
    let wrote = run.state.paths().filter(|(path, progress)| {
        let step = run.runbook.steps.iter().find(|step| step.id == path.id);
        path.section == Section::Steps && progress.wrote() && step.is_some_and(|step| step.undo.is_some())
    });
    for (path, _) in wrote {
        assert!(undoing.paths.contains(&path.in_section(Section::Undo)), "`{path}` wrote");
    }
}

/// At most so many cuts of one journal, spread over it.
const MOST_CUTS: usize = 60;

proptest! {
    #![proptest_config(ProptestConfig { cases: 150, ..ProptestConfig::default() })]

    #[test]
    fn a_cut_journal_leads_to_the_same_end(plot in plot()) {
        let mut whole = plot.simulator();
        let status = whole.run();
        prop_assert!(status.is_some(), "it came to rest: {:?}", whole.journal.last());
        honest(&whole, status.unwrap());
        let length = whole.journal.len();
        for entries in (2..length).step_by(length.div_ceil(MOST_CUTS)) {
            let mut cut = whole.cut_with(entries, entries % 2 == 0);
            let until = cut.performed.len();
            prop_assert_eq!(cut.run(), status);
            prop_assert_eq!(&cut.journal, &whole.journal, "cut after {} entries", entries);
            prop_assert_eq!(cut.effects(), whole.effects(), "every write once; cut after {} entries", entries);
            let known: BTreeSet<_> = performed(&cut).difference(&performed(&whole)).copied().collect();
            prop_assert!(known.is_empty(), "performed only after a crash: {known:?}, {until}");
        }
    }

    #[test]
    fn a_run_resumed_later_comes_to_an_honest_end(plot in plot(), place in any::<u16>(), late_ms in 0..100_000_u64) {
        let mut whole = plot.simulator();
        whole.run();
        let entries = 2 + usize::from(place) % (whole.journal.len() - 2);
        let mut cut = whole.cut(entries);
        cut.now_ms += late_ms;
        cut.record(Event::Resumed { engine: "test:2".to_owned(), by_person: true });
        let status = cut.run();
        prop_assert!(status.is_some(), "it came to rest");
        honest(&cut, status.unwrap());
    }

    #[test]
    fn events_out_of_place_are_refused_and_change_nothing(
        one in plot(),
        other in plot(),
        picks in vec((any::<bool>(), any::<u16>()), 1..60),
    ) {
        let mut journals = Vec::new();
        for plot in [&one, &other] {
            let mut run = plot.simulator();
            run.run();
            journals.push(run.journal);
        }
        let runbook = one.runbook();
        let mut state = State::of(run_id(1));
        let mut place = 0;
        for (in_order, pick) in picks {
            let journal = &journals[usize::from(pick % 2)];
            let (at_ms, event) = if in_order {
                place = (place + 1) % journals[0].len();
                &journals[0][(place + journals[0].len() - 1) % journals[0].len()]
            } else {
                &journal[usize::from(pick) % journal.len()]
            };
            let before = state.clone();
            if state.apply(*at_ms, event).is_err() {
                prop_assert_eq!(&state, &before);
            } else {
                prop_assert_eq!(state.version(), before.version() + 1);
            }
            crate::next::next(&runbook, &state, EPOCH_MS, &crate::next::InFlight::default());
            crate::view::view(Some(&runbook), &state);
        }
    }

    #[test]
    fn events_survive_their_journey_through_json(plot in plot()) {
        let mut run = plot.simulator();
        run.run();
        for (_, event) in &run.journal {
            let text = serde_json::to_string(event).unwrap();
            prop_assert_eq!(&serde_json::from_str::<Event>(&text).unwrap(), event);
            let kind = serde_json::from_str::<Value>(&text).unwrap()["kind"].clone();
            prop_assert_eq!(kind, event.kind());
        }
    }
}
