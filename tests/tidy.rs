//! Holds what Cargo cannot of the shape of the tree: sizes, which crate may use which of ours, and which library.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

/// The longest file of Rust, in lines.
const MAX_FILE_LINES: usize = 500;
/// The longest function, in lines from `fn` to its closing brace.
const MAX_FUNCTION_LINES: usize = 70;

/// The crates of the engine in the order of dependency, each with those that it may use. The last stands at the root.
const CRATES: [(&str, &[&str]); 9] = [
    ("words", &[]),
    ("model", &["words"]),
    ("run", &["words", "model"]),
    ("secrets", &["words"]),
    ("audit", &["words"]),
    ("docker", &["words"]),
    ("host", &["words", "model", "run", "secrets", "audit", "docker"]),
    ("executor", &["words", "model", "run", "secrets", "audit", "docker", "host"]),
    ("program", &["words", "model", "run", "secrets", "audit", "docker", "host", "executor"]),
];

/// Libraries that one crate alone may use.
const FENCES: [(&str, &str); 14] = [
    ("age", "secrets"),
    ("axum", "program"),
    ("bollard", "docker"),
    ("cel", "model"),
    ("clap", "program"),
    ("cron", "model"),
    ("ed25519-dalek", "audit"),
    ("jsonschema", "model"),
    ("reqwest", "host"),
    ("rusqlite", "audit"),
    ("saphyr-parser", "model"),
    ("tokio-rustls", "docker"),
    ("url", "model"),
    ("wasmtime", "host"),
];

/// Inside the program, libraries that one face alone may name.
const FACES: [(&str, &str); 3] = [("axum", "api"), ("clap", "cli"), ("clap_complete", "cli")];

fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

fn rust_files(dir: &Path, into: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(dir).expect("a folder of the project") {
        let path = entry.expect("an entry").path();
        let name = path.file_name().and_then(|n| n.to_str()).unwrap_or_default().to_owned();
        if path.is_dir() {
            if name != "target" && !name.starts_with('.') {
                rust_files(&path, into);
            }
        } else if path.extension().is_some_and(|e| e == "rs") {
            into.push(path);
        }
    }
}

/// Every Rust file under these folders with its text and its path from the root.
fn sources(folders: &[&str]) -> Vec<(String, String)> {
    let mut files = Vec::new();
    for folder in folders {
        rust_files(&root().join(folder), &mut files);
    }
    files.sort();
    assert!(!files.is_empty(), "there is nothing under {folders:?}");
    files
        .into_iter()
        .map(|path| {
            let text = fs::read_to_string(&path).expect("a source file");
            let short = path.strip_prefix(root()).expect("inside the root").display().to_string();
            (short, text)
        })
        .collect()
}

/// Lines of code alone: no comments, no texts in quotes that stand on one line.
fn code(text: &str) -> impl Iterator<Item = (usize, &str)> {
    text.lines()
        .enumerate()
        .filter(|(_, line)| !line.trim_start().starts_with("//"))
        .map(|(i, line)| (i + 1, line))
}

#[test]
fn files_are_short() {
    let long: Vec<String> = sources(&["engine", "plugins", "tests"])
        .into_iter()
        .map(|(path, text)| (path, text.lines().count()))
        .filter(|(_, lines)| *lines > MAX_FILE_LINES)
        .map(|(path, lines)| format!("{path}: {lines} lines, at most {MAX_FILE_LINES}"))
        .collect();
    assert!(long.is_empty(), "a noun wants a room of its own:\n{}", long.join("\n"));
}

/// A function begins at a line with `fn NAME` and ends at the first line that is a brace at the same depth.
fn long_functions(text: &str) -> Vec<(usize, usize)> {
    let mut found = Vec::new();
    let mut open: Vec<(usize, usize)> = Vec::new();
    for (number, line) in text.lines().enumerate().map(|(i, l)| (i + 1, l)) {
        let indent = line.len() - line.trim_start().len();
        let start = line.trim_start();
        let begins = [
            "fn ",
            "pub fn ",
            "async fn ",
            "pub async fn ",
            "pub(super) fn ",
            "pub(crate) fn ",
            "pub(super) async fn ",
            "pub(crate) async fn ",
            "const fn ",
            "unsafe fn ",
        ]
        .iter()
        .any(|word| start.starts_with(word));
        if begins && !line.trim_end().ends_with(';') && !line.trim_end().ends_with('}') {
            open.push((number, indent));
        }
        if start == "}"
            && let Some((from, _)) = open.pop_if(|(_, depth)| *depth == indent)
            && number - from + 1 > MAX_FUNCTION_LINES
        {
            found.push((from, number - from + 1));
        }
    }
    found
}

#[test]
fn functions_are_short() {
    let mut long = Vec::new();
    for (path, text) in sources(&["engine", "plugins", "tests"]) {
        for (line, length) in long_functions(&text) {
            long.push(format!("{path}:{line}: {length} lines, at most {MAX_FUNCTION_LINES}"));
        }
    }
    assert!(long.is_empty(), "{}", long.join("\n"));
}

/// What the manifest of a crate names under `[dependencies]`, which is what it may use outside of its tests.
fn dependencies(of: &str) -> Vec<String> {
    let path = if of == "program" { "Cargo.toml".to_owned() } else { format!("engine/{of}/Cargo.toml") };
    let text = fs::read_to_string(root().join(&path)).unwrap_or_else(|error| panic!("{path}: {error}"));
    let manifest: toml::Table = text.parse().expect("a manifest");
    let table = manifest["dependencies"].as_table().expect("a table");
    table.keys().cloned().collect()
}

#[test]
fn crates_use_what_stands_above_them() {
    let folders = fs::read_dir(root().join("engine")).expect("the engine").flatten();
    let folders: BTreeSet<String> =
        folders.map(|one| one.file_name().to_string_lossy().into_owned()).collect();
    assert_eq!(
        folders,
        CRATES.iter().map(|(name, _)| (*name).to_owned()).collect(),
        "every folder is a crate"
    );
    let mut wrong = Vec::new();
    for (name, may_use) in CRATES {
        for used in dependencies(name) {
            let ours = CRATES.iter().any(|(one, _)| *one == used);
            if ours && !may_use.contains(&used.as_str()) {
                wrong.push(format!("`{name}` uses `{used}`"));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// Which modules of a crate whose folder is flat each module names outside of its tests.
fn imports(of: &str) -> BTreeMap<String, BTreeSet<String>> {
    let folder = format!("engine/{of}/");
    let name = |path: &str| path.strip_prefix(&folder)?.strip_suffix(".rs").map(str::to_owned);
    let modules: Vec<(String, String)> = sources(&[&folder])
        .into_iter()
        .filter_map(|(path, text)| {
            Some((name(&path).filter(|name| !name.contains('/') && name != "lib")?, text))
        })
        .collect();
    let named = |text: &str| -> BTreeSet<String> {
        let text = text.split("#[cfg(test)]").next().unwrap_or_default();
        let words = text.split("super::").chain(text.split("crate::")).skip(1);
        let words = words.map(|rest| rest.chars().take_while(|c| c.is_alphanumeric() || *c == '_').collect());
        words.filter(|word: &String| modules.iter().any(|(name, _)| name == word)).collect()
    };
    modules.iter().map(|(name, text)| (name.clone(), named(text))).collect()
}

/// Modules that take part in a circle: what is left once those are taken away, again and again, that need no other.
fn circle(mut imports: BTreeMap<String, BTreeSet<String>>) -> Vec<String> {
    loop {
        let free: BTreeSet<String> = imports
            .iter()
            .filter(|(_, needs)| needs.iter().all(|need| !imports.contains_key(need)))
            .map(|(name, _)| name.clone())
            .collect();
        if free.is_empty() {
            return imports.into_keys().collect();
        }
        imports.retain(|name, _| !free.contains(name));
    }
}

#[test]
fn modules_of_the_audit_log_stand_in_an_order() {
    let found = imports("audit");
    assert!(found.len() > 30 && found["writer"].contains("tree"), "{found:?}");
    assert_eq!(
        circle(found),
        Vec::<String>::new(),
        "these import each other in a circle, or stand above one"
    );
    let names = |names: [&str; 1]| names.map(str::to_owned).into_iter().collect();
    let two =
        [("a".to_owned(), names(["b"])), ("b".to_owned(), names(["a"])), ("c".to_owned(), names(["x"]))];
    assert_eq!(circle(two.into_iter().collect()), ["a", "b"]);
}

#[test]
fn libraries_stay_behind_their_fences() {
    let mut wrong = Vec::new();
    for (name, _) in CRATES {
        for (library, home) in FENCES {
            if name != home && dependencies(name).iter().any(|used| used == library) {
                wrong.push(format!("`{name}` uses `{library}`, which belongs to `{home}` alone"));
            }
        }
    }
    for (path, text) in sources(&["engine/program"]) {
        for (number, line) in code(&text) {
            for (library, home) in FACES {
                let named = format!("{library}::");
                let outside = line.match_indices(&named).any(|(at, _)| {
                    !line[..at].ends_with(|c: char| c.is_alphanumeric() || c == '_' || c == ':')
                });
                if outside && !path.starts_with(&format!("engine/program/{home}/")) {
                    wrong.push(format!("{path}:{number}: `{library}` belongs to `{home}` alone"));
                }
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn unsafe_stands_in_one_place() {
    let places: Vec<String> = sources(&["engine"])
        .into_iter()
        .flat_map(|(path, text)| {
            code(&text)
                .filter(|(_, line)| line.trim_start().starts_with("unsafe ") || line.contains(" unsafe {"))
                .map(|(number, _)| format!("{path}:{number}"))
                .collect::<Vec<_>>()
        })
        .collect();
    assert_eq!(places.len(), 1, "{places:?}");
    assert!(places[0].starts_with("engine/host/engine.rs"), "{places:?}");
}

#[test]
fn no_test_is_ignored_and_no_lint_is_silenced_without_a_reason() {
    let (ignored, allowed) = (concat!("#[", "ignore"), concat!("#[", "allow("));
    let inner = concat!("#![", "allow(");
    let mut wrong = Vec::new();
    for (path, text) in sources(&["engine", "plugins", "tests"]) {
        for (number, line) in code(&text) {
            if line.contains(ignored) || line.contains(allowed) || line.contains(inner) {
                wrong.push(format!("{path}:{number}: {}", line.trim()));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn functions_that_are_too_long_are_seen() {
    let text = format!("fn short() {{\n}}\nfn long() {{\n{}}}\n", "    x();\n".repeat(MAX_FUNCTION_LINES));
    assert_eq!(long_functions(&text), vec![(3, MAX_FUNCTION_LINES + 2)]);
}
