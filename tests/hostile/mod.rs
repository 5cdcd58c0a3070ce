//! A plugin can waste only its own budget and reach only what is granted: components that try everything else.
//!
//! Each is let loose in the built binary, many at once beside an honest run, against a real daemon. What they tried must
//! stand in the audit log, which must verify afterwards; what they were not granted must not have happened.

pub(crate) mod arena;
pub(crate) mod component;
mod contract;
mod daemon;
mod down;
mod excess;
mod grants;
mod memory;
mod network;
mod schema;
mod secrets;
mod state;
mod time;
