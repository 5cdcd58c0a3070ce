//! The documents that cross the socket. Requests, commands and plans are [`executor::request`]'s own.

use serde::de::IgnoredAny;
use serde::{Deserialize, Deserializer, Serialize};
use serde_json::Value;

use crate::error::Error;
use audit::StateChange;
use executor::request::Command;
use words::ids::RunId;

/// A run that was accepted.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Submitted {
    pub(super) run: RunId,
}

/// A name that a client gives itself. Read past: the engine asks the kernel who is at the other end.
#[derive(Debug, Default)]
pub(super) struct Claimed;

impl<'de> Deserialize<'de> for Claimed {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        IgnoredAny::deserialize(deserializer).map(|_| Self)
    }
}

/// A command for a run.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Commanded {
    pub(super) command: Command,
    #[serde(default, skip_serializing)]
    #[expect(dead_code, reason = "read past")]
    pub(super) actor: Claimed,
}

/// The halt switch.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Halted {
    pub(super) on: bool,
    pub(super) reason: String,
    #[serde(default, skip_serializing)]
    #[expect(dead_code, reason = "read past")]
    pub(super) actor: Claimed,
}

/// Something to be written down that belongs to no run.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Fact {
    #[serde(default, skip_serializing)]
    #[expect(dead_code, reason = "read past")]
    pub(super) actor: Claimed,
    pub(super) kind: String,
    pub(super) data: Value,
    pub(super) state: Vec<StateChange>,
}

/// That the engine is well.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Health {
    /// Its process.
    pub pid: u32,
    /// Of the program.
    pub version: String,
    /// Runs it is working on.
    pub busy: usize,
    /// It ends and takes nothing further; another engine follows soon.
    #[serde(default)]
    pub leaving: bool,
}

/// What one has read who asks for news.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Known {
    pub(super) after: u64,
}

/// How far the audit log reaches.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct News {
    pub(super) last: u64,
}

/// Nothing to tell but that it was done.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Done {}

/// Why it was not done.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Refused {
    pub(super) error: Error,
    /// Nothing is wrong with what was asked: the engine ends, and the next one will do it.
    #[serde(default)]
    pub(super) leaving: bool,
}
