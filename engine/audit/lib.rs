//! The only memory: an append-only log in SQLite that holds every run's journal and every other fact worth accounting for,
//! as a Merkle tree with signed checkpoints that anyone can verify.
//!
//! One writer thread takes everything that waits, commits it once with `synchronous = FULL`, and wakes everyone. What an
//! append returned as done is durable and stays so; what it refused was not written. An append carries its conditions, which
//! the writer looks at in the commit itself. State changes and run rows commit in
//! the transaction of their entry and can be made again from the entries alone.
//!
//! Deliberately knows nothing of what a run is or does: kinds and data are given and kept, never understood.

mod announcement;
mod archive;
mod base;
mod body;
mod checkpoint;
mod checkpoint_files;
mod condition;
mod entry;
mod error;
mod evidence;
mod export;
mod fold;
mod folder_blobs;
mod hashes;
mod join;
mod key;
mod log;
mod mark;
mod moved;
mod note;
mod opening;
mod places;
mod proofs;
mod prune;
mod queue;
mod reader;
mod receipt;
mod reserve;
mod schema;
mod standing;
mod tables;
mod tail;
mod tampered;
mod tree;
mod trust;
mod unmet;
mod verify;
mod witness;
mod writer;

pub use announcement::{ANNOUNCEMENT_FILE, announce, announced};
pub use archive::{ArchiveError, Archived, CARRIED, archive};
pub use base::ARCHIVED;
pub use body::{MAX_ACTOR_BYTES, MAX_ENTRY_BYTES, MAX_KIND_BYTES};
pub use checkpoint::{Checkpoint, MAX_CHECKPOINT_BYTES};
pub use checkpoint_files::{CHECKPOINT_DIR, MAX_CHECKPOINT_FILES};
pub use condition::{Claim, Condition};
pub use entry::{Appended, Draft, Entry, KeptNote, Note, RunRow, StateChange};
pub use error::{Error, ErrorKind};
pub use evidence::{Evidence, NotAKey, NotEvidence, Proof, Unproved, given_key};
pub use export::{
    CHECKPOINT_FILE, ENTRIES_FILE, EXPORT_FORMAT, Exported, export, verify_export, verify_folder,
    verify_stream,
};
pub use folder_blobs::{BLOBS_DIR, FolderBlobs};
pub use join::{JOINED, JOINED_BUCKET, JoinError, Joined, join};
pub use key::{InvalidKey, PRIVATE_KEY_FILE, PUBLIC_KEY_FILE, VerifierKey, public_key};
pub use log::{Append, Audit, MAX_NOTE_BYTES, Options, Ready, Ticket};
pub use mark::MARK_FILE;
pub use moved::MAX_BLOB_BYTES;
pub use note::InvalidNote;
pub use opening::examine;
pub use prune::{PRUNED, Pruned, prune};
pub use queue::{MAX_WAITING_BYTES, MAX_WAITING_ENTRIES, MAX_WAITING_NOTES, Urgency};
pub use reader::{DEFAULT_LIMIT, EntryFilter, Growth, Journal, Reader, RunFilter, Snapshot};
pub use receipt::{Proven, RECEIPT_FORMAT, Receipt, prove, verify_receipt};
pub use reserve::{RESERVE_BYTES, RESERVE_FILE};
pub use schema::{DATABASE_FILE, SCHEMA_VERSION, sqlite_version};
pub use standing::{STANDING, STOPPED};
pub use tables::{MAX_NOTES, MAX_NOTES_PER_RUN};
pub use tampered::{Tampered, VerifyError};
pub use tree::Hash;
pub use unmet::{Taken, Unmet};
pub use verify::{Verified, VerifyOptions, verify};

#[cfg(test)]
mod tests;
