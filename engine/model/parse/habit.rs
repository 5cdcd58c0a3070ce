//! Keys that people know from other tools, and what they are called here.

use words::suggestion;

/// What is written elsewhere, and the key or the advice here.
const HABITS: [(&str, &str); 38] = [
    ("action", "uses"),
    ("always", "finally"),
    ("args", "with"),
    ("command", "uses"),
    ("condition", "if"),
    ("continue_on_error", "on_failure"),
    ("cron", "schedule"),
    ("delay", "every"),
    ("depends_on", "needs"),
    ("dependencies", "needs"),
    ("desc", "summary"),
    ("description", "about"),
    ("env", "parameters"),
    ("foreach", "for_each"),
    ("help", "about"),
    ("ignore_errors", "on_failure"),
    ("input", "with"),
    ("inputs", "parameters"),
    ("jobs", "steps"),
    ("loop", "for_each"),
    ("name", "runbook"),
    ("name", "id"),
    ("on", "triggers"),
    ("params", "with"),
    ("params", "parameters"),
    ("permissions", "grants"),
    ("required", "default"),
    ("retries", "retry"),
    ("rollback", "undo"),
    ("run", "uses"),
    ("script", "uses"),
    ("stages", "steps"),
    ("tasks", "steps"),
    ("title", "summary"),
    ("tz", "timezone"),
    ("values", "choices"),
    ("when", "if"),
    ("with_items", "for_each"),
];

/// The hint for an unknown key.
pub(super) fn hint(key: &str, known: &[&str]) -> Option<String> {
    if let Some(near) = suggestion::nearest(key, known.iter().copied()) {
        return Some(format!("did you mean `{near}`?"));
    }
    let habit =
        HABITS.iter().find(|(elsewhere, here)| elsewhere.eq_ignore_ascii_case(key) && known.contains(here));
    match habit {
        Some((_, "default")) => Some("a parameter without a `default` must be given".to_owned()),
        Some((_, here)) => Some(format!("here it is called `{here}`")),
        None => suggestion::hint(key, known.iter().copied()),
    }
}
