//! An export of the audit log, from a stranger.

use audit::verify_stream;

pub(super) fn feed(bytes: &[u8]) {
    let mut lines = bytes;
    match verify_stream(&mut lines, &super::key(), None) {
        Ok(exported) => assert!(exported.entries > 0 && lines.is_empty(), "all of it was looked at"),
        Err(error) => assert!(!error.to_string().is_empty()),
    }
}
