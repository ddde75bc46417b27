# Every target works on a fresh machine with Python 3.11+, git and make.
PYTHON ?= python3
VENV   := .venv
BIN    := $(VENV)/bin
STAMP  := $(VENV)/.installed
TESTERS ?= 3

.PHONY: help setup demo test check bench lock clean
help:  ## List what can be made
	@grep -hE '^[a-z]+:.*##' $(MAKEFILE_LIST) | sed -E 's/^([a-z]+):.*## /  make \1\t/' | expand -t 16

setup: $(STAMP)  ## Install everything into .venv

$(STAMP): requirements.lock pyproject.toml
	@echo "Setting up $(VENV) ..."
	@$(PYTHON) -c 'import sys; sys.exit(0 if sys.version_info >= (3, 11) else "Hilum needs Python 3.11 or newer; set PYTHON=python3.x")'
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check uv==0.13.8
	@$(BIN)/uv pip sync --quiet --python $(BIN)/python --require-hashes requirements.lock
	@$(BIN)/uv pip install --quiet --python $(BIN)/python --no-deps --editable .
	@touch $(STAMP)

demo: $(STAMP)  ## Run the platform with a real ERP through a day at Lakeshore
	@$(BIN)/hilum demo $(ARGS)

test: $(STAMP)  ## Run every test, in several processes since most of them wait for real systems
	@$(BIN)/python -m pytest --numprocesses $(TESTERS) --dist loadfile --no-loadscope-reorder $(ARGS)

check: $(STAMP)  ## Lint, type-check, check the architecture and the reference estate
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .
	@$(BIN)/mypy
	@$(BIN)/lint-imports --no-cache
	@$(BIN)/hilum check estates/lakeshore

bench: $(STAMP)  ## Measure throughput and write benchmarks/RESULTS.md
	@$(BIN)/python -m benchmarks $(ARGS)

lock: $(STAMP)  ## Resolve dependencies anew into requirements.lock
	@$(BIN)/uv pip compile --quiet --universal --python-version 3.11 --extra dev --generate-hashes --no-header --no-emit-index-url --no-annotate --output-file requirements.lock pyproject.toml

clean:  ## Remove what the other targets made
	rm -rf $(VENV) .hilum .pytest_cache .mypy_cache .ruff_cache .import_linter_cache
