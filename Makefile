# The two commands are `make demo` and `make test`; each installs what is missing first.

PYTHON := .venv/bin/python
# As many as this get a share of the tests each, and labs of their own; whoever is done takes from the others.
WORKERS := 2
PYTEST := $(PYTHON) -m pytest -n $(WORKERS) --dist worksteal
# Each pulumi command of a test starts Python four times: what has been compiled is kept, wherever that is switched off.
export PYTHONDONTWRITEBYTECODE :=

.PHONY: help setup demo test test-fast check fix fuzz fuzz-quick docs bench lab-up lab-down

help:
	@sed -n 's/^\([a-z-]*\):.*## \(.*\)/make \1	\2/p' Makefile

setup: ## install what is missing: Debian packages, .venv, the Pulumi engine, Docker 29
	@lab/setup.sh

demo: setup ## pulumi up of an image to three real edge hosts on this machine (KEEP=1 leaves them up)
	@$(PYTHON) -m lab.demo

test: setup ## every test, end to end included
	@$(PYTEST)

test-fast: setup ## the tests that need no edge host
	@$(PYTEST) -m "not lab"

check: setup ## what CI checks besides the tests; writes nothing
	@.venv/bin/ruff format --check .
	@.venv/bin/ruff check .
	@.venv/bin/bandit --quiet --configfile pyproject.toml --recursive provider setup.py
	@.venv/bin/mypy
	@$(PYTHON) -m pytest -q tests/test_imports.py

fix: setup ## fix what can be fixed automatically
	@.venv/bin/ruff format .
	@.venv/bin/ruff check --fix .

FUZZ_SECONDS := 3600

fuzz: setup ## fuzz everything that parses, for an hour (FUZZ_SECONDS=…), shared by all parsers
	@.venv/bin/pip install --quiet --disable-pip-version-check -e '.[fuzz]'
	@$(PYTHON) -m tests.fuzz $(FUZZ_SECONDS)

fuzz-quick: ## the same for a minute, as CI does
	@$(MAKE) --no-print-directory fuzz FUZZ_SECONDS=60

docs: .venv/docs ## build the documentation into site/; fails on a broken link, or if a page loads anything from elsewhere
	@NO_MKDOCS_2_WARNING=true .venv/bin/mkdocs build --clean
	@$(PYTHON) docs/check_site.py site

.venv/docs: pyproject.toml
	@[ -x $(PYTHON) ] || python3 -m venv .venv
	@.venv/bin/pip install --quiet --disable-pip-version-check -e '.[docs]'
	@touch $@

bench: setup ## measure transfers against other ways and floors; writes bench/RESULTS.md (about half an hour)
	@.venv/bin/pip install --quiet --disable-pip-version-check -e '.[bench]'
	@$(PYTHON) -m bench

lab-up: setup ## start edge hosts on this machine, to use by hand (see python -m lab)
	@$(PYTHON) -m lab up

lab-down: ## stop and remove them
	@$(PYTHON) -m lab down
