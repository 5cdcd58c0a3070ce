//! See `inputs/checkpoints.rs`.
#![no_main]

include!("../target.rs");
