# The two commands are `make demo` and `make test`; each installs what is missing first.

PYTHON := .venv/bin/python
# As many as this get a share of the tests each, and labs of their own; whoever is done takes from the others. One more
# than cores, as a worker waits for a fifth of its time.
WORKERS := 3
PYTEST := $(PYTHON) -m pytest -n $(WORKERS) --dist worksteal
# Each pulumi command of a test may start Python four times: what has been compiled is kept, wherever that is switched off.
export PYTHONDONTWRITEBYTECODE :=

.PHONY: help setup demo test test-fast test-pythons check fix soak soak-quick fuzz fuzz-quick docs release-check bench lab-up lab-down

help:
	@sed -n 's/^\([a-z-]*\):.*## \(.*\)/make \1	\2/p' Makefile

setup: ## install what is missing: Debian packages, .venv, the Pulumi engine, Docker 29
	@lab/setup.sh

demo: ## pulumi up of an image to four real edge hosts on this machine (KEEP=1 leaves them up)
	@lab/setup.sh demo
	@$(PYTHON) -m lab.demo

test: setup ## every test, end to end included
	@$(PYTEST)

test-fast: setup ## the tests that need no edge host
	@$(PYTEST) -m "not lab"

test-pythons: setup ## the pure tests on each other Python from 3.10 to 3.14 that this machine has
	@$(PYTHON) -m tests.pythons

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

SOAK_SECONDS := 2400

soak: setup ## updates of eight hosts of all engines while things break at random, for 40 minutes (SOAK_SECONDS=…, SOAK_SEED=…)
	@SOAK_SECONDS=$(SOAK_SECONDS) $(PYTHON) -m lab.soak

soak-quick: ## the same for two minutes, as CI does
	@$(MAKE) --no-print-directory soak SOAK_SECONDS=120

docs: .venv/docs ## build the documentation into site/; fails if a link is broken, a page loads anything from elsewhere, or is cut off
	@NO_MKDOCS_2_WARNING=true $(PYTHON) -m mkdocs build --clean
	@$(PYTHON) docs/check_site.py site
	@$(PYTHON) docs/check_widths.py site

.venv/docs: pyproject.toml
	@[ -x $(PYTHON) ] || python3 -m venv .venv
	@.venv/bin/pip install --quiet --disable-pip-version-check -e '.[docs]'
	@command -v chromium >/dev/null || \
		{ apt-get update && apt-get install -y --no-install-recommends chromium fonts-dejavu-core; } >.venv/chromium.log
	@touch $@

release-check: setup ## build what users install, and bring an image to a host with that and nothing else
	@$(PYTHON) -m lab.release_check

bench: setup ## measure transfers against other ways and floors; writes bench/RESULTS.md (about half an hour)
	@.venv/bin/pip install --quiet --disable-pip-version-check -e '.[bench]'
	@$(PYTHON) -m bench

lab-up: setup ## start edge hosts on this machine, to use by hand (see python -m lab)
	@$(PYTHON) -m lab up

lab-down: ## stop and remove them
	@$(PYTHON) -m lab down
