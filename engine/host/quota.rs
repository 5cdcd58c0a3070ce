//! How much plugins may keep beside the audit log, all runs of an engine together. Counts every blob, since all of them take
//! room; refuses only what a plugin wants to keep, so that no other step of a run is stopped by it.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};

use super::call::Trouble;
use super::context::lock;
use words::effect::{Failure, FailureKind};
use words::size;

/// The code of the refusal.
pub(super) const CODE: &str = "artifacts.quota";

/// How often what is kept is counted again while something is being written; then it may count that twice.
const COUNTS: usize = 3;

/// See the module.
pub struct Quota {
    limit: u64,
    /// Bytes that were kept since the log was opened; grows with each commit.
    since: Arc<AtomicU64>,
    kept: Mutex<Kept>,
}

#[derive(Default)]
struct Kept {
    /// Bytes that were kept when the log was opened; counted when first asked for.
    before: Option<u64>,
    /// Bytes that were let through and are not written yet.
    promised: u64,
}

/// Room for one artifact, from when it is let through to when it is written.
#[must_use]
pub(super) struct Room {
    quota: Arc<Quota>,
    bytes: u64,
}

impl Drop for Room {
    fn drop(&mut self) {
        lock(&self.quota.kept).promised -= self.bytes;
    }
}

impl Default for Quota {
    fn default() -> Self {
        Self::new(u64::MAX, Arc::default())
    }
}

impl Quota {
    /// At most `limit` bytes; `since` is what the log has kept since it was opened.
    pub fn new(limit: u64, since: Arc<AtomicU64>) -> Self {
        Self { limit, since, kept: Mutex::default() }
    }

    /// Room for `bytes` more, beside what a plan has `planned`. `count` gives the bytes of all blobs and is asked once;
    /// `known` whether the same content is kept already, and is asked only where there is no room.
    pub(super) fn room(
        self: &Arc<Self>,
        bytes: u64,
        planned: u64,
        count: impl Fn() -> Result<u64, Trouble>,
        known: impl FnOnce() -> Result<bool, Trouble>,
    ) -> Result<Room, Trouble> {
        let mut kept = lock(&self.kept);
        let before = match kept.before {
            Some(before) => before,
            None => *kept.before.insert(self.before(count)?),
        };
        let used = before.saturating_add(self.since.load(Ordering::Acquire));
        let wanted = [kept.promised, planned, bytes].into_iter().fold(used, u64::saturating_add);
        let bytes = if wanted <= self.limit {
            bytes
        } else if known()? {
            0
        } else {
            return Err(Trouble { failure: self.refusal(used, bytes), certain: true });
        };
        kept.promised += bytes;
        Ok(Room { quota: Arc::clone(self), bytes })
    }

    fn before(&self, count: impl Fn() -> Result<u64, Trouble>) -> Result<u64, Trouble> {
        let mut since = self.since.load(Ordering::Acquire);
        let mut counted = 0;
        for _ in 0..COUNTS {
            counted = count()?;
            let now = self.since.load(Ordering::Acquire);
            if now == since {
                break;
            }
            since = now;
        }
        Ok(counted.saturating_sub(since))
    }

    fn refusal(&self, used: u64, bytes: u64) -> Failure {
        let message = format!(
            "{} of {} are kept beside the audit log, and this artifact of {} does not fit: make room with \
             `runbook audit prune --older-than 30d`, or raise `[audit] quota`",
            size::bytes(used),
            size::bytes(self.limit),
            size::bytes(bytes)
        );
        Failure::new(FailureKind::Exhausted, CODE, message)
    }
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;

    use super::*;

    fn ask(quota: &Arc<Quota>, bytes: u64, planned: u64, known: bool) -> Result<Room, Trouble> {
        quota.room(bytes, planned, || Ok(60), || Ok(known))
    }

    #[test]
    fn what_does_not_fit_is_refused_with_the_way_out() {
        let quota = Arc::new(Quota::new(100, Arc::default()));
        drop(ask(&quota, 40, 0, false).unwrap());
        let failure = ask(&quota, 41, 0, false).err().unwrap().failure;
        assert_eq!((failure.kind, failure.code.as_str()), (FailureKind::Exhausted, CODE));
        let words = "60 B of 100 B are kept beside the audit log, and this artifact of 41 B does not fit";
        assert!(failure.message.starts_with(words), "{}", failure.message);
        assert!(failure.message.contains("`runbook audit prune --older-than 30d`"), "{}", failure.message);
        assert!(ask(&quota, 41, 0, true).is_ok(), "what is kept already costs nothing");
        assert!(ask(&quota, 20, 21, false).is_err(), "a plan keeps as well");
        assert!(ask(&quota, u64::MAX, u64::MAX, false).is_err());
    }

    #[test]
    fn what_is_on_its_way_counts_until_it_is_written() {
        let since = Arc::new(AtomicU64::new(0));
        let quota = Arc::new(Quota::new(100, Arc::clone(&since)));
        let room = ask(&quota, 30, 0, false).unwrap();
        assert!(ask(&quota, 30, 0, false).is_err(), "promised");
        since.store(30, Ordering::Release);
        drop(room);
        assert!(ask(&quota, 11, 0, false).is_err(), "written");
        let room = ask(&quota, 10, 0, false).unwrap();
        drop(room);
        assert!(ask(&quota, 10, 0, false).is_ok(), "it was not written");
    }

    #[test]
    fn what_is_there_is_counted_once() {
        let since = Arc::new(AtomicU64::new(5));
        let quota = Arc::new(Quota::new(100, Arc::clone(&since)));
        let counts = Cell::new(0);
        let count = || {
            counts.set(counts.get() + 1);
            // Another run writes something while it is counted for the first time.
            if counts.get() == 1 {
                since.store(15, Ordering::Release);
            }
            Ok(75)
        };
        assert!(quota.room(26, 0, count, || Ok(false)).is_err());
        drop(quota.room(25, 0, count, || Ok(false)).unwrap());
        assert_eq!(counts.get(), 2);
        assert!(Arc::new(Quota::default()).room(u64::MAX, 0, || Ok(1), || Ok(false)).is_ok());
    }
}
