//! What the steps of a run did to containers and have not taken back: a step may always undo its own doing, also when the
//! run is being cancelled, its time is over, or the plan it is held to shows only the way there.

use std::collections::{HashMap, HashSet};

use serde_json::Value;

use super::context::{KILL, START};
use docker::types::{Container, State};
use words::ids::StepPath;

/// The calls after which a container may be down.
const ENDS: [&str; 2] = ["containers.stop", KILL];

/// See the module. By the container's id, and by the step that did it.
#[derive(Debug, Default)]
pub(super) struct WayBack {
    stopped: HashMap<String, StepPath>,
    made: HashMap<String, StepPath>,
    /// With the name it had before.
    renamed: HashMap<String, (StepPath, String)>,
    /// What it was called when it was last seen.
    names: HashMap<String, String>,
    /// Those of the stopped that were up again when they were last looked at: a restart policy, or a person.
    up: HashSet<String>,
    /// Started again, and not yet seen to serve; by whom.
    coming: HashMap<String, StepPath>,
}

impl WayBack {
    /// Takes in an answer that tells of a container, in the order of the calls.
    pub(super) fn mark(&mut self, container: &Container, path: &StepPath, function: &str) {
        let id = &container.id;
        let earlier = self.names.insert(id.clone(), container.name.clone());
        // What was sent a signal may look well for a moment.
        if container.state == State::Running && function != KILL {
            self.up.insert(id.clone());
        } else {
            self.up.remove(id);
        }
        // What the start itself answers is too early to tell.
        if function != START && (container.available() || container.state != State::Running) {
            self.coming.remove(id);
        }
        match function {
            START if self.stopped.remove(id).is_some() => {
                self.coming.insert(id.clone(), path.clone());
            }
            "containers.create" => drop(self.made.insert(id.clone(), path.clone())),
            "containers.rename" => self.renamed(container, path, earlier),
            end if ENDS.contains(&end) => drop(self.stopped.insert(id.clone(), path.clone())),
            _ => {}
        }
    }

    /// Takes in that a container is gone, if that is what the call did.
    pub(super) fn removed(&mut self, function: &str, arguments: &Value) {
        if let ("containers.remove", Some(id)) = (function, arguments["id"].as_str()) {
            self.stopped.remove(id);
            self.coming.remove(id);
        }
    }

    /// Whether this step, or any, has something to bring back: what it stopped is down, or does not serve again yet.
    pub(super) fn open(&self, step: Option<&StepPath>) -> bool {
        !self.down(step).is_empty() || self.coming.values().any(|by| step.is_none_or(|step| step == by))
    }

    /// The names of what this step, or any, has stopped and not started again.
    pub(super) fn down(&self, step: Option<&StepPath>) -> Vec<String> {
        let down = self
            .stopped
            .iter()
            .filter(|(id, by)| step.is_none_or(|step| step == *by) && !self.up.contains(*id));
        let mut names: Vec<String> = down.map(|(id, _)| self.names.get(id).unwrap_or(id).clone()).collect();
        names.sort();
        names
    }

    fn renamed(&mut self, container: &Container, path: &StepPath, earlier: Option<String>) {
        let first = match self.renamed.remove(&container.id) {
            Some((step, name)) if step == *path => Some(name),
            _ => earlier,
        };
        if let Some(name) = first.filter(|name| *name != container.name) {
            self.renamed.insert(container.id.clone(), (path.clone(), name));
        }
    }

    /// Whether the call takes back what this very step did: starts what it stopped, removes what it made, gives back the
    /// name it took.
    pub(super) fn leads(&self, path: &StepPath, function: &str, arguments: &Value) -> bool {
        let Some(id) = arguments["id"].as_str() else { return false };
        match function {
            START => self.stopped.get(id) == Some(path),
            "containers.remove" => self.made.get(id) == Some(path),
            "containers.rename" => self
                .renamed
                .get(id)
                .is_some_and(|(step, name)| step == path && arguments["name"].as_str() == Some(name)),
            _ => false,
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::super::context::tests::container;
    use super::*;
    use docker::types::Health;

    fn named(id: &str, name: &str) -> Container {
        Container { name: name.to_owned(), ..container(id) }
    }

    fn paths() -> (StepPath, StepPath) {
        ("a".parse().unwrap(), "b".parse().unwrap())
    }

    #[test]
    fn who_has_stopped_a_container_may_start_it() {
        let ((a, b), mut way) = (paths(), WayBack::default());
        let starts = |way: &WayBack, path| way.leads(path, START, &json!({ "id": "1" }));
        way.mark(&container("1"), &a, "containers.inspect");
        assert!(!starts(&way, &a));
        way.mark(&container("1"), &b, KILL);
        way.mark(&container("1"), &a, "containers.stop");
        assert!(starts(&way, &a) && !starts(&way, &b));
        way.mark(&container("1"), &b, START);
        assert!(!starts(&way, &a));
    }

    #[test]
    fn what_is_down_is_known_by_name() {
        let ((a, b), mut way) = (paths(), WayBack::default());
        way.mark(&named("1", "web"), &a, "containers.stop");
        way.mark(&named("2", "db"), &b, "containers.stop");
        assert_eq!(
            (way.down(Some(&a)), way.down(None)),
            (vec!["web".to_owned()], vec!["db".to_owned(), "web".to_owned()])
        );
        way.mark(&named("1", "web-old"), &a, "containers.rename");
        assert_eq!(way.down(Some(&a)), ["web-old"]);
        way.mark(&Container { state: State::Running, ..named("2", "db") }, &a, "containers.inspect");
        assert_eq!(way.down(Some(&b)), Vec::<String>::new(), "it came back by itself");
        way.removed("containers.remove", &json!({ "id": "1" }));
        assert_eq!(way.down(None), Vec::<String>::new());
    }

    #[test]
    fn the_way_is_open_until_what_was_stopped_serves_again() {
        let ((a, b), mut way) = (paths(), WayBack::default());
        let running = |health| Container { state: State::Running, health, ..named("1", "web") };
        way.mark(&named("1", "web"), &a, "containers.stop");
        assert!(way.open(Some(&a)) && way.open(None) && !way.open(Some(&b)));
        way.mark(&running(Health::Starting), &a, START);
        assert!(way.open(Some(&a)), "it is up, and does not serve yet");
        way.mark(&running(Health::Starting), &a, "containers.inspect");
        assert!(way.open(Some(&a)));
        way.mark(&running(Health::Healthy), &a, "containers.wait-until");
        assert!(!way.open(None));
        way.mark(&named("1", "web"), &a, "containers.stop");
        way.mark(&running(Health::None), &a, START);
        way.mark(&named("1", "web"), &a, "containers.inspect");
        assert!(!way.open(None), "it ended again: nobody waits for it");
        way.mark(&named("1", "web"), &a, "containers.stop");
        way.removed("containers.remove", &json!({ "id": "1" }));
        assert!(!way.open(None), "it was meant to go");
    }

    #[test]
    fn who_has_made_a_container_may_remove_it() {
        let ((a, b), mut way) = (paths(), WayBack::default());
        way.mark(&container("1"), &a, "containers.create");
        let removes =
            |path, id: &str| way.leads(path, "containers.remove", &json!({ "id": id, "force": true }));
        assert!(removes(&a, "1") && !removes(&b, "1") && !removes(&a, "2"));
    }

    #[test]
    fn who_has_renamed_a_container_may_give_it_its_first_name_back() {
        let ((a, b), mut way) = (paths(), WayBack::default());
        way.mark(&named("1", "web"), &b, "containers.inspect");
        way.mark(&named("1", "web-old"), &a, "containers.rename");
        way.mark(&named("1", "web-older"), &a, "containers.rename");
        let back = |way: &WayBack, path, name: &str| {
            way.leads(path, "containers.rename", &json!({ "id": "1", "name": name }))
        };
        assert!(back(&way, &a, "web") && !back(&way, &a, "web-old") && !back(&way, &b, "web"));
        way.mark(&named("1", "web"), &a, "containers.rename");
        assert!(!back(&way, &a, "web-old"));
    }
}
