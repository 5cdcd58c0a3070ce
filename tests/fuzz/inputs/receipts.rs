//! A receipt of an entry, from a stranger.

use audit::{Receipt, verify_receipt};

pub(super) fn feed(bytes: &[u8]) {
    let Ok(receipt) = serde_json::from_slice::<Receipt>(bytes) else { return };
    for body in [None, Some(""), Some("{\"seq\":1}")] {
        match verify_receipt(&receipt, &super::key(), body) {
            Ok(proven) => {
                assert!(proven.seq == receipt.seq && proven.seq <= proven.entries && body.is_none());
            }
            Err(error) => assert!(!error.to_string().is_empty()),
        }
    }
}
