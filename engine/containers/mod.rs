//! The only bollard: container daemons as the rest of the engine knows them.

pub mod types;
