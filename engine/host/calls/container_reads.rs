//! The calls that look at containers and change nothing.

use std::time::Duration;

use futures_util::future::FutureExt as _;
use serde::Serialize;
use serde_json::Value;

use super::super::call::{Asked, Call, Need, Trouble};
use super::super::context::lock;
use super::super::limits;
use super::super::world::World;
use docker::types::Condition;
use model::grant::ContainerAction;
use model::unknown::unknown;
use words::effect::{Failure, FailureKind};
use words::ids::Digest;

/// What is looked at; its fields are the recorded arguments.
#[derive(Debug, Clone, Serialize)]
#[serde(untagged)]
pub(crate) enum Look {
    Service { service: String },
    Project { project: String },
    Dependents { service: String },
    Inspect { id: String },
    WaitUntil { id: String, condition: Condition, timeout_ms: u64 },
    Logs { id: String, lines: u32, previous: bool },
    Stats { id: String, stats: bool },
    Top { id: String, top: bool },
    Events { id: String, last_ms: u64 },
    Document { id: String, document: bool },
}

/// The most lines of a log asked for at once.
const MAX_LOG_LINES: u32 = 10_000;

impl Call for Look {
    fn function(&self) -> &'static str {
        match self {
            Self::Service { .. } => "containers.service",
            Self::Project { .. } => "containers.project",
            Self::Dependents { .. } => "containers.dependents",
            Self::Inspect { .. } => "containers.inspect",
            Self::WaitUntil { .. } => "containers.wait-until",
            Self::Logs { .. } => "containers.logs",
            Self::Stats { .. } => "containers.stats",
            Self::Top { .. } => "containers.top",
            Self::Events { .. } => "containers.events",
            Self::Document { .. } => "containers.document",
        }
    }

    fn arguments(&self) -> Value {
        serde_json::to_value(self).unwrap_or(Value::Null)
    }

    fn need(&self) -> Need {
        match self {
            Self::Service { .. } | Self::Project { .. } | Self::Dependents { .. } | Self::Inspect { .. } => {
                Need::Answered
            }
            Self::WaitUntil { id, .. }
            | Self::Logs { id, .. }
            | Self::Stats { id, .. }
            | Self::Top { id, .. }
            | Self::Events { id, .. }
            | Self::Document { id, .. } => {
                Need::Container { id: id.clone(), action: ContainerAction::Read, takes_down: false }
            }
        }
    }

    fn time_ms(&self) -> u64 {
        match self {
            Self::WaitUntil { timeout_ms, .. } => timeout_ms.saturating_add(limits::CALL_MARGIN_MS),
            _ => limits::READ_DEADLINE_MS,
        }
    }

    fn check(&self) -> Result<(), Failure> {
        match self {
            Self::WaitUntil { timeout_ms, .. } if *timeout_ms > limits::MAX_WAIT_MS => Err(Failure::new(
                FailureKind::Invalid,
                "containers.wait",
                format!("{timeout_ms} ms is longer than the {} ms a wait may take", limits::MAX_WAIT_MS),
            )),
            _ => Ok(()),
        }
    }

    fn perform<'a>(&'a self, world: &'a World, _key: &'a Digest) -> Asked<'a> {
        async move {
            if let Some(answer) = self.supposed_of_made(world) {
                return answer;
            }
            match self {
                Self::Service { service } => value(world.service(service).await?),
                Self::Project { project } => value(world.project(project).await?),
                Self::Dependents { service } => value(world.dependents(service).await?),
                Self::Inspect { id } => value(world.inspect(id).await?),
                Self::WaitUntil { id, condition, timeout_ms } => {
                    value(world.wait_until(id, *condition, Duration::from_millis(*timeout_ms)).await?)
                }
                // What a plan itself has changed has no logs, statistics or events of that yet.
                Self::Logs { id, lines, previous } => {
                    value(world.daemon()?.logs(id, (*lines).min(MAX_LOG_LINES), *previous).await?)
                }
                Self::Stats { id, .. } => value(world.daemon()?.stats(id).await?),
                Self::Top { id, .. } => value(world.daemon()?.top(id).await?),
                Self::Events { id, last_ms } => {
                    let now_ms = words::clock::now_ms();
                    value(world.daemon()?.events(Some(id), now_ms.saturating_sub(*last_ms), now_ms).await?)
                }
                Self::Document { id, .. } => value(world.daemon()?.document(id).await?),
            }
        }
        .boxed()
    }
}

impl Look {
    /// In a plan, the answer about a container that the run makes: what it prints is supposed, and nothing else can be told.
    fn supposed_of_made(&self, world: &World) -> Option<Result<Value, Trouble>> {
        let (Self::Logs { id, .. }
        | Self::Stats { id, .. }
        | Self::Top { id, .. }
        | Self::Events { id, .. }
        | Self::Document { id, .. }) = self
        else {
            return None;
        };
        let mut overlay = lock(world.overlay()?);
        let name = overlay.made(id)?.name.clone();
        overlay.suppose();
        if matches!(self, Self::Logs { .. }) {
            overlay.assume(format!("that `{name}` does what it is made for, and what it prints"));
            return Some(Ok(unknown()));
        }
        let message = format!("what `{}` tells of `{name}` cannot be known before the run", self.function());
        Some(Err(Trouble::certain(FailureKind::Unavailable, "plan.unknown", message)))
    }
}

fn value(answer: impl Serialize) -> Result<Value, Trouble> {
    serde_json::to_value(answer).map_err(|e| {
        Trouble::certain(FailureKind::Internal, "host.answer", format!("the answer cannot be kept: {e}"))
    })
}
