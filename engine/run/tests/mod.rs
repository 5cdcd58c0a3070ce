//! Runs from acceptance to end, simulated.

mod cancel;
mod crash;
mod differences;
mod doubt;
mod history;
mod items;
mod leave;
mod order;
mod repeat;
mod undo;
mod waits;
