# Everything is set up by these targets; nothing else needs to be installed by hand.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed
export OMP_WAIT_POLICY ?= PASSIVE

.PHONY: demo test test-vllm trl-env env check bench clean

demo: $(STAMP)  ## a tiny model improves itself, in at most five minutes
	@$(BIN)/askesis demo

test: $(STAMP)  ## all tests
	@$(BIN)/python -m pytest -n 2

test-vllm: $(STAMP)  ## the vllm engine, in an environment of its own (some minutes the first time)
	@test -x .venv-vllm/bin/python || sh tests/engines/make_vllm_env.sh .venv-vllm $(PYTHON)
	@ASKESIS_VLLM_PYTHON=$(CURDIR)/.venv-vllm/bin/python $(BIN)/python -m pytest tests/engines/test_vllm.py

trl-env:  ## TRL in an environment of its own, for golden values and the GRPO benchmark
	@test -x .venv-trl/bin/python || sh tests/parity/make_trl_env.sh .venv-trl $(PYTHON)

env: $(STAMP)  ## only the environment

check: $(STAMP)  ## format, lint, types, the fast tests with the architecture test
	@$(BIN)/ruff format --check askesis tests benchmarks
	@$(BIN)/ruff check askesis tests benchmarks
	@$(BIN)/mypy
	@$(BIN)/python -m pytest -n 2 -m "not slow"

bench: $(STAMP)  ## benchmarks, written to benchmarks/results/
	@$(BIN)/python -m benchmarks.run_all

$(STAMP): pyproject.toml constraints.txt
	@echo "Setting up $(VENV) (about two minutes the first time)"
	@$(PYTHON) -c 'import sys; sys.exit(0 if sys.version_info >= (3, 11) else "askesis needs Python 3.11 or newer: make PYTHON=python3.11 ...")'
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt torch
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[dev]'
	@touch $(STAMP)

clean:  ## remove the environment and caches
	rm -rf $(VENV) .venv-vllm .venv-trl .pytest_cache .mypy_cache .ruff_cache
