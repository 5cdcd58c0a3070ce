//! Checkpoints from outside of the database, and whether the log still contains what they were signed for.

use std::collections::BTreeMap;
use std::path::Path;

use super::checkpoint::{Checkpoint, MAX_CHECKPOINT_BYTES};
use super::key::VerifierKey;
use super::tampered::{VerifyError, tampered};
use super::tree::Frontier;
use words::own_file;

/// A checkpoint whose signature was checked.
pub(super) struct Witness {
    /// What people call it.
    pub(super) label: String,
    pub(super) checkpoint: Checkpoint,
}

impl Witness {
    /// One that was kept elsewhere, a signed note.
    pub(super) fn outside(note: &str, key: &VerifierKey) -> Result<Self, VerifyError> {
        let label = "the checkpoint kept elsewhere";
        if note.len() > MAX_CHECKPOINT_BYTES {
            let what = format!("has {} bytes, at most {MAX_CHECKPOINT_BYTES} are read", note.len());
            return Err(tampered(label, what));
        }
        let checkpoint = Checkpoint::open(note, key).map_err(|error| tampered(label, error.to_string()))?;
        Ok(Self { label: label.to_owned(), checkpoint })
    }
}

/// All of them, by the size they were signed for.
#[derive(Default)]
pub(super) struct Witnesses {
    waiting: BTreeMap<u64, Vec<Witness>>,
}

impl Witnesses {
    /// Those that were written beside the log. What cannot be read or is not signed by this key says nothing: it may be
    /// half a file from a full disk.
    pub(super) fn beside(dir: &Path, key: &VerifierKey) -> Self {
        let mut witnesses = Self::default();
        let Ok(files) = std::fs::read_dir(dir) else { return witnesses };
        for path in files.filter_map(|file| Some(file.ok()?.path())) {
            let Ok(note) = own_file::read_text(&path, MAX_CHECKPOINT_BYTES as u64) else { continue };
            if let Ok(checkpoint) = Checkpoint::open(&note, key) {
                witnesses.add(Witness { label: format!("the checkpoint `{}`", path.display()), checkpoint });
            }
        }
        witnesses
    }

    pub(super) fn add(&mut self, witness: Witness) {
        self.waiting.entry(witness.checkpoint.size).or_default().push(witness);
    }

    /// Forgets those over less than this many entries: they tell of an archive.
    pub(super) fn skip_below(&mut self, entries: u64) {
        self.waiting = self.waiting.split_off(&entries);
    }

    /// The log has grown to this tree.
    pub(super) fn reached(&mut self, tree: &Frontier) -> Result<(), VerifyError> {
        let Some(next) = self.waiting.first_entry() else { return Ok(()) };
        match *next.key() {
            size if size > tree.size() => Ok(()),
            // The tree of no entries is the same for all.
            0 => {
                next.remove();
                self.reached(tree)
            }
            size => {
                let root = tree.root();
                match next.remove().into_iter().find(|witness| witness.checkpoint.root != root) {
                    None => Ok(()),
                    Some(witness) => Err(tampered(
                        format!("entries 1 to {size}"),
                        format!(
                            "are not those that {} was signed for: history was written anew",
                            witness.label
                        ),
                    )),
                }
            }
        }
    }

    /// The log ends here.
    pub(super) fn finish(&self, entries: u64) -> Result<(), VerifyError> {
        match self.waiting.iter().next_back() {
            Some((size, witnesses)) if *size > entries => {
                let what = format!(
                    "is missing: {} counts {size} entries; the tail was cut or an older copy put back",
                    witnesses[0].label
                );
                Err(tampered(format!("entry {}", entries + 1), what))
            }
            _ => Ok(()),
        }
    }
}
