.PHONY: setup run services test test-faults lint bench bench-quick lock clean

PYTHON ?= python3
PORT ?= 5006
BIN := .venv/bin
LOCK := $(BIN)/uv pip compile --quiet --universal --generate-hashes --no-annotate --no-emit-index-url \
  --custom-compile-command "make lock"

setup: .venv/ready ## make .venv with everything

.venv/ready: requirements-dev.lock
	$(PYTHON) -m venv .venv
	$(BIN)/pip install --quiet --require-hashes --requirement requirements-dev.lock
	touch $@

# make run STORE=cassandra SOURCE=kafka: with the servers of make services. Each pair has a recovery directory of its own.
RECOVERY := recovery
ifeq ($(origin STORE),command line)
run: export ADSTREAMS_STORE ?= $(STORE)
RECOVERY := $(RECOVERY)-$(STORE)
endif
ifeq ($(origin SOURCE),command line)
run: export ADSTREAMS_SOURCE ?= $(SOURCE)
RECOVERY := $(RECOVERY)-$(SOURCE)
ifeq ($(SOURCE),kafka)
run: export ADSTREAMS_KAFKA_BROKERS ?= localhost:9092
endif
endif
run: setup ## the dataflow on simulated events, and the app
	$(BIN)/python -m jobs run --port $(PORT) --recovery $(RECOVERY)

services: setup ## Kafka, Cassandra and a schema registry for development; needs Java 17 and Maven
	$(BIN)/python -m tests.services

# Before the tests, so that their workers do not all compile the same at the same time.
__pycache__/warm: .venv/ready $(shell find schemas model topics steps stores -name '*.py')
	$(BIN)/python -m tests.warm_up
	mkdir -p $(@D) && touch $@

# Most tests wait for servers and processes, so more workers than cores; make test WORKERS=0 runs one test after another.
WORKERS ?= auto
test: __pycache__/warm ## all tests
	$(BIN)/python -m pytest -n $(WORKERS) --dist worksteal

test-faults: export FAULTS := long
test-faults: setup ## the long form of the faults; FAULTS_SEED=N gives the moments of a run back
	$(BIN)/python -m pytest tests/faults

lint: setup ## format, lint and types
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy

bench: setup ## measurements, as ratios
	$(BIN)/python -m benchmarks

bench-quick: setup ## a few of them, in under three minutes
	$(BIN)/python -m benchmarks --quick

lock: setup ## pin all dependencies again
	$(BIN)/pip install --quiet uv
	$(LOCK) pyproject.toml --output-file requirements.lock
	$(LOCK) pyproject.toml --group dev --output-file requirements-dev.lock

clean: ## remove .venv and caches
	rm -rf .venv .pytest_cache .hypothesis .mypy_cache .ruff_cache
	find . -name __pycache__ -prune -exec rm -rf {} +
