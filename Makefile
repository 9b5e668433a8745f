# Start with: make demo, make test. `make help` lists all targets.

PYTHON ?= python3
PYTHON_ACCELFORGE ?= python3.12
VENV := .venv
VENV_ACCELFORGE := .venv-accelforge
CONSTRAINTS := requirements/lock.txt
EXTRAS := bench,dask,explore,lint,notebooks,test
PYTEST_OPTIONS :=
PYTHONS ?= $(PYTHON)
LOWEST := VENV=.venv-lowest CONSTRAINTS=build/lowest.txt EXTRAS=bench,dask,explore,notebooks,plot,test
BENCH_OUTPUT ?= build/benchmarks.json
WORKERS ?= 2
SEED ?= 1
SOAK_MINUTES ?= 20

PIP := -m pip --quiet --disable-pip-version-check install
RUN := $(VENV)/bin/python
BASE := $(VENV)/.base
DEV := $(VENV)/.dev
DOCS := $(VENV)/.docs
RELEASE := $(VENV)/.release
ACCELFORGE := $(VENV_ACCELFORGE)/.ready

# The tests start hundreds of processes, which would compile all modules again.
unexport PYTHONDONTWRITEBYTECODE

.PHONY: help demo pictures docs notebooks test test-all test-quick test-lowest test-newest nightly lint format bench bench-smoke \
	environment environment-lowest truth accelforge soak wheel-smoke clean

help: ## list the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  %-18s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

demo: $(BASE) ## two examples: a write-back in the background, and an attention block
	$(RUN) examples/tapped_cascade.py
	@echo
	$(RUN) examples/attention_block.py
	@mkdir -p build
	@echo
	@$(RUN) -m polylat report examples/arch.yaml examples/workload.yaml examples/tap_resident.yaml \
		--granularity tile --background o2 --verify -o build/report.html
	@echo "Open build/report.html in a browser: it shows how much of the write of o2 is on the critical path."

pictures: $(DEV) ## draw the pictures of the documentation
	$(RUN) examples/pictures.py
	$(RUN) docs/rules.py

docs: $(DOCS) ## build the documentation: build/docs/index.html
	$(RUN) -m sphinx --quiet --fail-on-warning --keep-going docs build/docs
	@echo "Open build/docs/index.html in a browser."

notebooks: $(DEV) ## execute the notebooks, to build/notebooks/*.html and *.ipynb
	$(RUN) -m notebooks

test: $(DEV) ## tests and doctests (docstrings, README), with a fixed random seed
	HYPOTHESIS_PROFILE=ci $(RUN) -m pytest -n $(WORKERS)

test-all: $(DEV) ## the same with tests that take long, and with all cases
	HYPOTHESIS_PROFILE=full $(RUN) -m pytest -n $(WORKERS)

test-quick: $(DEV) ## the fast tests, with few random examples
	HYPOTHESIS_PROFILE=quick $(RUN) -m pytest -n $(WORKERS) -m "not slow and not smoke" $(PYTEST_OPTIONS) tests polylat

# Old libraries use what newer releases of their own dependencies deprecate.
test-lowest: ## the fast tests with the lowest versions that pyproject.toml allows
	$(MAKE) test-quick $(LOWEST) PYTEST_OPTIONS="-W ignore::DeprecationWarning"

environment: $(DEV) ## install what the tests need into VENV, without running them

environment-lowest: ## the same with the lowest versions, into .venv-lowest
	$(MAKE) environment $(LOWEST)

test-newest: ## the fast tests with the newest versions of everything
	$(MAKE) test-quick VENV=.venv-newest CONSTRAINTS=build/newest.txt

soak: $(DEV) ## random inputs through every function for SOAK_MINUTES: memory, caches, results
	$(RUN) -m benchmarks.soak --minutes $(SOAK_MINUTES)

nightly: $(DEV) ## the property tests with many random examples, and 100,000 mutants of all inputs
	HYPOTHESIS_PROFILE=nightly $(RUN) -m pytest -n $(WORKERS)
	$(RUN) -m tests.fuzz --seed $(SEED) --mutants 100000 --jobs $(WORKERS) --failures build/mutants

lint: $(DEV) ## lint, format, types, import layers, docstrings
	$(RUN) -m ruff check .
	$(RUN) -m ruff format --check .
	$(RUN) -m mypy
	$(VENV)/bin/lint-imports --no-cache
	$(RUN) -m pytest --quiet tests/test_docstrings.py

format: $(DEV) ## format, and apply ruff's automatic fixes
	$(RUN) -m ruff check --fix .
	$(RUN) -m ruff format .

bench: $(DEV) ## benchmarks, including AccelForge after `make accelforge`
	$(RUN) -m benchmarks -o $(BENCH_OUTPUT)

bench-smoke: $(DEV) ## small benchmarks: check that all tools agree
	$(RUN) -m pytest -m smoke tests/test_benchmarks.py

truth: $(DEV) ## cycles of real designs against the model, to build/truth (DATA=folder: on other files)
	$(RUN) -m benchmarks.truth $(if $(DATA),"$(DATA)",--docs)

accelforge: $(ACCELFORGE) ## test with AccelForge, its objects and its mapper (Python 3.12)
	$(VENV_ACCELFORGE)/bin/python -m benchmarks.accelforge_compare --repeats 1 tests/data/accelforge
	$(VENV_ACCELFORGE)/bin/python -m pytest -n $(WORKERS) tests/test_accelforge.py tests/test_search.py
	cd notebooks && ../$(VENV_ACCELFORGE)/bin/python from_mapper.py >/dev/null

wheel-smoke: $(RELEASE) ## build wheel and sdist, and use them in clean environments (PYTHONS="python3.11 ...")
	$(RUN) tests/wheel_smoke.py $(PYTHONS)

clean: ## remove the environments
	rm -rf $(VENV) $(VENV)-*

$(VENV)/bin/python:
	@$(PYTHON) -c 'import sys; sys.exit(None if sys.version_info >= (3, 11) else "polylat needs Python 3.11 or newer: make PYTHON=...")'
	$(PYTHON) -m venv $(VENV)
	@echo '*' > $(VENV)/.gitignore

$(BASE): pyproject.toml $(CONSTRAINTS) | $(VENV)/bin/python
	$(RUN) $(PIP) --constraint $(CONSTRAINTS) --editable .
	@touch $@

$(DEV): $(BASE)
	$(RUN) $(PIP) --constraint $(CONSTRAINTS) --editable '.[$(EXTRAS)]'
	@touch $@

$(DOCS): $(BASE)
	$(RUN) $(PIP) --constraint $(CONSTRAINTS) --editable '.[docs]'
	@touch $@

build/lowest.txt: pyproject.toml requirements/lowest.py
	@mkdir -p build
	$(PYTHON) requirements/lowest.py > $@

build/newest.txt: pyproject.toml
	@mkdir -p build
	: > $@

$(RELEASE): $(BASE)
	$(RUN) $(PIP) --constraint $(CONSTRAINTS) --editable '.[release,test]'
	@touch $@

# AccelForge depends on islpy-barvinok, polylat on islpy, and both install the module islpy. So polylat
# is installed without its dependencies, which requirements/accelforge.txt lists.
$(ACCELFORGE): pyproject.toml requirements/accelforge.txt
	@$(PYTHON_ACCELFORGE) -c 'import sys; sys.exit(None if sys.version_info >= (3, 12) else "AccelForge needs Python 3.12 or newer: make accelforge PYTHON_ACCELFORGE=...")'
	$(PYTHON_ACCELFORGE) -m venv $(VENV_ACCELFORGE)
	@echo '*' > $(VENV_ACCELFORGE)/.gitignore
	$(VENV_ACCELFORGE)/bin/python $(PIP) --requirement requirements/accelforge.txt
	$(VENV_ACCELFORGE)/bin/python $(PIP) --no-deps --editable .
	@touch $@
