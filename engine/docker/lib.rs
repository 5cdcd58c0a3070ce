//! The only bollard: container daemons as the rest of the engine knows them.
//!
//! Responsible for asking one daemon one thing under a deadline, for telling whether a failed request can have changed
//! anything, and for keeping environment values inside this module. Deliberately knows nothing of grants, budgets,
//! plans or journals: the door decides whether a call may happen, this module only performs it.

mod clash;
mod clone;
mod connection;
mod container;
mod crashes;
mod create;
mod daemon;
mod document;
mod ending;
mod error;
mod events;
mod exchange;
mod exec;
mod files;
mod frames;
mod labels;
mod lifecycle;
mod limits;
mod logs;
mod name;
pub mod overrides;
mod owners;
mod processes;
mod service;
mod stats;
#[cfg(test)]
mod tests;
pub mod types;
mod wait;
mod wire;

pub use clone::{DECIDED, Decision, decision};
pub use connection::{Connection, Tls, UnusableAddress};
pub use daemon::{Daemon, Info};
pub use ending::{ENDING, Ended, StaysBehind};
pub use error::{Error, NOT_FOUND, SILENT, is_away, is_daemon_error};
pub use exec::{EXEC_ENDED, ExecCommand, ExecLimit, ExecState, ExecTrace};
pub use files::NewSecrets;
pub use labels::OVERRIDES;
