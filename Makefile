# make serve   the web app with the shipped model on http://127.0.0.1:8000
# make test    lint, types and all tests, with the coverage of brain_cnn
# make train   train on DATA (a folder, a ZIP or a link), write the model to OUT
# make lint    what `make test` checks before the tests
# make lock    requirements*.txt and the exact versions again, from pyproject.toml
# make wheel   what pip installs, into dist/
# make audit   known holes in what is served (pip-audit; asks the package registry)
# make bench   measure everything beside the usual way, write docs/benchmark.*; 15 minutes on
#              an idle machine (more engines: pip install -r requirements-bench.txt)
# make image   the container image without a container engine, tried (root, Debian)
#
# Needs Python 3.11, 3.12 or 3.13; PYTHON=... names one that is not on the path.

PYTHON ?= $(shell for p in python3.12 python3.13 python3.11 python3; do \
	$$p -c 'import sys; sys.exit(not (3, 11) <= sys.version_info[:2] <= (3, 13))' \
	2>/dev/null && echo $$p && break; done)
DATA ?= ../shared/data/brain-tumor-mri.zip
OUT ?= models/brain_cnn
ARGS ?=

SERVE := .venv-serve
DEV := .venv

COMPILE := UV_CUSTOM_COMPILE_COMMAND="make lock" $(DEV)/bin/uv pip compile --quiet \
	--universal --python-version 3.11 --generate-hashes

.PHONY: serve test train lint lock wheel audit bench image clean
.DEFAULT_GOAL := serve

serve: $(SERVE)/ready
	$(SERVE)/bin/python -m brain_cnn.cli serve

test: lint
	$(DEV)/bin/python -m pytest $(if $(ARGS),,--cov --numprocesses auto --dist loadfile) $(ARGS)

lint: $(DEV)/ready
	$(DEV)/bin/ruff check .
	$(DEV)/bin/ruff format --check .
	$(DEV)/bin/mypy

train: $(DEV)/ready
	$(DEV)/bin/python -m brain_cnn.cli train --data $(DATA) --out $(OUT) $(ARGS)

bench: $(DEV)/ready
	$(DEV)/bin/python scripts/benchmark.py $(ARGS)

image:
	scripts/build_image.sh $(ARGS)

lock: $(DEV)/ready
	$(DEV)/bin/pip install --quiet uv
	$(DEV)/bin/python scripts/write_requirements.py
	$(COMPILE) requirements-serve.txt --output-file requirements-serve.lock
	$(COMPILE) requirements-dev.txt --constraint requirements-serve.lock \
	  --output-file requirements-dev.lock

wheel: $(DEV)/ready
	$(DEV)/bin/python -m hatchling build -t wheel

# Strict: a package that the registry in use knows no advisories of is a failure, not a pass.
audit: $(DEV)/ready
	$(DEV)/bin/pip install --quiet pip-audit
	$(DEV)/bin/pip-audit --strict --disable-pip --requirement requirements-serve.lock

$(SERVE)/ready: requirements-serve.lock | python
	$(PYTHON) -m venv $(SERVE)
	$(SERVE)/bin/pip install --quiet --requirement requirements-serve.lock
	@touch $@

$(DEV)/ready: requirements-dev.lock | python
	$(PYTHON) -m venv $(DEV)
	$(DEV)/bin/pip install --quiet --requirement requirements-dev.lock
	@touch $@

.PHONY: python
python:
	@test -n "$(PYTHON)" || { echo "Brain CNN needs Python 3.11, 3.12 or 3.13 (TensorFlow has no wheel for others yet): install one, or run make PYTHON=/path/to/python3.12." >&2; exit 1; }

clean:
	rm -rf $(SERVE) $(DEV) .pytest_cache .mypy_cache .ruff_cache
