//! "Did you mean": the nearest of the names that exist.

use strsim::damerau_levenshtein;

/// The name among `candidates` that `name` was probably meant to be.
pub fn nearest<'c>(name: &str, candidates: impl IntoIterator<Item = &'c str>) -> Option<&'c str> {
    // A third of the letters may be wrong, at least one: `on` is not near `if`, `parmeters` is near `parameters`.
    let allowed = (name.chars().count() / 3).max(1);
    let folded = fold(name);
    candidates
        .into_iter()
        .map(|candidate| (damerau_levenshtein(&folded, &fold(candidate)), candidate))
        .filter(|(distance, candidate)| *distance <= allowed || related(&folded, &fold(candidate)))
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, candidate)| candidate)
}

/// The hint that goes with an unknown name: the nearest one, else all of them if they are few.
pub fn hint<'c>(name: &str, candidates: impl IntoIterator<Item = &'c str>) -> Option<String> {
    let candidates: Vec<&str> = candidates.into_iter().collect();
    match nearest(name, candidates.iter().copied()) {
        Some(near) => Some(format!("did you mean `{near}`?")),
        None => known(&candidates),
    }
}

/// The most names that are listed in a hint.
const MAX_LISTED: usize = 20;

fn known(candidates: &[&str]) -> Option<String> {
    match candidates {
        [] => None,
        [only] => Some(format!("known is `{only}`")),
        many if many.len() <= MAX_LISTED => Some(format!("known are {}", list(many.iter().copied()))),
        _ => None,
    }
}

/// `a`, `b` and `c`, each in backticks.
pub fn list<'n>(names: impl IntoIterator<Item = &'n str>) -> String {
    let quoted: Vec<String> = names.into_iter().map(|name| format!("`{name}`")).collect();
    match quoted.as_slice() {
        [] => String::new(),
        [only] => only.clone(),
        [first @ .., last] => format!("{} and {last}", first.join(", ")),
    }
}

fn fold(name: &str) -> String {
    name.to_lowercase().replace(['_', ' '], "-")
}

/// `restart` for `service-restart`, `params` for `parameters`.
fn related(short: &str, long: &str) -> bool {
    const LEAST_LETTERS: usize = 4;
    short.len() >= LEAST_LETTERS && (long.starts_with(short) || long.ends_with(short))
}

#[cfg(test)]
mod tests {
    use super::{hint, nearest};

    #[test]
    fn a_slip_finds_its_name_and_a_stranger_does_not() {
        let names = ["parameters", "steps", "service.restart", "max_unavailable"];
        assert_eq!(nearest("parmeters", names), Some("parameters"));
        assert_eq!(nearest("service.restat", names), Some("service.restart"));
        assert_eq!(nearest("max-unavailable", names), Some("max_unavailable"));
        assert_eq!(nearest("restart", names), Some("service.restart"));
        assert_eq!(nearest("on", names), None);
        assert_eq!(hint("xyz", ["a", "b"]).unwrap(), "known are `a` and `b`");
    }
}
