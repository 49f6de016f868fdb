# `make study` and `make test` need nothing but Python 3.11 to 3.13 and make their environment.
PYTHON ?= python3
VENV ?= .venv
RUN := $(VENV)/bin

.PHONY: help install study test check format lint types imports fuzz chaos clean

help: ## this list
	@grep -E '^[a-z]+:.*##' $(MAKEFILE_LIST) | sed 's/:.*## /\t/' | expand -t 12

install: $(VENV)/installed ## make the environment

$(VENV)/installed: pyproject.toml
	$(PYTHON) -m venv $(VENV)
	$(RUN)/python -m pip install --quiet --upgrade pip
	$(RUN)/python -m pip install --quiet --editable '.[dev]'
	@touch $@

study: $(VENV)/installed ## the whole study on rendered faces, in minutes
	$(RUN)/hemiface study quick

test: $(VENV)/installed ## all tests
	$(RUN)/python -m pytest

check: format lint types imports test ## everything that must be fine before a commit

format: $(VENV)/installed
	$(RUN)/ruff format --check .

lint: $(VENV)/installed
	$(RUN)/ruff check .

types: $(VENV)/installed
	$(RUN)/mypy

imports: $(VENV)/installed
	$(RUN)/lint-imports

fuzz: $(VENV)/installed ## changed files of every kind to every reader, for minutes
	$(RUN)/python validity/fuzz.py --engine all --inputs 1000 --seconds 20

chaos: $(VENV)/installed ## commands killed at random moments, what they leave compared
	$(RUN)/python validity/chaos.py --kills 20

clean: ## remove the environment and caches, not runs/
	rm -rf $(VENV) .mypy_cache .ruff_cache .pytest_cache .import_linter_cache .hypothesis
