//! What a run that is held to a plan may still write, and how the plan saw each target when it was first touched.

use std::collections::HashSet;

use serde_json::{Map, Value};

use docker::types::Container;
use run::event::HeldWrite;
use words::ids::Digest;

/// What must still be so of a container when the plan is carried out; health comes and goes and is no part of it.
const FACTS: [&str; 6] = ["id", "name", "state", "started_at", "image_id", "limits"];

/// The code of the failure when a target is not as planned.
pub const STALE: &str = "plan.stale";

/// The image a container is to be made of.
const NEW_IMAGE: &str = "new image_id";

/// How often the restart policy has acted. It is no fact: it tells whether what changed did so by itself.
const RESTARTS: &str = "restart_count";

/// The facts of a target as it was seen before a write; null for what is no container. Of one that crashes again and again
/// the time of its last start is none.
pub(super) fn facts(before: &Value, now_ms: u64) -> Value {
    let mut facts = every_fact(before);
    let container = serde_json::from_value::<Container>(source(before).clone());
    if container.is_ok_and(|container| container.crashed_lately(now_ms)) {
        facts.remove("started_at");
    }
    if facts.is_empty() { Value::Null } else { Value::Object(facts) }
}

/// Of a container that is made from another one, that one.
fn source(before: &Value) -> &Value {
    before.get("from").unwrap_or(before)
}

fn every_fact(before: &Value) -> Map<String, Value> {
    let container = source(before);
    let named = FACTS.iter().chain([&RESTARTS]);
    let mut facts: Map<String, Value> =
        named.filter_map(|fact| Some(((*fact).to_owned(), container.get(fact)?.clone()))).collect();
    // The moment between two lives.
    if facts.get("state").is_some_and(|state| state == "restarting") {
        facts.insert("state".to_owned(), Value::from("running"));
    }
    if let Some(image) = before.get("image_id").filter(|_| before.get("from").is_some()) {
        facts.insert(NEW_IMAGE.to_owned(), image.clone());
    }
    facts
}

/// The facts of a plan's digest: those that a crash of a container and its restart policy do not change.
pub fn lasting(seen: &Value) -> Value {
    let mut lasting = seen.clone();
    if let Some(facts) = lasting.as_object_mut() {
        facts.remove(RESTARTS);
    }
    lasting
}

/// The plan's writes: those not yet made, and those made, which another attempt may make again.
#[derive(Debug)]
pub(super) struct Held {
    open: Vec<HeldWrite>,
    made: HashSet<Digest>,
    /// The names of the targets of those made.
    done: Vec<String>,
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
        Self { open, made: HashSet::new(), done: Vec::new(), begun }
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
        if let Some(name) =
            source(before)["name"].as_str().filter(|name| !self.done.iter().any(|d| d == name))
        {
            self.done.push(name.to_owned());
        }
        Ok(())
    }

    /// What was changed already, in words.
    pub(super) fn done_words(&self) -> String {
        match self.done.as_slice() {
            [] if self.made.is_empty() => "nothing was done".to_owned(),
            [] => "stopped there".to_owned(),
            names => format!("stopped there. Already changed: {}", names.join(", ")),
        }
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

/// In what a container differs that was seen before two plans of the same writes.
pub fn changed(then: &Value, now: &Value) -> Option<String> {
    difference(&Value::Object(every_fact(then)), now)
}

/// In what a container differs, in words; what a crash and the restart policy change is no difference.
fn difference(planned: &Value, before: &Value) -> Option<String> {
    let now = every_fact(before);
    let restarts = |facts: &Map<String, Value>| facts.get(RESTARTS).and_then(Value::as_u64);
    let planned = planned.as_object()?;
    let by_itself = restarts(&now).zip(restarts(planned)).is_some_and(|(now, then)| now > then);
    let differs = |(name, then): &(&String, &Value)| {
        let then =
            if name.as_str() == "state" && **then == "restarting" { &Value::from("running") } else { *then };
        name.as_str() != RESTARTS
            && !(by_itself && name.as_str() == "started_at")
            && now.get(*name) != Some(then)
    };
    let (name, then) = planned.iter().find(differs)?;
    Some(words(name, then, now.get(name).unwrap_or(&Value::Null)))
}

fn words(fact: &str, then: &Value, now: &Value) -> String {
    let text = |value: &Value| value.as_str().map_or_else(|| value.to_string(), str::to_owned);
    match fact {
        "started_at" => format!("it was started again at {}", text(now)),
        "state" => format!("it was {} and is {} now", text(then), text(now)),
        "name" => format!("it was called `{}` and is called `{}` now", text(then), text(now)),
        "image_id" => "it has another image".to_owned(),
        NEW_IMAGE => "the image it is to get is another one now".to_owned(),
        "limits" => format!("its limits were {then} and are {now} now"),
        _ => "another container has its name".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    const NOW: u64 = 1_795_276_868_510;

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
            vec![write("stop", facts(&container("noon"), NOW)), write("start", Value::Null)]
        };
        let mut held = Held::new(writes(), false);
        assert_eq!((held.begin().len(), held.begin().len()), (1, 0));
        let mut resumed = Held::new(writes(), false);
        resumed.took(&Digest::of("stop"));
        assert!(resumed.begin().is_empty() && Held::new(writes(), true).begin().is_empty());
        let mut planned = facts(&json!({ "from": container("noon"), "image_id": "sha256:1" }), NOW);
        assert_eq!(moved(&planned, &container("noon")), None);
        planned["name"] = json!("other");
        assert!(moved(&planned, &container("noon")).unwrap().contains("called"));
    }

    #[test]
    fn a_target_that_is_no_longer_as_planned_is_named() {
        let key = Digest::of("stop shop-web-1");
        let seen = facts(&container("noon"), NOW);
        let mut held = Held::new(vec![HeldWrite { key: key.clone(), seen }], false);
        let Err(Deviation::Stale(words)) = held.take(&key, &container("one")) else { panic!("it was taken") };
        assert_eq!(words, "it was started again at one");
        let mut sick = container("noon");
        sick["health"] = json!("unhealthy");
        assert_eq!(held.take(&key, &sick), Ok(()), "health comes and goes");
    }

    #[test]
    fn the_image_of_a_new_container_is_a_fact() {
        let before = |image: &str| json!({ "from": container("noon"), "image_id": image });
        assert_ne!(facts(&before("sha256:1"), NOW), facts(&before("sha256:2"), NOW));
        assert_eq!(facts(&json!("text"), NOW), Value::Null);
    }

    /// As `container`, started again by its restart policy so many times.
    fn looping(state: &str, started_at: &str, restarts: u32) -> Value {
        let mut container = serde_json::to_value(super::super::context::tests::container("1")).unwrap();
        container["state"] = json!(state);
        container["started_at"] = json!(started_at);
        container["finished_at"] = json!(words::clock::rfc3339(NOW));
        container["restart_count"] = json!(restarts);
        container
    }

    #[test]
    fn what_a_crash_loop_changes_by_itself_is_no_difference() {
        let seen = facts(&looping("running", "noon", 3), NOW);
        let same =
            [looping("running", "one", 4), looping("restarting", "two", 9), looping("running", "noon", 3)];
        for now in same {
            assert_eq!(difference(&seen, &now), None);
            assert_eq!(lasting(&seen), lasting(&facts(&now, NOW)), "nor does the plan's digest change");
        }
        assert_eq!(
            difference(&seen, &looping("exited", "one", 4)).unwrap(),
            "it was running and is exited now"
        );
        let well = facts(&looping("running", "noon", 0), NOW);
        assert_eq!(difference(&well, &looping("running", "one", 1)), None, "it has begun to crash");
        assert!(difference(&well, &looping("running", "one", 0)).is_some(), "a person restarted it");
    }

    #[test]
    fn what_was_done_already_is_named() {
        let keys = [Digest::of("a"), Digest::of("b")];
        let open = keys.iter().map(|key| HeldWrite { key: key.clone(), seen: Value::Null }).collect();
        let mut held = Held::new(open, false);
        assert_eq!(held.done_words(), "nothing was done");
        for key in &keys {
            held.take(key, &container("noon")).unwrap();
        }
        assert_eq!(held.done_words(), "stopped there. Already changed: shop-web-1");
    }
}
