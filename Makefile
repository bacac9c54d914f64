# Two commands do everything on a fresh machine: `make quickstart` and `make test`.
PYTHON ?= python3
VENV ?= .venv
BIN = $(VENV)/bin
# Further flags of the installation, such as --no-compile.
PIP_FLAGS ?=

.PHONY: quickstart test test-slow conformance lint docs browser-page install bench load torture clean

$(VENV)/.installed: setup.py
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --upgrade pip
	$(BIN)/python -m pip install --quiet $(PIP_FLAGS) -e '.[dev,train]'
	touch $@

install: $(VENV)/.installed

quickstart: install
	TF_CPP_MIN_LOG_LEVEL=3 $(BIN)/python -m benchmarks.quickstart --out quickstart

test: install
	$(BIN)/python -m pytest -n auto --dist loadfile -m "not slow and not conformance" --durations 25

test-slow: install
	$(BIN)/python -m pip install --quiet -e '.[docs,browser]'
	$(BIN)/python -m pytest -m slow

conformance: install
	$(BIN)/python -m pytest -n auto tests/conformance

lint: install
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

browser-page: install
	$(BIN)/python docs/browser/build.py docs/_build/html/browser

docs: install
	@if command -v npm >/dev/null; then $(BIN)/python docs/browser/build.py docs/_build/html/browser; \
	else echo "npm is not installed: the site is built without the page of docs/browser.md"; fi
	$(BIN)/python -m pip install --quiet -e '.[docs]'
	$(BIN)/python -m sphinx -W --keep-going -q -b html docs docs/_build/html

bench: install
	$(BIN)/python -m benchmarks.speed --out benchmarks/results

load: install
	$(BIN)/python -m benchmarks.speed.serving_load --requests 10000 --threads 32 --out load

torture: install
	TF_CPP_MIN_LOG_LEVEL=3 $(BIN)/python -m benchmarks.torture --out torture

clean:
	rm -rf $(VENV) quickstart load torture build dist *.egg-info
