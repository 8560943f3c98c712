# Two commands and their upkeep. All that is made here is made in $(VENV).

VENV   ?= .venv
PROMPT ?= Hello! Who are you?
BIN    := $(VENV)/bin
PIP    := $(BIN)/python -m pip --quiet --disable-pip-version-check

# The first Python that is new enough, unless PYTHON names one.
PYTHON ?= $(shell for p in python3 python3.13 python3.12 python3.11 python3.14 python; do \
	$$p -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null && echo $$p && break; done)
CXX_FOUND = $(shell command -v "$${CXX:-c++}" || command -v g++ || command -v clang++)

.PHONY: help demo test clean

help: ## this list
	@awk -F ':.*## ' '/^[a-z]+:.*## / { printf "make %-6s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)
	@echo 'Variables: PYTHON (3.11 or newer), VENV, PROMPT (of the demo), PYTEST (its arguments)'

demo: $(VENV)/.installed ## set everything up, and stream an answer of the embedded model
	@echo '$$ power run tiny "$(PROMPT)"'
# Port 0 is nobody's: the demo is of this tree, not of a server that may be running.
	@OLLAMA_HOST=127.0.0.1:0 $(BIN)/power run tiny "$(PROMPT)"

test: $(VENV)/.installed-dev ## set everything up, and run all checks and tests
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/mypy
	$(BIN)/python -m pytest $(PYTEST)

clean: ## remove all that was made
	rm -rf $(VENV) .mypy_cache .pytest_cache .ruff_cache .hypothesis build dist
	find . -name __pycache__ -prune -exec rm -rf {} +

$(BIN)/python:
	@test -n "$(PYTHON)" || { echo 'Power needs Python 3.11 or newer; none was found. Name one: make PYTHON=/path/to/python3' >&2; exit 1; }
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
		{ echo "Power needs Python 3.11 or newer; $(PYTHON) is not. Name another: make PYTHON=/path/to/python3" >&2; exit 1; }
	@echo "Setting up $(VENV) with `$(PYTHON) --version`"
	@$(PYTHON) -m venv $(VENV) || \
		{ rm -rf $(VENV); echo 'This Python cannot make virtual environments; on Debian and Ubuntu: apt install python3-venv' >&2; exit 1; }

$(VENV)/.installed: pyproject.toml | $(BIN)/python
	@test -n "$(CXX_FOUND)" || { echo 'llama.cpp has to be compiled, but there is no C++ compiler; install g++ or clang (macOS: xcode-select --install)' >&2; exit 1; }
	@$(BIN)/python -c 'import llama_cpp' 2>/dev/null || echo 'Installing; llama.cpp is being compiled, which takes about 5 minutes'
	@$(PIP) install --editable .
	@touch $@

$(VENV)/.installed-dev: pyproject.toml $(VENV)/.installed
	@echo 'Installing what the tests need'
	@$(PIP) install --editable '.[dev]'
	@touch $@
