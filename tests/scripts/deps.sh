#!/usr/bin/env bash
# Holds the dependencies to deny.toml: bans, licences, sources; advisories too where their database can be reached.
set -euo pipefail
cd "$(dirname "$0")/../.."

command -v cargo-deny >/dev/null || cargo install --locked cargo-deny
cargo deny --all-features check bans licenses sources

readonly database=https://github.com/RustSec/advisory-db
if timeout 20 git ls-remote --exit-code "$database" HEAD >/dev/null 2>&1; then
    cargo deny --all-features check advisories
else
    echo "deps: advisories not checked, their database cannot be reached" >&2
fi
