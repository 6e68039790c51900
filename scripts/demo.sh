#!/usr/bin/env bash
# The np-demo story on real packets. KEEP=1 leaves the node and the agent up.
set -euo pipefail
cd "$(dirname "$0")/.."
scripts/setup.sh build run
echo "demo: building (cargo build --profile demo)"
cargo build --locked --profile demo --bins
bin=${CARGO_TARGET_DIR:-target}/demo
keep=()
if [ "${KEEP:-}" = 1 ]; then keep=(--keep); fi
exec scripts/as-root.sh "$bin/palomar-lab" demo --agent "$bin/palomar-agent" --palomar "$bin/palomar" "${keep[@]}"
