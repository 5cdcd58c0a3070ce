//! A small world of containers for tests: its clock stands still until something waits, containers behave as told,
//! every write is written down.
//!
//! ```
//! use runbook_plugin::mock::{Behaviour, World};
//! use runbook_plugin::{Duration, Host};
//!
//! let world = World::new().with_service("shop/web", 2);
//! world.behave("shop-web-2", Behaviour::NeverHealthy);
//! let web = world.service("shop/web").unwrap();
//! world.stop(&web[0].id, Some(Duration::from_secs(10))).unwrap();
//! assert_eq!(world.writes(), ["stop shop-web-1"]);
//! ```

mod container;
mod host;

use std::cell::RefCell;
use std::collections::BTreeMap;

use crate::{
    Container, Context, Error, ErrorKind, Event, ExecOutput, Level, Limits, Request, Response, Sample,
};

pub use container::Behaviour;
use container::Simulated;

/// When the world begins, milliseconds since 1970: 2026-01-01.
pub const BEGINNING_MS: u64 = 1_767_225_600_000;

/// A world of containers; implements [`Host`](crate::Host).
#[derive(Default)]
pub struct World {
    inner: RefCell<Inner>,
}

#[derive(Default)]
struct Inner {
    now_ms: u64,
    containers: Vec<Simulated>,
    created: u32,
    writes: Vec<String>,
    lines: Vec<(Level, String)>,
    refusals: Vec<Refusal>,
    execs: Vec<Exec>,
    answer_exec: Option<ExecOutput>,
    sent: Vec<Request>,
    put_in: Vec<PutIn>,
    secrets: BTreeMap<String, String>,
    responses: BTreeMap<String, Result<Response, Error>>,
    sockets: Vec<String>,
    samples: BTreeMap<String, Sample>,
    logs: BTreeMap<String, String>,
    events: BTreeMap<String, Vec<Event>>,
    artifacts: Vec<(String, String)>,
    state: BTreeMap<(String, String), String>,
    replicas: usize,
    most_down: usize,
}

/// A call that is refused from the `after`th on.
struct Refusal {
    call: String,
    after: usize,
    error: Error,
}

/// A command that was run inside a container.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Exec {
    /// The container's name.
    pub container: String,
    /// The argument list.
    pub command: Vec<String>,
    /// Environment variables.
    pub env: Vec<(String, String)>,
    /// Its standard input.
    pub input: Option<String>,
    /// The user it ran as, if one was asked for.
    pub user: Option<String>,
    /// Its working directory, if one was asked for.
    pub workdir: Option<String>,
}

/// A secret that was put somewhere.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PutIn {
    /// The secret's name.
    pub secret: String,
    /// `header authorization "Bearer "`, `env PASSWORD`, `file /run/secrets/x` and so on.
    pub place: String,
}

impl World {
    /// An empty world.
    pub fn new() -> Self {
        let world = Self::default();
        world.inner.borrow_mut().now_ms = BEGINNING_MS;
        world
    }

    /// Adds running, healthy replicas `project-service-1` and so on, started long before the beginning.
    #[must_use]
    pub fn with_service(self, service: &str, replicas: u32) -> Self {
        for number in 1..=replicas {
            let name = format!("{}-{number}", service.replace('/', "-"));
            let mut inner = self.inner.borrow_mut();
            inner.replicas += 1;
            inner.add(Simulated::replica(service, &name, number));
        }
        self
    }

    /// Says how a container behaves from its next start on; a new one that is cloned from it inherits that.
    pub fn behave(&self, name: &str, behaviour: Behaviour) {
        self.inner.borrow_mut().named(name).behaviour = behaviour;
    }

    /// Changes a container directly.
    pub fn change(&self, name: &str, change: impl FnOnce(&mut Container)) {
        change(&mut self.inner.borrow_mut().named(name).container);
    }

    /// A container as it is now.
    pub fn look(&self, name: &str) -> Container {
        let mut inner = self.inner.borrow_mut();
        let now_ms = inner.now_ms;
        inner.named(name).at(now_ms)
    }

    /// The names of all containers there are.
    pub fn names(&self) -> Vec<String> {
        self.inner.borrow().containers.iter().map(|c| c.container.name.clone()).collect()
    }

    /// Refuses a call (`stop shop-web-2`, or `stop` for all) from the `after`th time on, counted from 0.
    pub fn refuse(&self, call: &str, after: usize, kind: ErrorKind) {
        let error = Error::new(kind, "mock.refused", format!("`{call}` is refused"));
        self.inner.borrow_mut().refusals.push(Refusal { call: call.to_owned(), after, error });
    }

    /// The same world, in which nothing is refused any more and the writes so far stand.
    #[must_use]
    pub fn forgiving(self) -> Self {
        self.inner.borrow_mut().refusals.clear();
        self
    }

    /// What every command prints.
    pub fn answer_exec(&self, exit_code: i32, stdout: &str) {
        let (stdout, stderr) = (stdout.to_owned(), String::new());
        self.inner.borrow_mut().answer_exec =
            Some(ExecOutput { exit_code, stdout, stderr, truncated: false });
    }

    /// What a URL answers; others do not answer at all.
    pub fn answer_http(&self, url: &str, status: u16, body: &str) {
        let response = Response { status, headers: Vec::new(), body: body.to_owned(), truncated: false };
        self.inner.borrow_mut().responses.insert(url.to_owned(), Ok(response));
    }

    /// Lets a TCP address, `host:port`, accept connections; others do not.
    pub fn listen(&self, address: &str) {
        self.inner.borrow_mut().sockets.push(address.to_owned());
    }

    /// What a container uses.
    pub fn set_memory(&self, name: &str, bytes: u64) {
        let sample = Sample { cpu_percent: 1.0, memory_bytes: bytes, memory_limit_bytes: 0, pids: 1 };
        self.inner.borrow_mut().samples.insert(name.to_owned(), sample);
    }

    /// What a container has printed.
    pub fn set_logs(&self, name: &str, logs: &str) {
        self.inner.borrow_mut().logs.insert(name.to_owned(), logs.to_owned());
    }

    /// Every write so far, for example `stop shop-web-1`.
    pub fn writes(&self) -> Vec<String> {
        self.inner.borrow().writes.clone()
    }

    /// Everything said so far.
    pub fn lines(&self) -> Vec<String> {
        self.inner.borrow().lines.iter().map(|(_, line)| line.clone()).collect()
    }

    /// Every command run so far.
    pub fn execs(&self) -> Vec<Exec> {
        self.inner.borrow().execs.clone()
    }

    /// Keeps a secret, as version 1. Others do not exist.
    pub fn keep_secret(&self, name: &str, text: &str) {
        self.inner.borrow_mut().secrets.insert(name.to_owned(), text.to_owned());
    }

    /// Every secret put somewhere so far.
    pub fn put_in(&self) -> Vec<PutIn> {
        self.inner.borrow().put_in.clone()
    }

    /// Every request sent so far.
    pub fn sent(&self) -> Vec<Request> {
        self.inner.borrow().sent.clone()
    }

    /// Name and content of everything kept so far.
    pub fn artifacts(&self) -> Vec<(String, String)> {
        self.inner.borrow().artifacts.clone()
    }

    /// How many of the replicas there were at the beginning were missing at once, at most, after any write.
    pub fn most_down(&self) -> usize {
        self.inner.borrow().most_down
    }

    /// Lets time pass.
    pub fn pass(&self, ms: u64) {
        self.inner.borrow_mut().now_ms += ms;
    }

    /// The context of a first attempt that begins now.
    pub fn context(&self) -> Context {
        let first_started_ms = self.inner.borrow().now_ms;
        Context { run: "0mjyb0z4000001".to_owned(), step: "step".to_owned(), attempt: 1, first_started_ms }
    }

    /// The context of the attempt after `context`.
    pub fn next_attempt(&self, context: &Context) -> Context {
        Context { attempt: context.attempt + 1, ..context.clone() }
    }
}

/// No limits at all.
pub const UNLIMITED: Limits = Limits { cpu_millis: 0, memory_bytes: 0, memory_swap_bytes: 0 };
