//! The one place where tasks are begun: each has a name, and an answer to its death.

use std::future::Future;
use std::panic::AssertUnwindSafe;
use std::sync::{Arc, Mutex, PoisonError};

use futures_util::FutureExt as _;
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
            // What it held is gone with it; locks of std that it poisoned are taken nevertheless, everywhere.
            if AssertUnwindSafe(task).catch_unwind().await.is_err() {
                tracing::error!(task = name, "a task of the engine died");
                on_death();
            }
        });
    }
}
