//! What two running containers cannot have both.

use bollard::models::{ContainerInspectResponse, ContainerSummary, ContainerSummaryStateEnum};

use crate::clone::{Kind, Original};
use crate::container::port;
use crate::daemon::Daemon;
use crate::error::Error;

impl Daemon {
    /// A fixed host port can be held by one running container only.
    pub(crate) async fn refuse_clash(
        &self,
        original: &Original,
        kind: Kind,
        leave: impl Fn(&str) -> bool,
    ) -> Result<(), Error> {
        let origin = &original.typed;
        let running: Vec<ContainerSummary> = self
            .list(None)
            .await?
            .into_iter()
            .filter(|one| one.state == Some(ContainerSummaryStateEnum::RUNNING))
            .filter(|one| kind != Kind::Replacement || one.id != origin.id)
            .filter(|one| !one.id.as_deref().is_some_and(&leave))
            .collect();
        if let Some(clash) = port_clash(origin, &running) {
            return Err(Error::conflict("containers.clash", clash));
        }
        Ok(())
    }
}

fn name_in(summary: &ContainerSummary) -> &str {
    let first = summary.names.as_ref().and_then(|names| names.first());
    first.map_or("?", |name| name.trim_start_matches('/'))
}

fn port_clash(origin: &ContainerInspectResponse, running: &[ContainerSummary]) -> Option<String> {
    let bindings = origin.host_config.as_ref()?.port_bindings.as_ref()?;
    for (inside, asked) in bindings {
        let Some((_, protocol)) = port(inside) else { continue };
        for asked in asked.iter().flatten() {
            let Some(number) = asked.host_port.as_ref().and_then(|port| port.parse::<u16>().ok()) else {
                continue;
            };
            let taken = |one: &&ContainerSummary| {
                one.ports.iter().flatten().any(|given| {
                    given.public_port == Some(number)
                        && given.typ.is_none_or(|kind| kind.to_string() == protocol)
                        && same_address(asked.host_ip.as_deref(), given.ip.as_deref())
                })
            };
            if let Some(holder) = running.iter().filter(|_| number != 0).find(taken) {
                return Some(format!(
                    "host port {number}/{protocol} is fixed and in use by running container `{}`: a clone of `{}` could \
                     not start; let Docker choose the port, or put a proxy before the replicas",
                    name_in(holder),
                    origin.name.as_deref().unwrap_or_default().trim_start_matches('/'),
                ));
            }
        }
    }
    None
}

fn same_address(one: Option<&str>, other: Option<&str>) -> bool {
    let all = |ip: Option<&str>| matches!(ip, None | Some("" | "0.0.0.0" | "::"));
    all(one) || all(other) || one == other
}
