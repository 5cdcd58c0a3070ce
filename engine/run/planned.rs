//! What a run is held to, as its journal keeps it: the writes of a plan. Part of the on-disk format, like
//! [`event`](super::event).

use serde::{Deserialize, Serialize};
use serde_json::Value;

use words::ids::Digest;

/// A plan's digest and its writes, in order.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PlannedWrites {
    /// The plan.
    pub digest: Digest,
    /// What may be written.
    pub writes: Vec<HeldWrite>,
}

/// A write of the plan that a run is held to.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct HeldWrite {
    /// Of its step, function and arguments.
    pub key: Digest,
    /// How the target must be when it is first touched; null for every later touch, and for what the run itself makes.
    #[serde(default, skip_serializing_if = "Value::is_null")]
    pub seen: Value,
}
