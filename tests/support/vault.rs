//! A store of secrets for tests, filled by the built binary itself, and the search for what must be nowhere.

use std::path::{Path, PathBuf};

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD_NO_PAD, URL_SAFE_NO_PAD};
use sha2::{Digest as _, Sha256};

use super::engine::Engine;

/// Keeps a new version of a secret.
pub(crate) fn set(engine: &Engine, name: &str, value: &str) {
    let file = engine.path("value.txt");
    std::fs::write(&file, value).expect("a file");
    engine.must(0, &["secret", "set", name, "--file", &file.to_string_lossy()]);
    std::fs::remove_file(file).expect("the file");
}

/// A text in the shapes it might leave in: raw, base64 at each offset, hex, URL.
pub(crate) fn forms(text: &str) -> Vec<String> {
    let mut forms = vec![text.to_owned(), text.chars().rev().collect()];
    for skipped in 0..3 {
        let shifted = [&b"xxx"[..skipped], text.as_bytes()].concat();
        let whole = shifted.len() / 3 * 3;
        for encoded in [STANDARD_NO_PAD.encode(&shifted[..whole]), URL_SAFE_NO_PAD.encode(&shifted[..whole])]
        {
            // What depends on the neighbours before it is no part of the pattern.
            forms.push(encoded[if skipped == 0 { 0 } else { 4 }..].to_owned());
        }
    }
    let plain = hex(text.as_bytes());
    forms.push(text.bytes().fold(String::new(), |all, byte| format!("{all}%{byte:02X}")));
    forms.extend([plain.to_uppercase(), plain]);
    forms
}

/// In hex.
pub(crate) fn sha256(text: &str) -> String {
    hex(&Sha256::digest(text.as_bytes()))
}

pub(crate) fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |all, byte| format!("{all}{byte:02x}"))
}

/// Nothing of these is in any file of the data directory.
pub(crate) fn clean(engine: &Engine, secrets: &[&str]) {
    assert!(files(engine.data()).len() > 3, "a data directory has more files");
    assert_eq!(hits(engine.data(), secrets), Vec::<String>::new());
}

/// Where any of these is found, in any form: in a file, or in the files below a folder.
pub(crate) fn hits(path: &Path, secrets: &[&str]) -> Vec<String> {
    let forms: Vec<String> = secrets.iter().flat_map(|secret| forms(secret)).collect();
    let all = if path.is_dir() { files(path) } else { vec![path.to_owned()] };
    let mut found = Vec::new();
    for file in all.iter().filter(|file| file.is_file()) {
        let bytes = std::fs::read(file).unwrap_or_default();
        for form in &forms {
            if bytes.windows(form.len()).any(|window| window == form.as_bytes()) {
                found.push(format!("`{form}` in {}", file.display()));
            }
        }
    }
    found
}

/// Everything below a folder.
pub(crate) fn files(dir: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(dir).expect("a folder").flatten() {
        if entry.path().is_dir() {
            found.extend(files(&entry.path()));
        }
        found.push(entry.path());
    }
    found
}
