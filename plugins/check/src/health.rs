//! `check.healthy` and `check.container`: what the daemon says.

use runbook_plugin::{
    Container, Context, Deserialize, Error, Facts, Health, Host, JsonSchema, Serialize, State, Step,
};

use crate::{Failed, Report};

pub(crate) fn steps<H: Host + 'static>() -> Vec<Step<H>> {
    vec![
        Step::new("healthy", "Count the replicas that run and are healthy.", &["containers.read"], healthy),
        Step::new(
            "container",
            "Look at one container: state, restarts, exit code, memory.",
            &["containers.read"],
            container,
        ),
    ]
}

/// The input of `check.healthy`.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Healthy {
    /// `project/service`, or the service alone where it is unique.
    #[schemars(extend("format" = "service-name"))]
    service: String,
    /// Let running stand for healthy where there is no health check.
    #[serde(default)]
    accept_weak_evidence: bool,
}

/// The input of `check.container`.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct One {
    /// Name or id.
    #[schemars(extend("format" = "container-name"))]
    container: String,
    /// The state it should be in.
    #[serde(default)]
    state: Wanted,
    /// The exit code it should have; not looked at if not given.
    exit_code: Option<i32>,
    /// How often the restart policy may have started it again.
    max_restarts: Option<u32>,
}

/// A state that can be asked for.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Wanted {
    /// Running, and healthy if it has a health check.
    #[default]
    Running,
    /// Not running.
    Exited,
    /// Whatever.
    Any,
}

/// How a container is.
#[derive(Debug, Serialize, JsonSchema)]
pub(crate) struct Look {
    /// What the daemon says of it.
    #[serde(flatten)]
    facts: Facts,
    /// Whether it is as it should be.
    ok: bool,
    /// What is not.
    reasons: Vec<String>,
}

fn healthy(host: &impl Host, _: &Context, input: &Healthy) -> Result<Report, Error> {
    let replicas = host.service(&input.service)?;
    let failed = |container: &Container| {
        let reason = why_unhealthy(container, input.accept_weak_evidence)?;
        Some(Failed { name: container.name.clone(), reason })
    };
    let failures = replicas.iter().filter_map(failed).collect();
    let service = replicas.first().map_or_else(|| input.service.clone(), |c| c.service.clone());
    Ok(Report::new(service, replicas.len(), failures))
}

fn why_unhealthy(container: &Container, accept_weak_evidence: bool) -> Option<String> {
    match (container.state, container.health) {
        (State::Running, Health::Healthy) => None,
        (State::Running, Health::None) if accept_weak_evidence => None,
        (State::Running, Health::None) => Some("it has no health check".to_owned()),
        (State::Running, health) => Some(format!("its health is {}", health.word())),
        (state, _) => Some(format!("it is {}", state.word())),
    }
}

fn container(host: &impl Host, _: &Context, input: &One) -> Result<Look, Error> {
    let container = host.inspect(&input.container)?;
    let mut reasons = Vec::new();
    match input.state {
        Wanted::Running => reasons.extend(why_unhealthy(&container, true)),
        Wanted::Exited if container.up() => reasons.push(format!("it is {}", container.state.word())),
        Wanted::Exited | Wanted::Any => {}
    }
    if let Some(code) = input.exit_code.filter(|code| *code != container.exit_code) {
        reasons.push(format!("its exit code is {}, not {code}", container.exit_code));
    }
    if let Some(most) = input.max_restarts.filter(|most| container.restart_count > *most) {
        reasons.push(format!("it was started again {} times, more than {most}", container.restart_count));
    }
    if container.out_of_memory {
        reasons.push("the kernel killed it for memory".to_owned());
    }
    Ok(Look { facts: Facts::from(&container), ok: reasons.is_empty(), reasons })
}

#[cfg(test)]
mod tests {
    use runbook_plugin::mock::World;
    use runbook_plugin::{Health, State};

    use super::{Healthy, One, container, healthy};

    #[test]
    fn each_that_is_not_healthy_is_named() {
        let world = World::new().with_service("shop/web", 4);
        world.change("shop-web-2", |c| c.health = Health::Starting);
        world.change("shop-web-3", |c| c.state = State::Exited);
        world.change("shop-web-4", |c| c.health = Health::None);
        let mut input = Healthy { service: "shop/web".to_owned(), accept_weak_evidence: false };
        let report = healthy(&world, &world.context(), &input).expect("it works");
        assert_eq!((report.replicas, report.healthy, report.ok), (4, 1, false));
        let reasons: Vec<&str> = report.failures.iter().map(|f| f.reason.as_str()).collect();
        assert_eq!(reasons, ["its health is starting", "it is exited", "it has no health check"]);
        input.accept_weak_evidence = true;
        assert_eq!(healthy(&world, &world.context(), &input).expect("it works").healthy, 2);
    }

    #[test]
    fn one_container() {
        let world = World::new().with_service("shop/web", 1);
        let input = |more: &str| -> One {
            serde_json::from_str(&format!(r#"{{ "container": "shop-web-1" {more} }}"#)).expect("a good input")
        };
        assert!(container(&world, &world.context(), &input("")).expect("it works").ok);
        world.change("shop-web-1", |c| {
            c.state = State::Exited;
            c.exit_code = 137;
            c.out_of_memory = true;
            c.restart_count = 3;
        });
        let look = container(&world, &world.context(), &input(r#", "max_restarts": 2"#)).expect("it works");
        assert!(!look.ok);
        assert_eq!(
            look.reasons,
            ["it is exited", "it was started again 3 times, more than 2", "the kernel killed it for memory"]
        );
        world.change("shop-web-1", |c| c.out_of_memory = false);
        let wanted = r#", "state": "exited", "exit_code": 137"#;
        assert!(container(&world, &world.context(), &input(wanted)).expect("it works").ok);
        assert_eq!(serde_json::to_value(&look).expect("JSON")["exit_code"], 137);
    }
}
