//! The quick selection of the sweep: a few places of every shape.

use std::io::Write as _;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use serde_json::Value;

use crate::support::engine::Engine;
use crate::sweep::lane::{Share, work};
use crate::sweep::shapes::SHAPES;
use crate::sweep::tally::Tally;

/// Cases of each shape.
const CASES: usize = 4;

/// Shapes at once.
const LANES: usize = 4;

/// How long new cases may be begun.
const BUDGET: Duration = Duration::from_mins(3);

#[test]
fn a_few_places_of_every_shape() {
    let (tally, next) = (Mutex::new(Tally::default()), AtomicUsize::new(0));
    let until = Instant::now() + BUDGET;
    std::thread::scope(|scope| {
        for _ in 0..LANES {
            scope.spawn(|| {
                while let Some(shape) = SHAPES.get(next.fetch_add(1, Ordering::SeqCst)) {
                    work(
                        shape,
                        Share { number: 0, of: 1 },
                        until,
                        |all| {
                            let stride = (all.len() / CASES).max(1);
                            all.into_iter().skip(stride / 2).step_by(stride).take(CASES).collect()
                        },
                        |cut, report| {
                            tally.lock().expect("no lane panics").count(
                                shape.name,
                                &cut.to_string(),
                                &report,
                            );
                        },
                    );
                }
            });
        }
    });
    let tally = tally.into_inner().expect("no lane panics");
    // A machine that is busy is slow: told, and held by the long sweep.
    let _ = writeln!(std::io::stderr(), "{}", tally.slow().join("\n"));
    assert!(tally.kills() > SHAPES.len(), "{}", tally.table());
    assert_eq!(tally.wrong(), &[] as &[String], "{}", tally.table());
}

/// What a grant's word or a step type's need must not be for the thing to have no part in the sweep.
fn writes(need: &str) -> bool {
    !matches!(need, "containers.read" | "state.read" | "tcp.connect")
}

#[test]
fn everything_that_writes_takes_part() {
    let engine = Engine::new();
    let covered = |name: &str| SHAPES.iter().any(|shape| shape.covers.contains(&name));
    let mut missing = Vec::new();
    for plugin in engine.json(&["plugin", "list"]).as_array().expect("a list") {
        let plugin = plugin["name"].as_str().expect("a name");
        for step in engine.json(&["plugin", "show", plugin])["steps"].as_array().expect("its steps") {
            let name = format!("{plugin}.{}", step["name"].as_str().expect("a name"));
            let needs: Vec<&str> =
                step["needs"].as_array().into_iter().flatten().filter_map(Value::as_str).collect();
            // A check asks with GET only.
            if needs.into_iter().any(writes) && !name.starts_with("check.") && !covered(&name) {
                missing.push(name);
            }
        }
    }
    for book in engine.json(&["list"]).as_array().expect("a list") {
        let name = book["name"].as_str().expect("a name");
        let shown = engine.json(&["show", name]);
        let uses = shown["steps"].as_array().into_iter().flatten().filter_map(|step| step["uses"].as_str());
        let looks = ["check.", "service.status", "service.order", "container.logs", "diagnose.", "core."];
        let mut writing = uses.filter(|uses| !looks.iter().any(|look| uses.starts_with(look)));
        if writing.next().is_some() && !covered(name) {
            missing.push(name.to_owned());
        }
    }
    assert_eq!(missing, Vec::<String>::new(), "register them in tests/sweep/shapes.rs");
}
