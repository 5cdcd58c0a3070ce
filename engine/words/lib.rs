//! The words that every other crate speaks: names, failures, secret values, and how texts, sizes and times are written.
//!
//! Also the only places that ask for the time ([`clock`]), open a file that others may have put there ([`own_file`]) and read
//! what the kernel tells of a process ([`process`]). Knows no runbook, no run and no container.

pub mod clock;
pub mod container_text;
pub mod duration;
pub mod effect;
#[cfg(feature = "fault")]
pub mod fault;
#[cfg(not(feature = "fault"))]
#[path = "no_fault.rs"]
pub mod fault;
pub mod ids;
pub mod json;
pub mod own_file;
pub mod process;
pub mod secret;
pub mod size;
pub mod suggestion;
pub mod text;
pub mod trigger;
pub mod unfit;
