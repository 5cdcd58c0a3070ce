//! What has changed between two plans of the same wish, for the person who has read the first one.

use serde_json::Value;

use super::request::{Plan, PlannedWrite};
use host::changed;

impl Plan {
    /// What is not as in the plan before, one sentence each. Nothing if only containers that crash again and again have done
    /// so: then this plan does what that one said.
    pub fn changes_since(&self, before: &Self) -> Vec<String> {
        if self.digest == before.digest {
            return Vec::new();
        }
        let (then, now) = (targets(before), targets(self));
        let mut changes = Vec::new();
        let same_writes = sequence(before) == sequence(self);
        for (id, name, seen) in &then {
            match now.iter().find(|(other, ..)| other == id) {
                Some((_, _, seen_now)) => {
                    let health = || if same_writes { None } else { health(seen, seen_now) };
                    let change = changed(seen, seen_now).or_else(health);
                    changes.extend(change.map(|change| format!("`{name}`: {change}")));
                }
                None => changes.push(format!("`{name}`: it is gone, or nothing is to be done to it now")),
            }
        }
        let new = now.iter().filter(|(id, ..)| then.iter().all(|(other, ..)| other != id));
        changes.extend(new.map(|(_, name, _)| format!("`{name}`: something is to be done to it as well")));
        let same = same_writes && self.secrets == before.secrets && self.status == before.status;
        if changes.is_empty() && !(same && self.steps == before.steps && self.parameters == before.parameters)
        {
            changes.push("other steps or writes are to be done now".to_owned());
        }
        changes
    }
}

/// Id, name and sight of every container as it was before the first write to it.
fn targets(plan: &Plan) -> Vec<(&str, &str, &Value)> {
    let mut found: Vec<(&str, &str, &Value)> = Vec::new();
    for write in &plan.writes {
        let seen = write.before.get("from").unwrap_or(&write.before);
        let (Some(id), Some(name)) = (seen["id"].as_str(), seen["name"].as_str()) else { continue };
        if found.iter().all(|(other, ..)| *other != id) {
            found.push((id, name, &write.before));
        }
    }
    found
}

fn health(then: &Value, now: &Value) -> Option<String> {
    let word = |seen: &Value| seen.get("from").unwrap_or(seen)["health"].as_str().map(str::to_owned);
    let (then, now) = (word(then)?, word(now)?);
    (then != now).then(|| format!("its health was {then} and is {now} now"))
}

fn sequence(plan: &Plan) -> Vec<(String, &str, &str, &Value)> {
    let one = |write: &PlannedWrite| write.path.to_string();
    plan.writes
        .iter()
        .map(|write| (one(write), write.function.as_str(), write.target.as_str(), &write.arguments))
        .collect()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::request::Card;
    use model::grant::GrantSet;
    use model::runbook::Risk;
    use run::event::EndStatus;
    use words::ids::{Digest, RunbookName, TargetName};

    fn container(name: &str, started_at: &str, restarts: u32) -> Value {
        json!({
            "id": format!("id-{name}"), "name": name, "state": "running", "health": "healthy",
            "started_at": started_at, "restart_count": restarts,
        })
    }

    /// A plan that stops these, known by `digest`.
    fn plan(digest: &str, containers: &[Value]) -> Plan {
        let write = |seen: &Value| PlannedWrite {
            path: "restart".parse().unwrap(),
            function: "containers.stop".to_owned(),
            target: seen["name"].as_str().unwrap().to_owned(),
            arguments: json!({ "id": seen["id"] }),
            before: seen.clone(),
            certain: true,
        };
        Plan {
            digest: Digest::of(digest),
            runbook: RunbookName::new("service-restart").unwrap(),
            parameters: json!({}),
            target: TargetName::new("local").unwrap(),
            writes: containers.iter().map(write).collect(),
            unknown: Vec::new(),
            secrets: Vec::new(),
            steps: Vec::new(),
            status: EndStatus::Succeeded,
            cause: None,
            message: String::new(),
            card: Card { risk: Risk::Low, grants: GrantSet::default(), locks: Vec::new() },
        }
    }

    #[test]
    fn what_changed_is_named() {
        let before = plan("a", &[container("api-1", "noon", 0), container("api-2", "noon", 0)]);
        let restarted = plan("b", &[container("api-1", "one", 0), container("api-2", "noon", 0)]);
        assert_eq!(restarted.changes_since(&before), ["`api-1`: it was started again at one"]);
        let gone = plan("b", &[container("api-2", "noon", 0), container("api-3", "noon", 0)]);
        let told = gone.changes_since(&before);
        assert!(told[0].starts_with("`api-1`: it is gone") && told[1].starts_with("`api-3`: "), "{told:?}");
        let mut sick = plan("b", &[container("api-2", "noon", 0), container("api-1", "noon", 0)]);
        assert_eq!(sick.changes_since(&before), ["other steps or writes are to be done now"]);
        sick.writes[0].before["health"] = json!("unhealthy");
        assert_eq!(sick.changes_since(&before), ["`api-2`: its health was healthy and is unhealthy now"]);
    }

    #[test]
    fn a_crash_loop_alone_changes_nothing() {
        let before = plan("a", &[container("api-1", "noon", 0)]);
        assert_eq!(plan("b", &[container("api-1", "one", 2)]).changes_since(&before), [""; 0]);
        assert_eq!(plan("a", &[]).changes_since(&before), [""; 0], "the same digest is the same plan");
    }
}
