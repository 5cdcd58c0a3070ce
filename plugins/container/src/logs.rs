//! `container.logs`: the last lines.

use runbook_plugin::{Context, Deserialize, Error, Host, JsonSchema, Serialize, Step, select, text};

pub(crate) fn steps<H: Host + 'static>() -> Vec<Step<H>> {
    vec![Step::new("logs", "Show the last lines of a service or a container.", &["containers.read"], logs)]
}

/// What all logs of one output may hold together.
const MAX_TOTAL_BYTES: usize = 256 * 1024;

/// The input of `container.logs`.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(extend("allOf" = runbook_plugin::rule::one_of(&["service", "container"])))]
pub(crate) struct Input {
    /// `project/service`: every replica.
    #[schemars(extend("format" = "service-name"))]
    service: Option<String>,
    /// Or one container by name or id.
    #[schemars(extend("format" = "container-name"))]
    container: Option<String>,
    /// How many lines of each.
    #[serde(default = "hundred")]
    #[schemars(range(min = 1, max = 10_000))]
    lines: u32,
    /// The life before the last start instead.
    #[serde(default)]
    previous: bool,
}

fn hundred() -> u32 {
    100
}

/// The lines.
#[derive(Debug, Serialize, JsonSchema)]
pub(crate) struct Output {
    /// Of each container.
    containers: Vec<Lines>,
}

/// The lines of one container.
#[derive(Debug, Serialize, JsonSchema)]
pub(crate) struct Lines {
    /// Its name.
    name: String,
    /// Its last lines, oldest first; what is too long for one output is cut at the beginning.
    logs: String,
}

fn logs(host: &impl Host, _: &Context, input: &Input) -> Result<Output, Error> {
    let found = select(host, input.service.as_deref(), input.container.as_deref())?;
    let share = MAX_TOTAL_BYTES / found.len().max(1);
    let mut containers = Vec::new();
    for container in found {
        let logs = host.logs(&container.id, input.lines, input.previous)?;
        let logs = text::end(&logs, share).to_owned();
        host.info(&format!("==== {}", container.name));
        for line in logs.lines() {
            host.info(line);
        }
        containers.push(Lines { name: container.name, logs });
    }
    Ok(Output { containers })
}

#[cfg(test)]
mod tests {
    use runbook_plugin::mock::World;

    use super::{Input, MAX_TOTAL_BYTES, logs};

    #[test]
    fn the_last_lines_of_each() {
        let world = World::new().with_service("shop/web", 2);
        world.set_logs("shop-web-1", "one\ntwo\nthree");
        world.set_logs("shop-web-2", &"x".repeat(MAX_TOTAL_BYTES));
        let input: Input =
            serde_json::from_str(r#"{ "service": "shop/web", "lines": 2 }"#).expect("a good input");
        let output = logs(&world, &world.context(), &input).expect("it works");
        assert_eq!(output.containers[0].logs, "two\nthree");
        assert_eq!(output.containers[1].logs.len(), MAX_TOTAL_BYTES / 2);
        assert!(world.lines().contains(&"three".to_owned()));
    }
}
