//! See `inputs/configs.rs`.
#![no_main]

include!("../target.rs");
