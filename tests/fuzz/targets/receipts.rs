//! See `inputs/receipts.rs`.
#![no_main]

include!("../target.rs");
