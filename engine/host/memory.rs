//! The memory of plugins: what one attempt may have, and what all of them may have together.
//!
//! An attempt that needs more than is left fails at once and does not wait: one that waits while it holds memory could
//! wait for others that do the same. Small attempts do not touch the shared part, so that large ones cannot stop them.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use wasmtime::{ResourceLimiter, StoreLimits, StoreLimitsBuilder};

use super::limits;

/// What all attempts of one engine share.
#[derive(Debug, Clone, Default)]
pub(super) struct Pool {
    /// In use, bytes.
    used: Arc<AtomicUsize>,
}

impl Pool {
    fn take(&self, bytes: usize) -> bool {
        let more = |used: usize| used.checked_add(bytes).filter(|used| *used <= limits::MAX_ALL_MEMORY_BYTES);
        self.used.fetch_update(Ordering::Relaxed, Ordering::Relaxed, more).is_ok()
    }

    fn give_back(&self, bytes: usize) {
        self.used.fetch_sub(bytes, Ordering::Relaxed);
    }
}

/// Why an attempt may not grow: there is not enough left for it.
#[derive(Debug, thiserror::Error)]
#[error("the memory of all plugins together is used up")]
pub(super) struct UsedUp;

/// The limits of one attempt.
pub(super) struct Share {
    own: StoreLimits,
    pool: Pool,
    /// Of all its memories, bytes.
    size: usize,
    /// From the pool, bytes.
    taken: usize,
}

impl Share {
    pub(super) fn of(pool: Pool) -> Self {
        let own = StoreLimitsBuilder::new()
            .memory_size(limits::MAX_MEMORY_BYTES)
            .table_elements(limits::MAX_TABLE_ELEMENTS)
            .instances(limits::CORE_INSTANCES as usize)
            .tables(limits::TABLES as usize)
            .memories(limits::MEMORIES as usize)
            .trap_on_grow_failure(true)
            .build();
        Self { own, pool, size: 0, taken: 0 }
    }

    /// `growth` bytes more in one of its memories.
    fn grow(&mut self, growth: usize) -> Result<(), UsedUp> {
        let size = self.size.saturating_add(growth);
        let wanted = size.saturating_sub(limits::FREE_MEMORY_BYTES);
        let more = wanted.saturating_sub(self.taken);
        if !self.pool.take(more) {
            return Err(UsedUp);
        }
        self.size = size;
        self.taken += more;
        Ok(())
    }
}

impl Drop for Share {
    fn drop(&mut self) {
        self.pool.give_back(self.taken);
    }
}

impl ResourceLimiter for Share {
    fn memory_growing(
        &mut self,
        current: usize,
        desired: usize,
        maximum: Option<usize>,
    ) -> wasmtime::Result<bool> {
        if !self.own.memory_growing(current, desired, maximum)? {
            return Ok(false);
        }
        self.grow(desired.saturating_sub(current))?;
        Ok(true)
    }

    fn memory_grow_failed(&mut self, error: wasmtime::Error) -> wasmtime::Result<()> {
        self.own.memory_grow_failed(error)
    }

    fn table_growing(
        &mut self,
        current: usize,
        desired: usize,
        maximum: Option<usize>,
    ) -> wasmtime::Result<bool> {
        self.own.table_growing(current, desired, maximum)
    }

    fn table_grow_failed(&mut self, error: wasmtime::Error) -> wasmtime::Result<()> {
        self.own.table_grow_failed(error)
    }

    fn instances(&self) -> usize {
        self.own.instances()
    }

    fn tables(&self) -> usize {
        self.own.tables()
    }

    fn memories(&self) -> usize {
        self.own.memories()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LARGE: usize = limits::MAX_MEMORY_BYTES;

    #[test]
    fn the_last_byte_is_given_and_one_more_is_not() {
        let pool = Pool::default();
        assert!(pool.take(limits::MAX_ALL_MEMORY_BYTES));
        assert!(!pool.take(1));
        pool.give_back(1);
        assert!(pool.take(1));
        assert!(!pool.take(usize::MAX));
    }

    #[test]
    fn large_attempts_fail_when_all_is_used_and_small_ones_go_on() {
        let pool = Pool::default();
        let mut large: Vec<Share> = Vec::new();
        loop {
            let mut share = Share::of(pool.clone());
            if share.grow(LARGE).is_err() {
                break;
            }
            large.push(share);
        }
        assert_eq!(large.len(), limits::MAX_ALL_MEMORY_BYTES / (LARGE - limits::FREE_MEMORY_BYTES));
        let mut small = Share::of(pool.clone());
        assert!(small.grow(limits::FREE_MEMORY_BYTES).is_ok());
        drop(large.pop());
        assert!(Share::of(pool.clone()).grow(LARGE).is_ok());
        drop((large, small));
        assert_eq!(pool.used.load(Ordering::Relaxed), 0);
    }
}
