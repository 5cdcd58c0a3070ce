//! Journals of released formats, kept as they were exported by the engines that wrote them: each must always verify, load,
//! and fold to the end it had.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

use audit::{Draft, Entry, VerifierKey, verify_export};
use run::event::{EndStatus, Event};
use run::next::{InFlight, next};
use run::state::State;
use run::view::view;
use words::ids::RunId;

/// How the runs of one export ended, in the order in which they were accepted.
const KEPT: [(&str, &[EndStatus]); 11] = [
    ("v1/answered.jsonl", &[EndStatus::Succeeded]),
    ("v1/cancelled.jsonl", &[EndStatus::Cancelled]),
    ("v1/child.jsonl", &[EndStatus::Succeeded, EndStatus::Succeeded]),
    ("v1/failed.jsonl", &[EndStatus::Failed]),
    ("v1/held.jsonl", &[EndStatus::Succeeded]),
    ("v1/left.jsonl", &[EndStatus::Succeeded]),
    ("v1/lock-taken.jsonl", &[EndStatus::Cancelled, EndStatus::Succeeded]),
    ("v1/rolled-back.jsonl", &[EndStatus::RolledBack]),
    ("v1/settled.jsonl", &[EndStatus::Succeeded]),
    ("v1/skipped.jsonl", &[EndStatus::Skipped]),
    ("v1/succeeded.jsonl", &[EndStatus::Succeeded]),
];

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/journals")
}

/// The entries of an export, its first line left out.
fn entries(file: &str) -> Vec<Entry> {
    let text = fs::read_to_string(folder().join(file)).expect("a kept journal");
    let bodies = text.lines().skip(1);
    bodies
        .map(|body| Entry::from_body(body.as_bytes(), |_| None).unwrap_or_else(|e| panic!("{file}: {e}")))
        .collect()
}

/// The journals in an export, by run; ids sort by the time of acceptance.
fn journals(file: &str) -> BTreeMap<RunId, Vec<Entry>> {
    let mut journals: BTreeMap<RunId, Vec<Entry>> = BTreeMap::new();
    for entry in entries(file) {
        if let Some(run) = &entry.run {
            journals.entry(run.clone()).or_default().push(entry);
        }
    }
    journals
}

fn event(file: &str, entry: &Entry) -> Event {
    entry.event().unwrap_or_else(|error| panic!("{file}: {error}"))
}

#[test]
fn every_kept_journal_is_listed() {
    let versions = fs::read_dir(folder()).expect("the folder").flatten().map(|entry| entry.path());
    let kept: BTreeSet<String> = versions
        .flat_map(|version| fs::read_dir(version).expect("a folder").flatten())
        .map(|entry| entry.path())
        .filter(|path| path.extension().is_some_and(|extension| extension == "jsonl"))
        .map(|path| path.strip_prefix(folder()).expect("inside").display().to_string())
        .collect();
    assert_eq!(kept, KEPT.iter().map(|(file, _)| (*file).to_owned()).collect());
}

#[test]
fn every_kept_journal_verifies() {
    for (file, _) in KEPT {
        let path = folder().join(file);
        let key = fs::read_to_string(path.with_file_name("audit.pub")).expect("its key");
        let key: VerifierKey = key.parse().expect("a key");
        let exported = verify_export(&path, &key, None).unwrap_or_else(|error| panic!("{file}: {error}"));
        assert_eq!(exported.entries, entries(file).len() as u64, "{file}");
    }
}

#[test]
fn every_kept_journal_folds_to_its_end() {
    for (file, ends) in KEPT {
        let journals = journals(file);
        assert_eq!(journals.len(), ends.len(), "{file}");
        for ((run, journal), end) in journals.iter().zip(ends) {
            let mut state = State::of(run.clone());
            for entry in journal {
                let event = event(file, entry);
                state
                    .apply(entry.time_ms, &event)
                    .unwrap_or_else(|e| panic!("{file}, entry {}: {e}", entry.seq));
                assert_eq!(Some(state.version()), entry.version, "{file}");
            }
            let told = state.end().unwrap_or_else(|| panic!("{file}: run `{run}` has not ended"));
            assert_eq!(told.status, *end, "{file}: {}", told.message);
            assert!(state.open_calls().is_empty(), "{file}");
            assert_eq!(view(None, &state).status, end.word(), "{file}");
        }
    }
}

/// What is written now is read back as what was written then.
#[test]
fn every_kept_event_means_the_same_when_it_is_written_again() {
    for (file, _) in KEPT {
        for (run, journal) in journals(file) {
            for entry in journal {
                let kept = event(file, &entry);
                let draft = Draft::event("kim", run.clone(), &kept).expect("an event has a form in JSON");
                assert_eq!(draft.kind, entry.kind, "{file}");
                let again = Entry { data: draft.data, ..entry };
                assert_eq!(event(file, &again), kept, "{file}");
            }
        }
    }
}

/// An engine may be stopped at any entry and another version carry on: it must be able to decide.
#[test]
fn every_prefix_can_be_decided_upon() {
    let library: BTreeMap<_, _> =
        library().into_iter().map(|runbook| (runbook.name.clone(), runbook)).collect();
    let mut decided = 0;
    for (file, _) in KEPT {
        for (run, journal) in journals(file) {
            let mut state = State::of(run);
            for entry in &journal {
                state.apply(entry.time_ms, &event(file, entry)).unwrap_or_else(|e| panic!("{file}: {e}"));
                let accepted = state.accepted().expect("accepted first");
                let Some(runbook) = library.get(&accepted.runbook) else { break };
                let actions = next(runbook, &state, entry.time_ms, &InFlight::default());
                assert_eq!(actions.is_empty(), state.end().is_some(), "{file}, entry {}", entry.seq);
                decided += 1;
            }
        }
    }
    assert!(decided > 100, "{decided}");
}

fn library() -> Vec<model::runbook::Runbook> {
    use host::embedded;
    use model::parse::{Known, parse, signature};
    let catalogue = embedded::catalogue();
    let named =
        |(name, text): (&str, &str)| Some((words::ids::RunbookName::new(name).ok()?, signature(text)?));
    let signatures = embedded::runbooks().filter_map(named).collect();
    let known = Known { catalogue: &catalogue, runbooks: &signatures };
    let read = |(name, text): (&str, &str)| parse(&format!("library/{name}"), text, &known);
    embedded::runbooks()
        .map(|found| read(found).unwrap_or_else(|troubles| panic!("{}", troubles.render())))
        .collect()
}

#[test]
fn a_run_held_to_a_plan_is_kept() {
    let state = journals("v1/held.jsonl").into_iter().map(|(run, journal)| {
        let mut state = State::of(run);
        for entry in &journal {
            state.apply(entry.time_ms, &event("held", entry)).unwrap_or_else(|error| panic!("{error}"));
        }
        state
    });
    let plans: Vec<_> = state.filter_map(|state| state.accepted()?.plan.clone()).collect();
    assert_eq!(plans.len(), 1);
    assert_eq!(plans[0].writes.len(), 4, "two replicas, stopped and started");
}

#[test]
fn every_kind_of_event_is_kept() {
    let kept: BTreeSet<&str> = KEPT
        .iter()
        .flat_map(|(file, _)| journals(file).into_values().flatten().map(|entry| event(file, &entry).kind()))
        .collect();
    assert_eq!(kept.len(), 20, "{kept:?}");
}
