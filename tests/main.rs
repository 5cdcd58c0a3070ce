//! End to end: the built binary against a real Docker daemon, real databases, real signals. And the rules of the house.

mod support;

mod audit;
mod canary;
mod copy;
mod corpus;
mod crash;
mod dependents;
mod disk;
mod docs;
mod emergency;
mod grants;
mod handles;
mod hostile;
mod input;
mod journals;
mod output;
mod plan;
mod quota;
mod replay;
mod restart;
mod secret;
mod sweep;
#[path = "sweep/quick.rs"]
mod sweep_quick;
mod tamper;
mod terminals;
mod tidy;
mod undo;
mod validate;
