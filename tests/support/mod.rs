//! What the end-to-end tests stand on: real services, the daemon's own account of what happened, the built binary.

pub(crate) mod absence;
pub(crate) mod books;
pub(crate) mod docker;
pub(crate) mod docker_events;
pub(crate) mod echo;
pub(crate) mod engine;
pub(crate) mod lanes;
pub(crate) mod load;
pub(crate) mod memory;
pub(crate) mod patience;
pub(crate) mod proxy;
pub(crate) mod service;
pub(crate) mod socket;
pub(crate) mod translator;
pub(crate) mod vault;
