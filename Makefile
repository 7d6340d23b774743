# `make demo`, `make test` and `make docs` need nothing but Python (3.10 or newer) and pip.
PYTHON ?= python3
BIN := .venv/bin
INSTALL := $(BIN)/python -m pip install --disable-pip-version-check -q -c constraints.txt

.PHONY: demo test test-slow test-tutorials lint format docs gpu-check clean

demo: .venv/demo
	$(BIN)/melmoat demo

test: lint
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n auto --dist worksteal

test-slow: .venv/done
	$(BIN)/python -m pytest -m slow

test-tutorials: .venv/done
	$(BIN)/python -m pytest -m "slow or not slow" tests/test_tutorials.py tests/test_tables.py

lint: .venv/done
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	for folder in benchmarks examples suites tools; do \
	    MYPYPATH=$$folder:suites:. $(BIN)/mypy --config-file mypy-scripts.ini $$folder || exit 1; done

format: .venv/done
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

gpu-check: .venv/done
	$(BIN)/python tools/gpu_check.py --device cuda

docs: .venv/docs
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --quiet

# Each stamp is renewed whenever what is to be installed changes. The demo needs little; the tests add
# the rest to the same environment.
.venv/demo: pyproject.toml constraints.txt
	$(PYTHON) -m venv .venv
	$(INSTALL) -e '.[plots]'
	touch $@

.venv/done: .venv/demo
	$(INSTALL) -e '.[dev]'
	touch $@

.venv/docs: .venv/demo
	$(INSTALL) -e '.[docs]'
	touch $@

clean:
	rm -rf .venv site melmoat-demo
