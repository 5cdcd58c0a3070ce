//! Version 0.1.0 of the contract, for plugins that were built for it and for journals of runs that used them: every function
//! is the present one, told and asked in the words of then.

use wasmtime::component::{HasSelf, Linker, Resource};

use super::super::bindings::first::runbook::containers::containers as old;
use super::super::bindings::first::runbook::http::{http as old_http, tcp as old_tcp};
use super::super::bindings::runbook::containers::containers as new;
use super::super::bindings::runbook::http::{http as new_http, tcp as new_tcp};
use super::super::bindings::runbook::types::types::Error;
use super::super::instance::Guest;
use super::super::secret::Handle;
use super::containers::Reply;

/// Offers the interfaces of 0.1.0 beside the present ones.
pub(crate) fn add_to_linker(linker: &mut Linker<Guest>) -> wasmtime::Result<()> {
    old::add_to_linker::<_, HasSelf<_>>(linker, |guest| guest)?;
    old_http::add_to_linker::<_, HasSelf<_>>(linker, |guest| guest)?;
    old_tcp::add_to_linker::<_, HasSelf<_>>(linker, |guest| guest)
}

type Named = Vec<(String, Resource<Handle>)>;

fn one(answer: Reply<new::Container>) -> Reply<old::Container> {
    Ok(answer?.map(container))
}

fn all(answer: Reply<Vec<new::Container>>) -> Reply<Vec<old::Container>> {
    Ok(answer?.map(|all| all.into_iter().map(container).collect()))
}

impl old::Host for Guest {
    async fn service(&mut self, service: String) -> Reply<Vec<old::Container>> {
        all(new::Host::service(self, service).await)
    }

    async fn project(&mut self, project: String) -> Reply<Vec<old::Container>> {
        all(new::Host::project(self, project).await)
    }

    async fn inspect(&mut self, id: String) -> Reply<old::Container> {
        one(new::Host::inspect(self, id).await)
    }

    async fn wait_until(
        &mut self,
        id: String,
        condition: old::Condition,
        timeout_ms: u64,
    ) -> Reply<old::Container> {
        let condition = match condition {
            old::Condition::HealthyFor(ms) => new::Condition::HealthyFor(ms),
            old::Condition::Running => new::Condition::Running,
            old::Condition::Exited => new::Condition::Exited,
        };
        one(new::Host::wait_until(self, id, condition, timeout_ms).await)
    }

    async fn stop(&mut self, id: String, grace_ms: u64) -> Reply<old::Container> {
        one(Ok(new::Host::stop(self, id, Some(grace_ms)).await?.map(|stopped| stopped.container)))
    }

    async fn start(&mut self, id: String) -> Reply<old::Container> {
        one(new::Host::start(self, id).await)
    }

    async fn kill(&mut self, id: String, signal: String) -> Reply<old::Container> {
        one(new::Host::kill(self, id, signal).await)
    }

    async fn pause(&mut self, id: String) -> Reply<old::Container> {
        one(new::Host::pause(self, id).await)
    }

    async fn unpause(&mut self, id: String) -> Reply<old::Container> {
        one(new::Host::unpause(self, id).await)
    }

    async fn create(
        &mut self,
        from: String,
        name: String,
        overrides: old::Overrides,
    ) -> Reply<old::Container> {
        old::Host::create_with_secrets(self, from, name, overrides, Vec::new(), Vec::new()).await
    }

    async fn create_with_secrets(
        &mut self,
        from: String,
        name: String,
        overrides: old::Overrides,
        secret_env: Named,
        secret_files: Named,
    ) -> Reply<old::Container> {
        let old::Overrides { env, labels, image, command, one_shot, replica } = overrides;
        let (user, workdir) = (None, None);
        let overrides = new::Overrides {
            env,
            labels,
            image,
            command,
            one_shot,
            replica,
            user,
            workdir,
            secret_env,
            secret_files,
        };
        one(new::Host::create(self, from, name, overrides).await)
    }

    async fn remove(&mut self, id: String, force: bool) -> Reply<()> {
        new::Host::remove(self, id, force).await
    }

    async fn rename(&mut self, id: String, name: String) -> Reply<old::Container> {
        one(new::Host::rename(self, id, name).await)
    }

    async fn update(&mut self, id: String, limits: old::Limits) -> Reply<old::Container> {
        let old::Limits { cpu_millis, memory_bytes, memory_swap_bytes } = limits;
        let limits = new::Limits { cpu_millis, memory_bytes, memory_swap_bytes };
        one(new::Host::update(self, id, limits).await)
    }

    async fn exec(
        &mut self,
        id: String,
        command: Vec<String>,
        env: Vec<(String, String)>,
        input: Option<String>,
        timeout_ms: u64,
    ) -> Reply<old::ExecOutput> {
        old::Host::exec_with_secrets(self, id, command, env, Vec::new(), input, timeout_ms).await
    }

    async fn exec_with_secrets(
        &mut self,
        id: String,
        command: Vec<String>,
        env: Vec<(String, String)>,
        secret_env: Named,
        input: Option<String>,
        timeout_ms: u64,
    ) -> Reply<old::ExecOutput> {
        let (user, workdir) = (None, None);
        let request = new::ExecRequest { command, env, secret_env, input, user, workdir, timeout_ms };
        Ok(new::Host::exec(self, id, request).await?.map(|output| {
            let new::ExecOutput { exit_code, stdout, stderr, truncated } = output;
            old::ExecOutput { exit_code, stdout, stderr, truncated }
        }))
    }

    async fn logs(&mut self, id: String, lines: u32, previous: bool) -> Reply<String> {
        new::Host::logs(self, id, lines, previous).await
    }

    async fn stats(&mut self, id: String) -> Reply<old::Sample> {
        Ok(new::Host::stats(self, id).await?.map(|sample| {
            let new::Sample { cpu_percent, memory_bytes, memory_limit_bytes, pids } = sample;
            old::Sample { cpu_percent, memory_bytes, memory_limit_bytes, pids }
        }))
    }

    async fn top(&mut self, id: String) -> Reply<Vec<Vec<String>>> {
        new::Host::top(self, id).await
    }

    async fn events(&mut self, id: String, last_ms: u64) -> Reply<Vec<old::Event>> {
        let event = |event: new::Event| {
            let new::Event { time_ms, action, id, attributes } = event;
            old::Event { time_ms, action, id, attributes }
        };
        Ok(new::Host::events(self, id, last_ms).await?.map(|all| all.into_iter().map(event).collect()))
    }

    async fn document(&mut self, id: String) -> Reply<String> {
        new::Host::document(self, id).await
    }
}

fn container(now: new::Container) -> old::Container {
    let port = |port: new::Port| {
        let new::Port { container_port, host_port, protocol } = port;
        old::Port { container_port, host_port, protocol }
    };
    let new::Limits { cpu_millis, memory_bytes, memory_swap_bytes } = now.limits;
    old::Container {
        id: now.id,
        name: now.name,
        service: now.service,
        depends_on: now.depends_on,
        state: match now.state {
            new::State::Created => old::State::Created,
            new::State::Running => old::State::Running,
            new::State::Paused => old::State::Paused,
            new::State::Restarting => old::State::Restarting,
            new::State::Removing => old::State::Removing,
            new::State::Exited => old::State::Exited,
            new::State::Dead => old::State::Dead,
        },
        health: match now.health {
            new::Health::None => old::Health::None,
            new::Health::Starting => old::Health::Starting,
            new::Health::Healthy => old::Health::Healthy,
            new::Health::Unhealthy => old::Health::Unhealthy,
        },
        started_at: now.started_at,
        finished_at: now.finished_at,
        created_at: now.created_at,
        image: now.image,
        image_id: now.image_id,
        exit_code: now.exit_code,
        out_of_memory: now.out_of_memory,
        restart_count: now.restart_count,
        limits: old::Limits { cpu_millis, memory_bytes, memory_swap_bytes },
        ports: now.ports.into_iter().map(port).collect(),
        addresses: now.addresses,
        auto_remove: now.auto_remove,
        replica: now.replica,
        labels: now.labels,
    }
}

impl old_http::Host for Guest {
    async fn send(&mut self, request: old_http::Request) -> Reply<old_http::Response> {
        old_http::Host::send_with_secrets(self, request, Vec::new()).await
    }

    async fn send_with_secrets(
        &mut self,
        request: old_http::Request,
        secrets: Vec<old_http::SecretPart>,
    ) -> Reply<old_http::Response> {
        let old_http::Request { method, url, headers, body, timeout_ms, repeatable } = request;
        let request = new_http::Request { method, url, headers, body, timeout_ms, repeatable };
        let secrets = secrets.into_iter().map(part).collect();
        Ok(new_http::Host::send(self, request, secrets).await?.map(|response| {
            let new_http::Response { status, headers, body, truncated } = response;
            old_http::Response { status, headers, body, truncated }
        }))
    }
}

fn part(given: old_http::SecretPart) -> new_http::SecretPart {
    let place = match given.place {
        old_http::SecretPlace::Header(name) => new_http::SecretPlace::Header(name),
        old_http::SecretPlace::JsonField(pointer) => new_http::SecretPlace::JsonField(pointer),
        old_http::SecretPlace::FormField(name) => new_http::SecretPlace::FormField(name),
        old_http::SecretPlace::BasicAuth(user) => new_http::SecretPlace::BasicAuth(user),
    };
    new_http::SecretPart { secret: given.secret, place, prefix: given.prefix }
}

impl old_tcp::Host for Guest {
    async fn connect(
        &mut self,
        host: String,
        port: u16,
        timeout_ms: u64,
    ) -> wasmtime::Result<Result<u64, Error>> {
        new_tcp::Host::connect(self, host, port, timeout_ms).await
    }
}
