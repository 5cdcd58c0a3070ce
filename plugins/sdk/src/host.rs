//! Everything a plugin may ask of the engine. The contract with all limits is in `wit/`.

use crate::{
    Condition, Container, Duration, Error, Event, ExecOutput, ExecRequest, Level, Limits, Overrides, Request,
    Response, Sample, Secret, SecretPart, Stopped,
};

/// The engine as a plugin sees it: [`Imports`](crate::Imports) in the sandbox, [`mock::World`](crate::mock) in tests.
pub trait Host {
    /// The containers of a service, sorted by replica number, then name.
    fn service(&self, service: &str) -> Result<Vec<Container>, Error>;
    /// The containers of every service of a Compose project.
    fn project(&self, project: &str) -> Result<Vec<Container>, Error>;
    /// The containers of other services that share the network of one of its containers or are restarted with it.
    fn dependents(&self, service: &str) -> Result<Vec<Container>, Error>;
    /// One container by id or name.
    fn inspect(&self, id: &str) -> Result<Container, Error>;
    /// Blocks until the condition holds.
    fn wait_until(&self, id: &str, condition: Condition, timeout: Duration) -> Result<Container, Error>;
    /// The stop signal, then after the grace KILL; without a grace, after the container's own stop timeout.
    fn stop(&self, id: &str, grace: Option<Duration>) -> Result<Stopped, Error>;
    /// Starts a stopped container.
    fn start(&self, id: &str) -> Result<Container, Error>;
    /// A signal by name.
    fn kill(&self, id: &str, signal: &str) -> Result<Container, Error>;
    /// Freezes every process.
    fn pause(&self, id: &str) -> Result<Container, Error>;
    /// Lets them run again.
    fn unpause(&self, id: &str) -> Result<Container, Error>;
    /// A new, stopped container with the spec of `from`.
    fn create(&self, from: &str, name: &str, overrides: &Overrides<'_>) -> Result<Container, Error>;
    /// Never a running one unless `force`.
    fn remove(&self, id: &str, force: bool) -> Result<(), Error>;
    /// Gives a container another name.
    fn rename(&self, id: &str, name: &str) -> Result<Container, Error>;
    /// Live limits.
    fn update(&self, id: &str, limits: Limits) -> Result<Container, Error>;
    /// A command in a running container.
    fn exec(&self, id: &str, request: &ExecRequest<'_>) -> Result<ExecOutput, Error>;
    /// The last lines, oldest first; `previous` asks for the life before the last start.
    fn logs(&self, id: &str, lines: u32, previous: bool) -> Result<String, Error>;
    /// Use of resources now.
    fn stats(&self, id: &str) -> Result<Sample, Error>;
    /// Processes, the first row is the header.
    fn top(&self, id: &str) -> Result<Vec<Vec<String>>, Error>;
    /// What the daemon reported of the container's last milliseconds.
    fn events(&self, id: &str, last_ms: u64) -> Result<Vec<Event>, Error>;
    /// The daemon's own document as JSON text.
    fn document(&self, id: &str) -> Result<String, Error>;

    /// A request, into which the engine puts the secrets; an error status is a response, not an error.
    fn send(&self, request: &Request, secrets: &[SecretPart<'_>]) -> Result<Response, Error>;
    /// Opens a TCP connection and closes it; the milliseconds it took.
    fn connect(&self, host: &str, port: u16, timeout: Duration) -> Result<u64, Error>;

    /// A handle of a secret's current version. Needs the grant `use`.
    fn secret(&self, name: &str) -> Result<Secret, Error>;
    /// The secret's text. Needs the grant `reveal`, and people are told of it loudly: put it somewhere with the other
    /// calls instead, if they can.
    fn reveal(&self, secret: &Secret) -> Result<String, Error>;

    /// A value of a bucket, as JSON text.
    fn get(&self, bucket: &str, key: &str) -> Result<Option<String>, Error>;
    /// Sets it.
    fn set(&self, bucket: &str, key: &str, value: &str) -> Result<(), Error>;
    /// Keys that begin with `prefix`, sorted.
    fn list_keys(&self, bucket: &str, prefix: &str) -> Result<Vec<String>, Error>;
    /// Forgets it.
    fn delete(&self, bucket: &str, key: &str) -> Result<(), Error>;
    /// Keeps text by its digest, which it returns in hex.
    fn keep(&self, name: &str, content: &str) -> Result<String, Error>;

    /// Milliseconds since 1970 (UTC).
    fn now_ms(&self) -> u64;
    /// At most one minute.
    fn sleep(&self, time: Duration) -> Result<(), Error>;
    /// 64 random bits.
    fn random(&self) -> u64;

    /// A line for people.
    fn log(&self, level: Level, message: &str);
    /// How far the step is.
    fn progress(&self, done: u32, total: u32, message: &str);

    /// A line of ordinary news.
    fn info(&self, message: &str) {
        self.log(Level::Info, message);
    }
    /// A line a person should look at.
    fn warn(&self, message: &str) {
        self.log(Level::Warn, message);
    }
    /// A line about a failure.
    fn error(&self, message: &str) {
        self.log(Level::Error, message);
    }
}
