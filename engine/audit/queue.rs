//! The bounded queue before the writer: keeps the order of those who append and gives each append its time.
//!
//! Knows nothing of the database.

use std::collections::VecDeque;
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use tokio::sync::oneshot;

use super::body::Prepared;
use super::condition::Condition;
use super::entry::{Appended, Note};
use super::error::Error;
use words::clock;

/// How many entries may wait for the writer: three commits' worth of a hundred busy runs and more. Whoever comes when it
/// is full is held until there is room, since the world must not move faster than its record.
pub const MAX_WAITING_ENTRIES: usize = 16 * 1024;

/// How many bytes may wait, blobs included; one append is always let in.
pub const MAX_WAITING_BYTES: usize = 64 * 1024 * 1024;

/// How many notes may wait; more are dropped, since notes are no evidence.
pub const MAX_WAITING_NOTES: usize = 4 * 1024;

/// How long notes wait for entries to share a commit with.
const NOTE_PATIENCE: Duration = Duration::from_millis(25);

/// How long an entry that nobody waits for waits for one that somebody does, to share its sync: some syncs, and far below
/// what a person notices. Measured: `cargo bench -- step`.
const PATIENCE: Duration = Duration::from_millis(2);

/// From how many callers in one commit on the next one waits a moment for as many: where many write at once, fewer and
/// larger commits leave the processor to those who write (measured: `cargo bench -- throughput`).
const CROWD: usize = 8;

/// How long such a commit waits, about as long as a sync takes.
const GATHERING: Duration = Duration::from_micros(200);

/// The drafts of one caller, which are written all or not at all.
pub(super) struct Member {
    pub(super) entries: Vec<Prepared>,
    pub(super) conditions: Vec<Condition>,
    /// Whether it is the first of a run's journal.
    pub(super) begins: bool,
    pub(super) time_ms: u64,
    pub(super) reply: oneshot::Sender<Result<Appended, Error>>,
}

/// How soon an append is to be committed. Whatever comes first is written first, either way.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Urgency {
    /// At once: somebody waits for it, or it should be durable as soon as can be.
    Now,
    /// Nobody waits: with the next that is urgent, at the latest after two milliseconds.
    Patient,
}

/// Everything that waited.
#[derive(Default)]
pub(super) struct Batch {
    pub(super) members: Vec<Member>,
    pub(super) notes: Vec<(u64, Note)>,
}

pub(super) struct Queue {
    waiting: Mutex<Waiting>,
    /// Something came, or the queue was closed.
    filled: Condvar,
    /// Everything was taken.
    emptied: Condvar,
}

#[derive(Default)]
struct Waiting {
    members: Vec<Member>,
    notes: VecDeque<(u64, Note)>,
    notes_since: Option<Instant>,
    /// Since when an entry is there that nobody waits for.
    patient_since: Option<Instant>,
    entries: usize,
    bytes: usize,
    last_ms: u64,
    /// How many of the callers wait.
    urgent: usize,
    /// How many callers the last commit was waited for by.
    crowd: usize,
    closed: bool,
}

impl Waiting {
    fn full(&self) -> bool {
        self.entries >= MAX_WAITING_ENTRIES || self.bytes >= MAX_WAITING_BYTES
    }

    /// How long what is there can wait yet; none if nothing is there.
    fn patience(&self) -> Option<Duration> {
        if self.urgent > 0 || self.full() {
            return Some(Duration::ZERO);
        }
        let left = |since: Instant, patience: Duration| patience.saturating_sub(since.elapsed());
        let entries = self.patient_since.map(|since| left(since, PATIENCE));
        let notes = self.notes_since.map(|since| left(since, NOTE_PATIENCE));
        entries.into_iter().chain(notes).min()
    }

    /// The clock's time, but never below what the log holds already.
    fn now_ms(&mut self) -> u64 {
        self.last_ms = self.last_ms.max(clock::now_ms());
        self.last_ms
    }
}

impl Queue {
    /// `last_ms` is the time of the newest entry.
    pub(super) fn new(last_ms: u64) -> Self {
        let waiting = Waiting { last_ms, ..Waiting::default() };
        Self { waiting: Mutex::new(waiting), filled: Condvar::new(), emptied: Condvar::new() }
    }

    /// Puts an append in order and tells its time; waits while the queue is full. None if the writer has ended.
    pub(super) fn push(&self, mut member: Member, urgency: Urgency) -> Option<u64> {
        let bytes: usize = member.entries.iter().map(Prepared::bytes).sum();
        let mut waiting = self.lock();
        while waiting.full() && !waiting.closed {
            waiting = self.emptied.wait(waiting).unwrap_or_else(PoisonError::into_inner);
        }
        if waiting.closed {
            return None;
        }
        let time_ms = waiting.now_ms();
        member.time_ms = time_ms;
        waiting.entries += member.entries.len();
        waiting.bytes += bytes;
        waiting.members.push(member);
        // Once the writer knows when to look, it need not be told of more that can wait.
        let wake = match urgency {
            Urgency::Now => true,
            Urgency::Patient => waiting.patient_since.is_none() || waiting.full(),
        };
        match urgency {
            Urgency::Now => waiting.urgent += 1,
            Urgency::Patient => drop(waiting.patient_since.get_or_insert_with(Instant::now)),
        }
        drop(waiting);
        if wake {
            self.filled.notify_one();
        }
        Some(time_ms)
    }

    /// Hands a note over, or drops it if too many wait.
    pub(super) fn push_note(&self, note: Note) {
        let mut waiting = self.lock();
        if waiting.closed || waiting.notes.len() >= MAX_WAITING_NOTES {
            return;
        }
        let time_ms = waiting.now_ms();
        waiting.notes.push_back((time_ms, note));
        waiting.notes_since.get_or_insert_with(Instant::now);
        drop(waiting);
        self.filled.notify_one();
    }

    /// Everything that waits, as soon as there is something; none once the queue is closed and empty.
    pub(super) fn take(&self) -> Option<Batch> {
        let mut waiting = self.lock();
        loop {
            match waiting.patience() {
                Some(_) if waiting.closed => break,
                Some(Duration::ZERO) => break,
                None if waiting.closed => return None,
                Some(rest) => {
                    waiting =
                        self.filled.wait_timeout(waiting, rest).unwrap_or_else(PoisonError::into_inner).0;
                }
                None => waiting = self.filled.wait(waiting).unwrap_or_else(PoisonError::into_inner),
            }
        }
        if waiting.crowd >= CROWD && waiting.urgent < waiting.crowd && !waiting.closed {
            drop(waiting);
            std::thread::sleep(GATHERING);
            waiting = self.lock();
        }
        waiting.crowd = std::mem::take(&mut waiting.urgent);
        waiting.notes_since = None;
        waiting.patient_since = None;
        waiting.entries = 0;
        waiting.bytes = 0;
        let members = std::mem::take(&mut waiting.members);
        let notes = waiting.notes.drain(..).collect();
        drop(waiting);
        self.emptied.notify_all();
        Some(Batch { members, notes })
    }

    /// Whether nobody waits.
    pub(super) fn is_empty(&self) -> bool {
        self.lock().members.is_empty()
    }

    /// Lets nothing more in; what waits is still written.
    pub(super) fn close(&self) {
        self.lock().closed = true;
        self.filled.notify_all();
        self.emptied.notify_all();
    }

    /// Closes it and drops what waits, whose owners learn that it was not written.
    pub(super) fn abandon(&self) {
        let mut waiting = self.lock();
        waiting.closed = true;
        waiting.members.clear();
        waiting.notes.clear();
        drop(waiting);
        self.emptied.notify_all();
    }

    fn lock(&self) -> MutexGuard<'_, Waiting> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
