//! The engine behind the sandbox's imports.

use crate::bindings::runbook::{
    clock::clock,
    containers::containers,
    http::{http, tcp},
    log::log,
    progress::progress,
    secrets::{plain_text, secrets},
    state::{artifacts, state},
};
use crate::{
    Condition, Container, Duration, Error, Event, ExecOutput, ExecRequest, Host, Level, Limits, Overrides,
    Request, Response, Sample, Secret, SecretPart, Stopped,
};

/// Calls the engine; only of use inside it.
#[derive(Debug, Clone, Copy)]
pub struct Imports;

impl Host for Imports {
    fn service(&self, service: &str) -> Result<Vec<Container>, Error> {
        containers::service(service)
    }
    fn project(&self, project: &str) -> Result<Vec<Container>, Error> {
        containers::project(project)
    }
    fn dependents(&self, service: &str) -> Result<Vec<Container>, Error> {
        containers::dependents(service)
    }
    fn inspect(&self, id: &str) -> Result<Container, Error> {
        containers::inspect(id)
    }
    fn wait_until(&self, id: &str, condition: Condition, timeout: Duration) -> Result<Container, Error> {
        containers::wait_until(id, condition, timeout.as_ms())
    }
    fn stop(&self, id: &str, grace: Option<Duration>) -> Result<Stopped, Error> {
        containers::stop(id, grace.map(Duration::as_ms))
    }
    fn start(&self, id: &str) -> Result<Container, Error> {
        containers::start(id)
    }
    fn kill(&self, id: &str, signal: &str) -> Result<Container, Error> {
        containers::kill(id, signal)
    }
    fn pause(&self, id: &str) -> Result<Container, Error> {
        containers::pause(id)
    }
    fn unpause(&self, id: &str) -> Result<Container, Error> {
        containers::unpause(id)
    }
    fn create(&self, from: &str, name: &str, overrides: &Overrides<'_>) -> Result<Container, Error> {
        let overrides = containers::Overrides {
            env: overrides.env.clone(),
            labels: overrides.labels.clone(),
            image: overrides.image.clone(),
            command: overrides.command.clone(),
            one_shot: overrides.one_shot,
            replica: overrides.replica,
            user: overrides.user.clone(),
            workdir: overrides.workdir.clone(),
            secret_env: borrowed(overrides.secret_env),
            secret_files: borrowed(overrides.secret_files),
        };
        containers::create(from, name, &overrides)
    }
    fn remove(&self, id: &str, force: bool) -> Result<(), Error> {
        containers::remove(id, force)
    }
    fn rename(&self, id: &str, name: &str) -> Result<Container, Error> {
        containers::rename(id, name)
    }
    fn update(&self, id: &str, limits: Limits) -> Result<Container, Error> {
        containers::update(id, limits)
    }
    fn exec(&self, id: &str, request: &ExecRequest<'_>) -> Result<ExecOutput, Error> {
        let request = containers::ExecRequest {
            command: request.command.to_vec(),
            env: request.env.to_vec(),
            secret_env: borrowed(request.secret_env),
            input: request.input.map(str::to_owned),
            user: request.user.map(str::to_owned),
            workdir: request.workdir.map(str::to_owned),
            timeout_ms: request.timeout.as_ms(),
        };
        containers::exec(id, &request)
    }
    fn logs(&self, id: &str, lines: u32, previous: bool) -> Result<String, Error> {
        containers::logs(id, lines, previous)
    }
    fn stats(&self, id: &str) -> Result<Sample, Error> {
        containers::stats(id)
    }
    fn top(&self, id: &str) -> Result<Vec<Vec<String>>, Error> {
        containers::top(id)
    }
    fn events(&self, id: &str, last_ms: u64) -> Result<Vec<Event>, Error> {
        containers::events(id, last_ms)
    }
    fn document(&self, id: &str) -> Result<String, Error> {
        containers::document(id)
    }
    fn send(&self, request: &Request, secrets: &[SecretPart<'_>]) -> Result<Response, Error> {
        let parts: Vec<_> = secrets
            .iter()
            .map(|part| http::SecretPart {
                secret: part.secret.handle(),
                place: part.place.clone(),
                prefix: part.prefix.clone(),
            })
            .collect();
        http::send(request, &parts)
    }
    fn secret(&self, name: &str) -> Result<Secret, Error> {
        secrets::get(name).map(Secret::of)
    }
    fn reveal(&self, secret: &Secret) -> Result<String, Error> {
        plain_text::reveal(secret.handle())
    }
    fn connect(&self, host: &str, port: u16, timeout: Duration) -> Result<u64, Error> {
        tcp::connect(host, port, timeout.as_ms())
    }
    fn get(&self, bucket: &str, key: &str) -> Result<Option<String>, Error> {
        state::get(bucket, key)
    }
    fn set(&self, bucket: &str, key: &str, value: &str) -> Result<(), Error> {
        state::set(bucket, key, value)
    }
    fn list_keys(&self, bucket: &str, prefix: &str) -> Result<Vec<String>, Error> {
        state::list_keys(bucket, prefix)
    }
    fn delete(&self, bucket: &str, key: &str) -> Result<(), Error> {
        state::delete(bucket, key)
    }
    fn keep(&self, name: &str, content: &str) -> Result<String, Error> {
        artifacts::keep(name, content)
    }
    fn now_ms(&self) -> u64 {
        clock::now_ms()
    }
    fn sleep(&self, time: Duration) -> Result<(), Error> {
        clock::sleep(time.as_ms())
    }
    fn random(&self) -> u64 {
        clock::random()
    }
    fn log(&self, level: Level, message: &str) {
        log::write(level, message);
    }
    fn progress(&self, done: u32, total: u32, message: &str) {
        progress::report(done, total, message);
    }
}

/// As the contract wants them.
fn borrowed(named: &[(String, Secret)]) -> Vec<(String, &secrets::Secret)> {
    named.iter().map(|(name, secret)| (name.clone(), secret.handle())).collect()
}
