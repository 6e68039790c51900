#!/usr/bin/env bash
# Fuzzes what reads text: each target of fuzz/ for FUZZ_SECONDS (60). A finding fails, and is kept in fuzz/findings: put
# it into fuzz/corpus/TARGET, where `make test` runs it. TARGETS="json time" runs those only.
#
# It needs a nightly compiler (rustup toolchain install nightly) for libFuzzer's instrumentation, and a C++ compiler;
# cargo-fuzz is not needed.
set -euo pipefail
cd "$(dirname "$0")/../fuzz"

triple=$(rustc -vV | sed -n 's/^host: //p')
cover=-Cllvm-args=-sanitizer-coverage
export RUSTFLAGS="--cfg fuzzing -Cpasses=sancov-module $cover-level=4 $cover-inline-8bit-counters $cover-pc-table \
$cover-trace-compares -Ccodegen-units=4"

echo "fuzz: building (cargo +nightly build --release)"
cargo +nightly build --locked --release --target "$triple"

mkdir -p findings
for target in ${TARGETS:-json filter selector manifest time}; do
  echo "fuzz: $target, ${FUZZ_SECONDS:-60} s"
  mkdir -p "work/$target"
  "${CARGO_TARGET_DIR:-target}/$triple/release/$target" "work/$target" "corpus/$target" -max_total_time="${FUZZ_SECONDS:-60}" \
    -timeout=10 -rss_limit_mb=2048 -max_len=4096 -artifact_prefix="findings/$target-" -verbosity=0 -print_final_stats=1
done
