# The short names for what a developer and the CI do. `make` alone lists them.
.DEFAULT_GOAL := help
.PHONY: help test lint bench demo

help: ## list the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-8s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

test: ## install what the tests need, then run all of them, the quick ones first
	tests/setup.sh
	cargo test --locked --lib --bins --test tidy
	cargo test --locked --test '*'
	cargo test --locked --doc

lint: ## formatting, clippy and rustdoc, warnings denied
	cargo fmt --check
	cargo clippy --locked --all-targets -- -D warnings
	RUSTDOCFLAGS='-D warnings' cargo doc --locked --no-deps --document-private-items

bench: ## requests per second and CPU per request, beside nginx
	bench/run.sh

demo: ## the whole thing on loopback, with nothing installed
	cargo run --locked -- demo
