# `make study` and `make test` need nothing but Python 3.11 to 3.13 and make their environment. What they
# install is pinned by version and hash (constraints/), but for torch, of which each machine takes its own build.
PYTHON ?= python3
VENV ?= .venv
RUN := $(VENV)/bin
# What `make lowest` runs.
TESTS ?=
BUILD := build
COMPILE = $(BUILD)/tools/bin/uv pip compile --quiet --upgrade --generate-hashes --no-emit-index-url \
	--no-emit-find-links --annotation-style line --custom-compile-command 'make constraints'
UNIVERSAL = $(COMPILE) --universal --python-version 3.11
# torch and what only it brings: gigabytes of one machine's kind of accelerator.
TORCH := torch torchvision triton $(addprefix nvidia-,cublas cuda-cccl cuda-cupti cuda-nvrtc cuda-runtime \
	cudnn-cu13 cufft cufile curand cusolver cusparse cusparselt-cu13 nccl-cu13 nvjitlink nvshmem-cu13 nvtx) \
	cuda-bindings cuda-pathfinder cuda-toolkit

.PHONY: help install study test quick docs check format lint types imports dist platforms fuzz chaos constraints lowest sbom clean

help: ## this list
	@grep -E '^[a-z]+:.*##' $(MAKEFILE_LIST) | sed 's/:.*## /\t/' | expand -t 12

install: $(VENV)/installed ## make the environment

$(VENV)/installed: pyproject.toml constraints/dev.txt
	$(PYTHON) -m venv $(VENV)
	$(RUN)/python -m pip install --quiet --upgrade pip
	$(RUN)/python -m pip install --quiet --require-hashes --no-deps --requirement constraints/dev.txt
	$(RUN)/python -m pip install --quiet --no-build-isolation --editable '.[dev]'
	@touch $@

study: $(VENV)/installed ## the whole study on rendered faces, in minutes
	$(RUN)/hemiface study quick

test: $(VENV)/installed ## all tests
	$(RUN)/python -m pytest

quick: $(VENV)/installed ## the tests without the slow files, while you work
	$(RUN)/python -m pytest -m "not slow"

docs: $(VENV)/installed ## the documentation site, build/site, with every warning an error
	NO_MKDOCS_2_WARNING=1 $(RUN)/python -m mkdocs build --strict --quiet

check: format lint types imports dist test ## everything that must be fine before a commit

format: $(VENV)/installed
	$(RUN)/ruff format --check .

lint: $(VENV)/installed
	$(RUN)/ruff check .

types: $(VENV)/installed
	$(RUN)/mypy

imports: $(VENV)/installed
	$(RUN)/lint-imports

dist: $(VENV)/installed ## the source distribution and the wheel of it, checked as PyPI does
	rm -rf $(BUILD)/dist
	$(RUN)/python -m build --no-isolation --outdir $(BUILD)/dist .
	$(RUN)/twine check --strict $(BUILD)/dist/*

platforms: $(VENV)/installed ## types as on Windows and macOS: what isn't there
	$(RUN)/mypy --platform win32 --no-warn-unreachable --cache-dir .mypy_cache/win32
	$(RUN)/mypy --platform darwin --no-warn-unreachable --cache-dir .mypy_cache/darwin

fuzz: $(VENV)/installed ## changed files of every kind to every reader, for minutes
	$(RUN)/python validity/fuzz.py --engine all --inputs 1000 --seconds 20

chaos: $(VENV)/installed ## commands killed at random moments, what they leave compared
	$(RUN)/python validity/chaos.py --kills 20

constraints: $(BUILD)/tools/installed ## pin everything anew, by version and hash (needs the package index)
	$(UNIVERSAL) pyproject.toml --extra dev --extra pdf $(addprefix --no-emit-package ,$(TORCH)) --output-file constraints/dev.txt
	$(UNIVERSAL) pyproject.toml --constraint constraints/dev.txt --output-file constraints/light.txt
	$(UNIVERSAL) pyproject.toml --extra serve --extra video --constraint constraints/dev.txt --output-file constraints/serve.txt
	$(UNIVERSAL) --group pyproject.toml:supply --constraint constraints/dev.txt --output-file constraints/tools.txt
	$(COMPILE) pyproject.toml --python-version 3.11 --resolution lowest-direct --only-binary :all: --extra dev --extra pdf \
		--constraint constraints/lowest.in --output-file constraints/lowest.txt

lowest: ## run the tests, or TESTS=FILES, with the lowest versions allowed (Python 3.11; 5 GB from the package index)
	$(PYTHON) -m venv --clear $(BUILD)/lowest
	$(BUILD)/lowest/bin/python -m pip install --quiet --require-hashes --no-deps --requirement constraints/lowest.txt
	$(BUILD)/lowest/bin/python -m pip install --quiet --no-build-isolation --no-deps --editable .
	$(BUILD)/lowest/bin/python -m pip check
	$(BUILD)/lowest/bin/python -m pytest --override-ini filterwarnings=default $(TESTS)

sbom: $(BUILD)/tools/installed ## what a light install holds, with licences: dist/hemiface.cdx.json
	$(PYTHON) -m venv --clear $(BUILD)/light
	$(BUILD)/light/bin/python -m pip install --quiet --require-hashes --requirement constraints/light.txt
	$(BUILD)/light/bin/python -m pip install --quiet --no-deps .
	mkdir -p dist
	$(BUILD)/tools/bin/cyclonedx-py environment --output-reproducible --pyproject pyproject.toml \
		--output-file dist/hemiface.cdx.json $(BUILD)/light/bin/python

$(BUILD)/tools/installed: constraints/tools.txt
	$(PYTHON) -m venv --clear $(BUILD)/tools
	$(BUILD)/tools/bin/python -m pip install --quiet --require-hashes --requirement constraints/tools.txt
	@touch $@

clean: ## remove environments and caches, not runs/
	rm -rf $(VENV) $(BUILD) .mypy_cache .ruff_cache .pytest_cache .import_linter_cache .hypothesis
