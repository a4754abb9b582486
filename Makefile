# `make demo` runs the demonstration, `make test` the tests. Both set up what they need.

PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
READY := $(VENV)/.ready

.PHONY: demo test lint types floors matrix audit build docs fuzz mutants soak messages pictures \
  bench bench-quick clean

demo: $(READY)
	$(BIN)/python -m project.demo

test: $(READY)
	$(BIN)/python $(if $(COVERAGE),-m coverage run $(filter-out 1,$(COVERAGE)) )-m pytest $(ARGS)

matrix: $(READY)
	$(BIN)/nox

lint: $(READY)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

types: $(READY)
	$(BIN)/mypy

floors: $(READY)
	$(BIN)/lint-imports

audit: $(READY)
	$(BIN)/bandit -q -c pyproject.toml -r wsorigin
	VENV=$(VENV) .ci/audit

build: $(READY)
	rm -rf dist
	$(BIN)/python -m build --outdir dist
	$(BIN)/twine check --strict dist/*
	$(BIN)/check-wheel-contents dist/*.whl

docs: $(READY)
	$(BIN)/python -m sphinx -W --keep-going -n -q -b html docs build/docs

messages: $(READY)
	cd wsorigin && DJANGO_SETTINGS_MODULE=tests.settings PYTHONPATH=.. \
	  $(abspath $(BIN))/python -m django makemessages -l de -l fr --no-location --no-obsolete
	cd wsorigin && DJANGO_SETTINGS_MODULE=tests.settings PYTHONPATH=.. \
	  $(abspath $(BIN))/python -m django compilemessages

pictures: $(READY)
	$(BIN)/python -m tests.pictures

# Ten million over the core, a million through the guard: an hour of one core.
fuzz: $(READY)
	$(BIN)/python -m tests.fuzz core --runs 2000000
	$(BIN)/python -m tests.fuzz guard --runs 1000000
	$(BIN)/python -m tests.fuzz settings --runs 50000

# Some hours of one core.
mutants: $(READY)
	$(BIN)/pip install --quiet --disable-pip-version-check "mutmut>=3.8"
	CI=true $(BIN)/mutmut run --max-children 1
	$(BIN)/mutmut results

SOAK_SECONDS ?= 3600
soak: $(READY)
	$(BIN)/python -m benchmarks.soak --seconds $(SOAK_SECONDS)

bench: $(READY)
	$(BIN)/python -m benchmarks

bench-quick: $(READY)
	$(BIN)/python -m benchmarks --quick

# Named by its path, so that `make VENV=... PYTHON=...` makes a second environment.
$(READY): requirements.txt pyproject.toml
	$(PYTHON) -m venv $(VENV)
	$(BIN)/pip install --quiet --disable-pip-version-check -r requirements.txt
	touch $@

clean:
	rm -rf mutants .venv* dist build .coverage* htmlcov .mypy_cache .pytest_cache .ruff_cache
