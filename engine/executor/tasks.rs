//! The one place where tasks are begun: each has a name, and an answer to its death.

use std::future::Future;
use std::sync::{Arc, Mutex, PoisonError};

use tokio::task::JoinSet;

/// A set of tasks of one kind; ends them when dropped.
#[derive(Clone, Default)]
pub(super) struct Tasks {
    set: Arc<Mutex<JoinSet<()>>>,
}

impl Tasks {
    /// Begins a task. `on_death` is called if it panics: one bad thing stays one.
    pub(super) fn begin(
        &self,
        name: &'static str,
        task: impl Future<Output = ()> + Send + 'static,
        on_death: impl FnOnce() + Send + 'static,
    ) {
        let mut set = self.set.lock().unwrap_or_else(PoisonError::into_inner);
        // Take out what has ended, so that the set does not grow with every run.
        while set.try_join_next().is_some() {}
        set.spawn(async move {
            let mut watched = JoinSet::new();
            watched.spawn(task);
            if let Some(Err(error)) = watched.join_next().await
                && error.is_panic()
            {
                tracing::error!(task = name, "a task of the engine died");
                on_death();
            }
        });
    }
}
