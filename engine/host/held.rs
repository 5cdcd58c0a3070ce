//! What a run that is held to a plan may still write, and how the plan saw each target when it was first touched.

use std::collections::HashSet;

use serde_json::{Map, Value};

use crate::model::ids::Digest;
use crate::run::event::HeldWrite;

/// What must still be so of a container when the plan is carried out; health comes and goes and is no part of it.
const FACTS: [&str; 6] = ["id", "name", "state", "started_at", "image_id", "limits"];

/// The image a container is to be made of.
const NEW_IMAGE: &str = "new image_id";

/// The facts of a target as it was seen before a write; null for what is no container.
pub(super) fn facts(before: &Value) -> Value {
    let container = before.get("from").unwrap_or(before);
    let mut facts: Map<String, Value> =
        FACTS.iter().filter_map(|fact| Some(((*fact).to_owned(), container.get(fact)?.clone()))).collect();
    if facts.is_empty() {
        return Value::Null;
    }
    if let Some(image) = before.get("image_id").filter(|_| before.get("from").is_some()) {
        facts.insert(NEW_IMAGE.to_owned(), image.clone());
    }
    Value::Object(facts)
}

/// The plan's writes: those not yet made, and those made, which another attempt may make again.
#[derive(Debug)]
pub(super) struct Held {
    open: Vec<HeldWrite>,
    made: HashSet<Digest>,
    /// Whether the world was looked at as a whole, or something of the plan was done.
    begun: bool,
}

/// Why a write is not made.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Deviation {
    /// The plan does not have it.
    Unplanned,
    /// The target is not as the plan saw it: in what it differs.
    Stale(String),
}

impl Held {
    /// `begun`: whether something of the plan may have been done before, by a parent run.
    pub(super) fn new(open: Vec<HeldWrite>, begun: bool) -> Self {
        Self { open, made: HashSet::new(), begun }
    }

    /// What all of its targets must be like before the first of its writes; nothing after that.
    pub(super) fn begin(&mut self) -> Vec<Value> {
        if std::mem::replace(&mut self.begun, true) {
            return Vec::new();
        }
        self.open.iter().map(|write| write.seen.clone()).filter(|seen| !seen.is_null()).collect()
    }

    /// Takes a write from the plan, if its target is as the plan saw it.
    pub(super) fn take(&mut self, key: &Digest, before: &Value) -> Result<(), Deviation> {
        let planned = self.open.iter().find(|write| write.key == *key).ok_or(Deviation::Unplanned)?;
        if let Some(difference) = difference(&planned.seen, before) {
            return Err(Deviation::Stale(difference));
        }
        self.took(key);
        Ok(())
    }

    /// An earlier engine has made it.
    pub(super) fn took(&mut self, key: &Digest) {
        self.begun = true;
        if let Some(index) = self.open.iter().position(|write| write.key == *key) {
            self.made.insert(self.open.remove(index).key);
        }
    }

    /// Whether an earlier attempt has made it.
    pub(super) fn made(&self, key: &Digest) -> bool {
        self.made.contains(key)
    }
}

/// In what a container differs from what was planned for, apart from the image of a new one.
pub(super) fn moved(planned: &Value, container: &Value) -> Option<String> {
    let mut planned = planned.clone();
    planned.as_object_mut()?.remove(NEW_IMAGE);
    difference(&planned, container)
}

fn difference(planned: &Value, before: &Value) -> Option<String> {
    let now = facts(before);
    let (name, then) = planned.as_object()?.iter().find(|(name, then)| now.get(name) != Some(then))?;
    let now = now.get(name).unwrap_or(&Value::Null);
    Some(format!("its {} was {then}, and is {now} now", name.replace('_', " ")))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn container(started_at: &str) -> Value {
        json!({ "id": "1", "name": "shop-web-1", "state": "running", "health": "healthy", "started_at": started_at })
    }

    #[test]
    fn a_planned_write_is_taken_once_and_remembered() {
        let key = Digest::of("stop shop-web-1");
        let mut held = Held::new(vec![HeldWrite { key: key.clone(), seen: Value::Null }], false);
        assert_eq!(held.take(&Digest::of("another"), &Value::Null), Err(Deviation::Unplanned));
        assert_eq!(held.take(&key, &Value::Null), Ok(()));
        assert_eq!(held.take(&key, &Value::Null), Err(Deviation::Unplanned));
        assert!(held.made(&key));
    }

    #[test]
    fn the_whole_world_is_looked_at_once_and_only_before_anything_is_done() {
        let writes = || {
            let write = |key: &str, seen| HeldWrite { key: Digest::of(key), seen };
            vec![write("stop", facts(&container("noon"))), write("start", Value::Null)]
        };
        let mut held = Held::new(writes(), false);
        assert_eq!((held.begin().len(), held.begin().len()), (1, 0));
        let mut resumed = Held::new(writes(), false);
        resumed.took(&Digest::of("stop"));
        assert!(resumed.begin().is_empty() && Held::new(writes(), true).begin().is_empty());
        let mut planned = facts(&json!({ "from": container("noon"), "image_id": "sha256:1" }));
        assert_eq!(moved(&planned, &container("noon")), None);
        planned["name"] = json!("other");
        assert!(moved(&planned, &container("noon")).unwrap().contains("name"));
    }

    #[test]
    fn a_target_that_is_no_longer_as_planned_is_named() {
        let key = Digest::of("stop shop-web-1");
        let seen = facts(&container("noon"));
        let mut held = Held::new(vec![HeldWrite { key: key.clone(), seen }], false);
        let Err(Deviation::Stale(words)) = held.take(&key, &container("one")) else { panic!("it was taken") };
        assert_eq!(words, r#"its started at was "noon", and is "one" now"#);
        let mut sick = container("noon");
        sick["health"] = json!("unhealthy");
        assert_eq!(held.take(&key, &sick), Ok(()), "health comes and goes");
    }

    #[test]
    fn the_image_of_a_new_container_is_a_fact() {
        let before = |image: &str| json!({ "from": container("noon"), "image_id": image });
        assert_ne!(facts(&before("sha256:1")), facts(&before("sha256:2")));
        assert_eq!(facts(&json!("text")), Value::Null);
    }
}
