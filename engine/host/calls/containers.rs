//! `runbook:containers`: from the contract's words to calls and back.

use std::sync::OnceLock;

use tokio::sync::watch;

use super::super::bindings::runbook::containers::containers as wit;
use super::super::bindings::runbook::types::types::Error;
use super::super::instance::Guest;
use super::container_changes::Change;
use super::container_probes::{Create, Exec};
use super::container_reads::Look;
use docker::types::{
    Condition, Container, ContainerEvent, ExecOutput, Health, Limits, Overrides, Sample, State, Stopped,
};

pub(super) type Reply<T> = wasmtime::Result<Result<T, Error>>;

impl Guest {
    async fn look(&mut self, look: Look) -> Reply<wit::Container> {
        Ok(self.pass::<Container>(look).await?.map(container))
    }

    async fn look_at_all(&mut self, look: Look) -> Reply<Vec<wit::Container>> {
        Ok(self.pass::<Vec<Container>>(look).await?.map(|all| all.into_iter().map(container).collect()))
    }

    async fn change(&mut self, change: Change) -> Reply<wit::Container> {
        Ok(self.pass::<Container>(change).await?.map(container))
    }

    pub(super) async fn stopped(&mut self, id: String, grace_ms: Option<u64>) -> Reply<Stopped> {
        self.pass::<Stopped>(Change::Stop { id, grace_ms }).await
    }
}

impl wit::Host for Guest {
    async fn service(&mut self, service: String) -> Reply<Vec<wit::Container>> {
        self.look_at_all(Look::Service { service }).await
    }

    async fn project(&mut self, project: String) -> Reply<Vec<wit::Container>> {
        self.look_at_all(Look::Project { project }).await
    }

    async fn dependents(&mut self, service: String) -> Reply<Vec<wit::Container>> {
        self.look_at_all(Look::Dependents { service }).await
    }

    async fn inspect(&mut self, id: String) -> Reply<wit::Container> {
        self.look(Look::Inspect { id }).await
    }

    async fn wait_until(
        &mut self,
        id: String,
        condition: wit::Condition,
        timeout_ms: u64,
    ) -> Reply<wit::Container> {
        let condition = match condition {
            wit::Condition::HealthyFor(ms) => Condition::HealthyFor(ms),
            wit::Condition::Running => Condition::Running,
            wit::Condition::Exited => Condition::Exited,
        };
        self.look(Look::WaitUntil { id, condition, timeout_ms }).await
    }

    async fn stop(&mut self, id: String, grace_ms: Option<u64>) -> Reply<wit::Stopped> {
        Ok(self
            .stopped(id, grace_ms)
            .await?
            .map(|stopped| wit::Stopped { container: container(stopped.container), killed: stopped.killed }))
    }

    async fn start(&mut self, id: String) -> Reply<wit::Container> {
        self.change(Change::Start { id }).await
    }

    async fn kill(&mut self, id: String, signal: String) -> Reply<wit::Container> {
        self.change(Change::Kill { id, signal }).await
    }

    async fn pause(&mut self, id: String) -> Reply<wit::Container> {
        self.change(Change::Pause { id, pause: true }).await
    }

    async fn unpause(&mut self, id: String) -> Reply<wit::Container> {
        self.change(Change::Unpause { id, unpause: true }).await
    }

    async fn create(
        &mut self,
        from: String,
        name: String,
        overrides: wit::Overrides,
    ) -> Reply<wit::Container> {
        let wit::Overrides { env, labels, image, command, one_shot, replica, user, workdir, .. } = overrides;
        let (secret_env, secret_files) =
            (self.placed(&overrides.secret_env)?, self.placed(&overrides.secret_files)?);
        let overrides = Overrides { env, labels, image, command, one_shot, replica, user, workdir };
        let create = Create { id: from, name, overrides, secret_env, secret_files };
        Ok(self.pass::<Container>(create).await?.map(container))
    }

    async fn remove(&mut self, id: String, force: bool) -> Reply<()> {
        self.pass(Change::Remove { id, force }).await
    }

    async fn rename(&mut self, id: String, name: String) -> Reply<wit::Container> {
        self.change(Change::Rename { id, name }).await
    }

    async fn update(&mut self, id: String, limits: wit::Limits) -> Reply<wit::Container> {
        let wit::Limits { cpu_millis, memory_bytes, memory_swap_bytes } = limits;
        self.change(Change::Update { id, limits: Limits { cpu_millis, memory_bytes, memory_swap_bytes } })
            .await
    }

    async fn exec(&mut self, id: String, request: wit::ExecRequest) -> Reply<wit::ExecOutput> {
        let secret_env = self.placed(&request.secret_env)?;
        let wit::ExecRequest { command, env, input, user, workdir, timeout_ms, .. } = request;
        let (inert, deadline, ends) = (OnceLock::new(), self.deadline(), watch::Sender::new(false));
        let exec =
            Exec { id, command, env, secret_env, input, user, workdir, timeout_ms, inert, deadline, ends };
        Ok(self.pass::<ExecOutput>(exec).await?.map(|output| wit::ExecOutput {
            exit_code: output.exit_code,
            stdout: output.stdout,
            stderr: output.stderr,
            truncated: output.truncated,
        }))
    }

    async fn logs(&mut self, id: String, lines: u32, previous: bool) -> Reply<String> {
        self.pass(Look::Logs { id, lines, previous }).await
    }

    async fn stats(&mut self, id: String) -> Reply<wit::Sample> {
        Ok(self.pass::<Sample>(Look::Stats { id, stats: true }).await?.map(|sample| wit::Sample {
            cpu_percent: sample.cpu_percent,
            memory_bytes: sample.memory_bytes,
            memory_limit_bytes: sample.memory_limit_bytes,
            pids: sample.pids,
        }))
    }

    async fn top(&mut self, id: String) -> Reply<Vec<Vec<String>>> {
        self.pass(Look::Top { id, top: true }).await
    }

    async fn events(&mut self, id: String, last_ms: u64) -> Reply<Vec<wit::Event>> {
        let events = self.pass::<Vec<ContainerEvent>>(Look::Events { id, last_ms }).await?;
        Ok(events.map(|events| {
            events
                .into_iter()
                .map(|e| wit::Event {
                    time_ms: e.time_ms,
                    action: e.action,
                    id: e.id,
                    attributes: e.attributes,
                })
                .collect()
        }))
    }

    async fn document(&mut self, id: String) -> Reply<String> {
        let document = self.pass::<serde_json::Value>(Look::Document { id, document: true }).await?;
        Ok(document.map(|document| match document {
            serde_json::Value::String(text) => text,
            other => other.to_string(),
        }))
    }
}

pub(super) fn container(c: Container) -> wit::Container {
    wit::Container {
        id: c.id,
        name: c.name,
        service: c.service,
        depends_on: c.depends_on,
        state: match c.state {
            State::Created => wit::State::Created,
            State::Running => wit::State::Running,
            State::Paused => wit::State::Paused,
            State::Restarting => wit::State::Restarting,
            State::Removing => wit::State::Removing,
            State::Exited => wit::State::Exited,
            State::Dead => wit::State::Dead,
        },
        health: match c.health {
            Health::None => wit::Health::None,
            Health::Starting => wit::Health::Starting,
            Health::Healthy => wit::Health::Healthy,
            Health::Unhealthy => wit::Health::Unhealthy,
        },
        started_at: c.started_at,
        finished_at: c.finished_at,
        created_at: c.created_at,
        image: c.image,
        image_id: c.image_id,
        exit_code: c.exit_code,
        out_of_memory: c.out_of_memory,
        restart_count: c.restart_count,
        limits: wit::Limits {
            cpu_millis: c.limits.cpu_millis,
            memory_bytes: c.limits.memory_bytes,
            memory_swap_bytes: c.limits.memory_swap_bytes,
        },
        ports: c
            .ports
            .into_iter()
            .map(|p| wit::Port {
                container_port: p.container_port,
                host_port: p.host_port,
                protocol: p.protocol,
            })
            .collect(),
        addresses: c.addresses,
        auto_remove: c.auto_remove,
        replica: c.replica,
        labels: c.labels,
        restarts_with: c.restarts_with,
        stop_timeout_ms: c.stop_timeout_ms,
        stop_signal: c.stop_signal,
        network_owner: c.network_owner,
    }
}
