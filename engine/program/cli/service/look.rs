//! `runbook service list`, `status` and `logs`: ask the container daemon itself. They need no engine and no data directory,
//! and leave no entry.

use std::collections::BTreeSet;

use serde_json::{Value, json};

use super::{List, Logs, Status};
use crate::cli::Ended;
use crate::cli::context::Context;
use crate::cli::guard;
use crate::cli::output::table::{Cell, Table};
use crate::cli::render::value;
use crate::error::{Error, exit};
use docker::Daemon;
use docker::types::{Container, Health, State};

impl List {
    #[expect(clippy::unused_self, reason = "every command has the same shape")]
    pub(super) fn run(self, context: &Context) -> Ended {
        let daemon = daemon(context)?;
        let services = context.wait(async {
            let mut services = Vec::new();
            for name in daemon.services().await? {
                match daemon.service(&name).await {
                    Ok(containers) => services.push((name, containers)),
                    // Gone between the list and this question.
                    Err(error) if error.is_not_found() => {}
                    Err(error) => return Err(Error::from(error)),
                }
            }
            Ok(services)
        })?;
        if context.out.is_json() {
            let documents: Vec<Value> =
                services.iter().map(|(name, containers)| listed(name, containers)).collect();
            context.out.json(&documents);
            return Ok(exit::SUCCEEDED);
        }
        let mut table = Table::new(&["SERVICE", "AVAILABLE", "STATUS", "IMAGE"]);
        for (name, containers) in &services {
            let available = available(containers);
            let images: BTreeSet<&str> = containers.iter().map(|one| one.image.as_str()).collect();
            table.row(vec![
                name.as_str().into(),
                format!("{available}/{}", containers.len()).into(),
                Cell::status(status(available, containers.len())),
                images.into_iter().collect::<Vec<_>>().join(", ").into(),
            ]);
        }
        context.out.raw(&table.render(context.out.paint, context.out.table_width()));
        Ok(exit::SUCCEEDED)
    }
}

impl Status {
    pub(super) fn run(self, context: &Context) -> Ended {
        let daemon = daemon(context)?;
        let containers = context.wait(async { Ok(daemon.service(&self.service).await?) })?;
        let counts = Counts::of(&containers);
        if context.out.is_json() {
            let name = containers.first().map_or(self.service.as_str(), |first| first.service.as_str());
            context.out.json(&counts.document(name, &containers));
            return Ok(exit::SUCCEEDED);
        }
        let mut table = Table::new(&["CONTAINER", "STATE", "HEALTH", "RESTARTS", "IMAGE"]);
        for one in &containers {
            table.row(vec![
                one.name.as_str().into(),
                Cell::status(value::short(&json!(one.state))),
                Cell::status(value::short(&json!(one.health))),
                one.restart_count.to_string().into(),
                one.image.as_str().into(),
            ]);
        }
        context.out.raw(&table.render(context.out.paint, context.out.table_width()));
        let Counts { replicas, running, healthy, .. } = counts;
        context.out.line(format!("{replicas} replicas, {running} running, {healthy} healthy"));
        Ok(exit::SUCCEEDED)
    }
}

impl Logs {
    pub(super) fn run(self, context: &Context) -> Ended {
        let daemon = daemon(context)?;
        guard::learn_whole(context);
        let (lines, previous) = (self.lines, self.previous);
        let found = context.wait(async {
            let mut found = Vec::new();
            for one in daemon.service(&self.service).await? {
                found.push((daemon.logs(&one.id, lines, previous).await?, one.name));
            }
            Ok(found)
        })?;
        if context.out.is_json() {
            let containers: Vec<Value> =
                found.iter().map(|(logs, name)| json!({ "name": name, "logs": logs })).collect();
            context.out.json(&json!({ "containers": containers }));
            return Ok(exit::SUCCEEDED);
        }
        for (logs, name) in &found {
            context.out.talk(context.out.talk_paint.dim(&format!("==== {name}")));
            for line in logs.lines() {
                context.out.line(crate::error::printable(line));
            }
        }
        Ok(exit::SUCCEEDED)
    }
}

fn daemon(context: &Context) -> Result<Daemon, Error> {
    Ok(Daemon::connect(&context.settings()?.target()?.connection()?)?)
}

/// How many replicas do what; as the step type `service.status` counts them.
struct Counts {
    replicas: usize,
    running: usize,
    healthy: usize,
    unchecked: usize,
}

impl Counts {
    fn of(containers: &[Container]) -> Self {
        Self {
            replicas: containers.len(),
            running: containers
                .iter()
                .filter(|one| matches!(one.state, State::Running | State::Restarting))
                .count(),
            healthy: available(containers),
            unchecked: containers.iter().filter(|one| one.health == Health::None).count(),
        }
    }

    /// The same document as the output of `service.status`.
    fn document(&self, service: &str, containers: &[Container]) -> Value {
        json!({
            "service": service,
            "replicas": self.replicas,
            "running": self.running,
            "healthy": self.healthy,
            "unhealthy": self.running.saturating_sub(self.healthy),
            "unchecked": self.unchecked,
            "containers": containers.iter().map(facts).collect::<Vec<_>>(),
        })
    }
}

fn facts(one: &Container) -> Value {
    json!({
        "name": one.name,
        "state": one.state,
        "health": one.health,
        "image": one.image,
        "started_at": one.started_at,
        "restart_count": one.restart_count,
        "exit_code": one.exit_code,
        "out_of_memory": one.out_of_memory,
        "cpu_millis": one.limits.cpu_millis,
        "memory_bytes": one.limits.memory_bytes,
    })
}

fn available(containers: &[Container]) -> usize {
    containers.iter().filter(|container| container.available()).count()
}

fn status(available: usize, all: usize) -> &'static str {
    match available {
        0 => "fail",
        some if some < all => "warn",
        _ => "ok",
    }
}

fn listed(name: &str, containers: &[Container]) -> Value {
    let replicas: Vec<Value> = containers
        .iter()
        .map(|one| json!({ "name": one.name, "id": one.id, "state": one.state, "health": one.health, "image": one.image }))
        .collect();
    json!({
        "service": name, "replicas": containers.len(), "available": available(containers), "containers": replicas,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_service_is_as_well_as_its_replicas() {
        assert_eq!([status(0, 3), status(2, 3), status(3, 3)], ["fail", "warn", "ok"]);
    }
}
