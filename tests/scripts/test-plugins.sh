#!/usr/bin/env bash
# The plugins' own checks, on this machine's processor: format, lints, and their tests against the mock host.
set -euo pipefail
cd "$(dirname "$0")/../../plugins"

cargo fmt --all --check
cargo clippy --workspace --all-targets --locked -- -D warnings
cargo test --workspace --locked
