//! `runbook:clock`: time and chance, recorded so that a replay sees the same.

use std::time::Duration;

use futures_util::future::FutureExt as _;
use serde_json::{Value, json};

use super::super::bindings::runbook::clock::clock as wit;
use super::super::bindings::runbook::types::types::Error;
use super::super::call::{Asked, Call, Trouble};
use super::super::context::lock;
use super::super::instance::Guest;
use super::super::limits;
use super::super::world::World;
use words::effect::{Failure, FailureKind};
use words::ids::Digest;

enum Clock {
    Now,
    Sleep { ms: u64 },
    Random,
}

impl Call for Clock {
    fn function(&self) -> &'static str {
        match self {
            Self::Now => "clock.now-ms",
            Self::Sleep { .. } => "clock.sleep",
            Self::Random => "clock.random",
        }
    }

    fn arguments(&self) -> Value {
        match self {
            Self::Sleep { ms } => json!({ "ms": ms }),
            Self::Now | Self::Random => json!({}),
        }
    }

    fn refusable(&self) -> bool {
        matches!(self, Self::Sleep { .. })
    }

    fn time_ms(&self) -> u64 {
        limits::MAX_SLEEP_MS + limits::CALL_MARGIN_MS
    }

    fn check(&self) -> Result<(), Failure> {
        match self {
            Self::Sleep { ms } if *ms > limits::MAX_SLEEP_MS => Err(Failure::new(
                FailureKind::Invalid,
                "clock.sleep",
                format!(
                    "{ms} ms is longer than {} ms: use `core.sleep` in the runbook",
                    limits::MAX_SLEEP_MS
                ),
            )),
            _ => Ok(()),
        }
    }

    fn perform<'a>(&'a self, world: &'a World, _key: &'a Digest) -> Asked<'a> {
        async move {
            match self {
                Self::Now => Ok(Value::from(world.now_ms())),
                Self::Sleep { ms } => {
                    match world.overlay() {
                        Some(overlay) => lock(overlay).advance(*ms),
                        None => tokio::time::sleep(Duration::from_millis(*ms)).await,
                    }
                    Ok(Value::Null)
                }
                Self::Random => match getrandom::u64() {
                    Ok(bits) => Ok(Value::from(bits)),
                    Err(e) => Err(Trouble::certain(FailureKind::Unavailable, "clock.random", e.to_string())),
                },
            }
        }
        .boxed()
    }
}

impl Guest {
    async fn number(&mut self, call: Clock) -> wasmtime::Result<u64> {
        match self.pass::<u64>(call).await? {
            Ok(number) => Ok(number),
            // The contract has no way to refuse these; the step ends.
            Err(error) => wasmtime::bail!("{}", error.message),
        }
    }
}

impl wit::Host for Guest {
    async fn now_ms(&mut self) -> wasmtime::Result<u64> {
        self.number(Clock::Now).await
    }

    async fn sleep(&mut self, ms: u64) -> wasmtime::Result<Result<(), Error>> {
        self.pass(Clock::Sleep { ms }).await
    }

    async fn random(&mut self) -> wasmtime::Result<u64> {
        self.number(Clock::Random).await
    }
}
