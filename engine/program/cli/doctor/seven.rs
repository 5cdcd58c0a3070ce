//! Seven things every service should have, as far as they can be seen from outside.

use super::super::context::Context;
use super::Check;
use crate::error::Error;
use docker::Daemon;
use docker::types::{Container, Health};
use executor::library::Found;

/// Services looked at; a list nobody reads helps nobody.
const MAX_SERVICES: usize = 50;

/// A link or a file with known issues and fixes.
const ISSUES: &str = "runbook.issues";

/// Whom to escalate to.
const OWNER: &str = "runbook.owner";

/// One line per service: how many it has, and what to do about the rest.
pub(super) async fn checks(context: &Context, daemon: &Daemon) -> Result<Vec<Check>, Error> {
    let runbooks = context.library()?.all()?;
    let mut checks = Vec::new();
    for service in daemon.services().await?.into_iter().take(MAX_SERVICES) {
        let containers = match daemon.service(&service).await {
            Ok(containers) => containers,
            Err(error) if error.is_not_found() => continue,
            Err(error) => return Err(error.into()),
        };
        let Some(first) = containers.first() else { continue };
        let logs = daemon.logs(&first.id, 1, false).await.is_ok();
        checks.push(told(&service, &missing(&service, &containers, &runbooks, logs)));
    }
    Ok(checks)
}

fn told(service: &str, missing: &[(&str, String)]) -> Check {
    let name = format!("service {service}");
    let found = format!("has {} of 7", 7 - missing.len());
    if missing.is_empty() {
        return Check::ok(name, found);
    }
    let what: Vec<&str> = missing.iter().map(|(what, _)| *what).collect();
    let todo: Vec<&str> = missing.iter().map(|(_, todo)| todo.as_str()).collect();
    Check::warn(name, format!("{found}; not {}", what.join(", ")), todo.join("; "))
}

fn missing(
    service: &str,
    containers: &[Container],
    runbooks: &[Found],
    logs: bool,
) -> Vec<(&'static str, String)> {
    let label = |name: &str| containers.iter().any(|one| one.labels.iter().any(|(label, _)| label == name));
    let named = |word: &str| runbooks.iter().any(|found| found.name.as_str().contains(word));
    let unchecked = containers.iter().any(|one| one.health == Health::None);
    let fixed_port = containers.iter().flat_map(|one| &one.ports).any(|port| port.host_port != 0);
    let short = service.rsplit('/').next().unwrap_or(service);
    let known =
        runbooks.iter().any(|found| found.text.contains(service) || found.name.as_str().contains(short));
    let mut missing = Vec::new();
    let mut lacks = |is: bool, what, todo: String| {
        if is {
            missing.push((what, todo));
        }
    };
    lacks(
        unchecked,
        "health",
        "give its image a HEALTHCHECK, else a restart cannot tell when it is back".to_owned(),
    );
    lacks(!named("restart"), "restart", "write a runbook with `restart` in its name".to_owned());
    lacks(
        fixed_port,
        "scale",
        "its published host port allows one replica only: put a proxy before it".to_owned(),
    );
    lacks(
        !named("rollback") && !named("roll-back"),
        "roll back",
        "write a runbook with `rollback` in its name; `service-recreate` with the previous image may be all of it".to_owned(),
    );
    lacks(
        !logs,
        "logs",
        "its log driver cannot be read back: say where its logs are in its runbook's `about`".to_owned(),
    );
    lacks(
        !label(ISSUES) && !known,
        "known issues",
        format!("label it {ISSUES}=URL, or write a runbook that names {service}"),
    );
    lacks(!label(OWNER), "escalation", format!("label it {OWNER}=WHO"));
    missing
}

#[cfg(test)]
mod tests {
    use super::*;
    use docker::types::{Limits, State};
    use words::ids::RunbookName;

    fn container(health: Health, labels: &[(&str, &str)]) -> Container {
        Container {
            id: "0".repeat(64),
            name: "shop-web-1".to_owned(),
            service: "shop/web".to_owned(),
            depends_on: Vec::new(),
            state: State::Running,
            health,
            started_at: String::new(),
            finished_at: String::new(),
            created_at: String::new(),
            image: "web".to_owned(),
            image_id: String::new(),
            exit_code: 0,
            out_of_memory: false,
            restart_count: 0,
            limits: Limits::default(),
            ports: Vec::new(),
            addresses: Vec::new(),
            auto_remove: false,
            replica: 1,
            labels: labels.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect(),
            restarts_with: Vec::new(),
            stop_timeout_ms: None,
            stop_signal: "SIGTERM".to_owned(),
            network_owner: None,
        }
    }

    fn runbook(name: &str, text: &'static str) -> Found {
        Found {
            name: RunbookName::new(name).unwrap(),
            summary: String::new(),
            file: String::new(),
            text: text.into(),
        }
    }

    #[test]
    fn a_service_with_all_seven_is_well() {
        let containers = [container(Health::Healthy, &[(OWNER, "platform"), (ISSUES, "https://wiki/shop")])];
        let runbooks = [runbook("service-restart", ""), runbook("deploy-rollback", "")];
        assert!(missing("shop/web", &containers, &runbooks, true).is_empty());
    }

    #[test]
    fn what_is_missing_comes_with_what_to_do() {
        let containers = [container(Health::None, &[])];
        let missing = missing("shop/web", &containers, &[], false);
        let what: Vec<&str> = missing.iter().map(|(what, _)| *what).collect();
        assert_eq!(what, ["health", "restart", "roll back", "logs", "known issues", "escalation"]);
        assert!(told("shop/web", &missing).found.starts_with("has 1 of 7"));
    }
}
