.DEFAULT_GOAL := help
.PHONY: help serve test bench setup bindings bindings-check

CARGO ?= cargo
# Arguments of the server, as in `make serve ARGS="-m model.gguf -c 32768"`.
ARGS ?=

help: ## List the targets
	@sed -n 's/^\([a-z-]*\):.*## \(.*\)/\1	\2/p' $(MAKEFILE_LIST) | expand -t 20

serve: setup ## Build the server and run it; ARGS="-m model.gguf …" names a model
	$(CARGO) run --release --locked -p llama-server-rs -- $(ARGS)

test: setup ## Build and run all tests
	$(CARGO) test --workspace --locked

bench: setup ## Measure what a reply costs on this machine
	$(CARGO) bench --locked --bench generate

setup: ## Install cmake, ninja and a C++ compiler where missing
	@scripts/setup.sh $(if $(BINDGEN),--bindgen)

BINDINGS := llama-sys/src/bindings.rs

bindings: ## Generate llama-sys's bindings from the headers (needs libclang)
	LLAMA_SYS_BINDINGS='$(CURDIR)/$(BINDINGS)' $(CARGO) check -p llama-sys --features bindgen

bindings-check: ## Fail if the bindings are not what the headers say
	@fresh=$$(mktemp) && trap 'rm -f "$$fresh"' EXIT && \
	LLAMA_SYS_BINDINGS="$$fresh" $(CARGO) check -p llama-sys --features bindgen && \
	if diff -u $(BINDINGS) "$$fresh"; then \
		echo 'bindings are up to date'; \
	else \
		echo 'bindings are stale: run `make bindings`' >&2; exit 1; \
	fi
