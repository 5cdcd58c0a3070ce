//! End to end: the built binary against a real Docker daemon, real SQLite files, real signals. And the rules of the house.

mod tidy;
