# Each target makes its own environment when there is none.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed
LOWEST := .venv-lowest
AUDIT := .venv-audit
# Idle OpenMP threads spin and slow down whatever else runs.
export GOMP_SPINCOUNT ?= 1000

.PHONY: demo test check format grammar notebooks mutants lint types docs wheel audit lowest clean

demo: $(STAMP)  ## segment real photographs by instruction; pictures land in demo/
	$(BIN)/python examples/demo.py --out demo

# As many processes as cores, and each on one; those that tests start need not compile the package anew.
test lowest: export OMP_NUM_THREADS ?= 1
test lowest: export PYTHONDONTWRITEBYTECODE =

test: $(STAMP)  ## the whole suite with coverage, of which so many per cent have to be reached
	$(BIN)/python -m slipcover --dont-wrap-pytest --json --out .coverage.json -m pytest -n auto --dist worksteal -q
	$(BIN)/python -m slipcover --merge .coverage.json --out .coverage.json --fail-under 97

check: lint types  ## lint, format, types, import contracts

lint: $(STAMP)
	$(BIN)/ruff check
	$(BIN)/ruff format --check

types: $(STAMP)
	$(BIN)/mypy
	$(BIN)/lint-imports

format: $(STAMP)  ## rewrite what the linter can mend
	$(BIN)/ruff check --fix
	$(BIN)/ruff format

grammar: $(STAMP)  ## work out the tables of the grammar of spatial phrases anew
	$(BIN)/python -m fiducial.language.phrases.tables

notebooks: $(STAMP)  ## run the notebooks of docs/ and keep what they show
	$(BIN)/python tests/notebooks.py

mutants: $(STAMP)  ## draw small faults and see whether the tests see them (not part of make test)
	$(BIN)/python tests/mutants.py

docs: $(STAMP)  ## the site, into site/; a link that leads nowhere is an error
	NO_MKDOCS_2_WARNING=1 $(BIN)/python -m mkdocs build --strict

wheel: $(STAMP)  ## sdist and wheel, into dist/
	rm -rf build dist
	$(BIN)/python -m build
	$(BIN)/python -m twine check --strict dist/*

audit: $(AUDIT)/.installed  ## known weaknesses of the pinned versions; asks the package index, and fails on what it does not know
	$(AUDIT)/bin/pip-audit --strict --no-deps --disable-pip --requirement constraints.txt

lowest: $(LOWEST)/.installed  ## the suite on the lowest versions that pyproject.toml allows, in an environment of its own
	$(LOWEST)/bin/python -m pytest -n auto --dist worksteal -q tests

benchmark-%: $(STAMP)  ## one benchmark, such as make benchmark-default; its numbers land in benchmarks/results/
	$(BIN)/python benchmarks/$*.py

clean:
	rm -rf $(VENV) $(LOWEST) $(AUDIT) build demo dist site .mypy_cache .pytest_cache .ruff_cache .hypothesis .import_linter_cache

$(AUDIT)/.installed:
	test -x $(AUDIT)/bin/python || $(PYTHON) -m venv $(AUDIT)
	$(AUDIT)/bin/python -m pip install --quiet "pip-audit>=2.10"
	touch $(AUDIT)/.installed

$(LOWEST)/.installed: pyproject.toml
	test -x $(LOWEST)/bin/python || $(PYTHON) -m venv $(LOWEST)
	$(LOWEST)/bin/python -m pip install --quiet uv
	$(LOWEST)/bin/python -m uv pip install --quiet --python $(LOWEST)/bin/python --resolution lowest-direct --editable ".[dev]"
	touch $(LOWEST)/.installed

$(STAMP): pyproject.toml constraints.txt
	$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "fiducial needs Python 3.11 or newer: make PYTHON=python3.11")'
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --editable ".[dev]" --constraint constraints.txt
	touch $(STAMP)
