# Palomar's few commands. Each does its own set-up and says what it installs.
SHELL := /bin/bash
.PHONY: demo test test-long bench fmt lint help

help: ## this list
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*##/\t/' | expand -t 12

demo: ## the np-demo story on real packets; KEEP=1 leaves node and agent up
	@scripts/demo.sh

test: ## everything CI runs: format, lints, all tests, those on real packets included
	@scripts/test.sh

test-long: ## test, with twenty times the cases of CI in every property test (millions of packets against the kernel), ten minutes of overload, and a minute of each fuzz target: about an hour on two cores
	@PROPTEST_CASES=5120 PALOMAR_OVERLOAD_SECONDS=600 scripts/test.sh
	@scripts/fuzz.sh

bench: ## what it costs: packets, policies, ring, and traffic between two pods
	@scripts/bench.sh

fmt: ## format the code
	cargo fmt --all

lint: ## formatting and lints, as CI wants them
	cargo fmt --all -- --check
	cargo clippy --workspace --all-targets -- -D warnings
