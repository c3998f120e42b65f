# make demo   the sandbox and an example app, on this machine, without credentials
# make test   every check and every test
#
# PYTHON, PORT, SANDBOX_PORT and APP (flask, starlette, fastapi, message, bot, claims) can be set:
# make demo APP=fastapi PORT=3001

PYTHON ?= python3
PORT ?= 3000
SANDBOX_PORT ?= 4010
APP ?= flask
export PORT SANDBOX_PORT APP

BIN := .venv/bin
INSTALL := $(BIN)/python -m pip install --quiet -c tests/constraints.txt
INPUTS := pyproject.toml tests/constraints.txt

.PHONY: demo test lint clean
.DELETE_ON_ERROR:
MAKEFLAGS += --no-print-directory

demo:
	@exec $(PYTHON) example_apps/demo.py

test: lint
	@$(BIN)/python -m pytest -p randomly

lint: .venv/test.stamp
	@$(BIN)/ruff check
	@$(BIN)/ruff format --check
	@$(BIN)/mypy

clean:
	rm -rf .venv .mypy_cache .ruff_cache .pytest_cache .hypothesis example_apps/*/instance

.venv/test.stamp: WHAT := -e '.[bearer,flask,starlette,postgresql,redis,messages,sandbox]' --group test

.venv/test.stamp: $(INPUTS)
	$(install)

# Makes the environment if there is none, and installs into it. What pip says is kept; of a failure one line is shown.
define install
@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null || \
  { echo "$(PYTHON) isn't Python 3.11 or newer; name one that is: make $(MAKECMDGOALS) PYTHON=python3.12" >&2; exit 1; }
@test -x $(BIN)/pip || $(PYTHON) -m venv --clear .venv >/dev/null 2>&1 || \
  { echo "$(PYTHON) can't make environments; on Debian and Ubuntu: apt install python3-venv" >&2; exit 1; }
@echo "Installing into .venv ..."
@{ $(INSTALL) 'pip>=25.1' && $(INSTALL) $(WHAT); } >.venv/pip.log 2>&1 || \
  { echo "pip couldn't install what is needed; is there a network? (pip's own words: .venv/pip.log)" >&2; exit 1; }
@touch $@
endef
