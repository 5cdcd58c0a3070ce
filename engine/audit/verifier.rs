//! `runbook-verify`: verifies an audit log, an export or a receipt, and links nothing of the engine but the audit log. For
//! whoever is given evidence and would not install what made it.
#![expect(clippy::print_stdout, clippy::print_stderr, reason = "it is a program")]

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use runbook_audit::{
    Evidence, MAX_CHECKPOINT_BYTES, Proof, Unproved, VerifierKey, VerifyError, VerifyOptions, given_key,
};
use words::own_file;
use words::text::for_terminal;

/// Not what was written or signed; as `runbook` ends with it.
const TAMPERED: u8 = 5;
/// What was typed is wrong.
const MISUSED: u8 = 2;
/// Something cannot be read, or is nothing that can be verified.
const UNREADABLE: u8 = 4;

const HELP: &str = "Check every byte of an audit log of `runbook`, of an export, an archive or a receipt

Usage: runbook-verify PATH [--public-key KEY|FILE] [--checkpoint FILE] [--no-blob-list]

  PATH                    a data directory, a copy of its `audit.db`, an export, an archive, or a receipt
  --public-key KEY|FILE   the public key that was kept elsewhere; required for all but a log, beside which one lies
  --checkpoint FILE       a checkpoint of this log that was kept elsewhere
  --no-blob-list          accept an archive of version 0.1, which has no list of its blobs
  --help, --version

Exit code 0 if all is what was written, 5 if anything is not, 4 if it cannot be read, 2 for what was typed wrong.

  runbook-verify evidence/ --public-key runbook.pub
";

fn main() -> ExitCode {
    match run(std::env::args_os().skip(1).map(|word| word.to_string_lossy().into_owned())) {
        Ok(words) => {
            println!("{}", for_terminal(words.trim_end()));
            ExitCode::SUCCESS
        }
        Err((code, words)) => {
            eprintln!("error: {}", for_terminal(&words));
            ExitCode::from(code)
        }
    }
}

type Failure = (u8, String);

fn run(mut words: impl Iterator<Item = String>) -> Result<String, Failure> {
    let (mut path, mut options, mut no_blob_list) = (None, VerifyOptions::default(), false);
    while let Some(word) = words.next() {
        let mut value = || words.next().ok_or_else(|| misused(&format!("`{word}` wants a value")));
        match word.as_str() {
            "--help" | "-h" => return Ok(HELP.to_owned()),
            "--version" | "-V" => return Ok(format!("runbook-verify {}", env!("CARGO_PKG_VERSION"))),
            "--public-key" => options.public_key = Some(key(&value()?)?),
            "--checkpoint" => options.checkpoint = Some(text(Path::new(&value()?))?),
            "--no-blob-list" => no_blob_list = true,
            flag if flag.starts_with('-') => return Err(misused(&format!("there is no option `{flag}`"))),
            _ if path.is_none() => path = Some(PathBuf::from(&word)),
            _ => return Err(misused("one path at a time is verified")),
        }
    }
    let path = path.ok_or_else(|| misused("what is to be verified?"))?;
    let evidence = Evidence::at(&path).map_err(|error| (UNREADABLE, error.to_string()))?;
    let proof = evidence.verify(&path, &options, no_blob_list).map_err(|error| match &error {
        Unproved::NoKey => misused(&error.to_string()),
        Unproved::Verify(VerifyError::Tampered(_)) => (TAMPERED, format!("not what was written: {error}")),
        Unproved::Verify(VerifyError::Unreadable(_)) => (UNREADABLE, error.to_string()),
    })?;
    Ok(told(&proof))
}

fn told(proof: &Proof) -> String {
    match proof {
        Proof::Log(log) => {
            let vouched = log.witnessed.map_or_else(
                || "self-signed only: no checkpoint that was kept elsewhere vouches for it".to_owned(),
                |size| format!("the checkpoint kept elsewhere vouches for the first {size}"),
            );
            format!("verified {} entries of {} runs, root {}\n{vouched}", log.entries, log.runs, log.root)
        }
        Proof::Export(export) => {
            let mut words = format!(
                "verified an export of entries {} to {}, signed by {}",
                export.after + 1,
                export.entries,
                export.public_key
            );
            if let Some(blobs) = &export.blobs {
                words.push_str(&format!(
                    "\n{} blobs are what their names say, {} are missing, {} are not named by its entries",
                    blobs.checked,
                    blobs.missing.len(),
                    blobs.extra.len()
                ));
            }
            words
        }
        Proof::Receipt(proven) => {
            let body = proven.body.as_ref().map(|body| format!("\n{body}")).unwrap_or_default();
            format!("verified that entry {} stands in a log of {} entries{body}", proven.seq, proven.entries)
        }
    }
}

fn misused(words: &str) -> Failure {
    (MISUSED, format!("{words}\n{HELP}"))
}

fn key(given: &str) -> Result<VerifierKey, Failure> {
    given_key(given).map_err(|error| (UNREADABLE, error.to_string()))
}

fn text(path: &Path) -> Result<String, Failure> {
    own_file::read_named_text(path, MAX_CHECKPOINT_BYTES as u64)
        .map_err(|error| (UNREADABLE, format!("cannot read `{}`: {error}", path.display())))
}
