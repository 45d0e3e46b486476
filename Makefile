# make run    serve the example application on 127.0.0.1:8000
# make test   lint, types and the whole test suite
# make help   the rest

PYTHON ?= python3
PORT ?= 8000

# Everything happens at the root of the project, wherever make was called. Programs of the virtual
# environment are called as modules: script files name their interpreter in a first line that the
# kernel cuts where the path is long.
ROOT := $(patsubst %/,%,$(dir $(abspath $(lastword $(MAKEFILE_LIST)))))
ifneq ($(words $(ROOT)),1)
$(error The path of this checkout has a space in it, which make cannot handle: move the checkout)
endif
VENV ?= $(ROOT)/.venv
ifneq ($(words $(VENV)),1)
$(error VENV has a space in it, which make cannot handle: VENV=$(VENV))
endif
PY := $(VENV)/bin/python

.DEFAULT_GOAL := help
.PHONY: help run test lint types unit integration docs bench clean

help:
	@sed -n 's/^# \(make .*\)/\1/p' $(ROOT)/Makefile
	@echo "make lint | types | unit | integration   one part of make test"
	@echo "make docs   build the documentation into site/"
	@echo "make bench  compare with the smallest WSGI application"
	@echo "make clean  remove what was built or installed here"

run: $(VENV)/installed-run
	@$(PY) $(ROOT)/.ci/port_is_free.py $(PORT)
	cd $(ROOT)/examples/flask_app && PORT=$(PORT) $(PY) -m gunicorn 'app:create_app()'

test: lint types unit integration docs

lint: $(VENV)/installed-dev
	cd $(ROOT) && $(PY) -m ruff check . && $(PY) -m ruff format --check .

types: $(VENV)/installed-dev
	cd $(ROOT) && $(PY) -m mypy

unit: $(VENV)/installed-dev
	cd $(ROOT) && $(PY) -X dev -m pytest --ignore tests/integration

integration: $(VENV)/installed-dev $(ROOT)/tests/integration/js/node_modules
	cd $(ROOT) && $(PY) -m pytest tests/integration

docs: $(VENV)/installed-dev
	cd $(ROOT) && NO_MKDOCS_2_WARNING=1 $(PY) -m mkdocs build --quiet --strict

bench: $(VENV)/installed-dev
	cd $(ROOT) && $(PY) -m benchmarks

clean:
	rm -rf '$(VENV)' '$(ROOT)/build' '$(ROOT)/site' '$(ROOT)/invokeasync_wsgi.egg-info' \
	  '$(ROOT)/tests/integration/js/node_modules'

# The stamps make a second run start at once, and are out of date when a dependency changes.
$(VENV)/installed-run: $(ROOT)/setup.cfg $(ROOT)/pyproject.toml | $(VENV)/bin/python
	$(PY) -m pip install --quiet --disable-pip-version-check --editable '$(ROOT)[fast,flask,gunicorn]'
	@touch $@

$(VENV)/installed-dev: $(ROOT)/setup.cfg $(ROOT)/pyproject.toml | $(VENV)/bin/python
	$(PY) -m pip install --quiet --disable-pip-version-check --editable '$(ROOT)[dev]'
	@touch $@

$(VENV)/bin/python:
	@sh $(ROOT)/.ci/make_venv.sh $(PYTHON) $(VENV)

# Where there is no npm, the JavaScript clients' tests skip, or fail under CI.
$(ROOT)/tests/integration/js/node_modules: $(ROOT)/tests/integration/js/package.json
	@if command -v npm >/dev/null; then \
	  cd $(dir $@) && npm install --silent --no-package-lock --no-audit --no-fund && touch node_modules; \
	else echo "npm is not installed: the JavaScript clients are not tested"; fi
