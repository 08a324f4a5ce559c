# make run    start the relay in development mode on http://localhost:8000 (any setting: make run PORT=9000 LOG_LEVEL=DEBUG)
# make test   install what the tests need, then run them all
# make lint   ruff, mypy --strict, and tsc over web/ where there is npm
# make fuzz   fuzz one target, guided by coverage (make fuzz TARGET=rtcp SECONDS=600)
# make bench-signaling  measure how long an invitation takes with 2,000 devices connected
# make bench  measure the media plane beside other servers (make bench-peers installs them)

PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin

# Every NAME=VALUE given on the command line becomes RELAY_NAME, except the Makefile's own variables.
OWN := PYTHON VENV BIN TESTS BENCH TARGET SECONDS
GIVEN := $(foreach v,$(.VARIABLES),$(if $(filter command,$(firstword $(origin $(v)))),$(v)))
OVERRIDES = $(foreach v,$(filter-out $(OWN) MAKEFLAGS,$(GIVEN)),RELAY_$(v)='$($(v))')

.PHONY: run test lint format bench bench-signaling bench-peers fuzz clean
.DEFAULT_GOAL := run

run: $(BIN)/.relay
	@RELAY_DEV=1 $(OVERRIDES) exec $(BIN)/python -m relay serve

test: $(BIN)/.dev
	@tests/install-peers
	$(BIN)/python -m pytest $(TESTS)

lint: $(BIN)/.dev
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	@if command -v npm >/dev/null; then npx --yes --package=typescript@5.9 tsc -p web; else echo "npm is missing: web/ is not type-checked" >&2; fi

format: $(BIN)/.dev
	$(BIN)/ruff check --fix-only .
	$(BIN)/ruff format .

bench: $(BIN)/.bench
	$(BIN)/python -m bench $(BENCH)

bench-signaling: $(BIN)/.bench
	$(BIN)/python -m bench.signaling $(BENCH)

bench-peers:
	@bench/install-peers

TARGET ?= demultiplexer
SECONDS ?= 60
fuzz: $(BIN)/.dev
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -e '.[fuzz]'
	$(BIN)/python -m tests.fuzz.coverage_guided $(TARGET) -max_total_time=$(SECONDS)

clean:
	rm -rf .fuzz $(VENV) build dist *.egg-info .mypy_cache .ruff_cache .pytest_cache .hypothesis

$(BIN)/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { echo "The relay needs Python 3.11 or newer; say which: make PYTHON=python3.12" >&2; exit 1; }
	$(PYTHON) -m venv $(VENV)

$(BIN)/.relay: setup.cfg pyproject.toml | $(BIN)/python
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -e .
	@touch $@

$(BIN)/.bench: setup.cfg pyproject.toml | $(BIN)/python
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -e '.[bench]'
	@touch $@ $(BIN)/.relay

$(BIN)/.dev: setup.cfg pyproject.toml | $(BIN)/python
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -e '.[dev]'
	@touch $@ $(BIN)/.relay
