//! See `inputs/events.rs`.
#![no_main]

include!("../target.rs");
