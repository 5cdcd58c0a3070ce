//! What a new container was to have differently, kept with it as a digest: so that a later run knows which replicas have
//! already got it.

use crate::types::Overrides;
use words::ids::Digest;

/// The value of the label [`OVERRIDES`](crate::labels::OVERRIDES) for these changes and this image; none if
/// nothing is to be different, and for a container that is made for one command.
pub fn digest(overrides: &Overrides, image_id: Option<&str>) -> Option<String> {
    let Overrides { env, labels, user, workdir, .. } = overrides;
    let as_it_is = env.is_empty() && labels.is_empty() && user.is_none() && workdir.is_none();
    if overrides.one_shot || (as_it_is && image_id.is_none()) {
        return None;
    }
    let sorted = |changes: &[String]| {
        let mut changes = changes.to_vec();
        changes.sort();
        changes
    };
    let whole = serde_json::json!([image_id, sorted(env), sorted(labels), user, workdir]);
    Some(Digest::of(whole.to_string()).short().to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(env: &[&str], image_id: Option<&str>) -> Option<String> {
        let env = env.iter().map(|change| (*change).to_owned()).collect();
        digest(&Overrides { env, ..Overrides::default() }, image_id)
    }

    #[test]
    fn the_same_changes_are_the_same_in_any_order() {
        assert_eq!(of(&[], None), None);
        assert_eq!(of(&["A=1", "B"], None), of(&["B", "A=1"], None));
        let all = [of(&["A=1"], None), of(&["A=2"], None), of(&["A"], None), of(&["A=1"], Some("sha256:1"))];
        assert!(all.iter().all(Option::is_some));
        let different: std::collections::BTreeSet<_> = all.iter().collect();
        assert_eq!(different.len(), all.len());
        assert_ne!(of(&[], Some("sha256:1")), of(&[], Some("sha256:2")), "a tag that moved");
    }
}
