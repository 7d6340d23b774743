# `make demo` and `make test` need nothing but Python (3.10 or newer) and pip.
PYTHON ?= python3
BIN := .venv/bin

.PHONY: demo test test-slow lint format clean

demo: .venv/done
	$(BIN)/melmoat demo

test: lint
	$(BIN)/python -m pytest

test-slow: .venv/done
	$(BIN)/python -m pytest -m slow

lint: .venv/done
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

format: .venv/done
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

# Rebuilt whenever what is to be installed changes.
.venv/done: pyproject.toml constraints.txt
	$(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --disable-pip-version-check -q -c constraints.txt -e '.[dev]'
	touch $@

clean:
	rm -rf .venv melmoat-demo
