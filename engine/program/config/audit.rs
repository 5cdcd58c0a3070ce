//! How much runs may keep beside the audit log.

use std::path::Path;

use super::Origin;
use super::environment::Environment;
use super::file::File;
use crate::error::Error;
use words::duration::parse_size;

/// What may be kept if nobody says otherwise, bytes.
pub const DEFAULT_QUOTA: u64 = 1 << 30;

/// The variable that says it.
const VARIABLE: &str = "RUNBOOK_AUDIT_QUOTA";

/// The variable, the file, or the built-in value.
pub(super) fn quota(
    file: &File,
    path: Option<&Path>,
    environment: &Environment,
) -> Result<(u64, Origin), Error> {
    if let Some(text) = &environment.audit_quota {
        return Ok((read(VARIABLE, text)?, Origin::Variable(VARIABLE)));
    }
    let Some(text) = &file.audit.quota else { return Ok((DEFAULT_QUOTA, Origin::Default)) };
    let (place, origin) = match path {
        Some(path) => (format!("{}: `[audit] quota`", path.display()), Origin::File(path.to_owned())),
        None => ("`[audit] quota`".to_owned(), Origin::Default),
    };
    Ok((read(&place, text)?, origin))
}

fn read(place: &str, text: &str) -> Result<u64, Error> {
    match parse_size(text) {
        Ok(0) => Err(Error::invalid(format!("{place}: a quota of `{text}` would let nothing be kept"))
            .hint("write a size like `64MiB` or `8GB`; the default is `1GiB`")),
        Ok(bytes) => Ok(bytes),
        Err(error) => Err(Error::invalid(format!("{place}: {error}")).hint(error.hint())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn quota_of(toml: &str, variable: Option<&str>) -> Result<(u64, Origin), Error> {
        let path = Path::new("/conf/runbook.toml");
        let environment = Environment { audit_quota: variable.map(str::to_owned), ..Environment::default() };
        quota(&File::parse(path, toml)?, Some(path), &environment)
    }

    #[test]
    fn the_variable_wins_over_the_file_and_that_over_the_default() {
        let file = "[audit]\nquota = \"64MiB\"\n";
        let variable = Origin::Variable(VARIABLE);
        assert_eq!(quota_of(file, Some("2GB")).unwrap(), (2_000_000_000, variable));
        let from_file = Origin::File("/conf/runbook.toml".into());
        assert_eq!(quota_of(file, None).unwrap(), (64 << 20, from_file));
        assert_eq!(quota_of("", None).unwrap(), (DEFAULT_QUOTA, Origin::Default));
    }

    #[test]
    fn what_is_no_size_is_told_with_its_place_and_what_to_write() {
        let file = |text: &str| quota_of(&format!("[audit]\nquota = {text}\n"), None).unwrap_err();
        for (text, words) in [
            ("\"0B\"", "a quota of `0B` would let nothing be kept"),
            ("\"0\"", "`0` is not a size: it has no unit"),
            ("\"\"", "`` is not a size"),
            ("\"lots\"", "`lots` is not a size"),
            ("\"-1GiB\"", "`-1GiB` is not a size"),
        ] {
            let error = file(text);
            let told = format!("/conf/runbook.toml: `[audit] quota`: {words}");
            assert_eq!((error.kind.exit_code(), error.message), (3, told));
            assert!(error.hint.is_some(), "{text}");
        }
        assert!(file("0").message.starts_with("/conf/runbook.toml:2: "), "a number has no unit");
        let error = quota_of("", Some("1gib")).unwrap_err();
        assert_eq!(error.message, "RUNBOOK_AUDIT_QUOTA: `1gib` is not a size: its unit is unknown");
        assert_eq!(error.hint.as_deref(), Some("did you mean `1GiB`?"));
    }
}
