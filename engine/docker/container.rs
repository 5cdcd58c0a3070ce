//! The narrow view of a container, from the daemon's own document. Environment values end here.

use std::collections::BTreeSet;

use bollard::models::{
    ContainerInspectResponse, ContainerState, ContainerStateStatusEnum, HealthStatusEnum, HostConfig,
    NetworkSettings, PortMap,
};

use crate::error::Error;
use crate::labels::Labels;
use crate::types::{Container, Health, Limits, Port, State, default_stop_signal};

/// What Docker prints for `never`.
const NEVER: &str = "0001-01-01T00:00:00Z";
/// Nanoseconds of processor time a second in one of its thousandths of a core.
const NANOS_PER_MILLI: i64 = 1_000_000;
/// The period that applies where a quota is given without one, in microseconds.
pub(crate) const DEFAULT_CPU_PERIOD_US: i64 = 100_000;

impl Container {
    /// The narrow view of the daemon's own document of a container, one element of what `docker inspect` prints.
    pub fn from_document(json: &[u8]) -> Result<Self, Error> {
        let raw = serde_json::from_slice(json).map_err(|error| {
            Error::invalid("containers.document", format!("not the document of a container: {error}"))
        })?;
        Ok(narrow(raw, "127.0.0.1"))
    }
}

/// `host_address` is where a container on the host's own network is reached.
pub(crate) fn narrow(raw: ContainerInspectResponse, host_address: &str) -> Container {
    let config = raw.config.unwrap_or_default();
    let host = raw.host_config.unwrap_or_default();
    let network = raw.network_settings.unwrap_or_default();
    let state = raw.state.unwrap_or_default();
    let labels = config.labels.unwrap_or_default();
    let labels = Labels(&labels);
    let name = raw.name.unwrap_or_default().trim_start_matches('/').to_owned();
    let exposed = config.exposed_ports.unwrap_or_default();
    Container {
        id: raw.id.unwrap_or_default(),
        service: labels.service(&name),
        depends_on: labels.depends_on(),
        restarts_with: labels.restarts_with(),
        stop_timeout_ms: config.stop_timeout.map(stop_timeout_ms),
        stop_signal: config
            .stop_signal
            .filter(|signal| !signal.is_empty())
            .unwrap_or_else(default_stop_signal),
        network_owner: network_owner(&host),
        state: doing(&state),
        health: health(&state),
        started_at: moment(state.started_at),
        finished_at: moment(state.finished_at),
        created_at: moment(raw.created),
        image: config.image.unwrap_or_default(),
        image_id: raw.image.unwrap_or_default(),
        exit_code: state.exit_code.and_then(|code| i32::try_from(code).ok()).unwrap_or(-1),
        out_of_memory: state.oom_killed.unwrap_or(false),
        restart_count: raw.restart_count.and_then(|count| u32::try_from(count).ok()).unwrap_or(0),
        limits: limits(&host),
        ports: ports(&exposed, host.port_bindings.as_ref(), network.ports.as_ref()),
        addresses: addresses(&host, &network, host_address),
        auto_remove: host.auto_remove.unwrap_or(false),
        replica: labels.replica(),
        labels: labels.others(),
        name,
    }
}

/// The longest stop that is waited for, milliseconds. A negative stop timeout means without end.
const LONGEST_STOP_MS: u64 = 3_600_000;

fn stop_timeout_ms(seconds: i64) -> u64 {
    u64::try_from(seconds).map_or(LONGEST_STOP_MS, |s| s.saturating_mul(1_000).min(LONGEST_STOP_MS))
}

/// `container:ID`, as the daemon writes the mode of a shared network.
fn network_owner(host: &HostConfig) -> Option<String> {
    host.network_mode.as_deref()?.strip_prefix("container:").map(str::to_owned)
}

fn doing(state: &ContainerState) -> State {
    match state.status {
        Some(ContainerStateStatusEnum::CREATED) => State::Created,
        // One that is being stopped still runs, and may go on running for its whole grace.
        Some(ContainerStateStatusEnum::RUNNING | ContainerStateStatusEnum::STOPPING) => State::Running,
        Some(ContainerStateStatusEnum::PAUSED) => State::Paused,
        Some(ContainerStateStatusEnum::RESTARTING) => State::Restarting,
        Some(ContainerStateStatusEnum::REMOVING) => State::Removing,
        Some(ContainerStateStatusEnum::DEAD) => State::Dead,
        Some(ContainerStateStatusEnum::EXITED | ContainerStateStatusEnum::EMPTY) | None => State::Exited,
    }
}

fn health(state: &ContainerState) -> Health {
    match state.health.as_ref().and_then(|health| health.status) {
        Some(HealthStatusEnum::STARTING) => Health::Starting,
        Some(HealthStatusEnum::HEALTHY) => Health::Healthy,
        Some(HealthStatusEnum::UNHEALTHY) => Health::Unhealthy,
        Some(HealthStatusEnum::NONE | HealthStatusEnum::EMPTY) | None => Health::None,
    }
}

fn moment(text: Option<String>) -> String {
    text.filter(|text| text != NEVER).unwrap_or_default()
}

/// The limits of a container, however they were given.
pub(crate) fn limits(host: &HostConfig) -> Limits {
    let nanos = host.nano_cpus.unwrap_or(0);
    let quota = host.cpu_quota.unwrap_or(0);
    let period = host.cpu_period.filter(|period| *period > 0).unwrap_or(DEFAULT_CPU_PERIOD_US);
    let cpu = if nanos > 0 { nanos / NANOS_PER_MILLI } else { quota.max(0).saturating_mul(1000) / period };
    let positive = |bytes: Option<i64>| bytes.and_then(|bytes| u64::try_from(bytes).ok()).unwrap_or(0);
    Limits {
        cpu_millis: u64::try_from(cpu).unwrap_or(0),
        memory_bytes: positive(host.memory),
        memory_swap_bytes: positive(host.memory_swap),
    }
}

fn ports(exposed: &[String], asked: Option<&PortMap>, given: Option<&PortMap>) -> Vec<Port> {
    let mut found = BTreeSet::new();
    // What runs tells which host ports it was given; what does not, only which it asks for.
    let given = given.filter(|given| !given.is_empty()).or(asked);
    for (inside, bindings) in given.into_iter().flatten() {
        let Some((container_port, protocol)) = port(inside) else { continue };
        let outside: BTreeSet<u16> = bindings
            .iter()
            .flatten()
            .filter_map(|binding| binding.host_port.as_deref().and_then(|port| port.parse().ok()))
            .collect();
        for host_port in if outside.is_empty() { BTreeSet::from([0]) } else { outside } {
            found.insert((container_port, host_port, protocol.clone()));
        }
    }
    for (container_port, protocol) in exposed.iter().filter_map(|text| port(text)) {
        if !found.iter().any(|(other, _, kind)| *other == container_port && *kind == protocol) {
            found.insert((container_port, 0, protocol));
        }
    }
    let whole = |(container_port, host_port, protocol)| Port { container_port, host_port, protocol };
    found.into_iter().map(whole).collect()
}

/// `8080/tcp`.
pub(crate) fn port(text: &str) -> Option<(u16, String)> {
    let (number, protocol) = text.split_once('/').unwrap_or((text, "tcp"));
    Some((number.parse().ok()?, protocol.to_owned()))
}

fn addresses(host: &HostConfig, network: &NetworkSettings, host_address: &str) -> Vec<String> {
    if host.network_mode.as_deref() == Some("host") {
        return vec![host_address.to_owned()];
    }
    let mut networks: Vec<_> = network.networks.iter().flatten().collect();
    networks.sort_by_key(|(name, _)| *name);
    let address = |ip: Option<&String>| ip.filter(|ip| !ip.is_empty()).cloned();
    networks
        .into_iter()
        .filter_map(|(_, end)| {
            address(end.ip_address.as_ref()).or_else(|| address(end.global_ipv6_address.as_ref()))
        })
        .collect()
}
