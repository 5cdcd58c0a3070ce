//! The one thread that writes: takes everything that waits, commits once, wakes everyone.
//!
//! An error of a commit is final, since a failed sync leaves pages marked clean that never reached the disk: everyone
//! waiting gets it, and so does everyone after. Only a full disk is tried once more, with the reserve given up.

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};

use rusqlite::{Connection, TransactionBehavior};
use tokio::sync::{oneshot, watch};

use words::fault;
use words::ids::{Digest, RunId};

use super::body::Prepared;
use super::checkpoint_files::CheckpointFiles;
use super::condition::Pending;
use super::entry::{Appended, Draft, Note};
use super::error::Error;
use super::key::SignerKey;
use super::mark::Mark;
use super::queue::{Batch, Member, Queue};
use super::reserve::Reserve;
use super::standing::{STANDING, Standing};
use super::tables::{self, Row, TreeRow};
use super::tail::Tail;
use super::tree::{self, Frontier, Hash, TILE_LEAVES};
use super::trust;

/// The kind of entry at which a checkpoint is written beside the log.
const END_OF_RUN: &str = "run.finished";

/// After so many entries, or as many as there are unfinished runs, the log lists anew what stands, so that an opening hashes
/// no more than about that.
const LIST_STEP: u64 = 4096;

/// Who writes such a list.
const LISTED_BY: &str = "runbook";

/// How many runs' versions are remembered before they are asked from the database again.
const MAX_KNOWN_VERSIONS: usize = 4096;

/// After so many notes of one run its oldest are pruned.
const PRUNE_EVERY_NOTES: u32 = 500;

/// From how many pages of WAL on they are moved to the database as soon as nobody waits (8 MiB).
const IDLE_CHECKPOINT_PAGES: u64 = 2048;

/// From how many pages of WAL on they are moved even if somebody waits (32 MiB).
const FORCED_CHECKPOINT_PAGES: u64 = 8192;

/// About how many pages a commit writes besides its bodies.
const PAGES_PER_COMMIT: u64 = 6;

/// What the writer tells everyone.
#[derive(Default)]
pub(super) struct Health {
    pub(super) reserve_spent: AtomicBool,
    pub(super) failure: OnceLock<Error>,
    /// Bytes of blobs that were new since the log was opened.
    pub(super) kept: Arc<AtomicU64>,
}

pub(super) struct Writer {
    pub(super) db: Connection,
    pub(super) key: SignerKey,
    pub(super) queue: Arc<Queue>,
    pub(super) health: Arc<Health>,
    pub(super) committed: watch::Sender<u64>,
    pub(super) reserve: Reserve,
    pub(super) files: CheckpointFiles,
    pub(super) mark: Mark,
    pub(super) ledger: Ledger,
}

/// What the writer knows of the log without asking the database.
pub(super) struct Ledger {
    tree: Frontier,
    /// Where an opening begins to read.
    trusted: Frontier,
    /// The tree before the newest list of what stands, and the list's blob.
    listed: (Frontier, Option<Digest>),
    /// What stands after the newest entry.
    standing: Standing,
    /// What the database says.
    clean: bool,
    versions: HashMap<RunId, u32>,
    notes: HashMap<RunId, u32>,
    wal_pages: u64,
}

impl Ledger {
    pub(super) fn new(tree: Frontier, clean: bool, tail: Tail) -> Self {
        let Tail { before: trusted, standing, blob } = tail;
        let listed = (trusted.clone(), blob);
        let (versions, notes) = (HashMap::new(), HashMap::new());
        Self { tree, trusted, listed, standing, clean, versions, notes, wal_pages: 0 }
    }

    /// Whether the newest list is so far back that an opening would read too much.
    fn list_is_due(&self) -> bool {
        let runs = self.standing.runs().len() as u64;
        self.tree.size() - self.listed.0.size() >= LIST_STEP.max(runs)
    }

    /// Gives an entry its place at the end of these, and takes in what it tells.
    fn place(&mut self, made: &mut Made, prepared: Prepared, time_ms: u64, version: Option<u32>) {
        let prepared = match self.standing.listing(&prepared, self.listed.1.as_ref()) {
            Ok(None) => prepared,
            Ok(Some((listing, blob))) => {
                self.listed = (made.tree.clone(), blob);
                listing
            }
            Err(error) => {
                tracing::error!(%error, "the unfinished runs are not listed: the next opening reads from the last list on");
                prepared
            }
        };
        if let (Some(run), Some(version)) = (&prepared.run, version) {
            self.standing.run(run, version, prepared.row.as_ref());
        }
        prepared.state.iter().for_each(|change| self.standing.change(change));
        made.push(prepared, time_ms, version);
    }
}

/// A list of what stands in an entry of its own.
fn list_alone() -> Result<Prepared, Error> {
    let draft = Draft::fact(LISTED_BY, STANDING, serde_json::json!({}));
    Prepared::new(Draft { lists_unfinished: true, ..draft })
}

/// The rows of one commit, and the tree with them.
struct Made {
    tree: Frontier,
    rows: Vec<Row>,
    tiles: Vec<(u64, Hash)>,
}

impl Made {
    fn push(&mut self, prepared: Prepared, time_ms: u64, version: Option<u32>) {
        let seq = self.tree.size() + 1;
        let body = prepared.body(seq, time_ms, version);
        let hash = tree::leaf(body.as_bytes());
        if let Some(root) = self.tree.push(hash) {
            self.tiles.push((self.tree.size() / TILE_LEAVES - 1, root));
        }
        self.rows.push(Row { prepared, seq, time_ms, version, body, hash });
    }
}

/// One commit, whole: can be written again after the reserve was given up.
struct Group {
    rows: Vec<Row>,
    notes: Vec<(u64, Note)>,
    prune: Vec<RunId>,
    tiles: Vec<(u64, Hash)>,
    tree: Frontier,
    trusted: Frontier,
    checkpoint: String,
    waiters: Vec<(oneshot::Sender<Result<Appended, Error>>, Appended)>,
}

impl Writer {
    /// Writes until the queue is closed and empty, then marks the log as properly closed.
    pub(super) fn run(mut self) {
        let _guard = Abandon(Arc::clone(&self.queue));
        while let Some(batch) = self.queue.take() {
            self.commit(batch);
            self.checkpoint_wal();
        }
        if self.health.failure.get().is_none()
            && !self.ledger.clean
            && let Err(error) = self.mark_clean()
        {
            self.fail(error);
        }
    }

    fn commit(&mut self, batch: Batch) {
        if let Some(cause) = self.health.failure.get() {
            let failed = Error::Failed { cause: Box::new(cause.clone()) };
            for member in batch.members {
                let _ = member.reply.send(Err(failed.clone()));
            }
            return;
        }
        let mut waiting = Vec::with_capacity(batch.members.len());
        let mut refused = Vec::new();
        match self.admit(batch.members, &mut waiting, &mut refused) {
            Ok(()) => self.write_group(waiting, batch.notes),
            Err(error) => {
                self.fail(error.clone());
                for (member, _) in waiting {
                    let _ = member.reply.send(Err(error.clone()));
                }
            }
        }
        for (reply, error) in refused {
            let _ = reply.send(Err(error));
        }
    }

    /// Looks at the conditions of each append, in order: turns away those whose do not hold, and gives each entry of the
    /// others its version.
    fn admit(
        &mut self,
        members: Vec<Member>,
        admitted: &mut Vec<(Member, Vec<Option<u32>>)>,
        refused: &mut Vec<(oneshot::Sender<Result<Appended, Error>>, Error)>,
    ) -> Result<(), Error> {
        if self.ledger.versions.len() > MAX_KNOWN_VERSIONS {
            self.ledger.versions.clear();
        }
        let mut pending = Pending::default();
        let mut members = members.into_iter();
        while let Some(mut member) = members.next() {
            match self.versions_of(&mut member, &pending) {
                Ok(Ok(versions)) => {
                    pending.take(&member.entries, member.begins);
                    admitted.push((member, versions));
                }
                Ok(Err(unmet)) => refused.push((member.reply, unmet)),
                Err(error) => {
                    // The caller answers those admitted; the others are answered here.
                    for member in std::iter::once(member).chain(members) {
                        let _ = member.reply.send(Err(error.clone()));
                    }
                    return Err(error);
                }
            }
        }
        Ok(())
    }

    fn versions_of(
        &mut self,
        member: &mut Member,
        pending: &Pending,
    ) -> Result<Result<Vec<Option<u32>>, Error>, Error> {
        for condition in std::mem::take(&mut member.conditions) {
            if let Err(unmet) = pending.holds(&self.db, condition, |run| self.version(run))? {
                return Ok(Err(unmet));
            }
        }
        let mut versions = Vec::with_capacity(member.entries.len());
        for entry in &member.entries {
            let version = match &entry.run {
                None => None,
                Some(run) => {
                    let version = self.version(run)? + 1;
                    self.ledger.versions.insert(run.clone(), version);
                    Some(version)
                }
            };
            versions.push(version);
        }
        Ok(Ok(versions))
    }

    fn version(&self, run: &RunId) -> Result<u32, Error> {
        match self.ledger.versions.get(run) {
            Some(version) => Ok(*version),
            None => match self.ledger.standing.version(run) {
                Some(version) => Ok(version),
                None => tables::run_version(&self.db, run),
            },
        }
    }

    fn write_group(&mut self, members: Vec<(Member, Vec<Option<u32>>)>, notes: Vec<(u64, Note)>) {
        if members.is_empty() && notes.is_empty() {
            return;
        }
        let group = self.group(members, notes);
        let result = match self.try_write(&group) {
            Err(Error::Full) if self.give_up_reserve() => self.try_write(&group),
            other => other,
        };
        match result {
            Ok(kept) => {
                self.health.kept.fetch_add(kept, Ordering::AcqRel);
                self.adopt(group);
            }
            Err(error) => {
                self.fail(error.clone());
                for (reply, _) in group.waiters {
                    let _ = reply.send(Err(error.clone()));
                }
            }
        }
    }

    /// Everything that needs no database: sequences, bodies, hashes, the tree, the signature.
    fn group(&mut self, members: Vec<(Member, Vec<Option<u32>>)>, notes: Vec<(u64, Note)>) -> Group {
        let mut made = Made { tree: self.ledger.tree.clone(), rows: Vec::new(), tiles: Vec::new() };
        let mut waiters = Vec::with_capacity(members.len());
        if let Some((first, _)) = members.first().filter(|_| self.ledger.list_is_due())
            && let Ok(list) = list_alone()
        {
            // First of all, so that everything before it is durable.
            self.ledger.place(&mut made, list, first.time_ms, None);
        }
        for (member, versions) in members {
            let Member { entries, time_ms, reply, .. } = member;
            let first_seq = made.tree.size() + 1;
            for (prepared, version) in entries.into_iter().zip(versions) {
                self.ledger.place(&mut made, prepared, time_ms, version);
            }
            waiters.push((reply, Appended { first_seq, last_seq: made.tree.size(), time_ms }));
        }
        let prune = self.count_notes(&notes);
        let Made { tree, rows, tiles } = made;
        // What an earlier commit made durable is trusted; this one is not durable yet.
        let durable = self.ledger.listed.0.size() <= self.ledger.tree.size();
        let trusted = if durable { &self.ledger.listed.0 } else { &self.ledger.trusted }.clone();
        let checkpoint = trust::checkpoint_of(&tree, &self.key);
        Group { rows, notes, prune, tiles, tree, trusted, checkpoint, waiters }
    }

    fn count_notes(&mut self, notes: &[(u64, Note)]) -> Vec<RunId> {
        let mut prune = Vec::new();
        for (_, note) in notes {
            let count = self.ledger.notes.entry(note.run.clone()).or_default();
            *count += 1;
            if *count >= PRUNE_EVERY_NOTES {
                self.ledger.notes.remove(&note.run);
                prune.push(note.run.clone());
            }
        }
        prune
    }

    /// Gives the bytes of new blobs.
    fn try_write(&mut self, group: &Group) -> Result<u64, Error> {
        let transaction = self.db.transaction_with_behavior(TransactionBehavior::Immediate)?;
        let mut kept = 0;
        for row in &group.rows {
            kept += tables::write_entry(&transaction, row)?;
        }
        group.tiles.iter().try_for_each(|(number, root)| tables::write_tile(&transaction, *number, root))?;
        group
            .notes
            .iter()
            .try_for_each(|(time_ms, note)| tables::write_note(&transaction, *time_ms, note))?;
        group.prune.iter().try_for_each(|run| tables::prune_notes(&transaction, run))?;
        if !group.rows.is_empty() {
            let Group { tree, checkpoint, trusted, .. } = group;
            tables::write_tree(&transaction, &TreeRow { tree, checkpoint, trusted, clean: false })?;
        }
        fault_point("audit.before-commit")?;
        transaction.commit()?;
        fault_point("audit.after-commit")?;
        Ok(kept)
    }

    /// What was written is true from here on.
    fn adopt(&mut self, group: Group) {
        let bytes: usize = group.rows.iter().map(|row| row.body.len()).sum();
        let blobs: usize =
            group.rows.iter().flat_map(|row| &row.prepared.blobs).map(|blob| blob.bytes.len()).sum();
        self.ledger.wal_pages += PAGES_PER_COMMIT + (bytes + blobs) as u64 / 3000;
        self.ledger.clean &= group.rows.is_empty();
        self.ledger.tree = group.tree;
        self.ledger.trusted = group.trusted;
        self.mark.write(self.ledger.tree.size());
        self.committed.send_replace(self.ledger.tree.size());
        for (reply, appended) in group.waiters {
            // Who does not wait any more has submitted and forgotten: allowed.
            let _ = reply.send(Ok(appended));
        }
        if group.rows.iter().any(|row| row.prepared.kind == END_OF_RUN) {
            self.files.write(self.ledger.tree.size(), &group.checkpoint);
        }
    }

    fn give_up_reserve(&mut self) -> bool {
        self.health.reserve_spent.store(true, Ordering::Release);
        self.reserve.give_up()
    }

    /// Moves the WAL to the database. What readers still need stays for the next time.
    fn checkpoint_wal(&mut self) {
        let pages = self.ledger.wal_pages;
        let due = pages >= FORCED_CHECKPOINT_PAGES || pages >= IDLE_CHECKPOINT_PAGES && self.queue.is_empty();
        if !due || self.health.failure.get().is_some() {
            return;
        }
        self.ledger.wal_pages = 0;
        match self.db.query_row("PRAGMA wal_checkpoint(PASSIVE)", [], |_| Ok(())).map_err(Error::from) {
            // Without room the WAL stays, and stays true.
            Ok(()) | Err(Error::Full | Error::Busy) => {}
            Err(error) => self.fail(error),
        }
    }

    fn mark_clean(&mut self) -> Result<(), Error> {
        let tree = &self.ledger.tree;
        let checkpoint = trust::checkpoint_of(tree, &self.key);
        let trusted = &self.ledger.listed.0;
        tables::write_tree(&self.db, &TreeRow { tree, checkpoint: &checkpoint, trusted, clean: true })
    }

    fn fail(&mut self, error: Error) {
        tracing::error!(%error, "the audit log failed");
        let _ = self.health.failure.set(error);
        // Who waits for an entry that will never come is to look up.
        self.committed.send_modify(|_| {});
    }
}

/// A place at which a test may kill, hold or fail the writer.
fn fault_point(name: &str) -> Result<(), Error> {
    if fault::point(name) {
        return Err(Error::environment("write the audit log", format!("fault at `{name}`")));
    }
    Ok(())
}

/// However the writer ends, nobody waits for it for ever.
struct Abandon(Arc<Queue>);

impl Drop for Abandon {
    fn drop(&mut self) {
        self.0.abandon();
    }
}
