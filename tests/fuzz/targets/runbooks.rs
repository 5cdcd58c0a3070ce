//! See `inputs/runbooks.rs`.
#![no_main]

include!("../target.rs");
