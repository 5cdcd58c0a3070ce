//! See `inputs/plugins.rs`.
#![no_main]

include!("../target.rs");
