//! `runbook validate`: everything that is wrong with runbooks, at once, without running anything.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use clap::Args;
use serde_json::{Value, json};

use super::Ended;
use super::context::Context;
use crate::error::{Error, exit};
use executor::holds_no_secret;
use executor::library::{self, LibraryError, MAX_FILES, yaml};
use model::parse::{ChildSignature, Known, lints, parse, peek};
use model::runbook::Runbook;
use model::trouble::{Trouble, Troubles};
use words::ids::RunbookName;

/// Check runbooks and show everything that is wrong with them; runs nothing
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  runbook validate runbooks
  runbook validate my.yaml other.yaml --output json
  runbook validate service-restart                 one of the library

Exit code 3 if anything is wrong.")]
pub(super) struct Validate {
    /// Files, folders, or names
    #[arg(required = true, value_name = "FILE")]
    files: Vec<PathBuf>,
}

/// A text that could be read, or why not.
type Text = (String, Result<String, LibraryError>);

impl Validate {
    pub(super) fn run(self, context: &Context) -> Ended {
        let texts = texts(context, &self.files)?;
        let catalogue = context.catalogue()?;
        let runbooks = signatures(context, &texts)?;
        let known = Known { catalogue: &catalogue, runbooks: &runbooks };
        let results: Vec<(String, Result<Runbook, Troubles>)> = texts
            .into_iter()
            .map(|(file, text)| {
                let result = match text {
                    Ok(text) => holds_no_secret(&file, &text).and_then(|()| parse(&file, &text, &known)),
                    Err(error) => Err(unreadable(&file, &error)),
                };
                (file, result)
            })
            .collect();
        let broken = results.iter().filter(|(_, result)| result.is_err()).count();
        if context.out.is_json() {
            let files: Vec<Value> = results.iter().map(document).collect();
            context.out.json(&json!({ "valid": broken == 0, "files": files }));
        } else {
            tell(context, &results, broken);
        }
        Ok(if broken == 0 { exit::SUCCEEDED } else { exit::INVALID })
    }
}

fn tell(context: &Context, results: &[(String, Result<Runbook, Troubles>)], broken: usize) {
    for (file, result) in results {
        match result {
            Ok(runbook) => {
                let ok = context.out.paint.green("ok");
                context.out.line(format!("{ok} {file}: {} ({} steps)", runbook.name, runbook.steps.len()));
                let doubts = lints(file, runbook);
                if !doubts.is_empty() {
                    let doubts =
                        Troubles { file: file.clone(), text: runbook.text.clone(), troubles: doubts };
                    context.out.warning(&format!("{file} is valid, but look again"));
                    context.out.talk_raw(&doubts.render());
                }
            }
            Err(troubles) => context.out.raw(&troubles.render()),
        }
    }
    if broken > 0 {
        let troubles: usize =
            results.iter().filter_map(|(_, r)| r.as_ref().err()).map(|t| t.troubles.len()).sum();
        let error = context.out.talk_paint.red("error:");
        context.out.talk(format!("{error} {}", counted(troubles, broken)));
    }
}

fn counted(troubles: usize, files: usize) -> String {
    let plural =
        |count: usize, word: &str| if count == 1 { format!("1 {word}") } else { format!("{count} {word}s") };
    format!("{} in {}", plural(troubles, "trouble"), plural(files, "file"))
}

fn document((file, result): &(String, Result<Runbook, Troubles>)) -> Value {
    match result {
        Ok(runbook) => {
            json!({ "file": file, "valid": true, "runbook": runbook.name, "troubles": [], "warnings": lints(file, runbook) })
        }
        Err(troubles) => json!({ "file": file, "valid": false, "troubles": troubles.troubles }),
    }
}

fn unreadable(file: &str, error: &LibraryError) -> Troubles {
    let trouble = Trouble { line: 0, column: 0, message: error.to_string(), hint: error.hint() };
    Troubles { file: file.to_owned(), text: String::new(), troubles: vec![trouble] }
}

/// The texts behind files, folders and names, in the order given.
fn texts(context: &Context, files: &[PathBuf]) -> Result<Vec<Text>, Error> {
    let mut texts = Vec::new();
    for path in files {
        let name = path.to_string_lossy();
        if path.is_dir() {
            let mut found = Vec::new();
            collect(path, &mut found)?;
            found.sort();
            texts.extend(found.iter().map(|path| (path.display().to_string(), library::read(path))));
        } else if !path.exists() && RunbookName::new(name.as_ref()).is_ok() {
            let source = context.library()?.find(&name)?;
            texts.push((source.file, Ok(source.text)));
        } else {
            texts.push((path.display().to_string(), library::read(path)));
        }
    }
    if texts.is_empty() {
        return Err(Error::invalid("no runbook there").hint("runbooks are files that end in .yaml or .yml"));
    }
    Ok(texts)
}

/// Every YAML file below a folder; links to folders are not followed.
fn collect(folder: &Path, found: &mut Vec<PathBuf>) -> Result<(), Error> {
    let cannot = |error: std::io::Error| Error::file(folder, "read", &error);
    for entry in std::fs::read_dir(folder).map_err(cannot)? {
        let entry = entry.map_err(cannot)?;
        let path = entry.path();
        if entry.file_type().map_err(cannot)?.is_dir() {
            collect(&path, found)?;
        } else if yaml(&path) {
            found.push(path);
        }
        if found.len() > MAX_FILES {
            return Err(Error::invalid(format!(
                "`{}` holds more than {MAX_FILES} runbooks",
                folder.display()
            )));
        }
    }
    Ok(())
}

/// Of the library, the folder and the files themselves, which win.
fn signatures(context: &Context, texts: &[Text]) -> Result<BTreeMap<RunbookName, ChildSignature>, Error> {
    let all = context.library()?.all()?;
    let mut signatures = library::signatures(all.iter().map(|found| (&found.name, found.text.as_ref())));
    let named: Vec<_> = texts
        .iter()
        .filter_map(|(_, text)| text.as_deref().ok())
        .filter_map(|text| Some((peek(text)?.name, text)))
        .collect();
    signatures.extend(library::signatures(named.iter().map(|(name, text)| (name, *text))));
    Ok(signatures)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn folders_are_searched_to_the_bottom() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::create_dir(folder.path().join("deep")).unwrap();
        for file in ["a.yaml", "deep/b.yml", "deep/c.txt"] {
            std::fs::write(folder.path().join(file), "").unwrap();
        }
        let mut found = Vec::new();
        collect(folder.path(), &mut found).unwrap();
        assert_eq!(found.len(), 2);
    }

    #[test]
    fn counts_are_words() {
        assert_eq!(counted(1, 1), "1 trouble in 1 file");
        assert_eq!(counted(3, 2), "3 troubles in 2 files");
    }
}
