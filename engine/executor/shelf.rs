//! Runbooks as they were read, shared by all runs of the same text: ten thousand runs that wait hold one of each.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError, Weak};

use model::runbook::Runbook;
use words::ids::{Digest, RunbookName};

/// How many readings are remembered before those that nobody holds any more are looked for.
const FEW: usize = 64;

/// A runbook, and the texts of those that its steps may use, its own first.
pub(super) struct Reading {
    pub(super) runbook: Arc<Runbook>,
    pub(super) texts: Arc<Vec<(RunbookName, String)>>,
}

/// See the module.
#[derive(Default)]
pub(super) struct Shelf {
    readings: Mutex<HashMap<Digest, Weak<Reading>>>,
}

impl Shelf {
    /// The reading of these texts: one that some run holds, else this one.
    pub(super) fn share(&self, runbook: Arc<Runbook>, texts: Vec<(RunbookName, String)>) -> Arc<Reading> {
        let names = texts.iter().map(|(name, text)| format!("{name} {}", Digest::of(text)));
        let key = Digest::of(names.collect::<Vec<_>>().join("\n"));
        let mut readings = self.readings.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(known) = readings.get(&key).and_then(Weak::upgrade) {
            return known;
        }
        if readings.len() >= FEW {
            readings.retain(|_, reading| reading.strong_count() > 0);
        }
        let reading = Arc::new(Reading { runbook, texts: Arc::new(texts) });
        readings.insert(key, Arc::downgrade(&reading));
        reading
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::acceptance::read_runbook;
    use host::embedded;
    use model::parse::parse;

    fn texts(summary: &str) -> (Arc<Runbook>, Vec<(RunbookName, String)>) {
        let text = format!(
            "format: 1\nrunbook: a\nsummary: {summary}\nsteps:\n  - {{ id: a, uses: core.log, with: {{ message: a }} }}\n"
        );
        let runbook = read_runbook(parse, ("a.yaml", &text), &[], &embedded::catalogue()).unwrap();
        (Arc::new(runbook), vec![(RunbookName::new("a").unwrap(), text)])
    }

    #[test]
    fn the_same_texts_are_held_once_and_for_as_long_as_someone_holds_them() {
        let shelf = Shelf::default();
        let share = |summary: &str| {
            let (runbook, texts) = texts(summary);
            shelf.share(runbook, texts)
        };
        let (one, same, other) = (share("one"), share("one"), share("other"));
        assert!(Arc::ptr_eq(&one, &same) && !Arc::ptr_eq(&one, &other));
        drop((one, same));
        assert_eq!(shelf.readings.lock().unwrap().values().filter(|r| r.strong_count() > 0).count(), 1);
        for n in 0..2 * FEW {
            share(&format!("number {n}"));
        }
        assert!(shelf.readings.lock().unwrap().len() <= FEW + 1);
    }
}
