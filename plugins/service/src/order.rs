//! `service.order`: the services of a project, those first that others need.

use std::collections::{BTreeMap, BTreeSet};

use runbook_plugin::{Context, Deserialize, Error, Host, JsonSchema, Serialize, Step};

pub(crate) fn steps<H: Host + 'static>() -> Vec<Step<H>> {
    vec![Step::new(
        "order",
        "List the services of a Compose project in the order of their dependencies.",
        &["containers.read"],
        order,
    )]
}

/// The input of `service.order`.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Input {
    /// The Compose project.
    #[schemars(extend("format" = "project-name"))]
    project: String,
}

/// What came of it.
#[derive(Debug, Serialize, JsonSchema)]
pub(crate) struct Output {
    /// The Compose project.
    project: String,
    /// Services with something running, as `project/service`, each after what it depends on; by name where that leaves
    /// a choice.
    services: Vec<String>,
    /// Services of which nothing runs.
    idle: Vec<String>,
}

fn order(host: &impl Host, _: &Context, input: &Input) -> Result<Output, Error> {
    let containers = host.project(&input.project)?;
    if containers.is_empty() {
        return Err(Error::not_found(
            "service.unknown-project",
            format!("there is no project `{}`", input.project),
        ));
    }
    let mut needs: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    let mut live: BTreeSet<String> = BTreeSet::new();
    for container in containers {
        if container.up() {
            live.insert(container.service.clone());
        }
        needs.entry(container.service).or_default().extend(container.depends_on);
    }
    let services = sort(needs).map_err(|circle| {
        let words = format!("the services of `{}` depend on each other in a circle: {circle}", input.project);
        Error::conflict("service.circle", words)
    })?;
    let (services, idle) = services.into_iter().partition(|service| live.contains(service));
    Ok(Output { project: input.project.clone(), services, idle })
}

/// Takes what needs nothing that is left, the first by name, until nothing is left; what remains then is a circle.
fn sort(mut needs: BTreeMap<String, BTreeSet<String>>) -> Result<Vec<String>, String> {
    let mut sorted = Vec::with_capacity(needs.len());
    while !needs.is_empty() {
        let ready = needs.iter().find(|(_, of)| !of.iter().any(|other| needs.contains_key(other)));
        let Some(name) = ready.map(|(name, _)| name.clone()) else {
            return Err(needs.into_keys().collect::<Vec<_>>().join(", "));
        };
        needs.remove(&name);
        sorted.push(name);
    }
    Ok(sorted)
}

#[cfg(test)]
mod tests {
    use runbook_plugin::State;
    use runbook_plugin::mock::World;

    use super::{Input, order};

    fn input() -> Input {
        Input { project: "shop".to_owned() }
    }

    #[test]
    fn what_others_need_comes_first() {
        let world =
            World::new().with_service("shop/api", 1).with_service("shop/db", 1).with_service("shop/web", 2);
        world.change("shop-api-1", |c| c.depends_on = vec!["shop/db".to_owned(), "shop/gone".to_owned()]);
        world.change("shop-web-2", |c| c.depends_on = vec!["shop/api".to_owned()]);
        let output = order(&world, &world.context(), &input()).expect("it works");
        assert_eq!(output.services, ["shop/db", "shop/api", "shop/web"]);
    }

    #[test]
    fn idle_services_are_left_out() {
        let world = World::new().with_service("shop/db", 1).with_service("shop/job", 1);
        world.change("shop-job-1", |c| c.state = State::Exited);
        let output = order(&world, &world.context(), &input()).expect("it works");
        assert_eq!((output.services, output.idle), (vec!["shop/db".to_owned()], vec!["shop/job".to_owned()]));
    }

    #[test]
    fn a_circle_is_an_error() {
        let world = World::new().with_service("shop/a", 1).with_service("shop/b", 1);
        world.change("shop-a-1", |c| c.depends_on = vec!["shop/b".to_owned()]);
        world.change("shop-b-1", |c| c.depends_on = vec!["shop/a".to_owned()]);
        let error = order(&world, &world.context(), &input()).expect_err("a circle");
        assert!(error.message.ends_with("in a circle: shop/a, shop/b"), "{}", error.message);
        let error =
            order(&world, &world.context(), &Input { project: "shed".to_owned() }).expect_err("unknown");
        assert_eq!(error.code, "service.unknown-project");
    }
}
