//! What each fuzz target does with its bytes: read them as what they claim to be, and hold what must be true of any bytes.
//! A function fails by panicking. `tests/corpus.rs` feeds the kept corpus to the same functions on every `make test`.

mod checkpoints;
mod configs;
mod containers;
mod descriptions;
mod events;
mod exports;
mod expressions;
mod parameters;
mod plugins;
mod receipts;
mod runbooks;
mod schedules;
mod words;

/// What a target does with bytes.
type Feed = fn(&[u8]);

/// Every target by its name: that of its file here, of its folder in the corpus, and of its program.
pub(crate) const TARGETS: [(&str, Feed); 13] = [
    ("checkpoints", checkpoints::feed),
    ("configs", configs::feed),
    ("containers", containers::feed),
    ("descriptions", descriptions::feed),
    ("events", events::feed),
    ("exports", exports::feed),
    ("expressions", expressions::feed),
    ("parameters", parameters::feed),
    ("plugins", plugins::feed),
    ("receipts", receipts::feed),
    ("runbooks", runbooks::feed),
    ("schedules", schedules::feed),
    ("words", words::feed),
];

/// Gives bytes to one target.
pub(crate) fn feed(target: &str, bytes: &[u8]) {
    let found = TARGETS.iter().find(|(name, _)| *name == target);
    let (_, feed) = found.unwrap_or_else(|| panic!("no target is called `{target}`"));
    feed(bytes);
}

/// The public key of the kept journals, from which the seeds of `exports` and `receipts` are.
fn key() -> audit::VerifierKey {
    include_str!("../../journals/v1/audit.pub").parse().expect("the key of the seeds")
}

/// Whether a text can be shown on a terminal without doing anything to it but a line break.
fn is_tame(text: &str) -> bool {
    text.chars().all(|c| c == '\n' || !c.is_control())
}
