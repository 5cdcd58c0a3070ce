//! `service.status`: how a service is doing.

use runbook_plugin::{Context, Deserialize, Error, Facts, Health, Host, JsonSchema, Serialize, Step};

use crate::power::name_of;

pub(crate) fn steps<H: Host + 'static>() -> Vec<Step<H>> {
    vec![Step::new("status", "Tell how the replicas of a service are doing.", &["containers.read"], status)]
}

/// The input of `service.status`.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Input {
    /// `project/service`, or the service alone where it is unique.
    #[schemars(extend("format" = "service-name"))]
    service: String,
}

/// What came of it.
#[derive(Debug, Serialize, JsonSchema)]
pub(crate) struct Output {
    /// `project/service`
    service: String,
    /// All replicas.
    replicas: usize,
    /// How many run.
    running: usize,
    /// How many run and pass their health check, or have none.
    healthy: usize,
    /// How many run and do not pass it, or not yet.
    unhealthy: usize,
    /// How many have no health check.
    unchecked: usize,
    /// Every replica.
    containers: Vec<Facts>,
}

fn status(host: &impl Host, _: &Context, input: &Input) -> Result<Output, Error> {
    let replicas = host.service(&input.service)?;
    let running = replicas.iter().filter(|c| c.up()).count();
    let healthy = replicas.iter().filter(|c| c.available()).count();
    let output = Output {
        service: name_of(&replicas, &input.service),
        replicas: replicas.len(),
        running,
        healthy,
        unhealthy: running - healthy,
        unchecked: replicas.iter().filter(|c| c.health == Health::None).count(),
        containers: replicas.iter().map(Facts::from).collect(),
    };
    for facts in &output.containers {
        host.info(&format!(
            "{}: {}, health {}, image {}",
            facts.name, facts.state, facts.health, facts.image
        ));
    }
    Ok(output)
}

#[cfg(test)]
mod tests {
    use runbook_plugin::mock::World;
    use runbook_plugin::{Health, State};

    use super::{Input, status};

    #[test]
    fn it_counts() {
        let world = World::new().with_service("shop/web", 4);
        world.change("shop-web-2", |c| c.health = Health::Unhealthy);
        world.change("shop-web-3", |c| c.state = State::Exited);
        world.change("shop-web-4", |c| c.health = Health::None);
        let output =
            status(&world, &world.context(), &Input { service: "shop/web".to_owned() }).expect("it works");
        let counts = (output.replicas, output.running, output.healthy, output.unhealthy, output.unchecked);
        assert_eq!(counts, (4, 3, 2, 1, 1));
        assert_eq!(output.containers[2].state, "exited");
        assert!(world.writes().is_empty());
    }

    #[test]
    fn an_unknown_service_is_an_error() {
        let world = World::new().with_service("shop/web", 1);
        let error =
            status(&world, &world.context(), &Input { service: "shop/db".to_owned() }).expect_err("unknown");
        assert_eq!(error.message, "there is no service `shop/db`");
    }
}
