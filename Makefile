# make demo     everything once: install, record, train, plan, evaluate, report
# make test     the test suite
# make lint     style and types
# make install  only the installation, into .venv
# make clean    remove .venv and caches; runs and datasets stay
#
# TORCH chooses another build of torch: make install TORCH="torch==2.13.0 --index-url https://download.pytorch.org/whl/cu130"

VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed
TORCH ?= torch==2.13.0
PYTHON ?= $(shell for p in python3 python3.13 python3.12 python3.11; do \
	$$p -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null && { echo $$p; break; }; done)
OUT ?= runs/demo
PYTEST_FLAGS ?= -n 2

.PHONY: demo test lint install clean
.DEFAULT_GOAL := demo

demo: $(STAMP)
	@$(BIN)/worldmodel demo --out $(OUT)

test: $(STAMP)
	$(BIN)/python -m pytest $(PYTEST_FLAGS)

lint: $(STAMP)
	$(BIN)/ruff check .
	$(BIN)/pyright

install: $(STAMP)

$(STAMP): pyproject.toml
	@test -n "$(PYTHON)" || { echo "error: Python 3.11 or newer is needed; name it: make PYTHON=/path/to/python3" >&2; exit 2; }
	@test -x $(BIN)/pip || $(PYTHON) -m venv $(VENV) || { rm -rf $(VENV); \
		echo "error: $(PYTHON) -m venv failed; on Debian and Ubuntu: apt-get install -y python3-venv" >&2; exit 2; }
	@echo "Installing into $(VENV): torch first, then the rest; a few minutes."
	@$(BIN)/python -m pip install $(TORCH)
	@$(BIN)/python -m pip install --editable '.[dev]'
	@touch $@

clean:
	rm -rf $(VENV) *.egg-info .pytest_cache .ruff_cache
	find . -name __pycache__ -prune -exec rm -rf {} +
