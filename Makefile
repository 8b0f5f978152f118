# The commands of this repository. Needs make and a Python >=3.11,<3.14; everything else is set up in .venv.
# Nothing is installed outside the repository (system packages that tests can use come with .ci/run).

SHELL := /bin/sh
.DEFAULT_GOAL := help
.PHONY: help venv check format test bench demo run clean

VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.stamp
export PIP_DISABLE_PIP_VERSION_CHECK := 1
# A demo ends by itself after DEMO_S seconds; 0 means "until Ctrl-C".
DEMO_S ?= 0
export DEMO_S
# The source of `make run`, and the arguments of `make test` and `make bench`.
SOURCE ?=
ARGS ?=

help: ## Show this list
	@grep -E '^[a-z]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/^([a-z]+):.*## (.*)/  make \1\t\2/' | expand -t 16

venv: $(STAMP) ## Set up .venv (instant when nothing changed)

# An existing .venv is kept; else the first supported interpreter on PATH makes one.
$(STAMP): pyproject.toml constraints.txt
	@set -e; \
	if [ ! -x $(BIN)/python ]; then \
	  found=; \
	  for candidate in $(PYTHON) python3 python3.13 python3.12 python3.11 python; do \
	    if command -v "$$candidate" >/dev/null 2>&1 && "$$candidate" -c \
	      'import sys, venv, ensurepip; sys.exit(not (3, 11) <= sys.version_info[:2] < (3, 14))' 2>/dev/null; then \
	      found=$$candidate; break; \
	    fi; \
	  done; \
	  if [ -z "$$found" ]; then \
	    echo 'make: no Python >=3.11,<3.14 with venv found; install one (Debian: python3 python3-venv) or set PYTHON=/path/to/python' >&2; \
	    exit 2; \
	  fi; \
	  echo "make: .venv from $$found ($$($$found -V))"; \
	  "$$found" -m venv $(VENV); \
	fi
	$(BIN)/python -m pip install -q -c constraints.txt -e '.[dev]'
	@touch $@

check: $(STAMP) ## Format, lint, types, layers, configs: everything that needs no test run
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports --no-cache
	$(BIN)/yamllint --strict .
	$(BIN)/shellcheck .ci/run
	$(BIN)/hadolint Dockerfile
	set -e; for file in configs/*.yaml; do $(BIN)/bresnet config check "$$file"; done
	$(BIN)/bresnet config schema | diff -u configs/schema.json - || \
	  { echo 'configs/schema.json is out of date: bresnet config schema > configs/schema.json' >&2; exit 1; }

format: $(STAMP) ## Rewrite the sources in the house format
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

test: $(STAMP) ## Run the tests (ARGS="-k name" to choose)
ifeq ($(strip $(ARGS)),)
	$(BIN)/python -m pytest -n 3 --dist loadscope --no-loadscope-reorder --max-worker-restart=0
else
	$(BIN)/python -m pytest $(ARGS)
endif

bench: $(STAMP) ## Measure the pipeline on this machine
	$(BIN)/bresnet bench pipeline $(ARGS)

demo: $(STAMP) ## Two live cameras with a status table (DEMO_S=30: ends by itself)
	$(BIN)/bresnet run --config configs/demo.yaml $(if $(filter-out 0,$(DEMO_S)),--duration $(DEMO_S)) $(ARGS)

run: $(STAMP) ## Analyse your own camera: make run SOURCE=rtsp://... (or webcam:0, a file, ...)
	@[ -n '$(SOURCE)' ] || { echo 'make run: say what to watch, e.g. make run SOURCE=rtsp://camera/stream' >&2; exit 2; }
	$(BIN)/bresnet run '$(SOURCE)' $(ARGS)

clean: ## Remove .venv and every cache
	rm -rf $(VENV) build dist .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
