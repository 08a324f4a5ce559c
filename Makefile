# make run    start the relay in development mode on http://localhost:8000 (any setting: make run PORT=9000 LOG_LEVEL=DEBUG)
# make cluster  start three nodes with Redis, PostgreSQL and haproxy on this machine (make cluster NODES=5 PORT=9000)
# make quick  run the tests that take no browser, network lab or server to start, and no long fuzzing (a part: make quick TESTS=tests/sdp)
# make test   install what the tests need, then run them all (a part: make test TESTS=tests/lab)
# make lint   ruff, mypy --strict, and tsc over web/ where there is npm
# make fuzz   fuzz one target, guided by coverage (make fuzz TARGET=rtcp SECONDS=600)
# make bench-signaling  measure how long an invitation takes with 2,000 devices connected
# make bench-cluster  measure what it costs that the two devices of a call are at different nodes
# make bench-verify  measure how fast recordings are verified
# make lock   resolve requirements.lock and requirements-dev.lock anew, to the newest versions that setup.cfg allows
# make bench  measure the media plane beside other servers (make bench-peers installs them)

PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin

# Every NAME=VALUE given on the command line becomes RELAY_NAME, except the Makefile's own variables. In the environment: what stands
# on a command line, every user of the machine can read.
OWN := PYTHON VENV BIN NODES TESTS PROCESSES BROWSERS BENCH TARGET SECONDS
GIVEN := $(foreach v,$(.VARIABLES),$(if $(filter command,$(firstword $(origin $(v)))),$(v)))
SETTINGS := $(filter-out $(OWN) MAKEFLAGS,$(GIVEN))
$(foreach v,$(SETTINGS),$(eval export RELAY_$(v) = $$($(v))))

SECRETS := JWT_SECRET SERVICE_TOKEN TURN_SECRET VAPID_PRIVATE_KEY RECORDING_KEY
$(foreach v,$(filter $(SECRETS),$(SETTINGS)),$(warning $(v) is on the command line of make, where every user of this machine can \
read it. Set it in the environment instead: RELAY_$(v)=… make run))

PIP := $(BIN)/python -m pip install --quiet --disable-pip-version-check
LOCKS := requirements.lock requirements-dev.lock

.PHONY: run cluster quick test lint format lock bench bench-signaling bench-cluster bench-verify bench-peers fuzz clean
.DEFAULT_GOAL := run

run: $(BIN)/.relay
	@RELAY_DEV=$(if $(filter DEV,$(SETTINGS)),"$$RELAY_DEV",1) exec $(BIN)/python -m relay serve

NODES ?= 3
cluster: $(BIN)/.relay
	@exec $(BIN)/python -m deploy.cluster --nodes $(NODES)

# Tests also wait, so more processes than processors. Compiled modules are kept whatever the environment says: each process, and each
# relay that a test starts, would else compile all of them again.
PROCESSES ?= 5
# Of those with browsers. A call between two browsers keeps half a processor busy, and what starts around it waits.
BROWSERS ?= 2
PYTEST = PYTHONDONTWRITEBYTECODE= $(BIN)/python -m pytest
# Its longest tests first.
DRIVEN := $(addprefix tests/,lab browser foreign)

quick: $(BIN)/.dev
	$(PYTEST) -n $(PROCESSES) --dist loadgroup --hypothesis-profile quick -m "not (browser or lab or servers or long)" $(TESTS)

test: $(BIN)/.dev
	@tests/install-peers
	$(PYTEST) -n $(PROCESSES) --dist loadgroup -m "not browser" $(TESTS); $(OR_NONE)
	$(PYTEST) -n $(BROWSERS) --dist loadgroup -m "browser and not alone" $(or $(TESTS),$(DRIVEN)); $(OR_NONE)
	$(PYTEST) -n $(BROWSERS) -m alone $(or $(TESTS),$(DRIVEN)); $(OR_NONE)

# Of a part, a command may have none (pytest's status 5).
OR_NONE = status=$$?; [ $$status -eq 0 ] || [ $$status -eq 5 ]

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

bench-cluster: $(BIN)/.bench
	$(BIN)/python -m bench.signaling.cluster $(BENCH)

bench-verify: $(BIN)/.bench
	$(BIN)/python -m bench.verification $(BENCH)

bench-peers:
	@bench/install-peers

TARGET ?= demultiplexer
SECONDS ?= 60
fuzz: $(BIN)/.dev
	$(PIP) -e '.[fuzz]'
	$(BIN)/python -m tests.fuzz.coverage_guided $(TARGET) -max_total_time=$(SECONDS)

clean:
	rm -rf .fuzz $(VENV) build dist *.egg-info .mypy_cache .ruff_cache .pytest_cache .hypothesis

$(BIN)/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { echo "The relay needs Python 3.11 or newer; say which: make PYTHON=python3.12" >&2; exit 1; }
	$(PYTHON) -m venv $(VENV)

# Exactly what the locks name, with the hashes that they have; then the relay itself, which needs nothing more.
$(BIN)/.relay: requirements.lock setup.cfg setup.py pyproject.toml | $(BIN)/python
	$(PIP) --require-hashes -r requirements.lock
	$(PIP) --no-deps -e .
	@touch $@

$(BIN)/.bench: requirements.lock setup.cfg setup.py pyproject.toml | $(BIN)/python
	$(PIP) --require-hashes -r requirements.lock
	$(PIP) -e '.[bench]'
	@touch $@ $(BIN)/.relay

$(BIN)/.dev: $(LOCKS) setup.cfg setup.py pyproject.toml | $(BIN)/python
	$(PIP) --require-hashes -r requirements.lock -r requirements-dev.lock
	$(PIP) --no-deps -e .
	@# Compile the tests and what they import: the processes of the first run would each do it, all at the same time.
	@$(PYTEST) --collect-only --quiet >/dev/null || true
	@touch $@ $(BIN)/.relay

# For every Python and platform at once. Not in the environment that it resolves for.
RESOLVE = $(VENV)-lock/bin/uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-annotate --upgrade \
	--no-emit-index-url --custom-compile-command 'make lock'
lock:
	$(PYTHON) -m venv $(VENV)-lock
	$(VENV)-lock/bin/python -m pip install --quiet --disable-pip-version-check uv
	$(RESOLVE) setup.cfg --extra postgresql --extra cluster --output-file requirements.lock
	$(RESOLVE) setup.cfg --extra dev --constraint requirements.lock --output-file requirements-dev.lock
	rm -rf $(VENV)-lock
