//! A container that is only pretended.

use super::{BEGINNING_MS, UNLIMITED};
use crate::timestamp::rfc3339;
use crate::{Container, Health, Overrides, State};

/// What a container does after its next start.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Behaviour {
    /// Its health check passes this many milliseconds after the start.
    HealthyAfter(u64),
    /// Its health check never passes.
    NeverHealthy,
    /// It has no health check.
    Unchecked,
    /// It ends with this exit code after this many milliseconds.
    Exits(i32, u64),
    /// It does not end by itself when it is asked to stop; its health check passes after a second.
    IgnoresStop,
    /// Its health check passes after a second; after this many milliseconds it ends with 1.
    FailsAfter(u64),
}

#[derive(Debug, Clone)]
pub(super) struct Simulated {
    pub(super) container: Container,
    pub(super) behaviour: Behaviour,
    /// When the present life began; none before the first start in this world.
    started_ms: Option<u64>,
}

/// The label in which the engine keeps a digest of what a new container was to have differently.
const OVERRIDES: &str = "runbook.overrides";

/// What a health check takes unless told otherwise.
const PROMPT_MS: u64 = 1_000;

impl Simulated {
    /// A replica that has been running for a day.
    pub(super) fn replica(service: &str, name: &str, number: u32) -> Self {
        let yesterday = rfc3339(BEGINNING_MS - 86_400_000);
        let container = Container {
            id: format!("id-{name}"),
            name: name.to_owned(),
            service: service.to_owned(),
            depends_on: Vec::new(),
            state: State::Running,
            health: Health::Healthy,
            started_at: yesterday.clone(),
            finished_at: String::new(),
            created_at: yesterday,
            image: "shop/web:1".to_owned(),
            image_id: "sha256:1".to_owned(),
            exit_code: 0,
            out_of_memory: false,
            restart_count: 0,
            limits: UNLIMITED,
            ports: Vec::new(),
            addresses: vec![format!("10.0.0.{number}")],
            auto_remove: false,
            replica: number,
            labels: Vec::new(),
            restarts_with: Vec::new(),
            stop_timeout_ms: None,
            stop_signal: "SIGTERM".to_owned(),
            network_owner: None,
        };
        Self { container, behaviour: Behaviour::HealthyAfter(PROMPT_MS), started_ms: None }
    }

    /// A stopped clone.
    pub(super) fn cloned(&self, name: &str, number: u32, overrides: &Overrides<'_>, now_ms: u64) -> Self {
        let mut clone = self.clone();
        clone.started_ms = None;
        let container = &mut clone.container;
        container.id = format!("id-{number}-{name}");
        name.clone_into(&mut container.name);
        container.state = State::Created;
        container.started_at = String::new();
        container.created_at = rfc3339(now_ms);
        container.replica = overrides.replica;
        if container.health != Health::None {
            container.health = Health::Starting;
        }
        if let Some(image) = &overrides.image {
            container.image.clone_from(image);
        }
        container.labels.retain(|(name, _)| name != OVERRIDES);
        let Overrides { env, labels, image, .. } = overrides;
        if !env.is_empty() || !labels.is_empty() || image.is_some() {
            container.labels.push((OVERRIDES.to_owned(), format!("{env:?} {labels:?} {image:?}")));
        }
        clone
    }

    pub(super) fn start(&mut self, now_ms: u64) {
        self.started_ms = Some(now_ms);
        self.container.started_at = rfc3339(now_ms);
        self.container.state = State::Running;
        self.container.health =
            if self.behaviour == Behaviour::Unchecked { Health::None } else { Health::Starting };
    }

    /// Its exit code when it is asked to stop, and whether it had to be killed.
    pub(super) fn stop(&self) -> (i32, bool) {
        let up = matches!(self.container.state, State::Running | State::Paused | State::Restarting);
        if up && self.behaviour == Behaviour::IgnoresStop { (137, true) } else { (0, false) }
    }

    pub(super) fn end(&mut self, now_ms: u64, exit_code: i32) {
        self.container.state = State::Exited;
        self.container.exit_code = exit_code;
        self.container.finished_at = rfc3339(now_ms);
        self.started_ms = None;
    }

    /// Lets the time since the start do its work.
    pub(super) fn at(&mut self, now_ms: u64) -> Container {
        if let Some(started_ms) = self.started_ms.filter(|_| self.container.state == State::Running) {
            match self.behaviour {
                Behaviour::HealthyAfter(ms) if now_ms >= started_ms + ms => {
                    self.container.health = Health::Healthy;
                }
                Behaviour::IgnoresStop if now_ms >= started_ms + PROMPT_MS => {
                    self.container.health = Health::Healthy;
                }
                Behaviour::NeverHealthy if now_ms >= started_ms + PROMPT_MS => {
                    self.container.health = Health::Unhealthy;
                }
                Behaviour::FailsAfter(ms) if now_ms >= started_ms + ms => self.end(started_ms + ms, 1),
                Behaviour::FailsAfter(_) if now_ms >= started_ms + PROMPT_MS => {
                    self.container.health = Health::Healthy;
                }
                Behaviour::Exits(code, ms) if now_ms >= started_ms + ms => self.end(started_ms + ms, code),
                _ => {}
            }
        }
        self.container.clone()
    }
}
