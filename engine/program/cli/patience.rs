//! How long a command waits for an engine that holds the data directory and takes nothing: it begins or ends.

use std::path::Path;
use std::time::Duration;

use crate::error::{Error, Kind};
use executor::lock_file;
use words::clock::Deadline;

/// How long an engine may hold the lock and say nothing: it begins, or is about to be gone.
pub(super) const PATIENCE: Duration = Duration::from_secs(12);

/// How long a command waits in all while engines follow each other, or one ends that says so.
const LONGEST_PATIENCE: Duration = Duration::from_mins(2);

/// How often a command that waits for the engine looks whether that one is stopped.
pub(super) const LOOK: Duration = Duration::from_millis(300);

/// What remains where the engine is of no use.
pub(super) const EMERGENCY: &str =
    "what cannot wait acts without it: `runbook run NAME --emergency --reason WHY`";

/// Between two looks, at first and at most.
const PAUSE: Duration = Duration::from_millis(5);
const LONGEST_PAUSE: Duration = Duration::from_millis(160);

/// Waits for one's turn. Many short-lived engines may follow each other; only one that stays silent is given up.
pub(super) struct Wait<'d> {
    data_dir: &'d Path,
    holder: Option<u32>,
    /// When one that stays silent is given up, and when everybody is.
    silent: Deadline,
    longest: Deadline,
    pause: Duration,
}

impl<'d> Wait<'d> {
    pub(super) fn new(data_dir: &'d Path) -> Self {
        let (silent, longest) = (Deadline::after(PATIENCE), Deadline::after(LONGEST_PATIENCE));
        Self { data_dir, holder: None, silent, longest, pause: PAUSE }
    }

    /// The engine has said that it ends, or something else shows that it is well.
    pub(super) fn heard(&mut self) {
        self.silent = Deadline::after(PATIENCE);
    }

    pub(super) async fn pause(&mut self) -> Result<(), Error> {
        let holder = lock_file::holder(self.data_dir);
        if holder != self.holder {
            self.holder = holder;
            self.heard();
            self.pause = PAUSE;
        }
        if self.silent.passed() || self.longest.passed() {
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
        Error::new(Kind::Directory, message).hint(format!("try again in a moment; {EMERGENCY}"))
    }
}
