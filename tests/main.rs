//! End to end: the built binary against a real Docker daemon, real databases, real signals. And the rules of the house.

mod support;

mod audit;
mod crash;
mod docs;
mod emergency;
mod grants;
mod input;
mod output;
mod plan;
mod replay;
mod restart;
mod sweep;
mod tamper;
mod terminals;
mod tidy;
mod undo;
mod validate;
