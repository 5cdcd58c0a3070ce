//! See `inputs/descriptions.rs`.
#![no_main]

include!("../target.rs");
