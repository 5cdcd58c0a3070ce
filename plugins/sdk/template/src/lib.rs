//! The plugin `{{name}}`.

use runbook_plugin::{Context, Deserialize, Error, Host, JsonSchema, Serialize, Step};

/// What this plugin performs: name, one sentence, the grants without which it cannot work.
pub fn steps<H: Host + 'static>() -> Vec<Step<H>> {
    vec![Step::new("count", "Count the replicas of a service.", &["containers.read"], count)]
}

runbook_plugin::export!(steps);

/// The input of `{{name}}.count`, in a runbook `with`. People read the comments of its fields in
/// `runbook plugin show {{name}}`.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Input {
    /// `project/service`, or the service alone where it is unique.
    pub service: String,
}

/// What came of it, in a runbook `steps.ID.output`.
#[derive(Debug, Serialize, JsonSchema)]
pub struct Output {
    /// All replicas.
    pub replicas: usize,
    /// How many serve.
    pub available: usize,
}

fn count(host: &impl Host, _: &Context, input: &Input) -> Result<Output, Error> {
    let replicas = host.service(&input.service)?;
    let available = replicas.iter().filter(|replica| replica.available()).count();
    host.info(&format!("{available} of {} serve", replicas.len()));
    Ok(Output { replicas: replicas.len(), available })
}

#[cfg(test)]
mod tests {
    use runbook_plugin::Health;
    use runbook_plugin::mock::World;

    use super::{Input, count};

    #[test]
    fn it_counts_those_that_serve() {
        let world = World::new().with_service("shop/web", 3);
        world.change("shop-web-2", |container| container.health = Health::Unhealthy);
        let input = Input { service: "shop/web".to_owned() };
        let output = count(&world, &world.context(), &input).expect("the service exists");
        assert_eq!((output.replicas, output.available), (3, 2));
    }
}
