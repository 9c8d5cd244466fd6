# Everything this repository does, as one word each. `make` alone prints them.

SHELL := /bin/sh
.DEFAULT_GOAL := help

# one profile for everything, so that nothing heavy is built twice
CARGO_FLAGS := --release --locked
# the peers' Python environment
PEERS ?= $(HOME)/.cache/warmlab-peers
PYTHON = $(PEERS)/bin/python
# Cockpit's, which needs an older setuptools
COCKPIT ?= $(HOME)/.cache/warmlab-cockpit
WARMLAB = $$(cargo metadata --format-version 1 --no-deps | sed 's/.*"target_directory":"\([^"]*\)".*/\1/')/release/warmlab

help: ## print this list
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed 's/:[^#]*## */\t/' | expand -t 14

setup: ## install what the system lacks (OpenBLAS, pkg-config) on Debian and Ubuntu
	@./setup.sh

build: setup ## build the binary
	@cargo build $(CARGO_FLAGS)

demo: build ## train with and without warmup on real text and show why it mattered
	@WARMLAB="$(WARMLAB)" sh examples/demo.sh

test: setup ## run the tests
	@if cargo nextest --version >/dev/null 2>&1; \
	then cargo nextest run $(CARGO_FLAGS); \
	else cargo test $(CARGO_FLAGS); fi

check: setup ## formatting, lints, documentation
	@cargo fmt --check
	@cargo clippy $(CARGO_FLAGS) --all-targets
	@RUSTDOCFLAGS="-D warnings" cargo doc $(CARGO_FLAGS) --no-deps

test-all: test $(PEERS) ## the slow suites too: narrower processors, 10,000 spectra, intervals over 200 seeds, 200 kills, a million damaged files, fixtures remade by PyTorch
	@for simd in avx2 scalar; do echo "WARMLAB_SIMD=$$simd"; \
	  WARMLAB_SIMD=$$simd cargo nextest run $(CARGO_FLAGS) || exit 1; done
	@cargo nextest run $(CARGO_FLAGS) --no-default-features
	@WARMLAB_SPECTRA=10000 cargo nextest run $(CARGO_FLAGS) spectra:: --no-capture
	@WARMLAB_COVERAGE=200 cargo nextest run $(CARGO_FLAGS) coverage:: --no-capture
	@WARMLAB_KILLS=200 cargo nextest run $(CARGO_FLAGS) kills:: --no-capture
	@WARMLAB_MUTATIONS=1000000 cargo nextest run $(CARGO_FLAGS) --test mutations
	@$(PYTHON) tests/fixtures/make.py && $(PYTHON) tests/fixtures/checkpoints.py && git diff --exit-code --stat tests/fixtures

miri: ## every kernel once in an interpreter that knows unwritten memory (rustup +nightly component add miri rust-src)
	@MIRIFLAGS="-Zmiri-disable-isolation -Zmiri-ignore-leaks -Zmiri-permissive-provenance -Zmiri-tree-borrows" \
	  cargo +nightly miri test --locked --lib kernels::flex::soundness

bench: setup ## time the kernels and products against the processor's floors
	@cargo bench --locked

bench-peers: build $(PEERS) ## the same work by PyTorch, PyHessian and hessian-eigenthings; CKPT= and DATA= choose a checkpoint
	@cargo bench --locked --bench engine --no-run
	@WARMLAB="$(WARMLAB)" PYTHON="$(PYTHON)" sh benches/peers/run.sh "$(CKPT)" "$(DATA)"

bench-cockpit: $(COCKPIT) ## what Cockpit adds to a PyTorch training step when it measures every step
	@$(COCKPIT)/bin/python -W ignore benches/peers/cockpit_overhead.py

$(PEERS): benches/peers/requirements.txt
	@python3 -m venv $(PEERS) && $(PYTHON) -m pip install -q -r $< && touch $(PEERS)

$(COCKPIT): benches/peers/requirements-cockpit.txt
	@python3 -m venv $(COCKPIT) && $(COCKPIT)/bin/pip install -q -r $< && touch $(COCKPIT)

.PHONY: help setup build demo test test-all check miri bench bench-peers bench-cockpit
