//! See `inputs/expressions.rs`.
#![no_main]

include!("../target.rs");
