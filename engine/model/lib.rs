//! The words of the domain: what a runbook is, how its text is read, what it may do. Pure: no I/O, no clock, no tokio.

pub mod address;
pub mod expression;
pub mod grant;
pub mod http_request;
pub mod input;
pub mod parameters;
pub mod parse;
pub mod runbook;
pub mod schedule_text;
pub mod schema;
pub mod secret_grant;
pub mod step_type;
pub mod template;
pub mod trouble;
pub mod unknown;
pub mod yaml;
