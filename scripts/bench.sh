#!/usr/bin/env bash
# What Palomar costs. BENCH=packet|drops|policy|enforce|change|ring|kernel|query|metrics|saved|connections|input|server_output|simulate|probes|
# traffic|programs|cut|agent (or several, with spaces) runs those parts only; arguments go to palomar-lab bench, such as --topology bridge or --rounds 15.
set -euo pipefail
cd "$(dirname "$0")/.."

parts=${BENCH:-packet drops policy enforce change ring kernel query metrics saved connections input server_output simulate probes traffic programs cut agent}
lab_parts=()
crate_benches=()
for part in $parts; do
  case "$part" in
    packet | drops) crate_benches+=("palomar-bpf:$part") ;;
    policy) crate_benches+=(palomar-policy:compile) ;;
    enforce | change | ring | kernel | query | metrics | saved | connections) crate_benches+=("palomar-agent:$part") ;;
    input | server_output | simulate | probes) crate_benches+=("palomar-cli:$part") ;;
    traffic | programs | cut | agent) lab_parts+=("$part") ;;
    *)
      echo "bench: unknown part '$part'; choose from: packet, drops, policy, enforce, change, ring, kernel, query, metrics, saved, connections, input, server_output, simulate, probes, traffic, programs, cut, agent" >&2
      exit 1
      ;;
  esac
done

scripts/setup.sh build run bench

# the packet bench compiles an empty program to compare with
PALOMAR_CLANG=${PALOMAR_CLANG:-$(command -v clang-14 || command -v clang)}
export PALOMAR_CLANG
triple=$(rustc -vV | sed -n 's/^host: //p')
runner="CARGO_TARGET_$(echo "$triple" | tr 'a-z-' 'A-Z_')_RUNNER"
export "$runner=$PWD/scripts/as-root.sh"

echo "bench: building (cargo build --release, cargo bench --no-run)"
for bench in "${crate_benches[@]}"; do
  cargo bench --locked --no-run -p "${bench%:*}" --bench "${bench#*:}"
done
if [ "${#lab_parts[@]}" -gt 0 ]; then cargo build --locked --release --bins; fi

echo
echo "Machines are noisy, and this one may be busy: only ratios within one run count, with their spread."
echo "$(nproc) CPUs, Linux $(uname -r), load $(cut -d' ' -f1-3 /proc/loadavg), $(date -u +%F)"

for bench in "${crate_benches[@]}"; do
  echo
  echo "## ${bench%:*}: cargo bench -p ${bench%:*} --bench ${bench#*:}"
  cargo bench --locked --quiet -p "${bench%:*}" --bench "${bench#*:}"
done
if [ "${#lab_parts[@]}" -gt 0 ]; then
  echo
  bin=${CARGO_TARGET_DIR:-target}/release
  scripts/as-root.sh "$bin/palomar-lab" bench "${lab_parts[@]}" --agent "$bin/palomar-agent" --palomar "$bin/palomar" "$@"
fi
