# Everything a newcomer runs: `make demo` and `make test`. Each target installs what it needs and
# says what it is doing. `make help` lists the rest.

SHELL := /bin/bash
.SHELLFLAGS := -eu -o pipefail -c
.DEFAULT_GOAL := help
export UV := $(shell command -v uv 2>/dev/null || echo "$${XDG_CACHE_HOME:-$$HOME/.cache}/presage/uv/bin/uv")
RUN := $(UV) run --frozen --no-sync
PYTEST := $(RUN) pytest
FAST := not cluster and not node

.PHONY: help
help: ## What can be made
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  %-16s%s\n", $$1, $$2}' $(MAKEFILE_LIST)

.PHONY: demo
demo: env packages ## The main job, live: make demo, or make demo CONTEXT=kind-kind on a cluster of yours
	$(RUN) presage demo $(if $(CONTEXT),--context $(CONTEXT)) $(DEMO_FLAGS)

.PHONY: test
test: check test-fast test-cluster ## Every check and every test

.PHONY: check
check: guard env ## Lint, format, types, layers, generated files
	@echo '── lint, format, types, layers'
	$(RUN) ruff check .
	$(RUN) ruff format --check .
	$(RUN) mypy
	$(RUN) lint-imports
	$(RUN) presage crds --check

.PHONY: test-fast
test-fast: guard env browser ## Tests without a cluster (under two minutes)
	@echo '── tests without a cluster'
	$(PYTEST) -m "$(FAST)" -n auto --dist loadgroup

.PHONY: test-cluster
test-cluster: guard env packages binaries ## Tests on the sandbox: a real control plane, and a real node where root allows it
	@echo '── tests on the sandbox'
	$(PYTEST) -m "cluster or node"

.PHONY: binaries
binaries: env ## Build the sandbox's programs (once: about 15 minutes on 2 cores, then cached)
	$(RUN) presage sandbox build

.PHONY: bench-overhead
bench-overhead: guard ## The sidecar against a direct connection and a Rust router
	$(UV) sync --frozen --quiet --group bench
	$(RUN) python -m benchmarks.overhead

.PHONY: bench-prediction
bench-prediction: env ## What learned lengths add to TTFT, against no prediction (about 5 minutes)
	$(RUN) python -m benchmarks.overhead --prediction

.PHONY: bench-simulator
bench-simulator: env ## Simulated requests a second, against the per-iteration reference; memory of ten million
	$(RUN) python -m benchmarks.simulator

.PHONY: evaluate
evaluate: env ## Rerun the evaluation of docs/evaluation.md (under an hour on 2 cores)
	@bash make/evaluate.sh

.PHONY: generate
generate: env ## Write the CRD and the API reference from the models
	$(RUN) presage crds

.PHONY: format
format: env ## Format and fix what can be fixed
	$(RUN) ruff format .
	$(RUN) ruff check --fix .

.PHONY: guard
guard:
	@sh make/guard-operator.sh

.PHONY: env
env: ## The locked Python environment in .venv
	@bash make/python-env.sh

.PHONY: packages
packages: ## Debian packages of the sandbox's node (needs root; otherwise says what is missing)
	@bash make/debian-packages.sh node

.PHONY: browser
browser:
	@bash make/debian-packages.sh browser

.PHONY: clean
clean: ## Remove what was made here (caches of built programs stay)
	rm -rf out dist .venv .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
