//! The store as a whole.

mod bed;
mod crashing;
mod keeping;
mod moving;
mod storing;
