# `make demo` and `make test` are all the set-up there is: each makes .venv from hashed pins.
PYTHON ?= $(shell command -v python3.11 || command -v python3)
VENV   := .venv
BIN    := $(VENV)/bin
READY  := $(VENV)/.ready
PEERS  := .venv-bench
PINS   := uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-emit-index-url \
	--no-header --no-annotate

.DEFAULT_GOAL := help
.PHONY: help demo browser test lint types imports unit coverage thorough docs pins bench clean

help: ## show the targets
	@grep -E '^[a-z]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 10

$(READY): requirements/dev.txt pyproject.toml
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements/dev.txt
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation -e .
	@touch $@

demo: $(READY) ## run the main job on the built-in simulator
	@PATH="$(abspath $(BIN)):$$PATH" examples/quickstart/demo.sh

test: lint types imports unit ## everything that the continuous integration checks

lint: $(READY) ## style
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

types: $(READY) ## types
	$(BIN)/mypy

imports: $(READY) ## architecture: who may import whom
	$(BIN)/lint-imports

unit: $(READY) ## tests
	$(BIN)/python -m pytest -n auto

coverage: $(READY) ## tests with branch coverage: twice the time
	$(BIN)/python -m pytest -n auto --cov --cov-report=term

browser: ## a Chromium for the tests of the HTML report, where Debian's packages have one
	@command -v chromedriver >/dev/null || { test "$$(id -u)" = 0 && command -v apt-get >/dev/null && \
		export DEBIAN_FRONTEND=noninteractive && timeout 120 apt-get update -qq >/dev/null 2>&1 && \
		timeout 120 apt-get install -y -qq --no-install-recommends chromium chromium-driver >/dev/null 2>&1; } || \
		echo "No Chromium could be installed: the tests of the HTML report in a browser are skipped."

thorough: $(READY) ## the tests with four times as many examples of every law
	AUDITOR_THOROUGH=1 $(BIN)/python -m pytest -n auto

$(PEERS)/.ready: requirements/bench.txt
	$(PYTHON) -m venv $(PEERS)
	$(PEERS)/bin/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements/bench.txt
	@touch $@

bench: $(READY) $(PEERS)/.ready ## benchmarks beside their alternatives, as ratios
	$(BIN)/python -m benchmarks

docs: $(READY) ## write what is made from code and policies: schemas and pages
	$(BIN)/python -m auditor.config.schemas
	$(BIN)/python -m auditor.app.policy_pages

pins: ## renew the hashed pins (needs uv)
	$(PINS) pyproject.toml --extra simulator --group dev -o requirements/dev.txt
	$(PINS) pyproject.toml --extra simulator --group image -c requirements/dev.txt -o requirements/image.txt
	$(PINS) --group bench -o requirements/bench.txt

clean: ## forget what can be made again
	rm -rf $(VENV) $(PEERS) .mypy_cache .pytest_cache .ruff_cache .import_linter_cache .coverage .coverage.*
