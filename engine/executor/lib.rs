//! The only module that performs actions: one owning task per run; queue, locks, drain.
//!
//! Decides nothing: what a run does next is [`run::next`](run::next)'s, what it may do is the door's.

mod acceptance;
mod admission;
mod bounds;
mod carrying_on;
mod commands;
mod dedupe;
mod dependents;
pub mod emergency;
mod engine;
mod holder;
mod host_holder;
mod host_lock;
mod host_turn;
mod journal;
mod leaving;
pub mod library;
mod loading;
pub mod lock_file;
mod lock_table;
mod performing;
mod plan_changes;
mod planner;
pub mod plugins;
mod reach;
mod recall;
mod refusal;
pub mod replay;
pub mod request;
mod runner;
mod scrubbed;
pub mod segment;
mod set_aside;
mod shelf;
mod tasks;
mod telling;
#[cfg(test)]
mod tests;
mod turn;

pub use acceptance::{MAX_CHILD_DEPTH, holds_no_secret};
pub use bounds::MAX_WORDS_BYTES;
pub use dedupe::DEDUPE_DAYS;
pub use engine::{Engine, EngineConfig, MAX_UNFINISHED};
pub use holder::Holder;
pub use planner::{MAX_PLAN_DECISIONS, MAX_PLAN_TIME, MAX_PLANNED_ATTEMPTS, MAX_PLANNED_WRITES};
pub use reach::Reach;
pub use refusal::Refusal;
pub use runner::Rest;
pub use set_aside::{Aside, why_set_aside};
pub use turn::{HOLDS, WAITS};
