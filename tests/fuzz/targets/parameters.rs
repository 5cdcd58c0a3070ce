//! See `inputs/parameters.rs`.
#![no_main]

include!("../target.rs");
