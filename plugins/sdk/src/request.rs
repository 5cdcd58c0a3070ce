//! What a plugin asks for with many words: a new container, a command.

use crate::{Duration, Secret};

/// What differs from the container that is cloned. What is not said stays as it is.
#[derive(Clone, Default)]
pub struct Overrides<'a> {
    /// `name=value` adds or replaces, `name` alone removes.
    pub env: Vec<String>,
    /// The same for labels.
    pub labels: Vec<String>,
    /// The image.
    pub image: Option<String>,
    /// An argument list that replaces the command, for one-shot containers.
    pub command: Option<Vec<String>>,
    /// No restart policy, no published ports, no health check.
    pub one_shot: bool,
    /// Compose replica number of the new one; 0 for none.
    pub replica: u32,
    /// `user`, `uid` or `uid:gid`.
    pub user: Option<String>,
    /// An absolute path.
    pub workdir: Option<String>,
    /// Secrets as environment variables, by name.
    pub secret_env: &'a [(String, Secret)],
    /// Secrets as files, by absolute path.
    pub secret_files: &'a [(String, Secret)],
}

/// A command to run in a container.
#[derive(Clone, Copy, Default)]
pub struct ExecRequest<'a> {
    /// The program and its arguments.
    pub command: &'a [String],
    /// Environment variables.
    pub env: &'a [(String, String)],
    /// Secrets as further environment variables, by name.
    pub secret_env: &'a [(String, Secret)],
    /// Standard input.
    pub input: Option<&'a str>,
    /// `user`, `uid` or `uid:gid`; none is the user of the container.
    pub user: Option<&'a str>,
    /// An absolute path; none is that of the container.
    pub workdir: Option<&'a str>,
    /// How long it may take.
    pub timeout: Duration,
}
