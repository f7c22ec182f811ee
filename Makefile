# Two commands are all it takes: `make demo` and `make test`. Both make what they need first.

BIN := .venv/bin
ARGS ?=
PYTHON ?=
# Real Envoys and processes run in the tests; more workers than this disturb their clocks.
WORKERS ?= 2
# Another one each time, and printed, so that what was found once can be found again.
SEED ?= $(shell od -An -N4 -tu4 /dev/urandom | tr -d ' ')
SEED := $(SEED)
SOAK_ROUNDS ?= 30

export PYTHON
MAKEFLAGS += --no-print-directory
.DEFAULT_GOAL := help
.PHONY: help env demo test harness cluster cluster-down check lint types imports format bench soak lock clean

help: ## list these commands
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "make %-12s %s\n", $$1, $$2}' Makefile

env: ## make .venv as requirements.lock says, if it isn't yet
	@scripts/env

demo: env ## watch a good version be promoted and a bad one be taken back
	@$(BIN)/python -m canary demo $(ARGS)

test: check harness ## run all checks and tests; ARGS="tests/core -k weight" runs some, SEED=1 repeats
	@echo "seed: $(SEED) (again with: make test SEED=$(SEED))"
	@CANARY_SEED=$(SEED) $(BIN)/python -m pytest -n $(WORKERS) --dist loadfile --hypothesis-seed=$(SEED) $(ARGS)

harness: env ## build and fetch what the tests against a real cluster need (once; a few minutes)
	@$(BIN)/python -m tests.cluster.harness prepare

cluster: env ## start a real control plane with a node to play with; kubectl works on it
	@$(BIN)/python -m tests.cluster.harness up

cluster-down: env ## end it
	@$(BIN)/python -m tests.cluster.harness down

check: lint types imports ## check style, types and the arrows between folders

lint: env ## check style and format
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .

types: env ## check types
	@$(BIN)/python -m mypy

imports: env ## check that imports point down only
	@$(BIN)/lint-imports --no-logo

format: env ## put the code into its format, and mend what can be mended safely
	@$(BIN)/ruff format .
	@$(BIN)/ruff check --fix .

bench: env ## measure speed and memory; ARGS="weights" measures one thing
	@$(BIN)/python -m benchmarks $(ARGS)

soak: env ## the tests that look for rare failures, for much longer
	@echo "seed: $(SEED) (again with: make soak SEED=$(SEED))"
	@CANARY_SEED=$(SEED) CANARY_ROUNDS=$(SOAK_ROUNDS) $(BIN)/python -m pytest --hypothesis-profile=soak \
		--hypothesis-seed=$(SEED) tests/core tests/cluster tests/local $(ARGS)

lock: ## resolve the dependencies of pyproject.toml into requirements.lock (needs uv)
	@command -v uv >/dev/null || { echo "make lock needs uv: pip install uv" >&2; exit 1; }
	@uv pip compile pyproject.toml --extra local --group dev --generate-hashes --universal \
		--python-version 3.11 --no-emit-index-url --no-header --no-annotate \
		--quiet --output-file requirements.lock

clean: ## remove everything that was made here
	@rm -rf .venv .mypy_cache .ruff_cache .pytest_cache .import_linter_cache .hypothesis build dist
	@find . -name __pycache__ -type d -prune -exec rm -rf {} +
