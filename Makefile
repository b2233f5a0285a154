# What a newcomer runs: `make demo` and `make test`. What a maintainer runs: `make lint`, `make proof`, `make bench`.
SHELL := /bin/bash
.SHELLFLAGS := -eu -o pipefail -c
.DEFAULT_GOAL := help

CARGO ?= cargo
# How long the demo shows its market. 0: until Ctrl-C.
DEMO_SECONDS ?= 0
DEMO_RATE ?= 5000

PROGRAMS := ticklane ticklane-engine ticklane-venue ticklane-gateway
BUILD_PROGRAMS := $(addprefix -p ,$(PROGRAMS))

.PHONY: help
help: ## lists the targets
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | awk -F ':.*## ' '{printf "  make %-12s %s\n", $$1, $$2}'

.PHONY: check-tools
check-tools:
	@command -v $(CARGO) >/dev/null || { echo "cargo not found: install Rust 1.95 or later (rustup.rs) and a C compiler"; exit 1; }
	@command -v cc >/dev/null || { echo "cc not found: install a C compiler (Debian: apt-get install build-essential)"; exit 1; }

.PHONY: demo
demo: check-tools ## builds everything and shows a moving market, on a page and in this terminal (Ctrl-C ends it)
	@echo "== building the engine, the gateway, the venue and the tools (release; a few minutes the first time)"
	$(CARGO) build --release --locked $(BUILD_PROGRAMS)
	@echo "== starting a synthetic exchange, the engine and the gateway: open the page that is named below; Ctrl-C stops all"
	exec target/release/ticklane up --watch --rate $(DEMO_RATE) --seconds $(DEMO_SECONDS)

.PHONY: test
test: check-tools ## passes all tests: unit, property, process, whole system
	@echo "== building the programs that the whole-system tests start"
	$(CARGO) build --locked $(BUILD_PROGRAMS)
	@echo "== running the tests of every crate (tests that need the reference data say so when it is absent)"
	TICKLANE_BIN_DIR=$(CURDIR)/target/debug $(CARGO) test --locked --workspace
	@echo "== all tests passed"

.PHONY: lint
lint: check-tools ## formatting, clippy with warnings denied, licences and advisories
	$(CARGO) fmt --all --check
	$(CARGO) clippy --locked --workspace --all-targets -- -D warnings
	@if command -v cargo-deny >/dev/null; then cargo deny check; else echo "cargo-deny is not installed: licences and advisories not checked (cargo install cargo-deny)"; fi

.PHONY: loom
loom: check-tools ## model-checks the orderings of shm-abi, each also weakened
	RUSTFLAGS="--cfg loom" CARGO_TARGET_DIR=target/loom $(CARGO) test --locked -p ticklane-shm-abi --release --test loom

.PHONY: miri
miri: check-tools ## runs shm-abi's in-memory tests under Miri, where it can be had
	@rustup +nightly component add miri rust-src >/dev/null 2>&1 || true
	@if cargo +nightly miri --version >/dev/null 2>&1; then \
	  CARGO_TARGET_DIR=target/miri cargo +nightly miri test --locked -p ticklane-shm-abi --lib --test ring --test records; \
	else echo "SKIPPED: Miri is not installed (rustup +nightly component add miri rust-src)"; fi

.PHONY: proof
proof: ## kill loops, loom, Miri, long fuzzing, soak: what CI has no time for; writes bench/results
	bench/proof.sh

.PHONY: fuzz
fuzz: check-tools ## runs every fuzz target for FUZZ_SECONDS (60), a core each; writes bench/results
	bench/fuzz.sh

.PHONY: bench
bench: check-tools ## measures every promise against its floor and its peers; writes bench/results
	$(CARGO) build --release --locked -p ticklane-bench -p ticklane-engine -p ticklane-venue -p ticklane-gateway
	mkdir -p bench/results
	target/release/bench all --json bench/results/bench.json

.PHONY: clean
clean: ## removes what was built
	$(CARGO) clean
