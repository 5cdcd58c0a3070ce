//! The text of a runbook, with the plugins and the library that are in the binary.

use std::collections::BTreeMap;
use std::sync::LazyLock;

use host::embedded;
use model::parse::{ChildSignature, Known, MAX_TROUBLES, lints, parse, peek, signature};
use model::runbook::Runbook;
use model::step_type::Catalogue;
use words::ids::RunbookName;

static CATALOGUE: LazyLock<Catalogue> = LazyLock::new(embedded::catalogue);

static SIGNATURES: LazyLock<BTreeMap<RunbookName, ChildSignature>> = LazyLock::new(|| {
    let named = |(name, text): (&str, &str)| Some((RunbookName::new(name).ok()?, signature(text)?));
    embedded::runbooks().filter_map(named).collect()
});

fn known() -> Known<'static> {
    Known { catalogue: &CATALOGUE, runbooks: &SIGNATURES }
}

/// The runbooks of the library.
pub(super) fn library() -> Vec<Runbook> {
    let read = |(name, text): (&str, &str)| {
        let file = format!("library/{name}");
        parse(&file, text, &known()).unwrap_or_else(|troubles| panic!("{}", troubles.render()))
    };
    embedded::runbooks().map(read).collect()
}

pub(super) fn feed(bytes: &[u8]) {
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    match parse("fuzz.yaml", text, &known()) {
        Ok(runbook) => {
            let peeked = peek(text).expect("what is valid has a name");
            assert_eq!(peeked.name, runbook.name);
            assert_eq!(signature(text).expect("and parameters").parameters, runbook.parameters);
            for lint in lints("fuzz.yaml", &runbook) {
                assert!(super::is_tame(&lint.message), "{lint:?}");
            }
        }
        Err(troubles) => {
            let all = &troubles.troubles;
            assert!(!all.is_empty() && all.len() <= MAX_TROUBLES + 1);
            for trouble in all {
                assert!(super::is_tame(&trouble.message), "{trouble:?}");
            }
            assert!(super::is_tame(&troubles.render()), "{:?}", troubles.render());
            let _ = (peek(text), signature(text));
        }
    }
}
