//! See `inputs/exports.rs`.
#![no_main]

include!("../target.rs");
