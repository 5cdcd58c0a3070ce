//! See `inputs/words.rs`.
#![no_main]

include!("../target.rs");
