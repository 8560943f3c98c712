# Two commands and their upkeep. All that is made here is made in $(VENV).

VENV   ?= .venv
PROMPT ?= Hello! Who are you?
BIN    := $(VENV)/bin
ANSWER  = OLLAMA_HOST=127.0.0.1:0 $(BIN)/power run tiny "$(PROMPT)"
LLAMA   = grep -o 'llama-cpp-python==[0-9.]*' pyproject.toml
PIP    := $(BIN)/python -m pip --quiet --disable-pip-version-check

# The first Python that is new enough, unless PYTHON names one.
PYTHON ?= $(shell for p in python3 python3.13 python3.12 python3.11 python3.14 python; do \
	$$p -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null && echo $$p && break; done)
CXX_FOUND = $(shell command -v "$${CXX:-c++}" || command -v g++ || command -v clang++)
# Where a processor has AMX, GCC throws away the stores that set llama.cpp's tiles up (llama.cpp's #26954), and the first
# prompt dies of an illegal instruction; without this one pass it does not.
AMX_FLAG = $(shell grep -qs amx_tile /proc/cpuinfo && $(CXX_FOUND) --version | grep -q 'Free Software' && echo -fno-dse)

.PHONY: help demo test clean

help: ## this list
	@awk -F ':.*## ' '/^[a-z]+:.*## / { printf "make %-6s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)
	@echo 'Variables: PYTHON (3.11 or newer), VENV, PROMPT (of the demo), PYTEST (its arguments)'

demo: $(VENV)/.installed ## set everything up, and stream an answer of the embedded model
	@echo '$$ power run tiny "$(PROMPT)"'
# Port 0 is nobody's: the demo is of this tree, not of a server that may be running.
	@$(ANSWER)

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
	@CXXFLAGS="$$CXXFLAGS $(AMX_FLAG)" $(PIP) install --editable .
# A wheel in pip's cache may be of another processor: better found out now than by the first prompt.
	@$(ANSWER) >/dev/null 2>&1 || { \
		echo 'The llama.cpp that pip had does not run on this processor; compiling it anew, which takes about 5 minutes'; \
		CXXFLAGS="$$CXXFLAGS $(AMX_FLAG)" $(PIP) install --force-reinstall --no-cache-dir --no-deps "`$(LLAMA)`" && $(ANSWER) >/dev/null; }
	@touch $@

$(VENV)/.installed-dev: pyproject.toml $(VENV)/.installed
	@echo 'Installing what the tests need'
	@$(PIP) install --editable '.[dev]'
	@touch $@
