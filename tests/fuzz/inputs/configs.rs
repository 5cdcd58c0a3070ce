//! The text of a `runbook.toml`, and the addresses of daemons in it.

use std::path::Path;

use docker::{Connection, Tls};
use runbook::config;

pub(super) fn feed(bytes: &[u8]) {
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    match config::targets_of(Path::new("/etc/runbook/runbook.toml"), text) {
        Err(error) => assert!(!error.message.is_empty()),
        Ok(targets) => {
            assert!(targets.iter().any(|target| target.name.as_str() == config::LOCAL));
            assert!(targets.is_sorted_by_key(|target| &target.name), "targets are sorted");
            for target in targets {
                let tls = target.tls.map(|files| Tls { ca: files.ca, cert: files.cert, key: files.key });
                if let Err(error) = Connection::parse(&target.connection, tls) {
                    assert!(super::is_tame(&error.to_string()), "{error}");
                }
            }
        }
    }
}
