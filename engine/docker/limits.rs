//! Changing the limits of a container while it runs, with guards against what would kill it.

use bollard::models::{ContainerUpdateBody, HostConfig};

use crate::container::{DEFAULT_CPU_PERIOD_US, limits as limits_of};
use crate::daemon::{Daemon, write};
use crate::error::Error;
use crate::types::{Container, Limits, State};

/// The least memory that Docker accepts.
const LEAST_MEMORY_BYTES: u64 = 6 << 20;
/// What Docker takes for `no limit`.
const UNLIMITED: i64 = -1;

impl Daemon {
    /// Live limits. Unchanged ones are a success. Refused: memory below what is in use, memory above memory plus swap,
    /// and lifting a limit altogether, which Docker cannot do to a running container.
    pub async fn update(&self, id: &str, limits: &Limits) -> Result<Container, Error> {
        let raw = self.raw(id).await?;
        let host = raw.host_config.clone().unwrap_or_default();
        let before = self.narrow(raw);
        if before.limits == *limits {
            return Ok(before);
        }
        check(&before, limits)?;
        if limits.memory_bytes < before.limits.memory_bytes || before.limits.memory_bytes == 0 {
            self.refuse_below_use(&before, limits.memory_bytes).await?;
        }
        let body = body(&host, limits);
        let call = write("update container", &before.name);
        self.ask(call, async |docker| docker.update_container(&before.id, body.clone()).await).await?;
        self.afterwards(&before).await
    }

    /// On cgroup v2 the kernel kills a process rather than refuse a limit below its use.
    async fn refuse_below_use(&self, before: &Container, memory: u64) -> Result<(), Error> {
        if memory == 0 || !matches!(before.state, State::Running | State::Paused) {
            return Ok(());
        }
        let used = self.memory_in_use(&before.id).await?;
        if used < memory {
            return Ok(());
        }
        Err(Error::conflict(
            "containers.memory-in-use",
            format!(
                "container `{}` uses {used} bytes of memory: a limit of {memory} would get it killed; restart it with \
                 less load first, or choose a limit above its use",
                before.name
            ),
        ))
    }
}

fn check(before: &Container, limits: &Limits) -> Result<(), Error> {
    let refuse = |what: String| {
        Err(Error::invalid("containers.limits", format!("cannot limit container `{}`: {what}", before.name)))
    };
    let lifted = |now: u64, wish: u64| now != 0 && wish == 0;
    if lifted(before.limits.cpu_millis, limits.cpu_millis) {
        return refuse(
            "its processor limit cannot be lifted while it lives; recreate it without one".to_owned(),
        );
    }
    if lifted(before.limits.memory_bytes, limits.memory_bytes) {
        return refuse(
            "its memory limit cannot be lifted while it lives; recreate it without one".to_owned(),
        );
    }
    let (memory, swap) = (limits.memory_bytes, limits.memory_swap_bytes);
    if memory != 0 && memory < LEAST_MEMORY_BYTES {
        return refuse(format!(
            "{memory} bytes of memory are less than Docker's least, {LEAST_MEMORY_BYTES}"
        ));
    }
    if swap != 0 && swap < memory {
        return refuse(format!(
            "{memory} bytes of memory are more than the {swap} of memory and swap together; raise both"
        ));
    }
    if swap != 0 && memory == 0 {
        return refuse("a limit of memory and swap together needs one of memory".to_owned());
    }
    if [memory, swap, limits.cpu_millis.saturating_mul(1_000_000)]
        .iter()
        .any(|number| i64::try_from(*number).is_err())
    {
        return refuse("a number is too large".to_owned());
    }
    Ok(())
}

/// Only what changes; memory and swap together, since Docker checks each against the other's old value.
fn body(host: &HostConfig, limits: &Limits) -> ContainerUpdateBody {
    let signed = |number: u64| i64::try_from(number).unwrap_or(i64::MAX);
    let now = limits_of(host);
    let mut body = ContainerUpdateBody::default();
    if limits.cpu_millis != now.cpu_millis {
        // Docker refuses to mix the two ways of limiting the processor.
        if host.cpu_quota.unwrap_or(0) > 0 {
            let period = host.cpu_period.filter(|period| *period > 0).unwrap_or(DEFAULT_CPU_PERIOD_US);
            body.cpu_period = Some(period);
            body.cpu_quota = Some(signed(limits.cpu_millis).saturating_mul(period) / 1000);
        } else {
            body.nano_cpus = Some(signed(limits.cpu_millis).saturating_mul(1_000_000));
        }
    }
    let memory = (limits.memory_bytes, limits.memory_swap_bytes);
    if memory != (now.memory_bytes, now.memory_swap_bytes) {
        body.memory = Some(signed(limits.memory_bytes));
        body.memory_swap =
            Some(if limits.memory_swap_bytes == 0 { UNLIMITED } else { signed(limits.memory_swap_bytes) });
    }
    body
}
