//! Small texts, one to a line: durations, sizes, names, addresses, paths of steps.

use model::address::{check_address, may_cover};
use model::grant::{check_bucket, check_label};
use model::runbook::Template;
use model::template::InvalidTemplate;
use words::duration::{format_duration, format_size, parse_duration, parse_size};
use words::ids::{Digest, RunId, StepPath, TargetName};

pub(super) fn feed(bytes: &[u8]) {
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    let mut before = "https://example.org/*";
    for line in text.lines() {
        quantities(line);
        names(line);
        for told in [check_address(line), check_label(line), check_bucket(line)] {
            assert!(told.is_ok() || told.is_err_and(|told| super::is_tame(&told)), "{line:?}");
        }
        let _ = may_cover(before, line);
        if check_address(line).is_ok() && !line.contains("${{") {
            assert!(may_cover(line, line), "an address covers itself: {line:?}");
        }
        let _: Result<_, InvalidTemplate> =
            Template::parse(line, 1).inspect(|template| drop(template.expressions()));
        before = line;
    }
}

fn quantities(line: &str) {
    match parse_duration(line) {
        Ok(duration) => assert_eq!(parse_duration(&format_duration(duration)), Ok(duration)),
        Err(error) => assert!(super::is_tame(&format!("{error} {}", error.hint())), "{error}"),
    }
    match parse_size(line) {
        Ok(size) => assert_eq!(parse_size(&format_size(size)), Ok(size)),
        Err(error) => assert!(super::is_tame(&format!("{error} {}", error.hint())), "{error}"),
    }
}

fn names(line: &str) {
    if let Ok(path) = line.parse::<StepPath>() {
        assert_eq!(path.to_string().parse::<StepPath>().ok(), Some(path), "a path is written as it is read");
    }
    for told in
        [RunId::new(line).err(), Digest::new(line).err(), TargetName::new(line).err()].into_iter().flatten()
    {
        assert!(super::is_tame(&told.to_string()), "{told}");
    }
}
