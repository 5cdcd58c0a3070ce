//! `service.resize`: other limits for running replicas, without a restart.

use runbook_plugin::{
    Container, Context, Deserialize, Error, Host, JsonSchema, Limits, Serialize, Size, Step,
};

use crate::power::name_of;
use crate::replicas::standing;
use crate::restart::count;

pub(crate) fn steps<H: Host + 'static>() -> Vec<Step<H>> {
    vec![Step::new(
        "resize",
        "Give the replicas of a service other processor and memory limits, live.",
        &["containers.read", "containers.update"],
        resize,
    )]
}

/// Memory may not be lowered to less than what is used and this many hundredths more: the kernel would kill the process.
const HEADROOM_PERCENT: u64 = 10;

/// The least processor share Docker accepts, in thousandths of a core.
const LEAST_CPU_MILLIS: f64 = 10.0;

/// The least memory Docker accepts.
const LEAST_MEMORY: Size = Size::from_bytes(6 << 20);

/// The input of `service.resize`.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(extend(
    "allOf" = runbook_plugin::rule::some_of(&["cpus", "memory", "memory_and_swap"]),
    "ordered" = ["memory", "memory_and_swap"],
))]
pub(crate) struct Input {
    /// `project/service`, or the service alone where it is unique.
    #[schemars(extend("format" = "service-name"))]
    service: String,
    /// Cores, for example `0.5` or `"1.5"`; left as it is if not given.
    cpus: Option<Cpus>,
    /// Memory, for example `512MiB`; left as it is if not given.
    #[schemars(extend("atLeast" = "6MiB"))]
    memory: Option<Size>,
    /// Memory and swap together. If not given, what there is of swap stays; where memory was unlimited, as much
    /// again as memory.
    memory_and_swap: Option<Size>,
}

/// A number of cores, as a number or as text.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(untagged)]
pub(crate) enum Cpus {
    /// `0.5`
    Number(#[schemars(range(min = 0.01, max = 1_000_000.0))] f64),
    /// `"0.5"`
    Text(
        #[schemars(regex(pattern = r"^[0-9]+(\.[0-9]+)?$"), extend("atLeast" = 0.01, "atMost" = 1_000_000))]
        String,
    ),
}

/// What came of it.
#[derive(Debug, Serialize, JsonSchema)]
pub(crate) struct Output {
    /// `project/service`
    service: String,
    /// Replicas whose limits are others now.
    resized: Vec<String>,
    /// Replicas that had these limits already.
    unchanged: Vec<String>,
    /// Thousandths of a core now; 0 is unlimited.
    cpu_millis: u64,
    /// Bytes now; 0 is unlimited.
    memory_bytes: u64,
}

fn resize(host: &impl Host, _: &Context, input: &Input) -> Result<Output, Error> {
    let cpu_millis = input.cpus.as_ref().map(millis).transpose()?;
    if cpu_millis.is_none() && input.memory.is_none() && input.memory_and_swap.is_none() {
        return Err(Error::invalid("service.nothing-to-resize", "give `cpus`, `memory` or both"));
    }
    if let Some(memory) = input.memory.filter(|memory| *memory < LEAST_MEMORY) {
        let words = format!("`memory: {memory}` is less than {LEAST_MEMORY}, the least Docker accepts");
        return Err(Error::invalid("service.too-small", words));
    }
    let replicas = host.service(&input.service)?;
    let mut plan = Vec::new();
    for container in &replicas {
        let limits = wanted(container.limits, cpu_millis, input)?;
        guard(host, container, limits)?;
        plan.push((container, limits));
    }
    let now_ms = host.now_ms();
    plan.sort_by_key(|(container, _)| standing(container, now_ms));
    let (mut resized, mut unchanged) = (Vec::new(), Vec::new());
    let total = plan.len();
    for (container, limits) in plan {
        if container.limits == limits {
            unchanged.push(container.name.clone());
            continue;
        }
        let after = host.update(&container.id, limits)?;
        if (after.limits.cpu_millis, after.limits.memory_bytes) != (limits.cpu_millis, limits.memory_bytes) {
            let words = format!("`{}` did not take the new limits", container.name);
            return Err(Error::conflict("service.not-resized", words));
        }
        resized.push(container.name.clone());
        host.progress(count(resized.len()), count(total), &container.name);
    }
    let now = replicas.first().map(|c| wanted(c.limits, cpu_millis, input)).transpose()?;
    let (cpu_millis, memory_bytes) = now.map_or((0, 0), |limits| (limits.cpu_millis, limits.memory_bytes));
    Ok(Output { service: name_of(&replicas, &input.service), resized, unchanged, cpu_millis, memory_bytes })
}

#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "checked to be in range before")]
fn millis(cpus: &Cpus) -> Result<u64, Error> {
    let cores = match cpus {
        Cpus::Number(number) => Some(*number),
        Cpus::Text(text) => text.parse().ok(),
    };
    match cores.map(|cores| (cores * 1_000.0).round()) {
        Some(millis) if (LEAST_CPU_MILLIS..=1e9).contains(&millis) => Ok(millis as u64),
        _ => {
            let words = format!("`cpus` must be a number of cores from {:.2}", LEAST_CPU_MILLIS / 1_000.0);
            Err(Error::invalid("service.cpus", words))
        }
    }
}

/// Memory and swap always go together: raising one past the other alone is refused by Docker.
fn wanted(now: Limits, cpu_millis: Option<u64>, input: &Input) -> Result<Limits, Error> {
    let memory_bytes = input.memory.map_or(now.memory_bytes, Size::as_bytes);
    let kept = match (now.memory_bytes, now.memory_swap_bytes) {
        _ if input.memory.is_none() => now.memory_swap_bytes,
        (0, _) => memory_bytes.saturating_mul(2),
        (_, 0) => 0,
        (memory, both) => memory_bytes.saturating_add(both.saturating_sub(memory)),
    };
    let memory_swap_bytes = input.memory_and_swap.map_or(kept, Size::as_bytes);
    if memory_swap_bytes != 0 && memory_swap_bytes < memory_bytes {
        let words = "`memory_and_swap` is both together and cannot be less than memory alone";
        return Err(Error::invalid("service.swap", words));
    }
    Ok(Limits { cpu_millis: cpu_millis.unwrap_or(now.cpu_millis), memory_bytes, memory_swap_bytes })
}

/// Lowering memory below what is used gets the process killed (runc#3509).
fn guard(host: &impl Host, container: &Container, wanted: Limits) -> Result<(), Error> {
    let now = container.limits.memory_bytes;
    let lowered = wanted.memory_bytes != 0 && (now == 0 || wanted.memory_bytes < now);
    if !lowered || !container.up() {
        return Ok(());
    }
    let used = host.stats(&container.id)?.memory_bytes;
    let least = used.saturating_add(used / 100 * HEADROOM_PERCENT);
    if wanted.memory_bytes >= least {
        return Ok(());
    }
    let words = format!(
        "`{}` uses {} MiB: a limit of {} would get it killed; it needs at least {} MiB, or restart it first",
        container.name,
        used >> 20,
        Size::from_bytes(wanted.memory_bytes),
        (least >> 20) + 1,
    );
    Err(Error::conflict("service.memory-in-use", words))
}

#[cfg(test)]
mod tests {
    use runbook_plugin::mock::World;
    use runbook_plugin::{ErrorKind, Limits};

    use super::{Input, resize};

    const MIB: u64 = 1 << 20;

    fn input(more: &str) -> Input {
        serde_json::from_str(&format!(r#"{{ "service": "shop/web", {more} }}"#)).expect("a good input")
    }

    #[test]
    fn both_limits_of_every_replica() {
        let world = World::new().with_service("shop/web", 2);
        let output =
            resize(&world, &world.context(), &input(r#""cpus": "0.5", "memory": "512MiB""#)).expect("works");
        assert_eq!(output.resized, ["shop-web-1", "shop-web-2"]);
        assert_eq!((output.cpu_millis, output.memory_bytes), (500, 512 * MIB));
        let limits = Limits { cpu_millis: 500, memory_bytes: 512 * MIB, memory_swap_bytes: 1024 * MIB };
        assert_eq!(world.look("shop-web-2").limits, limits);
        let again =
            resize(&world, &world.context(), &input(r#""cpus": 0.5, "memory": "512MiB""#)).expect("works");
        assert_eq!((again.resized.len(), again.unchanged.len()), (0, 2));
    }

    #[test]
    fn swap_moves_with_memory() {
        let world = World::new().with_service("shop/web", 1);
        let limits = Limits { cpu_millis: 0, memory_bytes: 256 * MIB, memory_swap_bytes: 384 * MIB };
        world.change("shop-web-1", |c| c.limits = limits);
        resize(&world, &world.context(), &input(r#""memory": "512MiB""#)).expect("works");
        let after = world.look("shop-web-1").limits;
        assert_eq!((after.memory_bytes, after.memory_swap_bytes), (512 * MIB, 640 * MIB));
    }

    #[test]
    fn memory_in_use_is_not_taken_away() {
        let world = World::new().with_service("shop/web", 2);
        world.set_memory("shop-web-2", 500 * MIB);
        let error =
            resize(&world, &world.context(), &input(r#""memory": "512MiB""#)).expect_err("too little");
        assert_eq!((error.kind, error.code.as_str()), (ErrorKind::Conflict, "service.memory-in-use"));
        assert!(error.message.contains("`shop-web-2` uses 500 MiB"), "{}", error.message);
        assert!(world.writes().is_empty(), "not even the first replica");
        resize(&world, &world.context(), &input(r#""memory": "1GiB""#)).expect("enough");
    }

    #[test]
    fn what_makes_no_sense_is_refused() {
        let world = World::new().with_service("shop/web", 1);
        for more in [
            r#""cpus": 0"#,
            r#""cpus": "many""#,
            r#""cpus": -1"#,
            r#""memory": "1MiB""#,
            r#""memory": "1GiB", "memory_and_swap": "512MiB""#,
            r#""cpus": null"#,
        ] {
            let error = resize(&world, &world.context(), &input(more)).expect_err(more);
            assert_eq!(error.kind, ErrorKind::Invalid, "{more}");
        }
        assert!(world.writes().is_empty());
    }
}
