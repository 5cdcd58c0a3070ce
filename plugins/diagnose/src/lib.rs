//! The plugin `diagnose`: everything one would look at, kept before it is gone.

use runbook_plugin::{
    Container, Context, Deserialize, Duration, Error, ErrorKind, Event, Facts, Health, Host, JsonSchema,
    Sample, Serialize, State, Step, select, text,
};
use serde_json::{Value, json};

/// What this plugin performs.
pub fn steps<H: Host + 'static>() -> Vec<Step<H>> {
    vec![Step::new(
        "collect",
        "Keep logs, document, use of resources, processes and events of a service as one artifact.",
        &["containers.read"],
        collect,
    )]
}

runbook_plugin::export!(steps);

/// What one text of one container may hold; an artifact is at most 16 MiB.
const MAX_TEXT_BYTES: usize = 512 * 1024;

/// What all texts of an artifact may hold together.
const MAX_ARTIFACT_BYTES: usize = 8 * 1024 * 1024;

/// From this share of its limit on, in hundredths, memory is short.
const SHORT_MEMORY_PERCENT: u64 = 90;

/// The input of `diagnose.collect`.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(extend("allOf" = runbook_plugin::rule::one_of(&["service", "container"])))]
pub struct Input {
    /// `project/service`: every replica.
    #[schemars(extend("format" = "service-name"))]
    pub service: Option<String>,
    /// Or one container by name or id.
    #[schemars(extend("format" = "container-name"))]
    pub container: Option<String>,
    /// How many lines of each container's logs, and as many of its previous life.
    #[serde(default = "five_hundred")]
    #[schemars(range(min = 1, max = 10_000))]
    pub lines: u32,
    /// How far back events are kept.
    #[serde(default = "one_hour")]
    pub events_for: Duration,
}

fn five_hundred() -> u32 {
    500
}

fn one_hour() -> Duration {
    Duration::from_secs(3_600)
}

/// What was found.
#[derive(Debug, Serialize, JsonSchema)]
pub struct Output {
    /// The digest under which everything is kept.
    pub artifact: String,
    /// All containers looked at.
    pub replicas: usize,
    /// How many of them serve.
    pub healthy: usize,
    /// What stands out, one sentence each.
    pub findings: Vec<String>,
    /// Every container.
    pub containers: Vec<Facts>,
}

fn collect(host: &impl Host, context: &Context, input: &Input) -> Result<Output, Error> {
    let found = select(host, input.service.as_deref(), input.container.as_deref())?;
    let share = (MAX_ARTIFACT_BYTES / 3 / found.len().max(1)).min(MAX_TEXT_BYTES);
    let (mut parts, mut findings) = (Vec::new(), Vec::new());
    for (index, container) in found.iter().enumerate() {
        let sample = host.stats(&container.id);
        findings.extend(findings_of(container, sample.as_ref().ok()));
        parts.push(part(host, container, sample, &Extent { input, share })?);
        let done = |number: usize| u32::try_from(number).unwrap_or(u32::MAX);
        host.progress(done(index + 1), done(found.len()), &container.name);
    }
    let everything = json!({
        "run": context.run,
        "at_ms": host.now_ms(),
        "findings": findings,
        "containers": parts,
    });
    let artifact = host.keep("diagnosis.json", &everything.to_string())?;
    host.info(&format!("kept everything as {artifact}"));
    for finding in &findings {
        host.warn(finding);
    }
    Ok(Output {
        artifact,
        replicas: found.len(),
        healthy: found.iter().filter(|c| c.available()).count(),
        findings,
        containers: found.iter().map(Facts::from).collect(),
    })
}

/// How much of everything is kept.
struct Extent<'a> {
    input: &'a Input,
    share: usize,
}

/// Everything of one container. What cannot be had is told in its place; only a cancelled run ends here.
fn part(
    host: &impl Host,
    container: &Container,
    sample: Result<Sample, Error>,
    extent: &Extent,
) -> Result<Value, Error> {
    let (id, lines) = (&container.id, extent.input.lines);
    let tail = |text: String| Value::from(text::end(&text, extent.share));
    let document = |text: String| {
        let whole = serde_json::from_str(&text).ok().filter(|_| text.len() <= extent.share);
        whole.unwrap_or_else(|| Value::from(text::beginning(&text, extent.share)))
    };
    let events = |events: Vec<Event>| events.iter().map(event).collect::<Value>();
    Ok(json!({
        "facts": Facts::from(container),
        "logs": told(host.logs(id, lines, false), tail)?,
        "previous_logs": told(host.logs(id, lines, true), tail)?,
        "document": told(host.document(id), document)?,
        "stats": told(sample, |sample| stats(&sample))?,
        "processes": told(host.top(id), Value::from)?,
        "events": told(host.events(id, extent.input.events_for.as_ms()), events)?,
    }))
}

fn told<T>(result: Result<T, Error>, value: impl FnOnce(T) -> Value) -> Result<Value, Error> {
    match result {
        Ok(thing) => Ok(value(thing)),
        Err(error) if error.kind == ErrorKind::Cancelled => Err(error),
        Err(error) => Ok(json!({ "error": error.message })),
    }
}

fn event(event: &Event) -> Value {
    json!({ "time_ms": event.time_ms, "action": event.action, "attributes": event.attributes })
}

fn stats(sample: &Sample) -> Value {
    json!({
        "cpu_percent": sample.cpu_percent,
        "memory_bytes": sample.memory_bytes,
        "memory_limit_bytes": sample.memory_limit_bytes,
        "pids": sample.pids,
    })
}

/// What a person would point at.
fn findings_of(container: &Container, sample: Option<&Sample>) -> Vec<String> {
    let name = &container.name;
    let mut findings = Vec::new();
    if container.out_of_memory {
        findings.push(format!(
            "`{name}` was killed for memory: raise its limit (service-resize) or find the leak"
        ));
    }
    match container.state {
        State::Running | State::Created => {}
        State::Exited | State::Dead => {
            findings.push(format!("`{name}` has exited with {}", container.exit_code));
        }
        state => findings.push(format!("`{name}` is {}", state.word())),
    }
    if container.restart_count > 0 {
        findings.push(format!(
            "`{name}` was started again {} times by its restart policy",
            container.restart_count
        ));
    }
    match container.health {
        Health::Unhealthy => findings.push(format!("`{name}` fails its health check")),
        Health::None => findings.push(format!("`{name}` has no health check")),
        Health::Starting | Health::Healthy => {}
    }
    // The daemon gives the machine's memory where there is no limit.
    let limit = container.limits.memory_bytes;
    let used = sample.map_or(0, |sample| sample.memory_bytes);
    if limit != 0 && used >= limit / 100 * SHORT_MEMORY_PERCENT {
        findings.push(format!("`{name}` uses {} of {} MiB memory", used >> 20, limit >> 20));
    }
    findings
}

#[cfg(test)]
mod tests {
    use runbook_plugin::mock::World;
    use runbook_plugin::{ErrorKind, Health, State};
    use serde_json::Value;

    use super::{Input, collect};

    fn input() -> Input {
        serde_json::from_str(r#"{ "service": "shop/web" }"#).expect("a good input")
    }

    #[test]
    fn everything_is_kept_and_the_rest_is_told() {
        let world = World::new().with_service("shop/web", 3);
        world.set_logs("shop-web-1", "cannot allocate");
        world.set_memory("shop-web-1", 500 << 20);
        world.change("shop-web-1", |c| {
            c.limits.memory_bytes = 512 << 20;
            c.health = Health::Unhealthy;
            c.restart_count = 4;
        });
        world.change("shop-web-2", |c| {
            c.state = State::Exited;
            c.exit_code = 137;
            c.out_of_memory = true;
        });
        let output = collect(&world, &world.context(), &input()).expect("it works");
        assert_eq!((output.replicas, output.healthy, output.containers.len()), (3, 1, 3));
        assert_eq!(
            output.findings,
            [
                "`shop-web-1` was started again 4 times by its restart policy",
                "`shop-web-1` fails its health check",
                "`shop-web-1` uses 500 of 512 MiB memory",
                "`shop-web-2` was killed for memory: raise its limit (service-resize) or find the leak",
                "`shop-web-2` has exited with 137",
            ]
        );
        let kept: Value = serde_json::from_str(&world.artifacts()[0].1).expect("JSON");
        assert_eq!(kept["containers"][0]["logs"], "cannot allocate");
        assert_eq!(kept["containers"][0]["processes"][1][1], "server");
        assert!(world.writes().is_empty());
    }

    #[test]
    fn what_cannot_be_had_is_told_in_its_place() {
        let world = World::new().with_service("shop/web", 1);
        world.refuse("logs", 0, ErrorKind::Unavailable);
        collect(&world, &world.context(), &input()).expect("it works");
        let kept: Value = serde_json::from_str(&world.artifacts()[0].1).expect("JSON");
        assert_eq!(kept["containers"][0]["logs"]["error"], "`logs` is refused");

        let world = world.forgiving();
        world.refuse("logs", 0, ErrorKind::Cancelled);
        assert!(collect(&world, &world.context(), &input()).is_err());
    }
}
