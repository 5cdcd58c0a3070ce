//! The plugin `{{name}}`.

use runbook_plugin::{Context, Deserialize, Error, Health, Host, JsonSchema, Serialize, Step};

/// What this plugin performs: one line for each step type.
pub fn steps<H: Host + 'static>() -> Vec<Step<H>> {
    vec![Step::new(
        "unhealthy",
        "Name the replicas of a service that are unhealthy.",
        &["containers.read"],
        unhealthy,
    )]
}

runbook_plugin::export!(steps);

/// The input of `{{name}}.unhealthy`. The comments of its fields are what people read in `runbook plugin show`.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Input {
    /// `project/service`, or the service alone where it is unique.
    pub service: String,
}

/// What came of it.
#[derive(Debug, Serialize, JsonSchema)]
pub struct Output {
    /// Their names.
    pub names: Vec<String>,
}

fn unhealthy(host: &impl Host, _: &Context, input: &Input) -> Result<Output, Error> {
    let replicas = host.service(&input.service)?;
    let names: Vec<String> = replicas
        .into_iter()
        .filter(|c| c.health == Health::Unhealthy)
        .map(|c| c.name)
        .collect();
    host.info(&format!("{} unhealthy", names.len()));
    Ok(Output { names })
}

#[cfg(test)]
mod tests {
    use runbook_plugin::Health;
    use runbook_plugin::mock::World;

    use super::{Input, unhealthy};

    #[test]
    fn it_names_the_unhealthy_one() {
        let world = World::new().with_service("shop/web", 2);
        world.change("shop-web-2", |container| {
            container.health = Health::Unhealthy
        });
        let input = Input {
            service: "shop/web".to_owned(),
        };
        let output = unhealthy(&world, &world.context(), &input).expect("it works");
        assert_eq!(output.names, ["shop-web-2"]);
    }
}
