//! How long a command waits for an engine that holds the data directory and takes nothing: it begins or ends.

use std::path::Path;
use std::time::Duration;

use tokio::time::Instant;

use crate::error::{Error, Kind};
use crate::executor::lock_file;

/// How long an engine may hold the lock and say nothing: it begins, or is about to be gone.
pub(super) const PATIENCE: Duration = Duration::from_secs(12);

/// How long a command waits in all while engines follow each other, or one ends that says so.
const LONGEST_PATIENCE: Duration = Duration::from_mins(2);

/// Between two looks, at first and at most.
const PAUSE: Duration = Duration::from_millis(20);
const LONGEST_PAUSE: Duration = Duration::from_millis(160);

/// Waits for one's turn. Many short-lived engines may follow each other; only one that stays silent is given up.
pub(super) struct Wait<'d> {
    data_dir: &'d Path,
    holder: Option<u32>,
    since: Instant,
    began: Instant,
    pause: Duration,
}

impl<'d> Wait<'d> {
    pub(super) fn new(data_dir: &'d Path) -> Self {
        let now = Instant::now();
        Self { data_dir, holder: None, since: now, began: now, pause: PAUSE }
    }

    /// The engine has said that it ends, or something else shows that it is well.
    pub(super) fn heard(&mut self) {
        self.since = Instant::now();
    }

    pub(super) async fn pause(&mut self) -> Result<(), Error> {
        let holder = lock_file::holder(self.data_dir);
        if holder != self.holder {
            (self.holder, self.since) = (holder, Instant::now());
            self.pause = PAUSE;
        }
        if self.since.elapsed() >= PATIENCE || self.began.elapsed() >= LONGEST_PATIENCE {
            return Err(self.busy());
        }
        tokio::time::sleep(self.pause).await;
        self.pause = (self.pause * 2).min(LONGEST_PAUSE);
        Ok(())
    }

    fn busy(&self) -> Error {
        let holder = self.holder.map(|pid| format!(" by process {pid}")).unwrap_or_default();
        let message = format!(
            "the data directory `{}` is held{holder}, which takes no requests",
            self.data_dir.display()
        );
        Error::new(Kind::Directory, message)
            .hint("try again in a moment; if it cannot wait: `runbook run … --emergency --reason WHY`")
    }
}
