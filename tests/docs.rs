//! The documents are true to the program: every runbook in them is valid, every command and flag in them exists, and the
//! reference of the command line is what the program says of itself.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use executor::library::signatures;
use host::embedded;
use model::parse::{Known, parse};
use words::ids::RunbookName;

/// Set to write `docs/cli.md` anew instead of comparing it.
const UPDATE: &str = "UPDATE_DOCS";

/// Columns of the help texts in the reference.
const COLUMNS: &str = "100";

fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

/// A block between two fences.
struct Block {
    place: String,
    language: String,
    text: String,
}

fn markdown(folder: &Path, into: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).expect("a folder of documents") {
        let path = entry.expect("an entry").path();
        if path.is_dir() {
            markdown(&path, into);
        } else if path.extension().is_some_and(|e| e == "md") {
            into.push(path);
        }
    }
}

fn blocks() -> Vec<Block> {
    let mut files = vec![root().join("README.md")];
    markdown(&root().join("docs"), &mut files);
    let mut found = Vec::new();
    for file in files {
        let name = file.strip_prefix(root()).expect("inside the root").display().to_string();
        let text = fs::read_to_string(&file).expect("a document");
        let mut open: Option<Block> = None;
        for (number, line) in text.lines().enumerate() {
            match (line.strip_prefix("```"), &mut open) {
                (Some(_), Some(_)) => found.extend(open.take()),
                (Some(language), None) => {
                    let place = format!("{name}:{}", number + 1);
                    open = Some(Block { place, language: language.trim().to_owned(), text: String::new() });
                }
                (None, Some(block)) => {
                    block.text.push_str(line);
                    block.text.push('\n');
                }
                (None, None) => {}
            }
        }
        assert!(open.is_none(), "{name}: a fence is not closed");
    }
    found
}

/// YAML that begins as a runbook does is one; other pieces of YAML are only parts.
#[test]
fn runbooks_in_documents_are_valid() {
    let catalogue = embedded::catalogue();
    let library: Vec<(RunbookName, &str)> = embedded::runbooks()
        .map(|(name, text)| (RunbookName::new(name).expect("a name of the library"), text))
        .collect();
    let runbooks = signatures(library.iter().map(|(name, text)| (name, *text)));
    let known = Known { catalogue: &catalogue, runbooks: &runbooks };
    let whole: Vec<Block> = blocks()
        .into_iter()
        .filter(|block| block.language == "yaml" && block.text.starts_with("format: 1"))
        .collect();
    assert!(!whole.is_empty(), "the documents show no runbook");
    for block in whole {
        if let Err(troubles) = parse(&block.place, &block.text, &known) {
            panic!("{}", troubles.render());
        }
    }
}

/// What the program prints for `--help` of a command.
fn help(command: &[String]) -> String {
    let output = Command::new(env!("CARGO_BIN_EXE_runbook"))
        .args(command)
        .arg("--help")
        .env("COLUMNS", COLUMNS)
        .output()
        .expect("the program");
    assert!(output.status.success(), "`runbook {} --help` fails", command.join(" "));
    String::from_utf8(output.stdout).expect("text")
}

/// The names under `Commands:`, `help` left out.
fn commands_of(help: &str) -> Vec<String> {
    let listed = help.lines().skip_while(|line| *line != "Commands:").skip(1);
    listed
        .take_while(|line| !line.is_empty())
        .filter(|line| line.starts_with("  ") && !line.starts_with("   "))
        .filter_map(|line| line.split_whitespace().next())
        .filter(|name| *name != "help")
        .map(str::to_owned)
        .collect()
}

/// Every command with its help, parents before their children.
fn all_helps() -> BTreeMap<Vec<String>, String> {
    let mut helps = BTreeMap::new();
    let mut waiting = vec![Vec::new()];
    while let Some(command) = waiting.pop() {
        let text = help(&command);
        for name in commands_of(&text) {
            waiting.push(command.iter().cloned().chain([name]).collect());
        }
        helps.insert(command, text);
    }
    helps
}

/// What is wrong with one line of a shell, as far as it calls the program.
fn wrong_with(line: &str, helps: &BTreeMap<Vec<String>, String>) -> Option<String> {
    let line = line.split('#').next().unwrap_or_default().trim();
    let words: Vec<&str> = line.strip_prefix("runbook ")?.split_whitespace().collect();
    let mut command: Vec<String> = Vec::new();
    for word in &words {
        let deeper: Vec<String> = command.iter().cloned().chain([(*word).to_owned()]).collect();
        if !helps.contains_key(&deeper) {
            break;
        }
        command = deeper;
    }
    let text = &helps[&command];
    if !commands_of(text).is_empty() && words.first().is_some_and(|word| !word.starts_with('-')) {
        return Some(format!("`runbook {}` is no command", words.join(" ")));
    }
    let known: BTreeSet<&str> = text
        .split(|c: char| c.is_whitespace() || ",[]<>=`.".contains(c))
        .filter(|w| w.starts_with('-'))
        .collect();
    let flags = words.iter().filter(|word| word.starts_with("--") && word.len() > 2);
    let unknown = flags.map(|word| word.split('=').next().unwrap_or(word)).find(|flag| !known.contains(flag));
    unknown.map(|flag| format!("`runbook {}` has no flag `{flag}`", command.join(" ")))
}

#[test]
fn commands_in_documents_exist() {
    let helps = all_helps();
    let mut wrong = Vec::new();
    for block in blocks().into_iter().filter(|block| block.language == "sh") {
        let troubles = block.text.lines().filter_map(|line| wrong_with(line, &helps));
        wrong.extend(troubles.map(|trouble| format!("{}: {trouble}", block.place)));
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn the_reference_of_the_command_line_is_fresh() {
    let mut text = String::from(
        "# The command line\n\nWritten by the program itself: `UPDATE_DOCS=1 cargo test --test main docs::` writes this file.\n",
    );
    let helps = all_helps();
    let (_, globals) = helps[&Vec::new()].split_once("Global options:\n").expect("global options");
    let globals = globals.split("\n\n").next().unwrap_or_default();
    for (command, help) in &helps {
        let title =
            if command.is_empty() { "runbook".to_owned() } else { format!("runbook {}", command.join(" ")) };
        // The global options stand once, at the top.
        let shown = if command.is_empty() {
            help.clone()
        } else {
            help.replace(&format!("Global options:\n{globals}\n\n"), "")
                .replace(&format!("Global options:\n{globals}"), "")
        };
        let level = "#".repeat(command.len() + 1 + usize::from(command.len() < 2));
        text.push_str(&format!("\n{level} {title}\n\n```\n{}\n```\n", shown.trim_end()));
    }
    let file = root().join("docs/cli.md");
    if std::env::var_os(UPDATE).is_some() {
        fs::write(&file, &text).expect("docs/cli.md is written");
    }
    let written = fs::read_to_string(&file).unwrap_or_default();
    assert!(written == text, "docs/cli.md is stale: run `{UPDATE}=1 cargo test --test main docs::`");
}

fn rust_text(folder: &Path, into: &mut String) {
    for entry in fs::read_dir(folder).expect("a folder of sources") {
        let path = entry.expect("an entry").path();
        if path.is_dir() && !path.ends_with("target") {
            rust_text(&path, into);
        } else if path.extension().is_some_and(|e| e == "rs") {
            into.push_str(&fs::read_to_string(&path).expect("a source file"));
        }
    }
}

/// Names in backticks with three underscores or more are those of tests.
#[test]
fn tests_that_documents_name_exist() {
    let mut sources = String::new();
    for folder in ["engine", "plugins", "tests"] {
        rust_text(&root().join(folder), &mut sources);
    }
    for document in ["docs/promises.md", "docs/architecture.md"] {
        let text = fs::read_to_string(root().join(document)).expect("a document");
        let legal = |name: &&str| {
            name.matches('_').count() > 2 && name.chars().all(|c| c.is_ascii_lowercase() || c == '_')
        };
        let gone: Vec<&str> =
            text.split('`').filter(legal).filter(|name| !sources.contains(&format!("fn {name}("))).collect();
        assert!(gone.is_empty(), "{document} names tests that do not exist: {gone:?}");
    }
}

#[test]
fn what_does_not_exist_is_seen() {
    let helps = all_helps();
    assert!(wrong_with("runbook run x --yes -p a=b   # comment --no", &helps).is_none());
    assert!(wrong_with("cargo build --release", &helps).is_none());
    assert!(wrong_with("runbook runs wotch last", &helps).is_some());
    assert!(wrong_with("runbook run x --yess", &helps).is_some());
}
