//! A receipt: proves that one entry stands in the log, with the public key alone and without the other entries.

use std::path::Path;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use rusqlite::{Connection, OptionalExtension as _};
use serde::{Deserialize, Serialize};

use super::base;
use super::checkpoint::Checkpoint;
use super::error::Error;
use super::hashes;
use super::key::{self, VerifierKey};
use super::schema::{self, signed};
use super::tampered::{VerifyError, tampered};
use super::tree::{self, Frontier, Hash, TILE_LEAVES};
use super::trust::TrustRow;

/// What a receipt says it is.
pub const RECEIPT_FORMAT: &str = "runbook-receipt/1";

/// No proof has more hashes: the tree would have 2^63 entries.
const MAX_PROOF_HASHES: usize = 63;

/// The inclusion proof of one entry (RFC 6962, 2.1.1) under a signed checkpoint. Below 2 KiB without the body.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Receipt {
    /// The exact body of the entry, unless it is handed over separately.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub body: Option<String>,
    /// A signed note.
    pub checkpoint: String,
    /// [`RECEIPT_FORMAT`].
    pub format: String,
    /// The leaf: SHA-256 of 0x00 and the body, base64.
    pub hash: String,
    /// The siblings from the leaf up, base64.
    pub proof: Vec<String>,
    /// Which entry.
    pub seq: u64,
}

/// What a receipt proves.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Proven {
    /// Which entry.
    pub seq: u64,
    /// Of a log of how many entries.
    pub entries: u64,
    /// The body, if it was at hand and so is proved, too.
    pub body: Option<String>,
}

/// The receipt of an entry, with its body; none if there is no such entry.
pub fn prove(dir: &Path, seq: u64) -> Result<Option<Receipt>, Error> {
    let db = schema::open_reader(&schema::database(dir))?;
    db.execute_batch("BEGIN")?;
    let row = TrustRow::read(&db)?;
    if seq == 0 || seq > row.size {
        return Ok(None);
    }
    let sql = "SELECT body FROM entry WHERE seq = ?1";
    let body: Option<String> = db.query_row(sql, [signed(seq)], |row| row.get(0)).optional()?;
    let Some(body) = body else { return Ok(None) };
    let base = base::base(&db)?;
    let proof = tree::inclusion(seq - 1, row.size, &mut |from, to| range(&db, &base, from, to))?;
    let receipt = Receipt {
        checkpoint: row.checkpoint,
        format: RECEIPT_FORMAT.to_owned(),
        hash: BASE64.encode(tree::leaf(body.as_bytes())),
        proof: proof.iter().map(|hash| BASE64.encode(hash)).collect(),
        seq,
        body: Some(body),
    };
    // A log that was tampered with gives no receipts.
    match verify_receipt(&receipt, &key::public_key(dir)?, None) {
        Ok(_) => Ok(Some(receipt)),
        Err(VerifyError::Unreadable(error)) => Err(error),
        Err(VerifyError::Tampered(tampered)) => Err(Error::damaged(tampered.to_string())),
    }
}

/// Checks a receipt with nothing but the public key; `body` is that of the entry if the receipt does not hold it.
pub fn verify_receipt(
    receipt: &Receipt,
    key: &VerifierKey,
    body: Option<&str>,
) -> Result<Proven, VerifyError> {
    let place = format!("entry {}", receipt.seq);
    let wrong = |what: &str| tampered(place.clone(), what);
    if receipt.format != RECEIPT_FORMAT {
        return Err(tampered("the receipt", format!("its format is not `{RECEIPT_FORMAT}`")));
    }
    let checkpoint = Checkpoint::open(&receipt.checkpoint, key)
        .map_err(|error| tampered("the signed checkpoint", error.to_string()))?;
    let hash = decode(&receipt.hash).ok_or_else(|| wrong("its hash is not 32 bytes in base64"))?;
    let body = body.or(receipt.body.as_deref());
    if let Some(body) = body {
        if tree::leaf(body.as_bytes()) != hash {
            return Err(wrong("the body does not match its hash"));
        }
        let told = serde_json::from_str::<serde_json::Value>(body).ok().and_then(|body| body["seq"].as_u64());
        if told != Some(receipt.seq) {
            return Err(wrong("its body says that it is another entry"));
        }
    }
    if receipt.proof.len() > MAX_PROOF_HASHES {
        return Err(wrong("its proof is too long"));
    }
    let proof: Option<Vec<Hash>> = receipt.proof.iter().map(|hash| decode(hash)).collect();
    let proof = proof.ok_or_else(|| wrong("its proof is not hashes in base64"))?;
    let index = receipt.seq.checked_sub(1).ok_or_else(|| wrong("was never written"))?;
    if tree::root_from_inclusion(index, checkpoint.size, hash, &proof) != Some(checkpoint.root) {
        return Err(wrong("its proof does not lead to the root of the signed checkpoint"));
    }
    Ok(Proven { seq: receipt.seq, entries: checkpoint.size, body: body.map(str::to_owned) })
}

fn decode(text: &str) -> Option<Hash> {
    Hash::try_from(BASE64.decode(text).ok()?).ok()
}

/// The hash of the subtree over leaves `from..to`: whole tiles, then single leaves; those that were moved to an archive are
/// part of the tree over them.
fn range(db: &Connection, base: &Frontier, from: u64, to: u64) -> Result<Hash, Error> {
    let mut tree = Frontier::default();
    if to - from >= TILE_LEAVES {
        tree = hashes::tiles(db, from, to - to % TILE_LEAVES)?;
    }
    let next = from + tree.size();
    if next < base.size().min(to) {
        let part = base.part(next, to).ok_or_else(|| Error::damaged("a part of the tree was archived"))?;
        tree.append(part);
    }
    hashes::leaves(db, from, to, &mut tree)?;
    Ok(tree.root())
}
