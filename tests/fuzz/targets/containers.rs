//! See `inputs/containers.rs`.
#![no_main]

include!("../target.rs");
