//! What the fuzz targets have been fed: every seed and everything that was found once, through the same functions.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

#[path = "fuzz/inputs/mod.rs"]
mod inputs;

fn fuzz() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fuzz")
}

/// The files of a folder, sorted; none if there is no folder.
fn files(folder: &Path) -> Vec<PathBuf> {
    let mut files: Vec<_> = fs::read_dir(folder)
        .map(|entries| entries.flatten().map(|entry| entry.path()).collect())
        .unwrap_or_default();
    files.sort();
    files
}

/// Feeds every file of these folders, each with what its target reads as well.
fn replay(target: &str, more: &[&str]) {
    let mut seeds = files(&fuzz().join("corpus").join(target));
    assert!(!seeds.is_empty(), "`{target}` has seeds of its own");
    seeds.extend(files(&fuzz().join("crashes").join(target)));
    for folder in more {
        let found = files(&Path::new(env!("CARGO_MANIFEST_DIR")).join(folder));
        assert!(!found.is_empty(), "`{folder}` holds seeds");
        seeds.extend(found);
    }
    for seed in seeds {
        let bytes = fs::read(&seed).expect("a seed");
        let survived = std::panic::catch_unwind(|| inputs::feed(target, &bytes));
        assert!(survived.is_ok(), "`{target}` does not survive {}", seed.display());
    }
}

macro_rules! replayed {
    ($($target:ident: $more:expr;)*) => {
        $(#[test]
        fn $target() {
            replay(stringify!($target), &$more);
        })*

        const REPLAYED: &[&str] = &[$(stringify!($target)),*];
    };
}

replayed! {
    checkpoints: [];
    configs: [];
    containers: [];
    descriptions: [];
    events: ["tests/journals/v1"];
    exports: ["tests/journals/v1"];
    expressions: [];
    parameters: [];
    plugins: [];
    receipts: [];
    runbooks: ["runbooks", "tests/broken", "tests/refused"];
    schedules: [];
    words: [];
}

#[test]
fn every_target_is_fed_and_replayed() {
    let targets: BTreeSet<&str> = inputs::TARGETS.iter().map(|(name, _)| *name).collect();
    assert_eq!(REPLAYED.iter().copied().collect::<BTreeSet<_>>(), targets);
    let names = |folder: &str| -> BTreeSet<String> {
        let stem = |path: PathBuf| path.file_stem().map(|stem| stem.to_string_lossy().into_owned());
        files(&fuzz().join(folder)).into_iter().filter_map(stem).collect()
    };
    let targets: BTreeSet<String> = targets.into_iter().map(str::to_owned).collect();
    assert_eq!(names("targets"), targets, "a program for each");
    assert_eq!(names("corpus"), targets, "a corpus for each");
    let crashes = names("crashes");
    assert!(crashes.is_subset(&targets), "{crashes:?}");
}

#[test]
fn bytes_that_are_nothing_are_survived_by_all() {
    for (target, _) in inputs::TARGETS {
        for bytes in [&b""[..], b"\0", b"\n\n\n", b"\xff\xfe", b"{}", b"[[[[[[", b"null"] {
            inputs::feed(target, bytes);
        }
    }
}
