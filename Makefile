# Everything this repository does, as one word each. `make` alone prints them.

SHELL := /bin/sh
.DEFAULT_GOAL := help

# one profile for everything, so that nothing heavy is built twice
CARGO_FLAGS := --release --locked
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

bench: setup ## time the kernels and products against the processor's floors
	@cargo bench --locked

.PHONY: help setup build demo test check bench
