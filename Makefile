# `make demo` and `make test` need only make and a Python >= 3.11; the rest is installed in .venv.
# With Node.js's npm the scripts of the HTML reports are bundled too; without, reports are static.
VENV ?= .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed
WEB := fusionprep/data/web/LICENSES.txt
NO_WEB := The scripts of the HTML reports were not built: reports come without their viewer.
DEMO ?= demo
IMAGE ?= fusionapp
PYTEST_ARGS ?= -n auto --dist loadfile
CANDIDATES := python3.11 python3.12 python3.13 python3 python

# Asked of each candidate, because a name on the PATH may be too old, lack ensurepip or not run at all.
SUITABLE := import sys, venv, ensurepip; sys.exit(sys.version_info < (3, 11))
PYTHON ?= $(shell for p in $(CANDIDATES); do \
	$$p -c '$(SUITABLE)' >/dev/null 2>&1 && echo $$p && break; done)

.PHONY: help venv web web-if-possible test test-all image test-image lint format demo docs benchmark \
	clean distclean

help:
	@echo 'make venv       virtual environment in $(VENV) (PYTHON=/path/to/python to choose one)'
	@echo 'make web        scripts of the HTML reports (npm and its registry are needed)'
	@echo 'make demo       write a small dataset, process it, print the paths of the reports'
	@echo 'make test       tests, without the slow ones'
	@echo 'make test-all   all tests'
	@echo 'make image      container image $(IMAGE); CONTAINER_ENGINE=podman for podman'
	@echo 'make test-image the image, then its tests: as any user, read-only, without network'
	@echo 'make lint       ruff, mypy, a word list for prose, tables of figures; make format mends what ruff can'
	@echo 'make docs       documentation in site; a warning, or a link that leads nowhere, is an error'
	@echo 'make benchmark  cost and accuracy on one subject against plain antspyx'
	@echo 'make clean      remove what the above wrote; make distclean also removes $(VENV)'

venv: $(STAMP) web-if-possible

$(STAMP): pyproject.toml constraints.txt
	@test -n '$(PYTHON)' || { \
		echo 'No Python >= 3.11 with the venv module was found: install one (Debian: python3-venv)' \
			'or name it: make PYTHON=/path/to/python3.11' >&2; exit 1; }
	@$(BIN)/python -m pip --version >/dev/null 2>&1 || $(PYTHON) -m venv --clear $(VENV)
	$(BIN)/python -m pip install --disable-pip-version-check -c constraints.txt -e '.[test,dev]'
	@touch $@

web: $(WEB)

$(WEB): web/package-lock.json web/build.mjs $(wildcard web/src/*) $(wildcard web/licenses/*)
	cd web && npm ci --ignore-scripts --no-audit --no-fund && node build.mjs

web-if-possible:
	@if command -v npm >/dev/null; then $(MAKE) --no-print-directory web; else false; fi \
		|| echo '$(NO_WEB)' >&2

test: $(STAMP) web-if-possible
	$(BIN)/python -m pytest $(PYTEST_ARGS)

test-all: $(STAMP) web-if-possible
	$(BIN)/python -m pytest -m '' $(PYTEST_ARGS)

image:
	tests/container/with_engine.sh tests/container/build.sh $(IMAGE)

test-image: $(STAMP) web-if-possible image
	FUSIONAPP_IMAGE=$(IMAGE) tests/container/with_engine.sh $(BIN)/python -m pytest tests/container

lint: $(STAMP)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/python .ci/prose.py
	$(BIN)/python benchmarks/tables.py --check

format: $(STAMP)
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

demo: $(STAMP) web-if-possible
	test -e $(DEMO)/bids/dataset_description.json || $(BIN)/fusionapp demo $(DEMO)/bids
	$(BIN)/fusionapp $(DEMO)/bids $(DEMO)/out participant -w $(DEMO)/work --nprocs 2
	$(BIN)/fusionapp $(DEMO)/bids $(DEMO)/out group
	@echo 'Reports:' && ls -1 $(abspath $(DEMO))/out/*.html

# the theme's makers announce a next MkDocs at every start
docs: $(STAMP)
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --strict --clean

benchmark: $(STAMP)
	$(BIN)/python benchmarks/one_subject.py runs/benchmark

clean:
	rm -rf demo site runs/benchmark build dist *.egg-info .pytest_cache .ruff_cache .mypy_cache .coverage
	find . -name __pycache__ -type d -not -path './$(VENV)/*' -prune -exec rm -rf {} +

distclean: clean
	rm -rf $(VENV) web/node_modules fusionprep/data/web
