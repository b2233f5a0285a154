#!/usr/bin/env bash
# What CI has no time for: kill loops, long fuzzing, Miri with many seeds, ThreadSanitizer where it can be built, a soak
# of the whole system. Prints what it ran and what it could not; the log goes to bench/results/proof.txt with the commit.
set -euo pipefail
cd "$(dirname "$0")/.."
FUZZ_SECONDS=${FUZZ_SECONDS:-60}
SOAK_SECONDS=${SOAK_SECONDS:-120}
KILLS=${KILLS:-200}
MIRI_SEEDS=${MIRI_SEEDS:-0..4}
mkdir -p bench/results
log=bench/results/proof.txt
state=$(git diff --quiet HEAD || echo " (with changes)")
{
  echo "proof of commit $(git rev-parse --short HEAD)$state on $(date -u +%F)"
  echo "$(uname -sr), $(nproc) cores, rustc $(rustc --version | cut -d' ' -f2)"
} | tee "$log"
failed=0
part() {
  local name=$1 began=$SECONDS
  shift
  if "$@" >"target/proof-$name.log" 2>&1; then
    echo "passed   $name ($((SECONDS - began)) s)" | tee -a "$log"
  else
    echo "FAILED   $name ($((SECONDS - began)) s): target/proof-$name.log" | tee -a "$log"
    failed=1
  fi
}
skip() { echo "SKIPPED  $1: $2" | tee -a "$log"; }

mkdir -p target
part loom make loom
if [ "$MIRI_SEEDS" = none ]; then skip miri "MIRI_SEEDS=none; CI runs it with one seed"
elif cargo +nightly miri --version >/dev/null 2>&1; then part miri env MIRIFLAGS=-Zmiri-many-seeds="$MIRI_SEEDS" make miri; else skip miri "not installed"; fi
tsan() {
  RUSTFLAGS=-Zsanitizer=thread CARGO_TARGET_DIR=target/tsan cargo +nightly test -Zbuild-std --locked \
    --target x86_64-unknown-linux-gnu -p ticklane-shm-abi -p ticklane-client --lib --tests
}
if [ -d "$(rustc +nightly --print sysroot 2>/dev/null)/lib/rustlib/src/rust/library" ]; then part tsan tsan; else skip tsan "nightly has no rust-src"; fi
part kill-loop env TICKLANE_KILLS="$KILLS" cargo test --locked -p ticklane-shm-abi --test processes
cargo build --locked -p ticklane -p ticklane-engine -p ticklane-venue -p ticklane-gateway
part engine-kills env TICKLANE_KILLS=50 TICKLANE_CUTS=200 TICKLANE_DAYS=10 TICKLANE_DAY_MESSAGES=1005000 \
  TICKLANE_KILLS_OUT="$PWD/bench/results/kills.txt" TICKLANE_BIN_DIR="$PWD/target/debug" \
  cargo test --locked -p ticklane-bench --test system engines_are_killed
part system-seeds bash -c 'for seed in 1 2 3 4 5; do TICKLANE_SEED=$seed TICKLANE_BIN_DIR=$PWD/target/debug cargo test --locked -p ticklane-bench --test system cut_at; done'

part gateway-seeds bash -c 'for seed in 1 2 3 4 5; do TICKLANE_SEED=$seed TICKLANE_BIN_DIR=$PWD/target/debug cargo test --locked -p ticklane-bench --test gateway agree; done'
if bench/autobahn.sh >target/proof-autobahn.log 2>&1; then echo "passed   autobahn: $(head -1 target/proof-autobahn.log)" | tee -a "$log"
elif [ $? -eq 77 ]; then skip autobahn "$(tail -1 target/proof-autobahn.log)"
else echo "FAILED   autobahn: target/proof-autobahn.log" | tee -a "$log"; failed=1; fi

if FUZZ_SECONDS=$FUZZ_SECONDS bench/fuzz.sh >target/proof-fuzz.log 2>&1; then echo "passed   fuzz: bench/results/fuzz.txt" | tee -a "$log"
elif [ $? -eq 77 ]; then skip fuzz "$(tail -1 target/proof-fuzz.log)"
else echo "FAILED   fuzz: target/proof-fuzz.log" | tee -a "$log"; failed=1; fi

soak() {
  local out
  out=$(timeout $((SOAK_SECONDS + 120)) target/debug/ticklane up --rate 20000 --seconds "$SOAK_SECONDS" 2>&1) || { echo "$out"; return 1; }
  echo "$out"
}
part soak soak
if bench/demo.sh >target/proof-demo.log 2>&1; then echo "passed   demo: $(tail -1 target/proof-demo.log)" | tee -a "$log"
elif [ $? -eq 77 ]; then skip demo "$(tail -1 target/proof-demo.log)"
else echo "FAILED   demo: target/proof-demo.log" | tee -a "$log"; failed=1; fi
exit $failed
