//! The only module that performs actions: one owning task per run; queue, locks, drain.
//!
//! Decides nothing: what a run does next is [`run::next`](crate::run::next)'s, what it may do is the door's.

mod acceptance;
mod commands;
mod dedupe;
mod dependents;
pub mod emergency;
mod engine;
mod journal;
pub mod library;
mod loading;
pub mod lock_file;
mod lock_table;
mod performing;
mod planner;
pub mod plugins;
mod recall;
mod refusal;
pub mod replay;
pub mod request;
mod runner;
mod scrubbed;
mod shelf;
mod tasks;
#[cfg(test)]
mod tests;
mod words;

pub use acceptance::{MAX_CHILD_DEPTH, holds_no_secret};
pub use engine::{Engine, EngineConfig, MAX_UNFINISHED};
pub use refusal::Refusal;
pub use runner::Rest;
