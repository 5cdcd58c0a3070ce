//! Why a run was asked for.

use serde::{Deserialize, Serialize};

/// Why a run was asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum TriggerKind {
    /// A person.
    Manual,
    /// A schedule's slot.
    Schedule,
    /// An alert.
    Alert,
    /// A program.
    Api,
    /// A step of another run.
    Runbook,
}
