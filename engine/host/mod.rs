//! Plugins and the world they are allowed to see.

pub mod embedded;
