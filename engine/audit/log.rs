//! The handle to the audit log: opened once by whoever holds the data directory's lock, cheap to clone.

use std::path::{Path, PathBuf};
use std::pin::pin;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll, Wake};
use std::thread::{self, JoinHandle, Thread};

use serde_json::Value;
use tokio::sync::{oneshot, watch};

use words::clock;
use words::ids::RunId;

use super::body::Prepared;
use super::checkpoint_files::CheckpointFiles;
use super::condition::Condition;
use super::entry::{Appended, Draft, Note, RunRow};
use super::error::Error;
use super::key::VerifierKey;
use super::mark::Mark;
use super::opening::{self, Opened};
use super::queue::{Member, Queue, Urgency};
use super::reserve::Reserve;
use super::standing::Standing;
use super::writer::{Health, Ledger, Writer};

/// The longest text of a note, in bytes; the rest is cut off.
pub const MAX_NOTE_BYTES: usize = 8 * 1024;

/// How the log is opened.
#[derive(Debug, Clone, Default)]
pub struct Options {
    /// The database never grows over this many pages of 4 KiB; then it is as if the disk were full.
    pub max_pages: Option<u32>,
    /// Takes known secrets out of notes, which alone are not scrubbed before they come here. Without it notes are dropped.
    pub scrub: Option<fn(String) -> String>,
}

/// What is appended together, all or nothing, and what must hold for it.
#[derive(Debug)]
pub struct Append {
    /// The entries to be.
    pub drafts: Vec<Draft>,
    /// What the writer looks at in the commit; claims come last.
    pub conditions: Vec<Condition>,
    /// How soon.
    pub urgency: Urgency,
}

/// Drafts as bytes that can be read back: only the commit can still refuse them.
pub struct Ready {
    entries: Vec<Prepared>,
    conditions: Vec<Condition>,
    urgency: Urgency,
}

impl Ready {
    /// Writes the drafts as they will be hashed, and reads them back with the reader's own code and limits: what nobody could
    /// read later is refused here, before anything relies on it.
    pub fn new(append: Append) -> Result<Self, Error> {
        let Append { drafts, conditions, urgency } = append;
        if drafts.is_empty() {
            return Err(Error::Invalid { what: "there is nothing to append".to_owned() });
        }
        let entries = drafts.into_iter().map(Prepared::new).collect::<Result<Vec<_>, _>>()?;
        Ok(Self { entries, conditions, urgency })
    }

    /// The same with what lists show of the run from its last entry on.
    pub fn with_row(mut self, row: RunRow) -> Result<Self, Error> {
        let last =
            self.entries.pop().ok_or(Error::Invalid { what: "there is nothing to append".to_owned() })?;
        self.entries.push(last.with_row(row)?);
        Ok(self)
    }
}

/// The audit log, open for appending. The log is closed when the last clone is dropped; what was handed over is written first.
#[derive(Clone)]
pub struct Audit {
    shared: Arc<Shared>,
}

struct Shared {
    dir: PathBuf,
    queue: Arc<Queue>,
    health: Arc<Health>,
    committed: watch::Receiver<u64>,
    key: VerifierKey,
    found: Standing,
    scrub: Option<fn(String) -> String>,
    thread: Mutex<Option<JoinHandle<()>>>,
}

impl Audit {
    /// Opens the log in this data directory and makes it if there is none. The caller holds the directory's lock.
    pub fn open(dir: &Path, options: &Options) -> Result<Self, Error> {
        let Opened { db, key, tree, last_ms, clean, tail } = opening::open(dir)?;
        if let Some(pages) = options.max_pages {
            db.query_row(&format!("PRAGMA max_page_count = {pages}"), [], |_| Ok(()))?;
        }
        let found = tail.standing.clone();
        let queue = Arc::new(Queue::new(last_ms));
        let health = Arc::new(Health::default());
        let (sender, committed) = watch::channel(tree.size());
        let public = key.public().clone();
        let reserve = Reserve::hold(dir);
        health.reserve_spent.store(!reserve.held(), Ordering::Release);
        let writer = Writer {
            db,
            key,
            queue: Arc::clone(&queue),
            health: Arc::clone(&health),
            committed: sender,
            reserve,
            files: CheckpointFiles::new(dir),
            mark: Mark::open(dir),
            ledger: Ledger::new(tree, clean, tail),
        };
        let thread = thread::Builder::new().name("audit-writer".to_owned()).spawn(move || writer.run());
        let thread = thread.map_err(|error| {
            Error::environment("start the thread that writes the audit log", error.to_string())
        })?;
        let dir = dir.to_owned();
        let thread = Mutex::new(Some(thread));
        let scrub = options.scrub;
        let shared = Shared { dir, queue, health, committed, key: public, found, scrub, thread };
        Ok(Self { shared: Arc::new(shared) })
    }

    /// Appends all of these or none, and returns when they are durable. With `expect`, only if the run's journal has that
    /// many entries.
    pub async fn append(&self, drafts: Vec<Draft>, expect: Option<(RunId, u32)>) -> Result<Appended, Error> {
        self.submit(drafts, expect).durable().await
    }

    /// [`Audit::append`] for callers outside of async code; holds the thread.
    pub fn append_blocking(
        &self,
        drafts: Vec<Draft>,
        expect: Option<(RunId, u32)>,
    ) -> Result<Appended, Error> {
        self.submit(drafts, expect).wait()
    }

    /// Hands over at once; what is handed over first is written first. Holds the thread while the queue is full, which the
    /// writer empties without help of any async runtime.
    pub fn submit(&self, drafts: Vec<Draft>, expect: Option<(RunId, u32)>) -> Ticket {
        let conditions =
            expect.map(|(run, version)| Condition::Version { run, version }).into_iter().collect();
        match Ready::new(Append { drafts, conditions, urgency: Urgency::Now }) {
            Ok(ready) => self.submit_ready(ready),
            Err(refusal) => {
                let (reply, receiver) = oneshot::channel();
                let _ = reply.send(Err(refusal));
                Ticket { time_ms: clock::now_ms(), reply: receiver, ended: self.ended() }
            }
        }
    }

    /// [`Audit::submit`] of what can be read back, with its conditions.
    pub fn submit_ready(&self, ready: Ready) -> Ticket {
        let (reply, receiver) = oneshot::channel();
        let Ready { entries, conditions, urgency } = ready;
        let begins = conditions.iter().any(|one| matches!(one, Condition::Version { version: 0, .. }));
        let member = Member { entries, conditions, begins, time_ms: 0, reply };
        let time_ms = self.shared.queue.push(member, urgency).unwrap_or_else(clock::now_ms);
        Ticket { time_ms, reply: receiver, ended: self.ended() }
    }

    /// Tells people something while a step works. Never waits; dropped when too much is told.
    pub fn note(&self, mut note: Note) {
        let Some(scrub) = self.shared.scrub else { return };
        // Before anything is cut off: a part of a secret would not be known again.
        note.text = scrub(note.text);
        let mut end = note.text.len().min(MAX_NOTE_BYTES);
        while !note.text.is_char_boundary(end) {
            end -= 1;
        }
        note.text.truncate(end);
        if note.text.chars().any(spoils_a_terminal) {
            note.text = note.text.replace(spoils_a_terminal, "\u{fffd}");
        }
        self.shared.queue.push_note(note);
    }

    /// Ends when a commit has failed; never while all is well.
    pub async fn failed(&self) {
        let mut committed = self.committed();
        while self.failure().is_none() {
            if committed.changed().await.is_err() {
                return std::future::pending().await;
            }
        }
    }

    /// The sequence of the newest durable entry; also wakes when notes were written, and when a commit has failed.
    pub fn committed(&self) -> watch::Receiver<u64> {
        self.shared.committed.clone()
    }

    /// The first error of a commit: from then on nothing is taken.
    pub fn failure(&self) -> Option<Error> {
        self.shared.health.failure.get().cloned()
    }

    /// Whether the disk was so full that the reserve is gone: the engine should come to an end.
    pub fn reserve_spent(&self) -> bool {
        self.shared.health.reserve_spent.load(Ordering::Acquire)
    }

    /// Bytes of blobs that were new since the log was opened; goes on counting.
    pub fn kept_since(&self) -> Arc<AtomicU64> {
        Arc::clone(&self.shared.health.kept)
    }

    /// The runs that were unfinished when the log was opened, each with its version, the oldest first: from entries that the
    /// signature covers.
    pub fn found_unfinished(&self) -> impl ExactSizeIterator<Item = (&RunId, u32)> {
        self.shared.found.runs()
    }

    /// What the engine kept under this key when the log was opened: from entries that the signature covers.
    pub fn found_engine_state(&self, key: &str) -> Option<&Value> {
        self.shared.found.engine(key)
    }

    /// What the log's checkpoints are verified with.
    pub fn public_key(&self) -> &VerifierKey {
        &self.shared.key
    }

    /// The data directory.
    pub fn dir(&self) -> &Path {
        &self.shared.dir
    }

    /// Writes what was handed over and closes the log properly, for all clones of the handle.
    pub fn close(&self) -> Result<(), Error> {
        self.shared.close();
        self.failure().map_or(Ok(()), Err)
    }

    fn ended(&self) -> Arc<Health> {
        Arc::clone(&self.shared.health)
    }
}

impl Shared {
    fn close(&self) {
        self.queue.close();
        let thread = self.thread.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(thread) = thread {
            // A writer that panicked has dropped every reply: those waiting know.
            let _ = thread.join();
        }
    }
}

impl Drop for Shared {
    fn drop(&mut self) {
        self.close();
    }
}

/// An append on its way.
pub struct Ticket {
    time_ms: u64,
    reply: oneshot::Receiver<Result<Appended, Error>>,
    ended: Arc<Health>,
}

impl Ticket {
    /// The time of its entries, milliseconds since 1970: the clock's when it was handed over, but never below that of the
    /// entry before.
    pub fn time_ms(&self) -> u64 {
        self.time_ms
    }

    /// Returns when the entries are durable, or are known not to be written.
    pub async fn durable(self) -> Result<Appended, Error> {
        match self.reply.await {
            Ok(result) => result,
            Err(_) => Err(closed(&self.ended)),
        }
    }

    /// [`Ticket::durable`] for callers outside of async code; holds the thread.
    pub fn wait(self) -> Result<Appended, Error> {
        let waker = Arc::new(Unpark(thread::current())).into();
        let mut context = Context::from_waker(&waker);
        // A task's budget must not make a finished commit look unfinished for ever.
        let mut future = pin!(tokio::task::unconstrained(self.durable()));
        loop {
            match future.as_mut().poll(&mut context) {
                Poll::Ready(result) => return result,
                Poll::Pending => thread::park(),
            }
        }
    }
}

struct Unpark(Thread);

impl Wake for Unpark {
    fn wake(self: Arc<Self>) {
        self.0.unpark();
    }
}

fn closed(health: &Health) -> Error {
    let cause = health
        .failure
        .get()
        .cloned()
        .unwrap_or_else(|| Error::environment("append to the audit log", "it is closed"));
    Error::Failed { cause: Box::new(cause) }
}

fn spoils_a_terminal(c: char) -> bool {
    c.is_control() && c != '\n' && c != '\t'
}
