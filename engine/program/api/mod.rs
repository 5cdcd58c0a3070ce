//! The engine's door for other processes: HTTP with JSON over a socket in the data directory. Translates, decides
//! nothing.

pub mod client;
mod routes;
pub mod server;
mod socket;
mod wire;

pub use wire::Health;
