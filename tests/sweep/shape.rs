//! A kind of run that takes part in the sweep, and the bed it lies in.

use super::effects::Effects;
use super::post::Post;
use crate::support::docker::docker;
use crate::support::engine::Engine;
use crate::support::service::Service;

/// See the module.
pub(crate) struct Shape {
    pub(crate) name: &'static str,
    /// The runbooks of the library and the step types that it exercises.
    pub(crate) covers: &'static [&'static str],
    /// Replicas of `web` to begin with.
    pub(crate) replicas: u32,
    /// Environment of every replica.
    pub(crate) env: &'static [&'static str],
    /// What `runbook run` is given.
    pub(crate) arguments: fn(&Bed) -> Vec<String>,
    /// Brings the world to where a run begins.
    pub(crate) prepare: fn(&Bed),
    /// What a run did that Docker's events do not tell.
    pub(crate) also: fn(&Bed, &mut Effects),
    /// How an undisturbed run ends.
    pub(crate) ends: &'static str,
    /// Effects of class `once`: a run that was cut off there is rightly in doubt.
    pub(crate) once: bool,
}

/// A service, an engine's home and a server of one lane.
pub(crate) struct Bed {
    pub(crate) service: Service,
    pub(crate) engine: Engine,
    pub(crate) post: Post,
}

impl Bed {
    pub(crate) fn of(shape: &Shape) -> Self {
        let wanted = shape.env.iter().fold(Service::of(shape.replicas), |wanted, pair| wanted.env(pair));
        Self { service: wanted.up(), engine: Engine::new(), post: Post::open() }
    }

    /// Runs a shell line in a replica and gives what it printed.
    pub(crate) fn shell(&self, replica: u32, line: &str) -> String {
        docker(&["exec", &self.service.replica(replica), "sh", "-c", line])
    }

    /// The newest run's id; empty while there is none.
    pub(crate) fn newest_run(&self) -> String {
        self.engine.newest()["run"].as_str().unwrap_or_default().to_owned()
    }
}

/// Nothing to prepare.
pub(crate) fn as_it_is(_bed: &Bed) {}

/// Nothing but Docker's events.
pub(crate) fn nothing_else(_bed: &Bed, _effects: &mut Effects) {}
