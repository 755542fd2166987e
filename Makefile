# Each target makes its own environment when there is none.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed
# Idle OpenMP threads spin and slow down whatever else runs.
export GOMP_SPINCOUNT ?= 1000

.PHONY: demo test check format grammar mutants clean

demo: $(STAMP)  ## segment real photographs by instruction; pictures land in demo/
	$(BIN)/python examples/demo.py --out demo

test: $(STAMP)  ## the whole suite with coverage
	$(BIN)/python -m pytest -n auto --dist loadfile --cov --cov-report=term -q

check: $(STAMP)  ## lint, format, types, import contracts
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/mypy
	$(BIN)/lint-imports

format: $(STAMP)  ## rewrite what the linter can mend
	$(BIN)/ruff check --fix
	$(BIN)/ruff format

grammar: $(STAMP)  ## work out the tables of the grammar of spatial phrases anew
	$(BIN)/python -m fiducial.language.phrases.tables

mutants: $(STAMP)  ## draw small faults and see whether the tests see them (not part of make test)
	$(BIN)/python tests/mutants.py

benchmark-%: $(STAMP)  ## one benchmark, such as make benchmark-default; its numbers land in benchmarks/results/
	$(BIN)/python benchmarks/$*.py

clean:
	rm -rf $(VENV) demo .mypy_cache .pytest_cache .ruff_cache .hypothesis .import_linter_cache

$(STAMP): pyproject.toml constraints.txt
	$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "fiducial needs Python 3.11 or newer: make PYTHON=python3.11")'
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --editable ".[dev]" --constraint constraints.txt
	touch $(STAMP)
