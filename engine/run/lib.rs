//! What a run is: the events its journal can hold, its state as a fold over them, and the decision what to do next.
//! Pure: no I/O, no clock, no tokio.

pub mod differences;
mod end;
pub mod event;
pub mod keeping;
pub mod next;
pub mod planned;
pub mod question;
pub mod state;
pub mod view;

#[cfg(any(test, feature = "simulator"))]
#[expect(missing_docs, clippy::unwrap_used, clippy::return_self_not_must_use, reason = "only tests use it")]
pub mod simulator;
#[cfg(test)]
mod tests;
