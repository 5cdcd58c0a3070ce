//! The only module that performs actions: one owning task per run; queue, locks, drain.

pub mod library;
pub mod request;
