//! `service.start` and `service.stop`.

use runbook_plugin::{Container, Context, Deserialize, Duration, Error, Host, JsonSchema, Serialize, Step};

use crate::dependents::refuse_dead_network;
use crate::replicas::{self, refuse_auto_remove};
use crate::restart::{count, two_minutes};
use crate::wait::Patience;

pub(crate) fn steps<H: Host + 'static>() -> Vec<Step<H>> {
    vec![
        Step::new(
            "start",
            "Start the replicas of a service that do not run, and wait until they are healthy.",
            &["containers.read", "containers.start"],
            start,
        ),
        Step::new(
            "stop",
            "Stop every running replica of a service, the newest first.",
            &["containers.read", "containers.stop"],
            stop,
        ),
    ]
}

/// The input of `service.start`.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Start {
    /// `project/service`, or the service alone where it is unique.
    service: String,
    /// How long each must be healthy without a break.
    #[serde(default)]
    healthy_for: Duration,
    /// How long they may take to become healthy.
    #[serde(default = "two_minutes")]
    wait: Duration,
}

/// What came of it.
#[derive(Debug, Serialize, JsonSchema)]
pub(crate) struct StartOutput {
    /// `project/service`
    service: String,
    /// Replicas that were started.
    started: Vec<String>,
    /// All replicas.
    replicas: usize,
    /// Whether some had no health check, so that running had to do.
    weak_evidence: bool,
}

/// The input of `service.stop`.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Stop {
    /// `project/service`, or the service alone where it is unique.
    service: String,
    /// How long a replica may take to stop by itself before it is killed; its own stop timeout if not given.
    grace: Option<Duration>,
}

/// What came of it.
#[derive(Debug, Serialize, JsonSchema)]
pub(crate) struct StopOutput {
    /// `project/service`
    service: String,
    /// Replicas that were stopped.
    stopped: Vec<String>,
    /// All replicas.
    replicas: usize,
}

fn start(host: &impl Host, _: &Context, input: &Start) -> Result<StartOutput, Error> {
    let replicas = host.service(&input.service)?;
    let patience = Patience { healthy_for: input.healthy_for, wait: input.wait };
    let down: Vec<Container> = replicas.iter().filter(|c| !c.up()).cloned().collect();
    refuse_dead_network(host, &down)?;
    let mut started = Vec::new();
    for container in &down {
        started.push(host.start(&container.id)?);
    }
    let deadline_ms = patience.deadline_ms(host);
    for (index, container) in started.iter().enumerate() {
        let came = patience.wait_for(host, container, deadline_ms);
        came.map_err(|error| error.because(format!("`{}` did not come up", container.name)))?;
        host.progress(count(index + 1), count(started.len()), &container.name);
    }
    Ok(StartOutput {
        service: name_of(&replicas, &input.service),
        weak_evidence: started.iter().any(|c| !c.has_health_check()),
        started: started.into_iter().map(|c| c.name).collect(),
        replicas: replicas.len(),
    })
}

fn stop(host: &impl Host, _: &Context, input: &Stop) -> Result<StopOutput, Error> {
    let replicas = host.service(&input.service)?;
    refuse_auto_remove(&replicas)?;
    let running: Vec<&Container> = replicas.iter().rev().filter(|c| c.up()).collect();
    let mut stopped = Vec::new();
    for container in &running {
        replicas::stop(host, container, input.grace)?;
        stopped.push(container.name.clone());
        host.progress(count(stopped.len()), count(running.len()), &container.name);
    }
    Ok(StopOutput { service: name_of(&replicas, &input.service), stopped, replicas: replicas.len() })
}

/// The service's whole name, whatever was written.
pub(crate) fn name_of(replicas: &[Container], written: &str) -> String {
    replicas.first().map_or_else(|| written.to_owned(), |container| container.service.clone())
}

#[cfg(test)]
mod tests {
    use runbook_plugin::mock::{Behaviour, World};
    use runbook_plugin::{ErrorKind, State};

    use super::{Start, Stop, start, stop};

    fn start_input() -> Start {
        serde_json::from_str(r#"{ "service": "shop/web" }"#).expect("a good input")
    }

    fn stop_input() -> Stop {
        serde_json::from_str(r#"{ "service": "shop/web" }"#).expect("a good input")
    }

    #[test]
    fn down_and_up_again() {
        let world = World::new().with_service("shop/web", 2);
        let stopped = stop(&world, &world.context(), &stop_input()).expect("it stops");
        assert_eq!(stopped.stopped, ["shop-web-2", "shop-web-1"]);
        assert_eq!(world.look("shop-web-1").state, State::Exited);

        let started = start(&world, &world.context(), &start_input()).expect("it starts");
        assert_eq!(started.started, ["shop-web-1", "shop-web-2"]);
        assert!(world.look("shop-web-2").available());

        let again = start(&world, &world.context(), &start_input()).expect("nothing to do");
        assert!(again.started.is_empty());
    }

    #[test]
    fn one_that_does_not_come_up_is_named() {
        let world = World::new().with_service("shop/web", 2);
        world.behave("shop-web-2", Behaviour::NeverHealthy);
        stop(&world, &world.context(), &stop_input()).expect("it stops");
        let error = start(&world, &world.context(), &start_input()).expect_err("one never heals");
        assert_eq!(error.kind, ErrorKind::TimedOut);
        assert!(error.message.starts_with("`shop-web-2` did not come up: "), "{}", error.message);
    }

    #[test]
    fn a_denied_stop_is_passed_on() {
        let world = World::new().with_service("shop/web", 2);
        world.refuse("stop", 1, ErrorKind::Denied);
        let error = stop(&world, &world.context(), &stop_input()).expect_err("denied");
        assert_eq!(error.message, "`stop` is refused");
        assert_eq!(world.writes(), ["stop shop-web-2"]);
    }
}
