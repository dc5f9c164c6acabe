# Everything this repository can do, on a machine with Python >= 3.11, make and a package index. `make help` lists it.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/$(if $(filter Windows_NT,$(OS)),Scripts,bin)
PIP := $(BIN)/python -m pip install --quiet --disable-pip-version-check --constraint constraints.txt
DEMO := build/demo
INSTALLED := $(VENV)/.installed

# The checkout's compiled kernels stay in the checkout.
export TINYGRAD_RNN_CACHE_DIR := $(CURDIR)/$(VENV)/cache
# Output that is piped into a file still appears line by line.
export PYTHONUNBUFFERED := 1

# Ruff reads no setup.cfg, so its settings stand here. B905, zip(strict=), and C408, no dict(a=1), cost more than they catch.
RUFF := $(BIN)/ruff check --line-length 120 --target-version py311 --cache-dir build/ruff \
	--select B,C4,E,F,I,NPY,PIE,UP,W --ignore B905,C408,E731 --per-file-ignores "examples/*:E402" --exclude docs/chapters

.PHONY: help demo test lint parity bench examples book readme coverage clean distclean
.DEFAULT_GOAL := help

help: ## what each target does
	@sed -n 's/^\([a-z]*\):.*## \(.*\)/make \1@\2/p' Makefile | awk -F@ '{ printf "%-15s %s\n", $$1, $$2 }'

demo: $(INSTALLED)-core ## train a character model for a minute on text that every Python has, and sample from it
	@mkdir -p build
	@{ $(BIN)/tinygrad-rnn train --minutes 1 --out $(DEMO) --force && echo trained >&3; } 3>build/demo.status | tee build/demo.log
	@test -s build/demo.status
	@echo
	@$(BIN)/tinygrad-rnn sample $(DEMO) --prompt "The " --length 400 --temperature 0.7 --seed 1
	@echo
	@grep -o 'held-out: [0-9.]* bits/char' build/demo.log | tail -n 1

test: lint ## lint, type-check and run all tests but those that need a peer (minutes)
	$(BIN)/python -m pytest

lint: $(INSTALLED)-test ## flake8, ruff and mypy
	$(BIN)/flake8 tinygrad_rnn tests benchmarks examples docs
	$(RUFF) tinygrad_rnn tests benchmarks examples docs
	$(BIN)/mypy

parity: $(INSTALLED)-peers ## compare with PyTorch and others (installs them: gigabytes on some machines)
	$(BIN)/python -m pytest -m parity

bench: $(INSTALLED)-peers ## measure against peers on a quiet machine; tables in build/benchmarks
	$(BIN)/python -m benchmarks

examples: $(INSTALLED)-test ## run every chapter in full
	@for chapter in examples/plot_*.py; do echo "$$chapter"; MPLBACKEND=agg $(BIN)/python "$$chapter" || exit 1; done

book: $(INSTALLED)-docs ## pages and notebooks from the chapters, in build/book
	$(BIN)/sphinx-build -W --keep-going -q -d build/doctrees docs build/book
	@echo "build/book/index.html"

readme: $(INSTALLED)-core ## write the README's derived tables (speed, lecture index)
	$(BIN)/python -m docs.readme

coverage: $(INSTALLED)-test ## line and branch coverage of the tests, without the JIT, which hides lines
	NUMBA_DISABLE_JIT=1 $(BIN)/python -m coverage run -m pytest -m "not parity and not slow"
	$(BIN)/python -m coverage report

clean: ## remove what was built; .venv stays
	rm -rf build docs/chapters docs/sg_execution_times.rst .pytest_cache .hypothesis *.egg-info
	find tinygrad_rnn tests benchmarks examples docs -name __pycache__ -type d -prune -exec rm -rf {} +

distclean: clean ## remove .venv too
	rm -rf $(VENV)

$(BIN)/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "tinygrad_rnn needs Python >= 3.11, this is %d.%d. Name another: make PYTHON=python3.12" % sys.version_info[:2])'
	$(PYTHON) -m venv $(VENV) || { rm -rf $(VENV); echo "$(PYTHON) -m venv failed: on Debian and Ubuntu, apt install python3-venv" >&2; exit 1; }

# A stamp a set of extras: installed anew when what they are made of changes.
$(INSTALLED)-core: setup.cfg pyproject.toml constraints.txt | $(BIN)/python
	$(PIP) --editable .
	@touch $@

$(INSTALLED)-test: setup.cfg pyproject.toml constraints.txt | $(BIN)/python
	$(PIP) --editable '.[test]'
	@touch $@ $(INSTALLED)-core

# torch first and alone, at the exact version of constraints.txt: its CPU build, where there is one, then serves the rest.
$(INSTALLED)-peers: setup.cfg pyproject.toml constraints.txt | $(BIN)/python
	$(PIP) torch
	$(PIP) --editable '.[test,peers]'
	@touch $@ $(INSTALLED)-test $(INSTALLED)-core

$(INSTALLED)-docs: setup.cfg pyproject.toml constraints.txt | $(BIN)/python
	$(PIP) --editable '.[docs]'
	@touch $@ $(INSTALLED)-core
