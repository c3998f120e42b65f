# make demo           the sandbox and an example app, on this machine, without credentials
# make check          format, lint and types, then make test
# make test           every behaviour on every framework, each store's contract, a browser journey of each example app
# make test-fast      a part of it, for the minute after an edit
# make test-all       every test there is, with branch coverage
# make test-extended  the tests that make test-all runs and make test doesn't
# make drills         faults of a production system under sign-ins, on real servers: kill -9, databases that restart, a
#                     full disk, keys, certificates and clocks that change, thousands of sign-ins, a slow Configure
# make mutation       changes of the code in redirects, attempts, routes, sealing and bearer checks, and whether a test
#                     fails for each; with SAMPLE=300 so many in all other modules. It takes an hour, in a copy: mutants
# make test-browsers  link, disconnect, cancel and login in Chromium, Firefox and WebKitGTK
# make test-lowest    make test on the oldest versions that pyproject.toml accepts
# make test-newest    make test on the newest versions of everything
# make bench          what a sign-in costs in round trips, CPU and start-up, beside the least possible
# make docs           the documentation's pages, in docs/_build/html
# make test-docs      the documentation's search, in Chromium
# make dist           the source distribution and the wheel, checked, in dist
# make test-versions  the wheel beside exact versions of FastAPI and Flask that apps pin, and beside Flask-Security and
#                     Flask-AppBuilder
# make test-wheel     the built wheel without the checkout, and each extra alone
#
# PYTHON, VENV, WORKERS, PORT, SANDBOX_PORT and APP (flask, starlette, fastapi, message, bot, claims) can be set:
# make demo APP=fastapi PORT=3001
# make test PYTHON=python3.13 VENV=.venv-3.13

PYTHON ?= python3
VENV ?= .venv
WORKERS ?= auto
PORT ?= 3000
SANDBOX_PORT ?= 4010
APP ?= flask
export PORT SANDBOX_PORT APP

BIN := $(VENV)/bin
CONSTRAINTS ?= tests/constraints.txt
INSTALL := $(BIN)/python -m pip install --quiet
INPUTS := pyproject.toml tests/constraints.txt
# SQLite waits for the disk at each commit; a file system in memory doesn't make it wait.
SHM := $(shell df -k /dev/shm 2>/dev/null | awk 'NR == 2 && $$4 > 4000000 {print "/dev/shm"}')
# Compiled once for all processes that the tests start, whatever the caller's shell says.
PYTEST := PYTHONDONTWRITEBYTECODE= $(if $(SHM),TMPDIR=$(SHM)) $(BIN)/python -m pytest -p randomly -n $(WORKERS) --maxprocesses 8 --dist worksteal --check-tree
# The percentage of branches and lines that make test-all must reach.
COVERED := 50
FAST := tests/flows tests/claims tests/behaviour/test_link.py tests/behaviour/test_login.py \
  tests/behaviour/test_disconnect.py tests/behaviour/test_cookies.py tests/api/test_api_client.py \
  tests/ui/test_ui_button.py tests/ui/test_ui_pages.py

.PHONY: bench drills mutation demo check lint test test-fast test-all test-extended test-browsers test-lowest test-newest test-versions test-wheel test-docs docs dist clean
.DELETE_ON_ERROR:
MAKEFLAGS += --no-print-directory

demo:
	@exec $(PYTHON) example_apps/demo.py

check: lint
	@$(BIN)/python tests/support/public_types.py
	@$(MAKE) test

lint: $(VENV)/test.stamp
	@$(BIN)/ruff check
	@$(BIN)/ruff format --check
	@$(BIN)/mypy

test: $(VENV)/test.stamp
	@$(PYTEST) $(if $(COVERAGE),--cov --cov-report=)

test-fast: $(VENV)/test.stamp
	@$(PYTEST) $(FAST)

drills: $(VENV)/test.stamp
	@$(PYTEST) -n 0 -s -m drill tests/drills
	@$(BIN)/python -m tests.drills.slow_configure

mutation: $(VENV)/test.stamp $(VENV)/mutation.stamp
	@PYTHONDONTWRITEBYTECODE= $(if $(SHM),TMPDIR=$(SHM)) $(BIN)/python -m tests.support.mutants $(if $(SAMPLE),sample=$(SAMPLE)) $(MUTANTS)

bench: $(VENV)/test.stamp
	@$(if $(SHM),TMPDIR=$(SHM)) $(BIN)/python benchmarks/sign_in.py $(BENCH)

test-extended: $(VENV)/test.stamp
	@$(PYTEST) -m extended --hypothesis-profile extended $(if $(COVERAGE),--cov --cov-append --cov-report=)

test-all: $(VENV)/test.stamp
	@$(MAKE) test COVERAGE=1
	@$(MAKE) test-extended COVERAGE=1
	@$(MAKE) test-browsers
	@$(MAKE) coverage

docs: $(VENV)/docs.stamp
	@$(BIN)/python -m sphinx -W --keep-going -q -b html docs docs/_build/html

dist: $(VENV)/dist.stamp
	@rm -rf dist
	@$(BIN)/python -m build --quiet
	@$(BIN)/python -m twine check --strict dist/*

test-docs: docs $(VENV)/test.stamp
	@$(PYTEST) tests/site

.PHONY: coverage
coverage: # of the runs with COVERAGE=1
	@$(BIN)/coverage report --skip-covered --fail-under=$(COVERED)

test-browsers: $(VENV)/test.stamp
	@$(PYTEST) tests/browsers

test-lowest:
	@$(PYTHON) tests/support/lowest.py >.venv-lowest.txt
	@$(MAKE) test VENV=.venv-lowest CONSTRAINTS=.venv-lowest.txt ALSO=httpx # for Authlib before 1.8

test-newest:
	@$(MAKE) test VENV=.venv-newest CONSTRAINTS=/dev/null

test-versions: $(VENV)/test.stamp
	@$(BIN)/python tests/support/versions.py

test-wheel: $(VENV)/test.stamp
	@$(BIN)/python tests/support/wheel.py

clean:
	rm -rf .venv* dist mutants docs/_build .mypy_cache .ruff_cache .pytest_cache .hypothesis .coverage* example_apps/*/instance

$(VENV)/test.stamp: WHAT = -e '.[bearer,flask,starlette,postgresql,redis,messages,sandbox]' --group test $(ALSO)
$(VENV)/docs.stamp: WHAT := -e . --group docs
$(VENV)/dist.stamp: WHAT := --group dist
$(VENV)/mutation.stamp: WHAT := --group mutation

$(VENV)/test.stamp $(VENV)/docs.stamp $(VENV)/dist.stamp $(VENV)/mutation.stamp: $(INPUTS)
	$(install)

# Makes the environment if there is none, and installs into it. What pip says is kept; of a failure one line is shown.
define install
@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null || \
  { echo "$(PYTHON) isn't Python 3.11 or newer; name one that is: make $(MAKECMDGOALS) PYTHON=python3.12" >&2; exit 1; }
@test -x $(BIN)/pip || $(PYTHON) -m venv --clear $(VENV) >/dev/null 2>&1 || \
  { echo "$(PYTHON) can't make environments; on Debian and Ubuntu: apt install python3-venv" >&2; exit 1; }
@echo "Installing into $(VENV) ..."
@{ $(INSTALL) 'pip>=25.1' && $(INSTALL) -c $(CONSTRAINTS) $(WHAT); } >$(VENV)/pip.log 2>&1 || \
  { echo "pip couldn't install what is needed; is there a network? (pip's own words: $(VENV)/pip.log)" >&2; exit 1; }
@touch $@
endef
