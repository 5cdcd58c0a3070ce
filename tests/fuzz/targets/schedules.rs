//! See `inputs/schedules.rs`.
#![no_main]

include!("../target.rs");
