#!/usr/bin/env bash
# What `make test` and CI run: set-up, format, lints, then every test. Tests run as root (through sudo where the
# user is not root), because they load BPF programs and make network namespaces.
set -euo pipefail
cd "$(dirname "$0")/.."
scripts/setup.sh build run

triple=$(rustc -vV | sed -n 's/^host: //p')
runner="CARGO_TARGET_$(echo "$triple" | tr 'a-z-' 'A-Z_')_RUNNER"
export "$runner=$PWD/scripts/as-root.sh"

echo "test: format"
cargo fmt --all -- --check
echo "test: lints"
cargo clippy --locked --workspace --all-targets -- -D warnings
echo "test: the lock file of the fuzz targets"
cargo metadata --locked --format-version 1 --manifest-path fuzz/Cargo.toml >/dev/null
echo "test: binaries that the end-to-end tests start"
cargo build --locked --workspace --bins
echo "test: all tests"
cargo test --locked --workspace --no-fail-fast
