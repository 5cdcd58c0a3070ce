//! End to end: the built binary against a real Docker daemon, real databases, real signals. And the rules of the house.

mod docs;
mod tidy;
