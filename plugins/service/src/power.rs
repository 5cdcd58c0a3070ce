//! `service.start` and `service.stop`.

use std::cmp::Reverse;

use runbook_plugin::{
    Container, Context, Deserialize, Duration, Error, Host, JsonSchema, Serialize, State, Step,
};

use crate::dependents::refuse_dead_network;
use crate::replicas::{refuse_auto_remove, standing, stop as stop_replica};
use crate::restart::{count, two_minutes};
use crate::wait::Patience;

pub(crate) fn steps<H: Host + 'static>() -> Vec<Step<H>> {
    vec![
        Step::new(
            "start",
            "Start the replicas of a service that do not run, let paused ones go on, and wait until they are healthy.",
            &["containers.read", "containers.start", "containers.unpause"],
            start,
        ),
        Step::new(
            "stop",
            "Stop every replica of a service, those first that are sick, then the newest.",
            &["containers.read", "containers.stop"],
            stop,
        ),
    ]
}

/// The input of `service.start`.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(extend("ordered" = ["healthy_for", "wait"]))]
pub(crate) struct Start {
    /// `project/service`, or the service alone where it is unique.
    #[schemars(extend("format" = "service-name"))]
    service: String,
    /// How long each must be healthy without a break.
    #[serde(default)]
    healthy_for: Duration,
    /// How long they may take to become healthy.
    #[serde(default = "two_minutes")]
    #[schemars(extend("atMost" = "1h"))]
    wait: Duration,
}

/// What came of it.
#[derive(Debug, Serialize, JsonSchema)]
pub(crate) struct StartOutput {
    /// `project/service`
    service: String,
    /// Replicas that were started, or were paused and go on.
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
    #[schemars(extend("format" = "service-name"))]
    service: String,
    /// How long a replica may take to stop by itself before it is killed; its own stop timeout if not given.
    #[schemars(extend("atMost" = "10m"))]
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
        started.push(bring_up(host, container)?);
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

/// Starts it; a paused one goes on.
pub(crate) fn bring_up(host: &impl Host, container: &Container) -> Result<Container, Error> {
    if container.state == State::Paused { host.unpause(&container.id) } else { host.start(&container.id) }
}

fn stop(host: &impl Host, _: &Context, input: &Stop) -> Result<StopOutput, Error> {
    let replicas = host.service(&input.service)?;
    refuse_auto_remove(&replicas)?;
    let now_ms = host.now_ms();
    let mut running: Vec<&Container> = replicas.iter().filter(|c| c.alive()).collect();
    running.sort_by_key(|c| (standing(c, now_ms), Reverse((c.replica, c.name.as_str()))));
    let mut stopped = Vec::new();
    for container in &running {
        stop_replica(host, container, input.grace)?;
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
    use runbook_plugin::{ErrorKind, Health, State};

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
    fn a_paused_one_goes_on() {
        let world = World::new().with_service("shop/web", 2);
        world.change("shop-web-2", |c| c.state = State::Paused);
        let started = start(&world, &world.context(), &start_input()).expect("it goes on");
        assert_eq!(
            (started.started, world.writes()),
            (vec!["shop-web-2".to_owned()], vec!["unpause shop-web-2".to_owned()])
        );
    }

    #[test]
    fn the_sick_are_stopped_first() {
        let world = World::new().with_service("shop/web", 3);
        world.change("shop-web-1", |c| c.health = Health::Unhealthy);
        world.change("shop-web-2", |c| c.state = State::Paused);
        let stopped = stop(&world, &world.context(), &stop_input()).expect("it stops");
        assert_eq!(stopped.stopped, ["shop-web-2", "shop-web-1", "shop-web-3"]);
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
