#!/usr/bin/env bash
# Runs every fuzz target for FUZZ_SECONDS, FUZZ_JOBS of them at a time, and fails if one of them crashed or hung. What it
# found worth keeping stays in target/fuzz-corpus and is where the next run begins; results go to bench/results/fuzz.txt.
# FUZZ_CRATE: only this crate's (engine/journal, say), into fuzz-journal.txt.
set -euo pipefail
cd "$(dirname "$0")/.."
FUZZ_SECONDS=${FUZZ_SECONDS:-60}
FUZZ_JOBS=${FUZZ_JOBS:-$(nproc)}
crates=(engine/wire engine/journal shm-abi gateway/core)
log=bench/results/fuzz.txt
if [ -n "${FUZZ_CRATE:-}" ]; then
  crates=("$FUZZ_CRATE")
  log=bench/results/fuzz-$(basename "$FUZZ_CRATE").txt
fi
if ! cargo +nightly --version >/dev/null 2>&1; then
  echo "SKIPPED: no nightly toolchain (rustup toolchain install nightly)"
  exit 77
fi
mkdir -p bench/results target/fuzz-logs
# By hand what cargo-fuzz does, so that it need not be installed: libFuzzer with nightly's coverage.
host=$(rustc -vV | sed -n 's/^host: //p')
flags="--cfg fuzzing -Cpasses=sancov-module -Cllvm-args=-sanitizer-coverage-level=4 -Cllvm-args=-sanitizer-coverage-inline-8bit-counters -Cllvm-args=-sanitizer-coverage-pc-table -Cllvm-args=-sanitizer-coverage-trace-compares -Ccodegen-units=1 -Cdebug-assertions -Coverflow-checks"
names=()
for crate in "${crates[@]}"; do
  RUSTFLAGS="$flags" CARGO_TARGET_DIR="$PWD/target/fuzz" \
    cargo +nightly build --release --target "$host" --manifest-path "$crate/fuzz/Cargo.toml"
  for target in "$crate"/fuzz/fuzz_targets/*.rs; do names+=("$(basename "$target" .rs)"); done
done

one() {
  local name=$1 corpus=target/fuzz-corpus/$1 out=target/fuzz-logs/$1.log status=passed
  mkdir -p "$corpus"
  # A unit of 10 s is a hang; libFuzzer keeps what crashed beside the logs.
  "target/fuzz/$host/release/$name" -max_total_time="$FUZZ_SECONDS" -timeout=10 -rss_limit_mb=2048 \
    -artifact_prefix="target/fuzz-logs/$name-" "$corpus" >"$out" 2>&1 || status=FAILED
  echo "$status   $name: $(sed -n 's/^Done \([0-9]* runs in [0-9]* second.*\)/\1/p' "$out" | tail -1), coverage $(sed -n 's/.* cov: \([0-9]*\) .*/\1/p' "$out" | tail -1)"
  [ "$status" = passed ]
}
export -f one
export host FUZZ_SECONDS
state=$(git diff --quiet HEAD || echo " (with changes)")
{
  echo "every fuzz target${FUZZ_CRATE:+ of $FUZZ_CRATE} for $FUZZ_SECONDS s, $FUZZ_JOBS at a time, of commit $(git rev-parse --short HEAD)$state on $(date -u +%F)"
  echo "$(uname -sr), $(nproc) cores, rustc $(rustc +nightly --version | cut -d' ' -f2)"
} | tee "$log"
printf '%s\n' "${names[@]}" | xargs -P "$FUZZ_JOBS" -I{} bash -c 'one {}' | tee -a "$log"
