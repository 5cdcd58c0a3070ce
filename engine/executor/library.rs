//! Finding runbooks: the standard library inside the binary, the folder beside the person, a file. Reads texts and peeks
//! at their names; whether a text is valid is for [`model::parse`] to say.

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};
use std::io::ErrorKind;
use std::os::unix::fs::FileTypeExt as _;
use std::path::{Path, PathBuf};

use crate::request::Source;
use model::parse::{ChildSignature, peek, signature};
use words::ids::RunbookName;
use words::own_file;
use words::suggestion::nearest;

/// The most files looked at in a folder.
pub const MAX_FILES: usize = 1_000;

/// The largest text of a runbook.
pub const MAX_TEXT_BYTES: u64 = 256 * 1024;

/// The word before the name of another runbook in `uses`.
const CALLS: &str = "runbook.";

/// Why no runbook was found.
#[derive(Debug, thiserror::Error)]
#[expect(missing_docs, reason = "the messages say it")]
pub enum LibraryError {
    #[error("there is no runbook `{name}`")]
    Unknown { name: String, near: Option<String> },
    #[error("`{name}` names two runbooks: `{first}` and `{second}`")]
    Ambiguous { name: String, first: String, second: String },
    #[error("cannot read `{path}`: {}", .error.kind())]
    Unreadable { path: String, error: std::io::Error },
    #[error("`{path}` is larger than 256 KiB")]
    TooLarge { path: String },
    #[error("`{path}` is a pipe, not a file")]
    NotAFile { path: String },
    #[error("`{path}` is not text (UTF-8)")]
    NotText { path: String },
    #[error("`{path}` holds more than 1000 files")]
    TooMany { path: String },
}

impl LibraryError {
    /// What to do next.
    pub fn hint(&self) -> Option<String> {
        match self {
            Self::Unknown { near: Some(near), .. } => {
                Some(format!("did you mean `{near}`? `runbook list` shows all"))
            }
            Self::Unknown { .. } => Some(
                "`runbook list` shows all; a file is named by its path, for example ./my.yaml".to_owned(),
            ),
            Self::Ambiguous { second, .. } => {
                Some(format!("rename one of them, or name the file: `runbook run {second}`"))
            }
            Self::Unreadable { error, .. } if error.kind() == std::io::ErrorKind::NotFound => Some(
                "look at the path; runbooks of the library have names, `runbook list` shows them".to_owned(),
            ),
            Self::Unreadable { .. } => Some("look at the path and its permissions".to_owned()),
            Self::TooLarge { .. } => {
                Some("split it: a runbook may use others, `uses: runbook.NAME`".to_owned())
            }
            Self::NotAFile { .. } => Some("save what it gives in a file, and name that".to_owned()),
            Self::NotText { .. } => Some("a runbook is a YAML file in UTF-8".to_owned()),
            Self::TooMany { .. } => {
                Some("name the file itself, or keep runbooks in a folder of their own".to_owned())
            }
        }
    }
}

/// A runbook that was found.
#[derive(Debug, Clone)]
pub struct Found {
    /// Its name.
    pub name: RunbookName,
    /// Its one sentence.
    pub summary: String,
    /// `library/NAME`, or the path as the person would write it.
    pub file: String,
    /// Its text.
    pub text: Cow<'static, str>,
}

/// Where runbooks are looked for.
#[derive(Debug, Clone)]
pub struct Library {
    embedded: Vec<(&'static str, &'static str)>,
    folder: PathBuf,
}

impl Library {
    /// The standard library and the person's folder, which may be missing.
    pub fn new(
        embedded: impl Iterator<Item = (&'static str, &'static str)>,
        folder: impl Into<PathBuf>,
    ) -> Self {
        Self { embedded: embedded.collect(), folder: folder.into() }
    }

    /// Everything that has a name, sorted by it; files without one are left out. A file that is a runbook of the
    /// library to the letter is that runbook and no second one: our own repository holds the library in `./runbooks`.
    pub fn all(&self) -> Result<Vec<Found>, LibraryError> {
        let embedded = self.embedded.iter().filter_map(|(name, text)| {
            let file = format!("library/{}", name.trim_end_matches(".yaml"));
            found(file, Cow::Borrowed(text))
        });
        let mut all: Vec<Found> = embedded.collect();
        for path in self.files()? {
            let text = read(&path)?;
            if self.embedded.iter().all(|(_, known)| *known != text) {
                all.extend(found(path.display().to_string(), Cow::Owned(text)));
            }
        }
        all.sort_by(|a, b| (&a.name, &a.file).cmp(&(&b.name, &b.file)));
        Ok(all)
    }

    /// By a name, or a file if it looks like a path; with everything it may call.
    pub fn find(&self, name_or_path: &str) -> Result<Source, LibraryError> {
        let all = self.all()?;
        let (file, text) = if looks_like_a_path(name_or_path) {
            (name_or_path.to_owned(), read(Path::new(name_or_path))?)
        } else {
            let found = only(&all, name_or_path)?;
            (found.file.clone(), found.text.clone().into_owned())
        };
        let others = called(&text, &all)?;
        Ok(Source { file, text, others })
    }

    fn files(&self) -> Result<Vec<PathBuf>, LibraryError> {
        let shown = || self.folder.display().to_string();
        let entries = match std::fs::read_dir(&self.folder) {
            Ok(entries) => entries,
            Err(error) if matches!(error.kind(), std::io::ErrorKind::NotFound) => return Ok(Vec::new()),
            Err(error) => return Err(LibraryError::Unreadable { path: shown(), error }),
        };
        let mut files = Vec::new();
        for entry in entries {
            let path = entry.map_err(|error| LibraryError::Unreadable { path: shown(), error })?.path();
            if yaml(&path) && path.is_file() {
                if files.len() == MAX_FILES {
                    return Err(LibraryError::TooMany { path: shown() });
                }
                files.push(path);
            }
        }
        files.sort();
        Ok(files)
    }
}

fn found(file: String, text: Cow<'static, str>) -> Option<Found> {
    let peek = peek(&text)?;
    Some(Found { name: peek.name, summary: peek.summary, file, text })
}

/// Whether it ends as YAML files do.
pub fn yaml(path: &Path) -> bool {
    path.extension().is_some_and(|extension| extension == "yaml" || extension == "yml")
}

fn looks_like_a_path(text: &str) -> bool {
    text.contains('/') || yaml(Path::new(text))
}

fn only<'a>(all: &'a [Found], name: &str) -> Result<&'a Found, LibraryError> {
    let mut matching = all.iter().filter(|found| found.name.as_str() == name);
    match (matching.next(), matching.next()) {
        (Some(found), None) => Ok(found),
        (Some(first), Some(second)) => Err(LibraryError::Ambiguous {
            name: name.to_owned(),
            first: first.file.clone(),
            second: second.file.clone(),
        }),
        (None, _) => Err(LibraryError::Unknown {
            name: name.to_owned(),
            near: nearest(name, all.iter().map(|found| found.name.as_str())).map(str::to_owned),
        }),
    }
}

/// Every runbook the text may call, directly or through another.
fn called(text: &str, all: &[Found]) -> Result<Vec<(RunbookName, String, String)>, LibraryError> {
    let mut names = BTreeSet::new();
    let mut waiting = vec![text.to_owned()];
    let mut others = Vec::new();
    while let Some(text) = waiting.pop() {
        for name in mentioned(&text) {
            if !names.insert(name.clone()) {
                continue;
            }
            let found = match only(all, &name) {
                Ok(found) => found,
                Err(LibraryError::Unknown { .. }) => continue,
                Err(error) => return Err(error),
            };
            waiting.push(found.text.clone().into_owned());
            others.push((found.name.clone(), found.file.clone(), found.text.clone().into_owned()));
        }
    }
    others.sort();
    Ok(others)
}

fn mentioned(text: &str) -> Vec<String> {
    let legal = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
    text.match_indices(CALLS)
        .map(|(at, _)| text[at + CALLS.len()..].chars().take_while(|c| legal(*c)).collect::<String>())
        .filter(|name| !name.is_empty())
        .collect()
}

/// What a runbook needs to know of those it may call.
pub fn signatures<'a>(
    others: impl IntoIterator<Item = (&'a RunbookName, &'a str)>,
) -> BTreeMap<RunbookName, ChildSignature> {
    let read = |(name, text): (&RunbookName, &str)| Some((name.clone(), signature(text)?));
    others.into_iter().filter_map(read).collect()
}

/// The text of a file, if it is one and not too large.
pub fn read(path: &Path) -> Result<String, LibraryError> {
    let shown = || path.display().to_string();
    let unreadable = |error| LibraryError::Unreadable { path: shown(), error };
    // Opening a pipe that nobody writes to waits for ever; one that a shell has made, `<(…)`, has its writer.
    let kind = std::fs::metadata(path).map_err(unreadable)?.file_type();
    if kind.is_fifo()
        && !path.starts_with("/dev/fd")
        && !path.starts_with("/proc")
        && !path.starts_with("/dev/stdin")
    {
        return Err(LibraryError::NotAFile { path: shown() });
    }
    let bytes = own_file::read_named(path, MAX_TEXT_BYTES).map_err(|error| match error.kind() {
        ErrorKind::FileTooLarge => LibraryError::TooLarge { path: shown() },
        _ => unreadable(error),
    })?;
    String::from_utf8(bytes).map_err(|_| LibraryError::NotText { path: shown() })
}

#[cfg(test)]
mod tests {
    use super::*;

    const EMBEDDED: &[(&str, &str)] = &[
        ("service-restart", "format: 1\nrunbook: service-restart\nsummary: Restart a service.\n"),
        (
            "stack",
            "format: 1\nrunbook: stack\nsummary: All of it.\nsteps:\n  - uses: runbook.service-restart\n",
        ),
    ];

    fn folder(files: &[(&str, &str)]) -> (tempfile::TempDir, Library) {
        let folder = tempfile::tempdir().unwrap();
        for (name, text) in files {
            std::fs::write(folder.path().join(name), text).unwrap();
        }
        let library = Library::new(EMBEDDED.iter().copied(), folder.path());
        (folder, library)
    }

    fn text(name: &str) -> String {
        format!("format: 1\nrunbook: {name}\nsummary: Mine.\n")
    }

    #[test]
    fn library_folder_and_file_are_searched() {
        let (folder, library) = folder(&[("mine.yaml", &text("mine")), ("notes.txt", "runbook: no")]);
        let names: Vec<_> = library.all().unwrap().into_iter().map(|found| found.name.to_string()).collect();
        assert_eq!(names, ["mine", "service-restart", "stack"]);
        assert_eq!(library.find("service-restart").unwrap().file, "library/service-restart");
        let path = folder.path().join("mine.yaml").display().to_string();
        assert_eq!(library.find("mine").unwrap().file, path);
        assert_eq!(library.find(&path).unwrap().text, text("mine"));
    }

    #[test]
    fn the_same_name_twice_names_both() {
        let (folder, library) = folder(&[("x.yaml", &text("service-restart"))]);
        let error = library.find("service-restart").unwrap_err().to_string();
        assert!(error.contains("library/service-restart"), "{error}");
        assert!(error.contains(&folder.path().join("x.yaml").display().to_string()), "{error}");
    }

    #[test]
    fn a_copy_to_the_letter_is_the_same_runbook() {
        let (_folder, library) = folder(&[("service-restart.yaml", EMBEDDED[0].1)]);
        assert_eq!(library.find("service-restart").unwrap().file, "library/service-restart");
        assert_eq!(library.all().unwrap().len(), 2);
    }

    #[test]
    fn an_unknown_name_is_answered_with_the_nearest() {
        let (_folder, library) = folder(&[]);
        let error = library.find("service-restrat").unwrap_err();
        assert!(error.hint().unwrap().contains("did you mean `service-restart`"), "{error:?}");
        assert!(!library.find("zzz").unwrap_err().hint().unwrap().contains("did you mean"));
    }

    #[test]
    fn what_a_runbook_calls_comes_with_it() {
        let night = format!("{}steps:\n  - uses: runbook.stack\n", text("night"));
        let (_folder, library) = folder(&[("night.yml", &night)]);
        let others: Vec<_> =
            library.find("night").unwrap().others.into_iter().map(|o| o.0.to_string()).collect();
        assert_eq!(others, ["service-restart", "stack"]);
    }

    #[test]
    fn a_missing_folder_is_an_empty_one_and_a_missing_file_an_error() {
        let library = Library::new(EMBEDDED.iter().copied(), "/no/such/folder");
        assert_eq!(library.all().unwrap().len(), 2);
        assert!(matches!(library.find("./no.yaml"), Err(LibraryError::Unreadable { .. })));
    }

    #[test]
    fn a_pipe_is_not_waited_for() {
        let (folder, _library) = folder(&[]);
        let path = folder.path().join("pipe.yaml");
        let (kind, mode) = (rustix::fs::FileType::Fifo, rustix::fs::Mode::RUSR | rustix::fs::Mode::WUSR);
        rustix::fs::mknodat(rustix::fs::CWD, &path, kind, mode, 0).unwrap();
        assert!(matches!(read(&path), Err(LibraryError::NotAFile { .. })));
    }

    #[test]
    fn a_huge_file_is_not_read() {
        let (folder, library) = folder(&[]);
        let path = folder.path().join("huge.yaml");
        std::fs::write(&path, vec![b'#'; 300 * 1024]).unwrap();
        assert!(matches!(library.find(&path.display().to_string()), Err(LibraryError::TooLarge { .. })));
    }
}
