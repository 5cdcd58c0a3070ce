//! `runbook`: an engine for runbooks whose every effect is granted, written down before it acts, and kept in an audit
//! log that anyone can verify.
//!
//! The crates stand in the order of dependency, from `words` to this one, the program; `docs/architecture.md` tells the
//! whole.
//!
//! # Invariants
//! 1. **Write before act**: no effect without a durable entry that announces it.
//! 2. **One decider, one actor, one memory**: only `run` decides, only `executor` acts, only `audit`
//!    remembers.
//! 3. **One door**: no host call without a grant and an entry.
//! 4. **Versioned**: an append carries the expected version of its run; the log refuses a stale one.
//! 5. **Honest ends**: every intent has exactly one outcome before its run ends; `succeeded` means every step did.
//! 6. **One bad thing stays one**: a broken runbook, plugin or run never stops the others.
//! 7. **Every limit has a name and a number.**

pub mod api;
pub mod cli;
pub mod config;
pub mod error;
