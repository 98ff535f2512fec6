# The project's commands; a bare `make` lists them.
.DEFAULT_GOAL := help
SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.ONESHELL:
.SILENT:

VENV ?= .venv
BIN := $(VENV)/bin
UV_COMPILE := uv pip compile pyproject.toml --universal --python-version 3.11 --no-emit-index-url --no-emit-find-links \
	--generate-hashes --no-annotate --no-header --quiet

.PHONY: help
help:  ## List the commands
	awk -F ':.*  ## ' '/^[a-z][a-z-]*:.*  ## / {printf "make %-18s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

.PHONY: serve
serve: $(VENV)/.serve  ## Run model server and gateway here, without Docker (GATEWAY_PORT, SERVING_PORT, MODELS_DIR)
	exec $(BIN)/python -m deploy.serve

.PHONY: test
test: $(VENV)/.dev  ## Pass all tests, on real processes (all but compose-test); SCHEMATHESIS_REQUESTS=5000 for more of them
	$(BIN)/python -m pytest $(PYTEST_ARGS)

.PHONY: check
check: $(VENV)/.dev  ## Lint, format and types
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

.PHONY: conformance
conformance: $(VENV)/.dev  ## Hold /v1 against TensorFlow Serving's REST port (CASES=file MODELS=folder for other cases than ours)
	CONFORMANCE_CASES="$(CASES)" CONFORMANCE_MODELS="$(MODELS)" $(BIN)/python -m pytest tests/conformance $(PYTEST_ARGS)

.PHONY: upstream-test
upstream-test: $(VENV)/.upstream  ## Pass tensorflow/serving's own test of its server (UPSTREAM_SERVING=folder of a checkout of it)
	[[ -n "$${UPSTREAM_SERVING:=$(UPSTREAM_SERVING)}" ]] ||
		{ echo "upstream-test: UPSTREAM_SERVING is not set: expected the folder of a checkout of tensorflow/serving" >&2; exit 1; }
	UPSTREAM_SERVING="$$UPSTREAM_SERVING" $(BIN)/python -m pytest tests/upstream $(PYTEST_ARGS)

.PHONY: test-faults
test-faults: $(VENV)/.dev  ## Let one thing after the other fail under load (as root all of them; LONG_TESTS=1 for longer)
	$(BIN)/python -m pytest tests/faults $(PYTEST_ARGS)

.PHONY: fault-table
fault-table: $(VENV)/.dev  ## Run the same faults for longer, and write FAULTS.md (ten minutes; needs root)
	LONG_TESTS=1 FAULT_TABLE=1 $(BIN)/python -m pytest tests/faults -k "not documentation" $(PYTEST_ARGS)

.PHONY: compose-test
compose-test: $(VENV)/.dev  ## Run the whole stack in a Docker engine, with our model server's image
	$(BIN)/python -m pytest tests/compose -m compose

.PHONY: console-pictures
console-pictures: $(VENV)/.dev  ## Take the pictures of docs/console.md anew, of a real stack (two minutes; needs Chromium)
	CONSOLE_PICTURES=$(CURDIR)/docs/console $(BIN)/python -m pytest tests/console/test_pictures.py $(PYTEST_ARGS)

.PHONY: console-assets
console-assets: $(VENV)/.serve  ## Fetch the console's libraries by npm, and hold the files in the tree against them (needs npm)
	$(BIN)/python -m deploy.console_assets

.PHONY: dashboard
dashboard: $(VENV)/.dev  ## Draw the dashboard anew, for the documentation (three minutes; needs Prometheus, Redis and Chromium)
	$(BIN)/python -m deploy.observability dashboard
	DASHBOARD_PICTURE=$(CURDIR)/deploy/observability/dashboard.png $(BIN)/python -m pytest tests/observability/test_run.py $(PYTEST_ARGS)

.PHONY: bench
bench: $(VENV)/.bench  ## Measure the gateway beside what one would use without it (minutes; needs wrk; BENCH_ARGS=--help)
	$(BIN)/python -m benchmarks run $(BENCH_ARGS)

.PHONY: bench-peers
bench-peers: $(VENV)/.bench  ## Measure the gateway beside other model servers, which are installed under .bench/ (BENCH_ARGS=--help)
	$(BIN)/python -m benchmarks peers $(BENCH_ARGS)

.PHONY: bench-instructions
bench-instructions: $(VENV)/.bench  ## Count the instructions of a request beside those that are kept (two minutes; needs valgrind)
	$(BIN)/python -m benchmarks instructions $(BENCH_ARGS)

.PHONY: lock
lock:  ## Pin the dependencies of pyproject.toml anew, into requirements/ (needs uv)
	$(UV_COMPILE) --extra tensorflow --extra export --extra otel --extra dev -o requirements/dev.txt
	$(UV_COMPILE) --extra tensorflow --extra otel -c requirements/dev.txt -o requirements/serve.txt
	$(UV_COMPILE) --extra tensorflow --extra otel --extra bench -c requirements/dev.txt -o requirements/bench.txt
	$(UV_COMPILE) --no-config --extra otel --override requirements/no-tensorflow.txt -c requirements/dev.txt -o requirements/gateway.txt

.PHONY: clean
clean:  ## Remove the virtual environment, logs and caches (not the models and their rollouts)
	rm -rf $(VENV) .run/*.log .run/*.log.1 .mypy_cache .ruff_cache .pytest_cache .hypothesis
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

$(VENV)/.serve: requirements/serve.txt
	deploy/venv.sh $(VENV) $<
	touch $@

$(VENV)/.dev: requirements/dev.txt
	deploy/venv.sh $(VENV) $<
	touch $@ $(VENV)/.serve

$(VENV)/.upstream: requirements/upstream.txt | $(VENV)/.dev
	deploy/venv.sh $(VENV) $<
	touch $@

$(VENV)/.bench: requirements/bench.txt
	deploy/venv.sh $(VENV) $<
	touch $@
